"""What an ensemble's members may run, and what counts as done of them."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_ensemble import write_files

import amorph
from amorph.ensemble.engines.local import MemberProcess, Slot, run_local
from amorph.ensemble.engines.slurm import script
from amorph.ensemble.plan import prepare, read_ensemble
from amorph.ensemble.status import member_rows
from amorph.machine.processors import own_cores


@pytest.fixture
def plan(folder):
    """Two members whose calculator ends Python with the status of a run that is done."""
    write_files(folder, vary="")
    study = (folder / "study.toml").read_text().replace("pageless:Ions", "quits:make")
    (folder / "study.toml").write_text(study)
    return read_ensemble(folder / "ensemble.toml")


@pytest.fixture
def prepared(plan, folder, monkeypatch):
    monkeypatch.setattr("amorph.ensemble.plan.rehearse", lambda _: {})
    monkeypatch.setattr("amorph.ensemble.engines.slurm._said", lambda *_: "")  # whatever queue this machine has
    prepare(plan, folder / "all")
    (folder / "quits.py").write_text("import os\nos._exit(0)\n")
    monkeypatch.chdir(folder)
    return folder / "all"


def test_a_flipped_bit_of_the_table_of_members_is_told(prepared):
    path = prepared / "members.csv"
    whole, found = path.read_bytes(), member_rows(prepared)
    for place, bit in enumerate(np.random.default_rng(0).integers(0, 8, len(whole))):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(bit)
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"members\.csv is damaged"):
            member_rows(prepared)
    lines = whole.splitlines(keepends=True)
    for edited in (lines[:-1], [*lines, lines[-1]], lines[:1], [lines[0], lines[2], lines[1]]):
        path.write_bytes(b"".join(edited))
        with pytest.raises(ValueError, match="is damaged"):
            member_rows(prepared)
    path.write_bytes(b"".join(line.rpartition(b",")[0] + b"\n" for line in lines))  # as before there was a checksum
    assert member_rows(prepared) == found


def test_a_product_is_counted_before_a_list_of_it_is_made(folder):
    keys = "".join(f"bvs.key{k} = {list(range(10))}\n" for k in range(9))
    (folder / "ensemble.toml").write_text((folder / "ensemble.toml").read_text().split("[vary]")[0] + "[vary]\n" + keys)
    with pytest.raises(ValueError, match="1000000000 combinations × 2 members are more than 10000"):
        read_ensemble(folder / "ensemble.toml")


def test_a_process_that_ends_well_before_its_member_is_done_has_failed(plan, prepared):
    outcome = run_local(plan.members[:1], prepared, workers=1)
    assert outcome.finished == []
    assert "before it was done" in outcome.failed["000_000"]


def test_the_batch_script_looks_for_the_summary(plan, prepared, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    text = script(plan, prepared)
    assert text is not None
    assert subprocess.run(["bash", "-c", text], capture_output=True, check=False).returncode == 1
    (prepared / "000_000").mkdir(exist_ok=True)
    (prepared / "000_000/summary.json").write_text("{}")
    assert subprocess.run(["bash", "-c", text], capture_output=True, check=False).returncode == 0


def test_no_option_begins_a_line_of_the_batch_script(plan, prepared):
    options = {"comment": "a\ntouch planted\n"}
    with pytest.raises(ValueError, match=r"is no one line of a batch script; mend \[slurm\]"):
        script(replace(plan, slurm={**plan.slurm, "options": options}), prepared)


def test_a_module_of_the_working_directory_is_not_imported_in_place_of_another(prepared, folder):
    (folder / "difflib.py").write_text(f"from pathlib import Path\nPath({str(folder / 'planted')!r}).touch()\n")
    process = MemberProcess("000_000", prepared, Slot(tuple(own_cores()[:1]), None))
    process.wait()
    assert "another process" not in (prepared / "logs/000_000.log").read_text()
    assert not (folder / "planted").exists()


def test_every_module_that_is_run_as_a_program_has_a_safe_path():
    package = Path(amorph.__file__).parent
    for path in package.rglob("*.py"):
        code = re.sub(r'""".*?"""', "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for line in code.splitlines():
            if re.search(r'(?<![\w-])-m(?= |")', line):
                assert re.search(r"-P\b|SAFELY", line), f"{path}: {line}"
