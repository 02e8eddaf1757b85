"""Weights are found, identified and read without running code."""

import pickle
import zipfile

import numpy as np
import pytest
import torch

from amorph.chgnet.weights import STOCK_FILES, load_checkpoint


@pytest.mark.parametrize("model", STOCK_FILES)
def test_equals_torch_load(model):
    checkpoint = load_checkpoint(model)
    state = torch.load(checkpoint.path, map_location="cpu", weights_only=True)["model"]["state_dict"]
    assert checkpoint.name == model
    assert state.keys() == checkpoint.arrays.keys()
    for name, tensor in state.items():
        np.testing.assert_array_equal(checkpoint.arrays[name], tensor.numpy())


def test_fine_tuned_file_needs_trust_or_its_sha256(tmp_path):
    original = load_checkpoint("0.3.0")
    path = tmp_path / "mine.pth.tar"
    content = torch.load(original.path, map_location="cpu", weights_only=True)
    torch.save({"model": content["model"]}, path)
    with pytest.raises(ValueError, match="is no known CHGNet file") as refusal:
        load_checkpoint(path)
    digest = str(refusal.value).split("sha256='")[1].rstrip("'")
    assert load_checkpoint(path, sha256=digest).sha256 == digest
    assert load_checkpoint(path, trust=True).name == str(path)
    with pytest.raises(ValueError, match="has the sha256"):
        load_checkpoint(path, sha256="0" * 64)


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code from the file ran')",))


def test_no_code_from_the_file_runs(tmp_path):
    path = tmp_path / "bomb.pth.tar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bomb/data.pkl", pickle.dumps({"model": Bomb()}))
    with pytest.raises(ValueError, match="is no CHGNet model"):
        load_checkpoint(path, trust=True)


def test_rubbish_is_refused(tmp_path):
    path = tmp_path / "rubbish.pth.tar"
    path.write_bytes(b"rubbish" * 100)
    with pytest.raises(ValueError, match="is no CHGNet model"):
        load_checkpoint(path, trust=True)
    with pytest.raises(ValueError, match=r"no CHGNet model '0\.9\.9'"):
        load_checkpoint("0.9.9")
