"""What of a study may still be changed while its run is under way: what no stage that has begun was made with."""

import shutil
import tomllib

import pytest
from faulting import tiny_study
from toy_run import written

from amorph.pipeline import read_study, run_study
from amorph.pipeline.order import STAGES, tables_to_come

ALL = {name for record in STAGES for name in record.parameters.names} - {"snapshots"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    run_study(read_study(written(folder / "study.toml", tiny_study())), folder / "run")
    return folder / "run"


@pytest.mark.parametrize(
    ("left", "last"),
    [
        (["reference/1_relax/stage.json", "1_build/stage.json"], "build"),
        (["1_build/stage.json", "2_melt_quench/thermo.csv"], "build"),  # begun anew, whatever it has written
        (["2_melt_quench/checkpoint_previous.npz"], "melt_quench"),
        (["replica_0/6_final_relax/vasp/INCAR"], "final_relax"),
        (["crystal/5_analysis/stage.json"], "analysis"),
        (["9_diffusion_600K/stage.json"], "diffusion"),
    ],
)
def test_a_table_binds_from_when_a_stage_that_comes_after_it_has_begun(tmp_path, left, last):
    for name in left:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    end = max(number for number, record in enumerate(STAGES) if record.name == last)
    bound = {name for record in STAGES[: end + 1] for name in record.parameters.names}
    assert tables_to_come(tmp_path) == ALL - bound


def test_of_an_empty_run_nothing_binds_and_a_new_table_may_not_come_before_what_is_done(tmp_path):
    assert tables_to_come(tmp_path) == ALL
    (tmp_path / "9_diffusion_600K").mkdir()
    (tmp_path / "9_diffusion_600K/stage.json").write_text("")
    assert not {"voltage", "reference", "bvs"} & tables_to_come(tmp_path)  # it would take its number, and its crystals


def test_later_stages_are_mended_without_force_and_earlier_ones_are_not(whole, tmp_path):
    directory = tmp_path / "run"
    shutil.copytree(whole, directory)
    for name in ("7_analysis", "8_export"):
        shutil.rmtree(directory / name)
    text = tiny_study()
    run_study(read_study(written(tmp_path / "a.toml", text.replace("spacing = 1.0", "spacing = 0.9"))), directory)
    kept = tomllib.loads((directory / "run.toml").read_text(encoding="utf-8"))
    assert (kept["bvs"]["spacing"], kept["voids"]["spacing"]) == (0.9, 0.9)
    [mended] = kept["provenance"]["mended"]
    assert mended["changed"] == "bvs.spacing 1.0 there, 0.9 here, voids.spacing 1.0 there, 0.9 here"
    assert "forced" not in kept["provenance"]
    assert (directory / "2_melt_quench/stage.json").read_bytes() == (whole / "2_melt_quench/stage.json").read_bytes()
    for old, said in (("spacing = 1.0", "bvs.spacing"), ("max_steps = 4", "relax.max_steps")):
        other = written(tmp_path / "b.toml", text.replace(old, f"{old}5"))
        with pytest.raises(ValueError, match=f"holds a run with .*{said}"):
            run_study(read_study(other), directory)


def test_a_mended_study_is_tried_before_it_goes_on(whole, tmp_path):
    directory = tmp_path / "run"
    shutil.copytree(whole, directory)
    for name in ("5_substitute", "6_final_relax", "7_analysis", "8_export"):
        shutil.rmtree(directory / name)
    before = (directory / "run.toml").read_bytes()
    wrong = written(tmp_path / "a.toml", tiny_study() + '[substitute]\nion = "Na+"\n')
    with pytest.raises(ValueError, match="Na"):
        run_study(read_study(wrong), directory)
    assert (directory / "run.toml").read_bytes() == before
