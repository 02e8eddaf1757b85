"""What a run directory is trusted with: damage is told, another's files are left alone, whatever the locale."""

import contextlib
import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from toys import Told

from amorph.figures import Row
from amorph.run import (
    RunDirectory,
    Work,
    appended,
    read_json,
    read_run_toml,
    sha256_of,
    stop_on_signal,
    write_checkpoint,
    write_json,
)
from amorph.run.durable import replacing

ROWS = (Row("energy", -1.5, "eV/Å"),)


def flipped(content, seed=0):
    """The content with one bit of each byte in turn the other way."""
    bits = np.random.default_rng(seed).integers(0, 8, len(content))
    for place, bit in enumerate(bits):
        changed = bytearray(content)
        changed[place] ^= 1 << int(bit)
        yield bytes(changed)


@pytest.fixture
def stage(tmp_path):
    with RunDirectory(tmp_path / "run", {}, {}) as run:
        stage = run.stage("1_relax", {"fmax": 0.1, "name": "Å"})
        stage.write_structure(bulk("MgO", "rocksalt", a=4.3))
        stage.finish(Told({"energy_eV": -1.25}, ROWS), started=time.time())
    return stage


def test_a_flipped_bit_of_a_mark_is_told_or_without_effect(stage):
    mark = stage.directory / "stage.json"
    whole, found = mark.read_bytes(), stage.look()
    told = 0
    for content in flipped(whole):
        mark.write_bytes(content)
        try:
            assert stage.look() == found
        except ValueError:
            told += 1
    assert told > 0.9 * len(whole)  # blanks between the words may be others


def test_a_flipped_bit_of_run_toml_is_told_or_without_effect(tmp_path):
    config = {"run": {"title": "Å", "checkpoint_minutes": 5.0}}
    with RunDirectory(tmp_path, config, {"models": ["CHGNet"], "bond_valence": {"r0": 1.7}}):
        pass
    path = tmp_path / "run.toml"
    whole, found = path.read_bytes(), read_run_toml(tmp_path)
    told = 0
    for content in flipped(whole):
        path.write_bytes(content)
        try:
            assert read_run_toml(tmp_path) == found
        except ValueError:
            told += 1
    assert told > whole.index(b"# sha256")
    path.write_bytes(whole[: whole.index(b"# sha256")])  # one of before
    assert read_run_toml(tmp_path) == found


def test_an_edited_figure_of_a_mark_is_told_and_a_mark_of_before_is_read(stage):
    mark = stage.directory / "stage.json"
    record = json.loads(mark.read_text(encoding="utf-8"))
    record["figures"]["energy_eV"] = -1.75
    mark.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"stage\.json is damaged .*checksum"):
        stage.look()
    del record["sha256"]
    mark.write_text(json.dumps(record))
    assert stage.look().figures == {"energy_eV": -1.75}


def test_a_record_is_read_as_it_was_written(tmp_path):
    record = {"Å": [1, 0.1, None, True], "b": {"c": "d"}}
    write_json(tmp_path / "a.json", record)
    assert read_json(tmp_path / "a.json") == record


def test_a_flipped_bit_of_a_growing_file_is_told_when_it_goes_on(tmp_path):
    path = tmp_path / "thermo.csv"
    with appended(path) as file:
        file.append("step,T\n")
        file.append("0,300\n")
        known = file.sync(), file.sha256
    whole = path.read_bytes()
    for content in flipped(whole):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"thermo\.csv holds other bytes"):
            appended(path, *known)
        assert path.read_bytes() == content
    path.write_bytes(whole + b"1,3")
    with appended(path, *known) as file:
        file.append("1,310\n")
        assert file.sha256 == sha256_of(path)
    assert list(csv.reader(io.StringIO(path.read_text()))) == [["step", "T"], ["0", "300"], ["1", "310"]]


def test_a_growing_file_that_the_disk_damaged_is_no_output(tmp_path):
    with RunDirectory(tmp_path / "run", {}, {}) as run:
        stage = run.stage("1_melt", {})
        with appended(stage.directory / "thermo.csv") as file:
            file.append("0,300\n")
        (stage.directory / "thermo.csv").write_text("0,301\n")
        with pytest.raises(RuntimeError, match=r"thermo\.csv holds other bytes than were written"):
            stage.finish(Told(), started=0.0)


