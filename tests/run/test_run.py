"""The run directory: marks of its stages, and what it is for."""

import shutil
import time
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from toys import Told

from amorph.figures import Row
from amorph.pipeline import Chain
from amorph.pipeline.shared_melt import inherit_stage
from amorph.run import (
    Finished,
    RunDirectory,
    Stopped,
    StopRequest,
    difference,
    structure_text,
    toml_form,
    write_checkpoint,
)

CONFIG = {"build": {"composition": "MgO", "supercell": (2, 2, 2)}, "bvs": {"cutoff": 6.0, "r0": None}}
PROVENANCE = {"versions": {"numpy": "2.0"}, "commit": None}


def engine(threads):
    return {"engines": {"CHGNet": {"engine": "numba", "device": "cpu", "threads": threads}}}


def opened(path, config=CONFIG, provenance=PROVENANCE):
    return RunDirectory(path, config, provenance)


def names(path):
    return sorted(entry.name for entry in path.iterdir())


ROWS = (Row("energy", -1.5, "eV"), Row("verdict", "amorphous"))


@pytest.fixture
def stage(tmp_path):
    """A finished stage that read one file, with one output and figures."""
    source = tmp_path / "input.extxyz"
    source.write_bytes(structure_text(bulk("MgO", "rocksalt", a=4.2)))
    with opened(tmp_path / "run") as run:
        stage = run.stage("1_relax", {"fmax": 0.1, "grid": (4, 4, 4), "rule": None}, {"structure": source})
        assert stage.finished() is None
        stage.write_structure(bulk("MgO", "rocksalt", a=4.3))
        write_checkpoint(stage.directory, {"step": np.array(3)})
        stage.finish(Told({"energy_eV": np.float64(-1.5), "counts": {"Mg": np.int64(1)}}, ROWS), started=time.time())
    return stage


# a structure between two stages


def test_a_structure_goes_to_the_next_stage_whole(tmp_path):
    atoms = bulk("MgO", "rocksalt", a=4.2, cubic=True) * (2, 1, 1)
    atoms.rattle(0.1, seed=1)
    atoms.set_array("oxidation_states", np.where(atoms.numbers == 12, 2.0, -2.0))
    atoms.info["supercell"] = np.array([[2, 1, 0], [0, 1, 0], [0, -3, 1]])
    with opened(tmp_path / "run") as run:
        stage = run.stage("1_build", {})
        stage.write_structure(atoms)
        read = stage.read_structure()
        text = stage.structure.read_bytes()
        stage.write_structure(read)
    assert (read.info["supercell"] == atoms.info["supercell"]).all()
    assert read.info["supercell"].dtype.kind == "i"
    assert (read.arrays["oxidation_states"] == atoms.arrays["oxidation_states"]).all()
    assert read.positions == pytest.approx(atoms.positions, abs=1e-8)  # eight decimals in the file
    assert stage.structure.read_bytes() == text  # reading and writing again changes no byte


# marks of finished stages


def test_a_finished_stage_gives_its_figures(stage):
    assert stage.name == "relax"
    assert stage.finished() == Finished({"energy_eV": -1.5, "counts": {"Mg": 1}}, ROWS)
    assert names(stage.directory) == ["stage.json", "structure.extxyz"]


def test_a_figure_that_is_no_number_is_null(tmp_path):
    with opened(tmp_path / "run") as run:
        stage = run.stage("1_relax", {})
        stage.finish(Told({"stress_GPa": np.array([np.nan, 1.0]), "pressure_GPa": float("nan")}), started=time.time())
        assert stage.finished().figures == {"stress_GPa": [None, 1.0], "pressure_GPa": None}


def test_checkpoints_go_when_the_stage_is_done(stage):
    for leftover in ("checkpoint.npz", "checkpoint_previous.npz"):
        (stage.directory / leftover).write_bytes(b"half")
    assert stage.finished() is not None
    assert names(stage.directory) == ["stage.json", "structure.extxyz"]


def test_a_look_at_a_stage_of_another_run_changes_nothing_there(stage, tmp_path):
    (stage.directory / "checkpoint.npz").write_bytes(b"of another process")
    (stage.directory / ".structure.4711.amorph-tmp.extxyz").write_bytes(b"of another process")
    before = names(stage.directory)
    with opened(tmp_path / "other") as run:
        inherited = run.stage("1_relax", stage.parameters, {"inherited": stage.structure})
        assert inherit_stage(inherited, bulk("MgO", "rocksalt", a=4.2)).found == stage.look()
        assert inherited.structure.read_bytes() == stage.structure.read_bytes()
    assert names(stage.directory) == before


