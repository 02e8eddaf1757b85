"""What an ensemble's file comes down to."""

import csv
import subprocess
import sys

import numpy as np
import pytest

from amorph.ensemble.plan import prepare, read_ensemble
from amorph.ensemble.status import member_names
from amorph.pipeline import read_study


def test_every_combination_has_its_members_with_streams_of_their_own(folder):
    path = folder / "ensemble.toml"
    path.write_text(path.read_text() + 'build.composition = ["Li2Ti1/3Mo2/3O3", "Li2TiO3"]\n')
    plan = read_ensemble(path)
    assert [member.name for member in plan.members] == [f"00{p}_00{k}" for p in range(4) for k in range(2)]
    assert [member.point for member in plan.members] == [0, 0, 1, 1, 2, 2, 3, 3]
    durations = [member.study["melt_quench"]["schedule"].segments[1].duration_ps for member in plan.members]
    assert durations == [0.25] * 4 + [0.15] * 4
    assert [m.study["build"]["composition"] for m in plan.members[::2]] == ["Li2Ti1/3Mo2/3O3", "Li2TiO3"] * 2
    assert len({member.seed for member in plan.members}) == 8
    spawned = np.random.SeedSequence(7).spawn(3)[2].spawn(2)[1].generate_state(1, np.uint64)[0]
    assert plan.members[5].seed == int(spawned) >> 1
    assert all(member.study.seed == member.seed for member in plan.members)


def test_more_members_leave_the_first_ones_as_they_were(folder):
    path = folder / "ensemble.toml"
    before = {member.name: member.text for member in read_ensemble(path).members}
    path.write_text(path.read_text().replace("members = 2", "members = 5"))
    after = {member.name: member.text for member in read_ensemble(path).members}
    assert len(after) == 10
    assert before.items() <= after.items()


def test_more_than_a_thousand_members_leave_the_first_ones_where_they_lie(folder, monkeypatch):
    monkeypatch.setattr("amorph.ensemble.plan.resolve", lambda tables: tables)
    text = (folder / "ensemble.toml").read_text()
    (folder / "ensemble.toml").write_text(text.replace("members = 2", "members = 1002"))
    names = [member.name for member in read_ensemble(folder / "ensemble.toml").members]
    assert names[:2] == ["000_000", "000_001"]
    assert names[999:1003] == ["000_999", "000_1000", "000_1001", "001_000"]
    assert len(set(names)) == 2004


def test_the_written_studies_are_studies_and_the_table_names_what_varies(folder):
    plan = read_ensemble(folder / "ensemble.toml")
    prepare(plan, folder / "all")
    prepare(plan, folder / "all")  # again changes nothing
    for member in plan.members:
        assert read_study(folder / "all/studies" / f"{member.name}.toml") == member.study
    with (folder / "all/members.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["member"] for row in rows] == [member.name for member in plan.members]
    assert [row["melt_quench.schedule.segments.quench.duration_ps"] for row in rows] == ["0.25"] * 2 + ["0.15"] * 2


def test_another_title_is_no_other_ensemble(folder):
    prepare(read_ensemble(folder / "ensemble.toml"), folder / "all")
    path = folder / "study.toml"
    path.write_text(path.read_text().replace('title = "', 'title = "Renamed: '))
    prepare(plan := read_ensemble(folder / "ensemble.toml"), folder / "all")
    assert plan.members[0].study["run"]["title"].startswith("Renamed: ")
    for member in plan.members:
        assert read_study(folder / "all/studies" / f"{member.name}.toml") == member.study


def test_another_ensemble_is_refused_with_the_difference(folder):
    path = folder / "ensemble.toml"
    prepare(read_ensemble(path), folder / "all")
    path.write_text(path.read_text().replace("0.15", "0.16"))
    with pytest.raises(ValueError, match=r"001_000\.toml holds another study: melt_quench.*use a new --dir"):
        prepare(read_ensemble(path), folder / "all")


STALLS = """
import sys
from pathlib import Path
from amorph.ensemble import plan
goes_on = getattr(plan, sys.argv[3])
def stalls(*arguments):
    setattr(plan, sys.argv[3], goes_on)
    print("there", flush=True)
    input()
    return goes_on(*arguments)
setattr(plan, sys.argv[3], stalls)
try:
    plan.prepare(plan.read_ensemble(Path(sys.argv[1])), Path(sys.argv[2]))
except ValueError as error:
    print(error)
"""
"""Prepares an ensemble, and waits for a line at a function."""


@pytest.mark.parametrize(("value", "place"), [
    ("0.16", "rehearse_points"),  # before the lock is taken
    ("0.15", "write_atomically"),  # and under it
    pytest.param("0.15", "rehearse_points", marks=pytest.mark.slow),
    pytest.param("0.16", "write_atomically", marks=pytest.mark.slow),
])  # fmt: skip
def test_two_processes_that_prepare_at_once_leave_the_ensemble_of_one(folder, place, value):
    path, directory = folder / "ensemble.toml", folder / "all"
    (folder / "other.toml").write_text(path.read_text().replace("0.15", value))
    plans = {name: read_ensemble(folder / name) for name in ("ensemble.toml", "other.toml")}
    command = [sys.executable, "-c", STALLS, path, directory, place]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "there\n"
        if place == "write_atomically":
            with pytest.raises(ValueError, match=f"in use by pid {first.pid}"):
                prepare(plans["other.toml"], directory)
        else:
            prepare(plans["other.toml"], directory)
        said = first.communicate("\n")[0]
    assert first.returncode == 0
    lost = place == "rehearse_points" and value == "0.16"
    assert ("holds another study" in said) == lost
    assert bool(said) == lost
    there = {path.stem: path.read_bytes() for path in (directory / "studies").iterdir()}
    assert there == {member.name: member.text for member in plans["other.toml" if lost else "ensemble.toml"].members}
    assert set(member_names(directory)) == set(there)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "[vary]",
            "[varied]",
            r"unknown table \[varied\]; an ensemble has \[ensemble\], .*, \[parsl\]",
        ),
        ("members = 2", "members = 0", r"members = 0 in \[ensemble\] must be greater than 0"),
        ("study.toml", "absent.toml", r"absent\.toml does not exist; give a study's TOML file"),
        ("segments.quench", "segments.qench", r"has no 'qench' there; did you mean 'quench'\?"),
        ("quench.duration_ps = [0.25, 0.15]", "quench = [1]", "names a whole segment; name a key in it"),
        ("[0.25, 0.15]", "0.25", r"duration_ps = 0\.25 is no list of values; write it as in \[1, 2, 3\]"),
        ("[0.25, 0.15]", "[0.25, -1.0]", r"duration_ps = -1\.0.* must be greater than 0"),
        ("melt_quench.schedule.segments.quench.duration_ps", "run.seed", "each member has a seed of its own"),
        ("members = 2", "members = 6000", "2 combinations × 6000 members are more than 10000"),
        ("[vary]", "[slurm]\noptions.array = 3\n[vary]", None),
    ],
)
def test_a_wrong_file_is_told_in_one_line(folder, old, new, said):
    path = folder / "ensemble.toml"
    path.write_text(path.read_text().replace(old, new))
    if said is None:  # known only when the script is written
        read_ensemble(path)
        return
    with pytest.raises(ValueError, match=said) as error:
        read_ensemble(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_directory_with_other_things_is_left_alone(folder):
    (folder / "all").mkdir()
    (folder / "all/thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds no studies/; give the ensemble a directory of its own"):
        prepare(read_ensemble(folder / "ensemble.toml"), folder / "all")
    assert [path.name for path in (folder / "all").iterdir()] == ["thesis.txt"]
