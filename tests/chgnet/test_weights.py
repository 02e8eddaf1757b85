"""Weights are found, identified and read without running code."""

import io
import pickle
import resource
import time
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from amorph.chgnet import weights
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


def test_what_stands_beside_the_weights_may_be_of_any_type(tmp_path):
    path = tmp_path / "beside.pth.tar"
    content = torch.load(load_checkpoint("0.3.0").path, map_location="cpu", weights_only=True)["model"]
    beside = {"mask": torch.ones(3, dtype=torch.uint8), "half": torch.ones(3, dtype=torch.bfloat16)}
    torch.save({"model": content, "trainer": beside | {"history": defaultdict(list, {"mae": [0.1]})}}, path)
    arrays = load_checkpoint(path, trust=True).arrays
    assert all(np.array_equal(arrays[name], array) for name, array in load_checkpoint("0.3.0").arrays.items())
    content["state_dict"]["mlp.layers.7.bias"] = content["state_dict"]["mlp.layers.7.bias"].to(torch.bfloat16)
    torch.save({"model": content}, path)
    with pytest.raises(ValueError, match="no CHGNet model"):
        load_checkpoint(path, trust=True)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    # A gate whose shift is NaN would be open instead, and energies seem sound.
    path = tmp_path / "diverged.pth.tar"
    content = torch.load(load_checkpoint("0.3.0").path, map_location="cpu", weights_only=True)["model"]
    content["state_dict"]["bond_conv_layers.0.twoBody_bond.bn2.bias"][5] = np.nan
    torch.save({"model": content}, path)
    with pytest.raises(
        ValueError, match=r"weights that are not finite \(bond_conv_layers\.0.*\): the fit has diverged"
    ):
        load_checkpoint(path, trust=True)


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code from the file ran')",))


def test_no_code_from_the_file_runs(tmp_path):
    path = tmp_path / "bomb.pth.tar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bomb/data.pkl", pickle.dumps({"model": Bomb()}))
    with pytest.raises(ValueError, match="is no CHGNet model"):
        load_checkpoint(path, trust=True)


def attributes_of_the_reader():
    """Everything that could be set of the functions and classes that read a file."""
    own = {name: thing for name, thing in vars(weights).items() if getattr(thing, "__module__", "") == weights.__name__}
    return {name: (getattr(thing, "__defaults__", None), dict(vars(thing))) for name, thing in own.items()}


@pytest.mark.parametrize("name", ["torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter", "any thing"])
@pytest.mark.parametrize("attribute", ["__defaults__", "__call__", "__init__"])
def test_a_file_cannot_change_what_reads_it(tmp_path, name, attribute):
    # BUILD with a state of (None, {attribute: (1, 2)}) sets an attribute of whatever the name stood for.
    state = b"N}X" + bytes([len(attribute), 0, 0, 0]) + attribute.encode() + b"(K\x01K\x02ts\x86b."
    before = attributes_of_the_reader()
    with zipfile.ZipFile(tmp_path / "a.pth.tar", "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02c" + name.replace(" ", "\n").encode() + b"\n" + state)
    with pytest.raises(ValueError, match="is no CHGNet model"):
        load_checkpoint(tmp_path / "a.pth.tar", trust=True)
    assert attributes_of_the_reader() == before


def test_a_compressed_file_is_refused_before_it_fills_the_memory(tmp_path):
    path = tmp_path / "packed.pth.tar"
    with zipfile.ZipFile(load_checkpoint("0.3.0").path) as archive, zipfile.ZipFile(path, "w") as packed:
        for member in archive.namelist():
            packed.writestr(member, archive.read(member), zipfile.ZIP_DEFLATED if member.endswith("/0") else None)
    with pytest.raises(ValueError, match="is no CHGNet model"):
        load_checkpoint(path, trust=True)


def test_what_was_identified_is_what_is_read(tmp_path, monkeypatch):
    path = tmp_path / "mine.pth.tar"
    path.write_bytes(load_checkpoint("0.3.0").path.read_bytes())
    expected = load_checkpoint("0.3.0").arrays["site_wise.weight"]
    read, another = Path.read_bytes, load_checkpoint("r2scan").path.read_bytes()

    def exchanged(self):  # by somebody else, as soon as its digest could be taken
        content = read(self)
        self.write_bytes(another)
        return content

    monkeypatch.setattr(Path, "read_bytes", exchanged)
    checkpoint = load_checkpoint(path)
    assert checkpoint.name == "0.3.0"
    np.testing.assert_array_equal(checkpoint.arrays["site_wise.weight"], expected)


class Named:
    """Pickled as a call of a function of torch."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Storage:
    """Pickled as the reference to the storage of a file."""


def crafted(path, state, arguments=(), numbers=4):
    """Write a file as chgnet does, with what no torch would write in it."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            return ("storage", torch.FloatStorage, "0", "cpu", numbers) if isinstance(thing, Storage) else None

    content = io.BytesIO()
    Pickler(content, protocol=2).dump({"model": {"model_args": dict(arguments), "state_dict": state}})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", content.getvalue())
        archive.writestr("x/data/0", np.arange(numbers, dtype=np.float32).tobytes())
    return path


def tensor(offset, shape, stride, storage=None):
    return Named(torch._utils._rebuild_tensor_v2, storage or Storage(), offset, shape, stride, False, {})


