"""The voltage as a stage: the same as the verb's, continued, and told where it did not converge."""

import math

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from amorph.figures import restored
from amorph.parameters import parse
from amorph.pipeline import Setting, resolve
from amorph.pipeline.electrode import STEPS, relaxations, removal_stage, try_removal
from amorph.pipeline.order import stages_of
from amorph.pipeline.results import Removal
from amorph.relaxation import relax
from amorph.run import RunDirectory, Stopped, Work

LEAST = {"build": {"composition": "Li2Ti1/3Mo2/3O3", "lattice_constant": 4.2}}
TABLE = {"ion": "Al3+", "removed": (0.0, 0.5, 1.0), "choices": 2, "pick": "mean"}
HOW = parse(relax, {"cell": "free", "fmax": 0.2, "pressure_tolerance_GPa": 2.0, "max_steps": 200})


class Killed(BaseException):
    """Stands for the end of the process."""


class Mortal(EMT):
    """Dies at an evaluation, or asks the run to stop there."""

    def __init__(self, at=math.inf, work=None):
        super().__init__()
        self.at, self.work, self.evaluations = at, work, 0

    def calculate(self, *arguments, **options):
        if self.evaluations == self.at:
            if self.work is None:
                raise Killed
            self.work.stop.by = "SIGTERM"
        self.evaluations += 1
        super().calculate(*arguments, **options)


@pytest.fixture
def alloy():
    """An alloy that EMT knows, with the states of an oxide."""
    atoms = bulk("AlCu", "cesiumchloride", a=3.0).repeat((2, 1, 1))
    atoms.rattle(0.05, seed=1)
    atoms.set_array("oxidation_states", np.where(atoms.symbols == "Al", 3.0, -3.0))
    return atoms


def remove(directory, atoms, calculator, work=None, **how):
    with RunDirectory(directory, {}, {}) as run:
        stage = run.stage("1_voltage", HOW | how | {"voltage": TABLE})
        setting = Setting(calculator, work or Work(), lambda _: np.random.default_rng(1))
        return stage, stage.finish(removal_stage(stage, atoms, setting), started=0.0)


# sums


def test_the_average_is_that_of_the_ends(tmp_path, alloy):
    stage, found = remove(tmp_path, alloy, Mortal())
    figures = found.figures
    first, last = (figures["voltage"]["steps"][k]["energy_eV"] for k in (0, -1))
    assert figures["average_voltage_V"] == pytest.approx(
        -(first - last - 2 * figures["voltage"]["metal_energy_eV"]) / 6
    )
    assert next(row.figure for row in found.rows) == "average voltage of Al3+"
    assert (stage.directory / STEPS).read_text().count("Lattice") == relaxations(TABLE) == 5
    assert not list(stage.directory.glob("checkpoint*"))
    assert restored(Removal, figures).average_voltage_V == figures["average_voltage_V"]


# continuation


@pytest.mark.parametrize("call", [1, 12, 25])
def test_a_removal_killed_at_any_evaluation_ends_with_the_same_bytes(tmp_path, alloy, call):
    whole, expected = remove(tmp_path / "whole", alloy, Mortal())
    with pytest.raises(Killed):
        remove(tmp_path / "killed", alloy, Mortal(call))
    stage, found = remove(tmp_path / "killed", alloy, Mortal())
    assert found == expected
    assert (stage.directory / STEPS).read_bytes() == (whole.directory / STEPS).read_bytes()


def test_a_relaxation_that_was_done_is_not_done_again(tmp_path, alloy):
    work, whole = Work(), Mortal()
    remove(tmp_path / "whole", alloy, whole)
    with pytest.raises(Stopped, match=r"stopped by SIGTERM at step .* of relaxation [1-9], which starts anew"):
        remove(tmp_path / "run", alloy, first := Mortal(whole.evaluations - 5, work), work)
    remove(tmp_path / "run", alloy, second := Mortal())
    assert first.evaluations + second.evaluations < 1.5 * whole.evaluations
    # with other parameters nothing of before is taken
    _, found = remove(tmp_path / "other", alloy, Mortal(), max_steps=1)
    assert found.figures["converged"] is False


@pytest.mark.parametrize("suffix", [".json", ".extxyz"])
def test_a_relaxation_whose_files_are_damaged_is_refused(tmp_path, alloy, suffix):
    with pytest.raises(Killed):
        remove(tmp_path, alloy, Mortal(25))
    kept = sorted(tmp_path.glob(f"**/checkpoint*{suffix}"))[-1]
    text = kept.read_text()
    where = text.index("1", text.index("energy_eV") if suffix == ".json" else len(text) // 2)
    kept.write_text(f"{text[:where]}2{text[where + 1 :]}")
    with pytest.raises(ValueError, match=r"checkpoint_.* is damaged .*; remove it to redo this relaxation"):
        remove(tmp_path, alloy, Mortal())


# the stages of a study


def test_a_study_has_the_voltage_of_its_ion_where_it_asks():
    study = resolve({**LEAST, "voltage": {"removed": [0, 1]}})
    assert [record.name for record in stages_of(study, "exchanged")][-1] == "voltage"
    assert study["voltage"] == {"ion": "Mg2+", "removed": (0.0, 1.0), "choices": 3, "pick": "mean"}
    assert relaxations(study["voltage"]) == 3
    assert [record.name for record in stages_of(resolve(LEAST), "exchanged")][-1] == "export"


# errors


def test_what_cannot_be_removed_is_refused_before_the_run(alloy):
    with pytest.raises(ValueError, match="there is no Mg to remove"):
        try_removal({**TABLE, "ion": "Mg2+", "metal_energy_eV": 0.0}, alloy, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"unknown key 'metal_energy_eV' in \[voltage\]"):
        resolve({**LEAST, "voltage": {"metal_energy_eV": -1.5}})
