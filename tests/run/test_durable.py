"""Files that a kill leaves whole: replaced, growing, and checkpoints."""

import errno
import itertools
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from toys import LennardJones, Told

from amorph.export import replacing
from amorph.meltquench import QuenchSchedule, Segment, melt_quench
from amorph.parameters import parse
from amorph.pipeline.recording import record_dynamics
from amorph.run import (
    RunDirectory,
    Work,
    appended,
    make_folder,
    read_checkpoint,
    sha256_of,
    write_atomically,
    write_checkpoint,
)
from amorph.run.durable import AppendedFile


def names(path):
    return sorted(entry.name for entry in path.iterdir())


# whole or not there


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.json"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.json"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_atomically(path, b"old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


def test_the_content_is_on_disk_before_it_has_the_name(tmp_path, monkeypatch):
    path, order = tmp_path / "a", []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("sync"), sync(fd)))
    monkeypatch.setattr(os, "replace", lambda *names, **k: (order.append("rename"), rename(*names, **k)))
    write_atomically(path, b"content")
    assert order == ["sync", "rename", "sync"]  # content, name, folder


def test_a_folder_that_cannot_be_synced_stops_nothing_and_a_file_does(tmp_path, monkeypatch):
    def unable(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) or refuse_files:
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", unable)
    refuse_files = False
    write_atomically(tmp_path / "a", b"content")
    refuse_files = True
    with pytest.raises(OSError, match="Invalid argument"):
        write_atomically(tmp_path / "a", b"other")
    assert (tmp_path / "a").read_bytes() == b"content"


@pytest.fixture
def order(monkeypatch):
    """What was synced and renamed, by name, in order."""
    done, fsync, rename = [], os.fsync, os.replace

    def note_sync(descriptor):
        done.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def note_rename(source, target, **options):
        done.append(("rename", Path(target).name))
        rename(source, target, **options)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_rename)
    return done


def test_the_name_of_every_new_folder_is_on_disk(tmp_path, order):
    make_folder(tmp_path / "a/b")
    assert {("sync", tmp_path.name), ("sync", "a")} == set(order)
    make_folder(tmp_path / "a/b")
    assert len(order) == 2


def test_exports_are_on_disk_before_they_have_their_name(tmp_path, order):
    with replacing(tmp_path / "map.cube") as temporary:
        temporary.write_text("0")
    assert order == [("sync", temporary.name), ("rename", "map.cube"), ("sync", tmp_path.name)]


def test_what_a_checkpoint_counts_on_is_on_disk_before_it_and_all_results_before_the_mark(tmp_path, order):
    schedule = QuenchSchedule((Segment("hold", "NVT", 60.0, 60.0, 0.01),))
    atoms = bulk("Ar", a=5.4, cubic=True)
    work = Work(checkpoint_minutes=1e-9)
    with RunDirectory(tmp_path / "run", {}, {}) as run:
        stage = run.stage("1_hold", parse(melt_quench, {"schedule": schedule, "sample_every": 1}))
        assert order[-1] == ("sync", "run")  # the name of the stage's folder
        record_dynamics(stage, atoms, LennardJones(cutoff=6.0), np.random.default_rng(0), work)
        checkpoints = [place for place, done in enumerate(order) if done == ("rename", "checkpoint.npz")]
        for last, place in itertools.pairwise([-1, *checkpoints]):
            assert {("sync", "trajectory.extxyz"), ("sync", "thermo.csv")} < set(order[last + 1 : place])
        assert len(checkpoints) == 10
        order.clear()
        stage.finish(Told(), started=0.0)
        marked = order.index(("rename", "stage.json"))
        assert {("sync", "trajectory.extxyz"), ("sync", "thermo.csv")} < set(order[:marked])


# checkpoints


@pytest.fixture
def checkpoints(tmp_path):
    """Two checkpoints, of step 1 and of step 2."""
    for step in (1, 2):
        write_checkpoint(tmp_path, {"step": np.array(step), "positions": np.full((8, 3), step / 3)})
    return tmp_path


def test_a_checkpoint_comes_back_bit_by_bit(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "x": rng.normal(size=(5, 3)),
        "n": np.array(7),
        "rng": np.array('{"state": "ü"}'),
        "chains.a": np.empty(0),
    }
    write_checkpoint(tmp_path, arrays)
    read = read_checkpoint(tmp_path)
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert read[name].tobytes() == array.tobytes()
        assert read[name].dtype == array.dtype