@pytest.mark.parametrize(
    ("weight", "read"),
    [
        (tensor(0, (2, 2), (1, 2)), [[0, 2], [1, 3]]),
        (tensor(3, (), ()), 3),
        (tensor(1, (3,), (1,)), [1, 2, 3]),
        (tensor(4, (0,), (1,)), []),
        (tensor(3, (2,), (-1,)), None),  # memory before the storage
        (tensor(0, (2,), (-(10**6),)), None),
        (tensor(-1, (1,), (1,)), None),
        (tensor(0, (10**11,), (0,)), None),  # 373 GiB of one number
        (tensor(0, (-1,), (1,)), None),
        (tensor(0, (5,), (1,)), None),
        (tensor(0, (1,), (2**80,)), None),
        (tensor(0, (2.0,), (1,)), None),
        (tensor(0, (2,), (1,), "text"), None),
        (tensor(0, (2,), (1,), [1.0, 2.0]), None),
        (Bomb(), None),  # stands for nothing
        ([1.0], None),
    ],
)
def test_a_tensor_is_read_within_its_storage_or_refused(tmp_path, weight, read):
    path = crafted(tmp_path / "a.pth.tar", {"w": weight})
    if read is None:
        with pytest.raises(ValueError, match=r"a\.pth\.tar is no CHGNet model; give a \.pth\.tar"):
            load_checkpoint(path, trust=True)
    else:
        np.testing.assert_array_equal(load_checkpoint(path, trust=True).arrays["w"], np.array(read, dtype=np.float32))


def test_tensors_that_together_are_larger_than_the_file_are_refused(tmp_path):
    laid = {f"w{k}": tensor(0, (1000,), (1,)) for k in range(30)}  # each over the same storage
    few = dict(list(laid.items())[:1])
    assert load_checkpoint(crafted(tmp_path / "a.pth.tar", few, numbers=1000), trust=True).arrays["w0"].size == 1000
    with pytest.raises(ValueError, match="is no CHGNet model"):
        load_checkpoint(crafted(tmp_path / "a.pth.tar", laid, numbers=1000), trust=True)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02}r\x00\x00\x00\x40.",  # a table of 2³⁰ entries
        b"\x80\x05\x96" + (10**13).to_bytes(8, "little") + b".",
        b"\x80\x02" + b"}0" * 1_500_000 + b".",
        # model_args of 60 pairs, each of the one before twice: 2⁶⁰ parts for who visits them all
        b"\x80\x02}X\x05\x00\x00\x00model}(X\x0a\x00\x00\x00model_args}X\x01\x00\x00\x00a)"
        + b"2\x86" * 60
        + b"sX\x0a\x00\x00\x00state_dict}us.",
        # a tensor of 1000 axes, each of 2⁴⁰⁰⁰
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x01\x00\x00\x00aK\x00t(" + b"\x8b" + b"\x01\x02\x00\x00"
        + b"\x01" * 513 + b"2" * 1000 + b"t)tR.",
    ],
    ids=["memo", "bytes", "length", "doubling", "axes"],
)  # fmt: skip
def test_what_would_take_all_time_or_memory_is_read_or_refused_at_once(tmp_path, content):
    with zipfile.ZipFile(tmp_path / "a.pth.tar", "w") as archive:
        archive.writestr("x/data.pkl", content)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 10**9, hard))
    started = time.process_time()
    try:
        load_checkpoint(tmp_path / "a.pth.tar", trust=True)
    except ValueError as error:
        assert "is no CHGNet model" in str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert time.process_time() - started < 5.0  # for ever without the bounds


def test_parts_that_overlap_are_not_read_over_and_over(tmp_path):
    path = crafted(tmp_path / "a.pth.tar", {"w": tensor(0, (4,), (1,))})
    path.write_bytes(path.read_bytes() + 100_001 * b"PK\x01\x02")
    with pytest.raises(ValueError, match="is no CHGNet model"):
        load_checkpoint(path, trust=True)


@pytest.mark.parametrize("argument", [Bomb(), [Bomb()], {"x": (Bomb(),)}, tensor(0, (1,), (1,))])
def test_an_argument_that_is_no_plain_value_is_refused(tmp_path, argument):
    with pytest.raises(ValueError, match="is no CHGNet model"):
        load_checkpoint(crafted(tmp_path / "a.pth.tar", {}, {"hidden": argument}), trust=True)


@pytest.mark.parametrize("content", [b"]" * 3, b"", pickle.dumps([1]), b"(lp0\n" * 20000, b"\x80\x02}q\x00h\x05."])
def test_a_garbled_pickle_is_refused(tmp_path, content):
    with zipfile.ZipFile(tmp_path / "a.pth.tar", "w") as archive:
        archive.writestr("x/data.pkl", content)
    with pytest.raises(ValueError, match="is no CHGNet model"):
        load_checkpoint(tmp_path / "a.pth.tar", trust=True)


def test_rubbish_is_refused(tmp_path):
    path = tmp_path / "rubbish.pth.tar"
    path.write_bytes(b"rubbish" * 100)
    with pytest.raises(ValueError, match="is no CHGNet model"):
        load_checkpoint(path, trust=True)
    with pytest.raises(ValueError, match=r"no CHGNet model '0\.9\.9'"):
        load_checkpoint("0.9.9")
