"""The bridge to LAMMPS: energy, forces and pressure are the calculator's in any cell; what LAMMPS does with them."""

import os
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from lammps_here import needs_lammps
from toys import LennardJones, random_cell

from amorph.calculators import GPA_PER_EV_A3, couple_lammps, load_lammps, open_lammps
from amorph.reading import read_structure, read_trajectory

pytestmark = needs_lammps

BAR = 1e4
"""Bars in a GPa."""


def opened():
    return open_lammps("-log", "none", "-screen", "none")


def box_of(lmp):
    low, high, xy, yz, xz, *_ = lmp.extract_box()
    return np.diag(np.subtract(high, low)) + np.array([[0, 0, 0], [xy, 0, 0], [xz, yz, 0]])


def argon(repeat=2):
    atoms = bulk("Ar", a=5.3, cubic=True) * ((repeat,) * 3)
    atoms.rattle(0.1, seed=1)
    return atoms


def sheared():
    atoms = argon()
    atoms.set_cell(atoms.cell.array @ [[1.0, 0.08, 0.03], [0.0, 1.1, -0.05], [0.0, 0.0, 1.0]], scale_atoms=True)
    return atoms


def turned():
    atoms = sheared()
    atoms.rotate(50, (1, 2, 3), rotate_cell=True)
    atoms.positions += [[40.0, -70.0, 3.0]]  # far outside of the cell
    return atoms


def left_handed():
    atoms = turned()
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    return atoms


def skewed():
    atoms = random_cell(20, 3)
    atoms.set_cell(np.array([[1, 0, 0], [-3, 1, 0], [2, 2, 1]]) @ atoms.cell.array)
    return atoms