def test_leftovers_of_killed_writes_go_when_a_stage_begins_and_what_is_another_s_stays(tmp_path):
    own = [".keep", ".notes.2024", ".backup.7.gz"]
    folder = tmp_path / "run/1_relax"
    folder.mkdir(parents=True)
    for name in [*own, ".checkpoint.4711.amorph-tmp.npz", ".INCAR.4712.amorph-tmp"]:
        (folder / name).write_bytes(b"half")
    (tmp_path / "run/lock").touch()
    (tmp_path / "run/1_relax").rename(tmp_path / "aside")
    with opened(tmp_path / "run") as run:
        (tmp_path / "aside").rename(folder)
        run.stage("1_relax", {})
        assert names(folder) == sorted(own)


def test_hidden_files_of_another_are_no_empty_directory(tmp_path):
    for name in (".notes.2024", ".backup.7.gz"):
        (tmp_path / name).write_text("years of work")
    with pytest.raises(ValueError, match="is not empty and holds no run"), opened(tmp_path):
        pass
    assert names(tmp_path) == [".backup.7.gz", ".notes.2024"]


def test_other_parameters_are_refused_with_the_difference(stage, tmp_path):
    with (
        opened(tmp_path / "run") as run,
        pytest.raises(ValueError, match=r"other parameters: fmax 0\.1 there, 0\.2 here; use a new --dir, or remove"),
    ):
        run.stage("1_relax", {**stage.parameters, "fmax": 0.2}, stage.inputs).finished()


def test_another_input_is_refused(stage):
    path = stage.inputs["structure"]
    path.write_bytes(path.read_bytes().replace(b"Mg", b"Ca"))
    with pytest.raises(ValueError, match=r"made from another .*input\.extxyz; use a new --dir"):
        replace(stage).finished()  # opened anew


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes() + b" "), Path.unlink])
def test_an_output_that_changed_is_refused(stage, damage):
    damage(stage.structure)
    with pytest.raises(ValueError, match=r"structure\.extxyz is missing or was changed since it was made"):
        stage.finished()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"7", b"\xff\xfe", b'{"parameters": {}}', b'{"parameters": 1}', b"[" * 100_000]
)
def test_a_damaged_mark_is_refused(stage, content):
    (stage.directory / "stage.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"stage\.json is damaged .* remove the folder .*1_relax to redo it"):
        stage.finished()


def test_a_mark_cut_anywhere_is_refused(stage):
    mark = stage.directory / "stage.json"
    whole = mark.read_bytes()
    for length in range(0, len(whole) - 2, 7):
        mark.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is damaged"):
            stage.finished()


def test_a_summary_goes_before_a_stage_is_redone(tmp_path):
    config = {"run": {}}
    with RunDirectory(tmp_path / "run", config, {}) as run:
        Chain(run).then("first", {}, lambda _stage, _atoms: Told())
        (run.path / "summary.json").write_text("{}")
        Chain(run).then("first", {}, lambda _stage, _atoms: Told())
        assert (run.path / "summary.json").exists()  # nothing was to be done
        shutil.rmtree(run.path / "1_first")
        with pytest.raises(Stopped):
            Chain(run, stop=StopRequest(by="SIGTERM")).then("first", {}, lambda _stage, _atoms: Told())
        assert not (run.path / "summary.json").exists()


# what the directory is for


def test_run_toml_says_everything_and_the_same_study_goes_on(tmp_path):
    config = {**CONFIG, "run": {"title": 'two\r\nlines "quoted" \\ Å', "minutes": 5.0, "small": 1e-7}}
    for _ in range(2):
        with opened(tmp_path / "run", config):
            stored = (tmp_path / "run/run.toml").read_bytes()
    assert tomllib.loads(stored.decode()) == {
        "build": {"composition": "MgO", "supercell": [2, 2, 2]},
        "bvs": {"cutoff": 6.0},
        "run": config["run"],
        "provenance": {"versions": {"numpy": "2.0"}},
    }


@pytest.mark.parametrize(
    ("config", "provenance", "said"),
    [
        ({**CONFIG, "bvs": {"cutoff": 5.0, "r0": None}}, PROVENANCE, r"bvs\.cutoff 6\.0 there, 5\.0 here"),
        ({**CONFIG, "bvs": {"cutoff": 6.0, "r0": 1.7}}, PROVENANCE, r"bvs\.r0 nothing there, 1\.7 here"),
        (CONFIG, {"versions": {"numpy": "2.1"}}, r"versions\.numpy '2\.0' there, '2\.1' here"),
        (CONFIG, {**PROVENANCE, "weights_sha256": {"X": "ab"}}, r"weights_sha256\.X nothing there, 'ab' here"),
        (CONFIG, PROVENANCE | engine(1), r"engines\.CHGNet nothing there, .*'numba', 'device': 'cpu'} here"),
    ],
)
def test_another_study_is_refused_with_the_difference(tmp_path, config, provenance, said):
    with opened(tmp_path / "run") as run:
        (run.stage("1_build", {}).directory / "structure.extxyz").touch()
    before = (tmp_path / "run/run.toml").read_bytes()
    with (
        pytest.raises(ValueError, match=f"holds a run with {said}; use a new --dir"),
        opened(tmp_path / "run", config, provenance),
    ):
        pass
    assert (tmp_path / "run/run.toml").read_bytes() == before
    with opened(tmp_path / "run"):  # and the lock is free again
        pass


def test_a_corrected_study_goes_on_where_nothing_was_computed(tmp_path):
    with opened(tmp_path / "run") as run:
        run.stage("reference/1_relax", {})  # its folder, and nothing in it
    with opened(tmp_path / "run", {**CONFIG, "bvs": {"cutoff": 5.0}}) as run:
        assert not run.forced
    stored = tomllib.loads((tmp_path / "run/run.toml").read_text())
    assert stored["bvs"] == {"cutoff": 5.0}
    assert "forced" not in stored["provenance"]


@pytest.mark.parametrize("key", ["engine", "device"])
def test_another_engine_or_device_is_refused(tmp_path, key):
    with opened(tmp_path / "run", provenance=PROVENANCE | engine(1)) as run:
        (run.stage("1_build", {}).directory / "structure.extxyz").touch()
    other = engine(1)
    old, other["engines"]["CHGNet"][key] = other["engines"]["CHGNet"][key], "torch"
    with (
        pytest.raises(ValueError, match=f"holds a run with engines.CHGNet.{key} '{old}' there, 'torch' here; "),
        opened(tmp_path / "run", provenance=PROVENANCE | other),
    ):
        pass


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ({"commit": "abc"}, {"commit": "def"}, "commit 'abc' there, 'def' here"),
        (engine(1), engine(2), "engines.CHGNet.threads 1 there, 2 here"),
    ],
)
def test_another_commit_or_number_of_threads_goes_on_and_is_told_and_recorded_once(tmp_path, old, new, changed):
    with opened(tmp_path / "run", provenance=PROVENANCE | {"bond_valence": {"r0": 1.7}} | old):
        pass
    for _ in range(2):
        with opened(tmp_path / "run", provenance=PROVENANCE | new):
            pass
    log = (tmp_path / "run/run.log").read_text()
    assert log.count(f"is continued with {changed}: the same bytes as in one go are not promised") == 1
    stored = tomllib.loads((tmp_path / "run/run.toml").read_text())["provenance"]
    assert [entry["changed"] for entry in stored["continued"]] == [changed]
    assert "forced" not in stored
    assert new.items() <= stored.items()
    assert stored["bond_valence"] == {"r0": 1.7}  # which only the first call knew