def test_files_that_a_stage_did_not_write_are_no_outputs_of_it(tmp_path):
    with RunDirectory(tmp_path / "run", {}, {}) as run:
        stage = run.stage("1_relax", {})
        (stage.directory / "notes.txt").write_text("look at this")
        stage.write_structure(bulk("MgO", "rocksalt", a=4.3))
        stage.finish(Told(), started=0.0)
        (stage.directory / "notes.txt").write_text("and at that")
        assert stage.finished() is not None
    assert list(read_json(stage.directory / "stage.json")["outputs"]) == ["structure.extxyz"]


@pytest.mark.parametrize("again", [False, True])
def test_a_directory_that_was_moved_or_begun_again_gets_nothing_more(tmp_path, again):
    with RunDirectory(tmp_path / "run", {}, {}) as run:
        stage = run.stage("1_relax", {})
        (tmp_path / "run").rename(tmp_path / "elsewhere")
        if again:
            (tmp_path / "run/1_relax").mkdir(parents=True)
            (tmp_path / "run/1_relax/checkpoint.npz").write_bytes(
                hashlib.sha256(b"of another").digest() + b"of another"
            )
        with pytest.raises(RuntimeError, match="was moved or removed while this run worked in it"):
            write_checkpoint(stage.directory, {"step": np.array(3)})
        with pytest.raises(RuntimeError, match="was moved or removed"):
            stage.finish(Told(), started=0.0)
    left = [path.name for path in tmp_path.rglob("*") if path.suffix in {".npz", ".json"}]
    assert left == (["checkpoint.npz"] if again else [])


@pytest.mark.parametrize("gone", ["run", "run/1_melt"])
def test_a_folder_that_is_removed_while_a_stage_writes_is_told(tmp_path, gone):
    def work():
        with RunDirectory(tmp_path / "run", {}, {}) as run:
            stage = run.stage("1_melt", {})
            with appended(stage.directory / "thermo.csv") as file:
                file.append("0,300\n")
                shutil.rmtree(tmp_path / gone)
                yield file.sync
                yield lambda: write_checkpoint(stage.directory, {"step": np.array(3)})
                yield lambda: stage.write_structure(bulk("MgO", "rocksalt", a=4.3))
                yield lambda: stage.finish(Told(), started=0.0)
                if gone == "run":
                    yield lambda: run.stage("2_relax", {})

    with pytest.raises(RuntimeError, match="was moved or removed"):  # of the file that is closed
        for act in work():
            with pytest.raises(RuntimeError, match=r"was moved or removed while this run worked in it"):
                act()
    assert not (tmp_path / gone).exists()


@pytest.mark.parametrize("replace", [lambda path: path.with_name("x").replace(path), lambda path: path.unlink()])
def test_a_growing_file_that_is_replaced_while_it_grows_is_told_by_name(tmp_path, replace):
    path = tmp_path / "thermo.csv"
    with pytest.raises(RuntimeError, match=r"thermo\.csv was moved, removed or replaced"), appended(path) as file:
        file.append("0,300\n")
        shutil.copy(path, tmp_path / "x")
        replace(path)
        with pytest.raises(RuntimeError, match=r"thermo\.csv was moved, removed or replaced"):
            file.sync()


@pytest.mark.parametrize("name", ["lock", "run.log", "1_melt/thermo.csv"])
def test_a_file_with_another_name_is_not_appended_to(tmp_path, name):
    of_mine = tmp_path / "of mine"
    of_mine.write_text("years of work")
    with RunDirectory(tmp_path / "run", {}, {}) as run:
        run.stage("1_melt", {})
    (tmp_path / "run" / name).unlink(missing_ok=True)
    (tmp_path / "run" / name).hardlink_to(of_mine)
    with (
        pytest.raises(ValueError, match=rf"{name} is the same file as another"),
        RunDirectory(tmp_path / "run", {}, {}) as run,
    ):
        appended(run.path / "1_melt/thermo.csv")
    assert of_mine.read_text() == "years of work"


def test_a_process_that_ended_without_a_word_is_told_by_the_next(tmp_path):
    ends = "import os; from pathlib import Path; from amorph.run import RunDirectory\n"
    ends += "with RunDirectory(Path('run'), {}, {}): os._exit(0)"
    assert subprocess.run([sys.executable, "-c", ends], cwd=tmp_path, check=False).returncode == 0
    for _ in range(2):
        with RunDirectory(tmp_path / "run", {}, {}):
            pass
    assert (tmp_path / "run/run.log").read_text().count("ended there without a word") == 1