@pytest.mark.parametrize("make", [argon, sheared, turned, left_handed, skewed])
def test_energy_forces_and_pressure_are_those_of_the_calculator(make):
    atoms, lmp = make(), opened()
    rng = np.random.default_rng(2)
    atoms.set_momenta(rng.normal(size=(len(atoms), 3)))
    atoms.calc = LennardJones(cutoff=6.0)
    wanted = atoms.copy()
    wanted.calc = LennardJones(cutoff=6.0)
    coupled = load_lammps(lmp, atoms)
    coupled.command("run 0")
    coupled.follow()
    # The same atoms come back, and what LAMMPS holds, turned back, is what the calculator gives.
    assert atoms.positions == pytest.approx(wanted.positions, abs=1e-12)
    assert atoms.cell.array == pytest.approx(wanted.cell.array, abs=1e-12)
    assert atoms.get_momenta() == pytest.approx(wanted.get_momenta(), abs=1e-12)
    axes = np.linalg.inv(box_of(lmp)) @ wanted.cell.array
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-12)
    order = np.argsort(lmp.numpy.extract_atom("id")[: len(atoms)])
    scale = np.abs(wanted.get_forces()).max()
    assert lmp.numpy.extract_atom("f")[order] @ axes == pytest.approx(wanted.get_forces(), abs=1e-10 * scale)
    assert lmp.get_thermo("pe") == pytest.approx(wanted.get_potential_energy(), rel=1e-11)
    assert lmp.get_thermo("ke") == pytest.approx(wanted.get_kinetic_energy(), rel=1e-7)  # constants of another year
    stress = -wanted.get_stress(voigt=False, include_ideal_gas=True) * GPA_PER_EV_A3 * BAR
    stress = axes @ stress @ axes.T
    found = [lmp.get_thermo(f"p{part}") for part in ("xx", "yy", "zz", "xy", "xz", "yz")]
    wanted_parts = stress[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    assert found == pytest.approx(wanted_parts.tolist(), rel=1e-6, abs=1e-6 * np.abs(stress).max())


DECK = """units metal
atom_style atomic
lattice fcc 5.3 origin 0.1 0.1 0.1
region cell block -1 1 -1 1 -1 1
create_box 2 cell
create_atoms 1 box
set atom 3*9 type 2
mass 1 39.95
mass 2 83.80
displace_atoms all random 0.1 0.1 0.1 4711 units box"""


def test_an_instance_of_ones_own_is_coupled_by_elements():
    lmp, calculator = opened(), LennardJones(cutoff=6.0)
    lmp.commands_string(DECK)
    couple_lammps(lmp, ["Ar", "Kr"], calculator)
    lmp.commands_string("fix move all nve\nvelocity all create 60 4711\ntimestep 0.002\nthermo 1\nrun 20")
    order = np.argsort(lmp.numpy.extract_atom("id")[:32])
    wanted = Atoms("Ar2Kr7Ar23", positions=lmp.numpy.extract_atom("x")[order], cell=box_of(lmp), pbc=True)
    wanted.calc = LennardJones(cutoff=6.0)
    assert calculator.atoms.get_chemical_symbols() == wanted.get_chemical_symbols()
    assert lmp.numpy.extract_atom("f")[order] == pytest.approx(wanted.get_forces(), abs=1e-12)
    assert lmp.get_thermo("pe") == pytest.approx(wanted.get_potential_energy(), rel=1e-12)
    assert calculator.evaluations == 21


def test_the_energy_of_newtonian_dynamics_is_kept_to_second_order():
    def unrest(timestep_ps):
        lmp = opened()
        lmp.commands_string(DECK)
        couple_lammps(lmp, ["Ar", "Kr"], LennardJones(cutoff=5.2))
        lmp.commands_string(f"fix move all nve\nvelocity all create 90 4711\ntimestep {timestep_ps}\nthermo 1\nrun 0")
        energies = []
        for _ in range(round(0.8 / timestep_ps)):
            lmp.command("run 1 pre no post no")
            energies.append(lmp.get_thermo("etotal"))
        return np.std(energies)

    # Velocity Verlet: the energy wavers by O(dt²) about a constant; with forces of another step it would drift.
    assert unrest(0.02) / unrest(0.01) == pytest.approx(4.0, rel=0.15)


def test_a_restart_of_lammps_goes_on(tmp_path):
    lmp, again = opened(), opened()
    lmp.commands_string(DECK)
    couple_lammps(lmp, ["Ar", "Kr"], LennardJones(cutoff=6.0))
    lmp.commands_string(f"fix move all nve\nvelocity all create 90 4711\nrun 20\nwrite_restart {tmp_path}/a\nrun 20")
    again.command(f"read_restart {tmp_path}/a")
    couple_lammps(again, ["Ar", "Kr"], LennardJones(cutoff=6.0))
    again.commands_string("fix move all nve\nrun 20")
    for name in ("x", "v"):
        whole, rest = (
            one.numpy.extract_atom(name)[one.numpy.extract_atom("id")[:32].argsort()] for one in (lmp, again)
        )
        assert rest == pytest.approx(whole, abs=1e-10)


def test_lammps_minimises_the_cell_by_the_calculators_virial():
    lmp = opened()
    lmp.commands_string(DECK.replace("set atom", "#"))
    couple_lammps(lmp, ["Ar", "Kr"], LennardJones(cutoff=6.0))
    lmp.commands_string("fix cell all box/relax iso 0.0 vmax 0.001\nminimize 0.0 1e-4 500 2000")
    assert abs(lmp.get_thermo("press")) < 20.0
    a = (lmp.get_thermo("vol") / 8) ** (1 / 3)
    closed = [(LennardJones(cutoff=6.0), bulk("Ar", a=x, cubic=True)) for x in np.linspace(a - 0.1, a + 0.1, 21)]
    energies = [calculator.get_potential_energy(atoms) for calculator, atoms in closed]
    assert np.argmin(energies) == 10


def test_a_model_keeps_its_threads():
    begin = "from amorph.calculators import open_lammps; import torch; before = torch.get_num_threads()"
    code = f"{begin}; lmp = open_lammps('-log', 'none', '-screen', 'none'); print(before, torch.get_num_threads())"
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    before, after = told.stdout.split()
    assert before == after


@pytest.mark.slow
def test_the_workflow_runs(tmp_path):
    script = Path(__file__).parents[2] / "workflows/kawaguchi2025_lammps.py"
    subprocess.run([sys.executable, script, "--quick", tmp_path / "out"], check=True, capture_output=True, cwd=tmp_path)
    frames = read_trajectory(tmp_path / "out/melt_quench.lammpstrj")
    assert len(frames) >= 9
    assert set(frames[-1].symbols) == {"Li", "Ti", "Mo", "O"}
    assert read_structure(tmp_path / "out/glass.data").get_volume() == pytest.approx(frames[-1].get_volume(), rel=1e-6)


# what goes wrong is told


def test_lammps_stays_in_the_main_thread():
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match=r"main thread .* leave --together out"):
        pool.submit(opened).result()