def test_a_finished_run_is_read_by_another_commit_without_a_word(tmp_path):
    with opened(tmp_path / "run", provenance={**PROVENANCE, "commit": "abc"}):
        (tmp_path / "run/summary.json").write_text("{}")
    with opened(tmp_path / "run", provenance={**PROVENANCE, "commit": "def"}):
        pass
    assert (tmp_path / "run/run.log").read_text() == ""
    assert "continued" not in (tmp_path / "run/run.toml").read_text()


@pytest.mark.parametrize("content", [b"= 3", b"\xff\xfe\x00"])
def test_a_damaged_run_toml_is_refused(tmp_path, content):
    with opened(tmp_path / "run"):
        pass
    (tmp_path / "run/run.toml").write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.toml is damaged .*; use a new --dir"), opened(tmp_path / "run"):
        pass


def test_a_directory_with_other_things_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"is not empty and holds no run\.toml"), opened(tmp_path):
        pass
    assert names(tmp_path) == ["thesis.tex"]


def test_what_a_kill_at_the_very_start_leaves_is_no_obstacle(tmp_path):
    for leftover in ("lock", ".run.4711.amorph-tmp.toml"):
        (tmp_path / leftover).write_text("")
    with opened(tmp_path):
        assert names(tmp_path) == ["lock", "run.log", "run.toml"]


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(ValueError, match="run is a file; give the run a directory"), opened(tmp_path / "run"):
        pass


# comparisons in words


@dataclass(frozen=True)
class _Settings:
    path: Path
    width: float


def test_a_difference_names_keys_of_either_side():
    old, new = {"a": {"b": 1, "c": 2}, "d": [1, 2], "e": 0}, {"a": {"b": 1, "c": 3}, "d": [1, 2], "f": "x"}
    assert difference(old, new) == "a.c 2 there, 3 here, e 0 there, nothing here, f nothing there, 'x' here"
    assert difference(old, old) == ""


def test_toml_has_no_none():
    value = {"a": None, "b": [{"c": None, "d": 1}], "s": _Settings(Path("x/y"), np.float64(0.5))}
    assert toml_form(value) == {"b": [{"d": 1}], "s": {"path": "x/y", "width": 0.5}}