def test_no_checkpoint_is_no_error(tmp_path):
    assert read_checkpoint(tmp_path) is None


def test_the_newest_is_read_whatever_the_file_times_say(checkpoints):
    os.utime(checkpoints / "checkpoint.npz", (0, 0))
    assert read_checkpoint(checkpoints)["step"] == 2


def test_a_kill_between_the_two_renames_leaves_the_one_before(checkpoints):
    (checkpoints / "checkpoint.npz").rename(checkpoints / "checkpoint_previous.npz")
    assert read_checkpoint(checkpoints)["step"] == 2


def test_a_cut_checkpoint_yields_to_the_one_before(checkpoints):
    path = checkpoints / "checkpoint.npz"
    whole = path.read_bytes()
    lengths = sorted({*range(40), *np.linspace(40, len(whole) - 1, 60).astype(int).tolist()})
    for length in lengths:
        path.write_bytes(whole[:length])
        assert read_checkpoint(checkpoints)["step"] == 1, length


def test_a_flipped_bit_yields_to_the_one_before(checkpoints, caplog):
    path = checkpoints / "checkpoint.npz"
    whole = path.read_bytes()
    for bit in np.random.default_rng(0).choice(8 * len(whole), 200, replace=False):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert read_checkpoint(checkpoints)["step"] == 1, bit
    assert "checkpoint.npz is damaged: its checksum does not match" in caplog.text


def test_a_checkpoint_on_a_bad_sector_yields_to_the_one_before_and_one_without_permission_does_not(
    checkpoints, monkeypatch, caplog
):
    read = Path.read_bytes

    def broken(path):
        if path.name == "checkpoint.npz":
            raise fault
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", broken)
    fault = OSError(errno.EIO, "Input/output error")
    assert read_checkpoint(checkpoints)["step"] == 1
    assert "checkpoint.npz is damaged: Input/output error" in caplog.text
    write_checkpoint(checkpoints, {"step": np.array(3)})  # and it does not push out the whole one
    monkeypatch.undo()
    (checkpoints / "checkpoint.npz").unlink()
    assert read_checkpoint(checkpoints)["step"] == 1
    monkeypatch.setattr(Path, "read_bytes", broken)
    (checkpoints / "checkpoint.npz").touch()
    fault = PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(PermissionError):
        read_checkpoint(checkpoints)


def test_a_damaged_checkpoint_does_not_push_out_the_whole_one_before_it(checkpoints):
    (checkpoints / "checkpoint.npz").write_bytes(b"rubbish")
    write_checkpoint(checkpoints, {"step": np.array(3)})
    assert read_checkpoint(checkpoints)["step"] == 3
    (checkpoints / "checkpoint.npz").write_bytes(b"rubbish again")
    assert read_checkpoint(checkpoints)["step"] == 1


def test_when_every_checkpoint_is_damaged_nothing_starts_silently_anew(checkpoints):
    for name in ("checkpoint.npz", "checkpoint_previous.npz"):
        (checkpoints / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"every checkpoint in .* is damaged; remove the folder to redo the stage"):
        read_checkpoint(checkpoints)


def test_nothing_is_unpickled(tmp_path):
    write_checkpoint(tmp_path, {"evil": np.array([Path("/")], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_checkpoint(tmp_path)


# files that grow


def test_a_continued_file_is_cut_back_to_its_checkpoint(tmp_path):
    path = tmp_path / "thermo.csv"
    with appended(path, 0) as file:
        file.append("step\n0\n")
        known = file.sync()
        file.append("1\n2\n")
        assert path.read_text() == "step\n0\n1\n2\n"  # each record is there at once
    assert known == len("step\n0\n")
    with appended(path, known) as file:
        file.append("1\n")
    assert path.read_text() == "step\n0\n1\n"


def test_a_file_shorter_than_its_checkpoint_is_not_filled_with_zeros(tmp_path):
    path = tmp_path / "thermo.csv"
    path.write_text("step\n")
    with pytest.raises(ValueError, match=r"thermo\.csv lacks 4 of the 9 bytes .*redo the stage"):
        AppendedFile(path, 9)
    assert path.read_text() == "step\n"


def test_the_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
