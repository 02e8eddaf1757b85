"""How order is measured in a run: one set of cutoffs for glass and crystal, and the table that chooses."""

import json
import shutil

import pytest
from toy_run import BRIEF, written

from amorph.pipeline import read_study, rehearse, resolve, run_study
from amorph.pipeline.stages import WaitingForVasp
from amorph.run.configuration import write_json

TWICE = BRIEF.replace("seed = 0", "seed = 0\nreplicas = 2")
ASKED = '[structure]\ncutoffs = { O-Ti = 2.9 }\nwavelength = "MoKa"\nprobe = "neutron"\nq_max = 9.0\n'


def order(directory, folder):
    return json.loads((directory / folder / "stage.json").read_text())["figures"]["order"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    run_study(read_study(written(folder / "study.toml", TWICE)), folder / "run")
    return folder / "run"


def test_every_structure_of_a_run_has_the_cutoffs_of_the_first_glass(whole):
    found = [
        order(whole, folder)["RingStatistics"]["cutoffs_A"]
        for folder in ("replica_0/7_analysis", "replica_1/7_analysis", "crystal/5_analysis")
    ]
    assert found[1:] == found[:1] * 2
    assert set(found[0]) == {"Mg-O", "Ti-O", "Mo-O"}
    rows = {row["figure"]: row for row in json.loads((whole / "summary.json").read_text())["comparison"]}
    assert rows["Ti-O cutoff"]["crystal"] == rows["Ti-O cutoff"]["glass"]
    assert rows["Ti-O cutoff"]["± sd"] == pytest.approx(0.0, abs=1e-12)


def test_a_run_from_before_the_table_is_done(whole, tmp_path):
    """Its marks have no table, and its crystal has cutoffs of its own."""
    directory = tmp_path / "run"
    shutil.copytree(whole, directory)
    mark = directory / "crystal/5_analysis/stage.json"
    record = json.loads(mark.read_text())
    del record["sha256"]
    assert "structure" not in record["parameters"]
    record["figures"]["order"]["RingStatistics"]["cutoffs_A"]["Ti-O"] = 3.02
    write_json(mark, record)
    before = mark.read_bytes()
    run_study(read_study(written(tmp_path / "study.toml", TWICE)), directory)
    assert mark.read_bytes() == before
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["crystal"]["analysis"]["order"]["RingStatistics"]["cutoffs_A"]["Ti-O"] == 3.02


def test_the_table_says_how(tmp_path):
    study = read_study(written(tmp_path / "study.toml", BRIEF + ASKED))
    assert study["structure"]["r_max"] == 10.0
    assert study.written["structure"]["wavelength"] == "MoKa"
    assert "structure" not in resolve({"build": study.written["build"]}).written
    run_study(study, tmp_path / "run")
    for folder in ("7_analysis", "crystal/5_analysis"):
        found = order(tmp_path / "run", folder)
        assert found["RingStatistics"]["cutoffs_A"]["Ti-O"] == 2.9
        last = (tmp_path / "run" / folder / "s_q.csv").read_text().splitlines()[-1]
        assert 8.5 < float(last.split(",")[0]) <= 9.0
    assert 'wavelength = "MoKa"' in (tmp_path / "run/run.toml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("O-Ti", "O-Na", "no Na"),
        ("MoKa", "FeKa", "FeKa"),
        ("q_max = 9.0", "two_theta = [90, 5]", "90"),
        ("q_max", "q_mox", "did you mean 'q_max'"),
        ("= 9.0", "= 0.0", "q_max = 0.0"),
    ],
)
def test_what_the_verb_refuses_is_refused_before_anything_is_computed(tmp_path, old, new, said):
    path = written(tmp_path / "study.toml", BRIEF + ASKED.replace(old, new))
    with pytest.raises(ValueError, match=said) as refused:
        rehearse(read_study(path))
    assert "[structure]" in str(refused.value)


def test_a_crystal_that_vasp_relaxed_first_waits_for_the_glass(tmp_path):
    study, directory = read_study(written(tmp_path / "study.toml", BRIEF + "[vasp]\n")), tmp_path / "run"
    with pytest.raises(WaitingForVasp):
        run_study(study, directory)
    for folder in ("crystal/4_final_relax", "6_final_relax"):
        shutil.copy(directory / folder / "vasp/POSCAR", directory / folder / "vasp/CONTCAR")
        if folder == "crystal/4_final_relax":
            with pytest.raises(WaitingForVasp, match="cutoffs"):
                run_study(study, directory)
            assert not (directory / "crystal/5_analysis/stage.json").exists()
    run_study(study, directory)
    both = (order(directory, folder)["RingStatistics"]["cutoffs_A"] for folder in ("7_analysis", "crystal/5_analysis"))
    assert next(both) == next(both)