def test_a_run_toml_of_other_types_is_told_in_one_line(tmp_path):
    with RunDirectory(tmp_path / "run", {"run": {"seed": 1}}, {"versions": {"numpy": "2"}}):
        pass
    for text in ('run = 1\nprovenance = "x"\n', "[provenance]\nengines = 3\n", "provenance = [1]\n", "run = 3\n"):
        (tmp_path / "run/run.toml").write_text(text)
        with (
            pytest.raises(ValueError, match=r"run\.toml is damaged|holds a run with"),
            RunDirectory(tmp_path / "run", {}, {}),
        ):
            pass


def test_a_planted_link_is_not_written_through(tmp_path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda _: "0" * 16)
    (tmp_path / "of another").write_text("years of work")
    (tmp_path / ".a.0000000000000000.amorph-tmp.json").symlink_to(tmp_path / "of another")
    with pytest.raises(FileExistsError):
        write_json(tmp_path / "a.json", {})
    assert (tmp_path / "of another").read_text() == "years of work"


@pytest.mark.parametrize(
    "name", ["lock", "run.log", "run.toml", "1_relax", "1_relax/stage.json", "crystal/2_melt/thermo.csv", "reference"]
)
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_links_and_pipes_in_a_directory_of_somebody_else_are_not_followed(tmp_path, name, kind):
    of_mine = tmp_path / "of mine"
    of_mine.write_text("years of work")
    with RunDirectory(tmp_path / "run", {}, {}):
        pass
    planted = tmp_path / "run" / name
    planted.unlink(missing_ok=True)
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.symlink_to(of_mine) if kind == "link" else os.mkfifo(planted)
    if name == "run.toml" and kind == "link":
        of_mine.write_text("[provenance]\n")
    before = of_mine.read_text()
    run = RunDirectory(tmp_path / "run", {}, {})
    with pytest.raises(ValueError, match=rf"{name} is .*, which is not followed"), run:
        pass
    assert of_mine.read_text() == before


def test_links_to_the_directory_and_in_the_folder_of_another_program_are_the_user_s(tmp_path):
    with RunDirectory(tmp_path / "run", {}, {}) as run:
        folder = run.stage("6_final_relax", {}).directory / "vasp"
    folder.mkdir()
    (folder / "POTCAR").symlink_to("/potentials/POTCAR")
    (tmp_path / "latest").symlink_to(tmp_path / "run")
    with RunDirectory(tmp_path / "latest", {}, {}) as run:
        assert run.stage("6_final_relax", {}).directory.is_dir()


def test_a_stage_is_finished_only_in_its_open_directory(tmp_path):
    with RunDirectory(tmp_path / "run", {}, {}) as run:
        stage = run.stage("1_relax", {})
        stage.write_structure(bulk("MgO", "rocksalt", a=4.3))
    for directory in (None, tmp_path / "another"):
        with (
            pytest.raises(RuntimeError, match="only while its run directory is open"),
            RunDirectory(directory, {}, {}) if directory else contextlib.nullcontext(),
        ):
            stage.finish(Told(), started=0.0)
    assert not (stage.directory / "stage.json").exists()


def test_two_who_write_one_file_have_names_of_their_own(tmp_path):
    with replacing(tmp_path / "a") as first, replacing(tmp_path / "a") as second:
        assert first != second
        first.write_text("one")
        second.write_text("two")
    assert (tmp_path / "a").read_text() == "one"  # whoever is done last


def test_what_ends_python_is_an_error_of_the_run():
    with pytest.raises(RuntimeError, match=r"ended Python \(exit status 0\)"), stop_on_signal(Work()):
        sys.exit(0)


def test_a_pipe_is_no_input(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is no regular file"):
        sha256_of(tmp_path / "pipe")


def test_another_locale_changes_no_byte(stage, tmp_path):
    again = """
import sys, time
from pathlib import Path
from toys import Told
from ase.build import bulk
from amorph.figures import Row
from amorph.run import RunDirectory
with RunDirectory(Path(sys.argv[1]), {}, {}) as run:
    stage = run.stage("1_relax", {"fmax": 0.1, "name": "\\u00c5"})
    assert stage.finished().rows[0].unit == "eV/\\u00c5"
    stage = run.stage("2_relax", {"fmax": 0.1, "name": "\\u00c5"})
    atoms = bulk("MgO", "rocksalt", a=4.3)
    atoms.info["unit"] = "\\u00c5"
    stage.write_structure(atoms)
    assert stage.read_structure().info["unit"] == "\\u00c5"
    stage.finish(Told({"unit": "\\u00c5"}), started=time.time())
"""
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", again, tmp_path / "run"],
        env={**os.environ, **locale},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert read_json(tmp_path / "run/2_relax/stage.json")["figures"] == {"unit": "Å"}