def test_a_file_of_the_same_name_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "lammps", types.SimpleNamespace(__file__="mine/lammps.py"))
    with pytest.raises(ValueError, match=r"mine/lammps\.py stands before"):
        opened()


class Failing(LennardJones):
    """Gives up at one of its calls."""

    def evaluate(self, atoms):
        if self.evaluations == 4:
            raise RuntimeError("no forces\nfor this")
        return super().evaluate(atoms)


def test_an_error_of_the_calculator_ends_the_run_that_it_happens_in():
    lmp, failing = opened(), Failing(cutoff=6.0)
    lmp.commands_string(DECK)
    couple_lammps(lmp, ["Ar", "Kr"], failing)
    lmp.command("fix move all nve")
    with pytest.raises(Exception, match=r"Failing at step 3 .*no forces for this"):
        lmp.command("run 50")
    assert failing.evaluations == 4
    atoms = argon()
    atoms.calc = Failing(cutoff=6.0)
    coupled = load_lammps(opened(), atoms)
    coupled.command("fix move all nve")
    with pytest.raises(RuntimeError, match=r"^no forces\nfor this$"):
        coupled.command("run 50")


def test_atoms_that_come_or_go_are_refused():
    lmp = opened()
    lmp.commands_string(DECK)
    couple_lammps(lmp, ["Ar", "Kr"], LennardJones(cutoff=6.0))
    lmp.commands_string("group gone id 5\ndelete_atoms group gone compress no")
    with pytest.raises(Exception, match="31 atoms, but 32"):
        lmp.command("run 0")


def test_a_command_that_lammps_refuses_is_one_error():
    atoms = argon()
    atoms.calc = LennardJones(cutoff=6.0)
    with pytest.raises(RuntimeError, match=r"^LAMMPS: .*bogus"):
        load_lammps(opened(), atoms).command("bogus")


class Forces(LennardJones):
    """Has no stress."""

    implemented_properties = ("energy", "forces")


def test_a_calculator_without_stress_is_told(caplog):
    lmp = opened()
    lmp.commands_string(DECK)
    couple_lammps(lmp, ["Ar", "Kr"], Forces(cutoff=6.0))
    assert "Forces has no stress" in caplog.text
    lmp.commands_string("velocity all create 60 4711\nrun 0")
    kinetic = 2 * lmp.get_thermo("ke") / 3 / lmp.get_thermo("vol") / units.bar
    assert lmp.get_thermo("press") == pytest.approx(kinetic, rel=1e-4)


@pytest.mark.parametrize(
    ("deck", "elements", "said"),
    [
        (DECK, ["Ar"], "2 atom types, not 1"),
        (DECK, ["Ar", "X9"], "'X9' is no element"),
        (DECK.replace("metal", "real"), ["Ar", "Kr"], "units real"),
        (DECK.partition("create_atoms")[0], ["Ar", "Kr"], "no atoms"),
    ],
)
def test_what_cannot_be_coupled_is_refused(deck, elements, said):
    lmp = opened()
    lmp.commands_string(deck)
    with pytest.raises(ValueError, match=said):
        couple_lammps(lmp, elements, LennardJones())
