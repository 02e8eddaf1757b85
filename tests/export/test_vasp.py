"""Input for VASP, and its result put back in place."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.io import read, write

from amorph.export import write_vasp_input
from amorph.reading import read_vasp_relaxed
from amorph.structure import poscar_order


@pytest.fixture
def glass():
    """A triclinic cell whose atoms stand in no order, with oxidation states and velocities."""
    atoms = make_supercell(bulk("MgO", "rocksalt", a=4.212, cubic=True), np.array([[1, 1, 0], [0, 1, 0], [0, 0, 2]]))
    atoms.rattle(0.1, seed=1)
    atoms.symbols[[0, 6]] = "Ti"
    atoms = atoms[np.random.default_rng(0).permutation(len(atoms))]
    states = {"Mg": 2.0, "O": -2.0, "Ti": 4.0}
    atoms.set_array("oxidation_states", np.array([states[s] for s in atoms.symbols]))
    atoms.info["supercell"] = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 2]])
    atoms.set_velocities(np.ones((len(atoms), 3)))
    return atoms


def relax_like_vasp(atoms, folder, strain=1.02, seed=3):
    """Move cell and atoms of the POSCAR a little, write the CONTCAR, and return both in the order of `atoms`."""
    poscar = read(folder / "POSCAR", format="vasp")
    relaxed = poscar.copy()
    relaxed.set_cell(poscar.cell.array @ np.diag([strain, 1.0, 0.99]), scale_atoms=True)
    relaxed.rattle(0.05, seed=seed)
    write(folder / "CONTCAR", relaxed, format="vasp", direct=True)
    expected = np.empty_like(atoms.positions)
    expected[poscar_order(atoms)] = relaxed.positions
    return relaxed.cell.array, expected


def settings(path):
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict((part.strip() for part in line.split("=")) for line in lines)


# closed form


def test_the_settings_of_the_study(tmp_path, glass):
    from pymatgen.io.vasp import Incar, Kpoints, Poscar

    result = write_vasp_input(tmp_path / "new" / "vasp", glass)
    folder = tmp_path / "new" / "vasp"
    assert {path.name for path in folder.iterdir()} == {"INCAR", "KPOINTS", "POSCAR", "POTCAR.spec"}
    incar = Incar.from_file(folder / "INCAR")
    assert {key: incar[key] for key in ("EDIFF", "EDIFFG", "ISIF", "IBRION", "ENCUT", "ISPIN", "NSW")} == {
        "EDIFF": 5e-4,
        "EDIFFG": -0.005,
        "ISIF": 3,
        "IBRION": 2,
        "ENCUT": 520,
        "ISPIN": 2,
        "NSW": 300,
    }
    assert not {"NELECT", "LDAU", "LDAUU", "GGA"} & set(settings(folder / "INCAR"))
    text = (folder / "INCAR").read_text()
    published, ours = text.split("# Ours")
    assert "EDIFFG" in published
    assert "ENCUT" in ours
    assert "sum to +4 e. NELECT is not set" in text  # two Ti4+ on Mg2+ sites
    kpoints = Kpoints.from_file(folder / "KPOINTS")
    assert (kpoints.style.name, kpoints.kpts) == ("Gamma", [(1, 1, 1)])
    poscar = Poscar.from_file(folder / "POSCAR", check_for_potcar=False)
    assert result.potcar_symbols == tuple((folder / "POTCAR.spec").read_text().split())
    assert [symbol.split("_")[0] for symbol in result.potcar_symbols] == poscar.site_symbols
    assert set(result.potcar_symbols) == {"Mg_pv", "Ti_pv", "O"}
    assert (result.n_atoms, result.formula) == (16, "Mg6Ti2O8")


def test_what_is_given_is_written(tmp_path, glass):
    write_vasp_input(
        tmp_path,
        glass,
        fmax=0.02,
        ediff=1e-5,
        steps=7,
        encut=400,
        spin_polarized=False,
        potcar={"Mg": "Mg", "O": "O_s"},
    )
    incar = settings(tmp_path / "INCAR")
    assert [float(incar[key]) for key in ("EDIFFG", "EDIFF", "NSW", "ENCUT", "ISPIN")] == [-0.02, 1e-5, 7, 400, 1]
    assert set((tmp_path / "POTCAR.spec").read_text().split()) == {"Mg", "Ti_pv", "O_s"}


def test_the_order_is_that_of_the_poscar(tmp_path, glass):
    write_vasp_input(tmp_path, glass)
    poscar = read(tmp_path / "POSCAR", format="vasp")
    order = poscar_order(glass)
    assert poscar.numbers.tolist() == glass.numbers[order].tolist()
    assert poscar.positions == pytest.approx(glass.positions[order], abs=1e-12)


# back again


@pytest.mark.parametrize("hand", [1, -1])
def test_a_contcar_is_put_back_in_the_order_of_the_input(tmp_path, glass, hand):
    glass.set_cell(hand * glass.cell.array)
    before = glass.copy()
    write_vasp_input(tmp_path, glass)
    cell, positions = relax_like_vasp(glass, tmp_path)
    result = read_vasp_relaxed(tmp_path / "CONTCAR", glass)
    assert result.atoms.numbers.tolist() == glass.numbers.tolist()
    assert result.atoms.cell.array == pytest.approx(hand * cell)
    shift = (result.atoms.positions - positions) @ np.linalg.inv(cell)
    assert shift - np.round(shift) == pytest.approx(0, abs=1e-9)
    assert result.atoms.arrays["oxidation_states"].tolist() == glass.arrays["oxidation_states"].tolist()
    assert result.atoms.info["supercell"].tolist() == glass.info["supercell"].tolist()
    assert set(result.atoms.arrays) == {"numbers", "positions", "oxidation_states"}
    assert 0.02 < result.median_shift < 0.15  # rattled by 0.05 Å in each direction: median 0.077 Å
    assert (result.converged, result.steps, result.max_force, result.stress_GPa, result.pressure_GPa) == (None,) * 5
    assert glass == before


VASPRUN = """<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <generator><i name="program" type="string">vasp </i><i name="version" type="string">6.3.0 </i></generator>
 <incar><i type="int" name="NSW">{nsw}</i><i type="int" name="IBRION">2</i></incar>
 <kpoints><generation param="Gamma"><v type="int" name="divisions"> 1 1 1 </v></generation>
  <varray name="kpointlist"><v> 0 0 0 </v></varray><varray name="weights"><v> 1.0 </v></varray></kpoints>
 <parameters><i type="int" name="NELM">60</i><i type="int" name="NSW">{nsw}</i><i type="int" name="IBRION">2</i>
  <i type="int" name="ISPIN">1</i></parameters>
 <atominfo><atoms>{n}</atoms><types>{n_types}</types>
  <array name="atoms"><dimension dim="1">ion</dimension><field type="string">element</field>
   <field type="int">atomtype</field><set>{atoms}</set></array>
  <array name="atomtypes"><dimension dim="1">type</dimension><field type="int">atomspertype</field>
   <field type="string">element</field><field>mass</field><field>valence</field>
   <field type="string">pseudopotential</field><set>{types}</set></array></atominfo>
 <structure name="initialpos">{structure}</structure>
 {steps}
 <structure name="finalpos">{structure}</structure>
</modeling>
"""


def write_vasprun(path, atoms, *, nsw=300, electronic_steps=20, stress_kbar=((5, 1, 0), (1, -2, 0), (0, 0, 3))):
    """Write a minimal vasprun.xml of two ionic steps that ends in `atoms`."""
    rows = "".join("<v> {:.10f} {:.10f} {:.10f} </v>".format(*row) for row in atoms.get_scaled_positions())
    basis = "".join("<v> {:.10f} {:.10f} {:.10f} </v>".format(*row) for row in atoms.cell.array)
    structure = f'<crystal><varray name="basis">{basis}</varray></crystal><varray name="positions">{rows}</varray>'
    elements = list(dict.fromkeys(atoms.symbols))
    force = "".join(f"<v> {0.003 if k else 0.0} 0.004 0.0 </v>" for k in range(len(atoms)))
    stress = "".join("<v> {} {} {} </v>".format(*row) for row in stress_kbar)
    names = ("e_fr_energy", "e_wo_entrp", "e_0_energy")
    energy = "<energy>" + "".join(f'<i name="{name}"> -1.0 </i>' for name in names) + "</energy>"
    step = (
        "<calculation>"
        + f"<scstep>{energy}</scstep>" * electronic_steps
        + f"<structure>{structure}</structure>"
        + f'<varray name="forces">{force}</varray><varray name="stress">{stress}</varray>{energy}</calculation>'
    )
    path.write_text(
        VASPRUN.format(
            nsw=nsw,
            n=len(atoms),
            n_types=len(elements),
            atoms="".join(f"<rc><c>{s}</c><c>{elements.index(s) + 1}</c></rc>" for s in atoms.symbols),
            types="".join(
                f"<rc><c>{list(atoms.symbols).count(e)}</c><c>{e}</c><c>1.0</c><c>1.0</c><c> PAW_PBE {e} </c></rc>"
                for e in elements
            ),
            structure=structure,
            steps=step * 2,
        )
    )


def test_a_vasprun_also_tells_forces_stress_and_convergence(tmp_path, glass):
    write_vasp_input(tmp_path, glass)
    cell, _ = relax_like_vasp(glass, tmp_path)
    write_vasprun(tmp_path / "vasprun.xml", read(tmp_path / "CONTCAR", format="vasp"))
    result = read_vasp_relaxed(tmp_path / "vasprun.xml", glass)
    contcar = read_vasp_relaxed(tmp_path / "CONTCAR", glass)
    assert result.atoms.positions == pytest.approx(contcar.atoms.positions, abs=1e-7)
    assert result.atoms.cell.array == pytest.approx(cell, abs=1e-9)
    assert (result.converged, result.steps) == (True, 2)
    assert result.max_force == pytest.approx(0.005)
    # 1 kbar is 0.1 GPa; VASP counts compression positive, stress counts tension positive
    assert result.stress_GPa.tolist() == pytest.approx([-0.5, 0.2, -0.3, 0, 0, -0.1])
    assert result.pressure_GPa == pytest.approx(0.2)
    assert result.atoms.arrays["oxidation_states"].tolist() == glass.arrays["oxidation_states"].tolist()


@pytest.mark.parametrize("unconverged", [{"nsw": 2}, {"electronic_steps": 60}])
def test_a_run_that_hit_its_limit_is_not_converged(tmp_path, glass, unconverged):
    write_vasp_input(tmp_path, glass)
    write_vasprun(tmp_path / "vasprun.xml", read(tmp_path / "POSCAR", format="vasp"), **unconverged)
    assert read_vasp_relaxed(tmp_path / "vasprun.xml", glass).converged is False


# errors


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"encut": 0.0}, "encut = 0.0 eV"),
        ({"fmax": -0.005}, "fmax = -0.005 eV/Å"),
        ({"steps": 0}, "steps = 0"),
        ({"potcar": {"Li": "Li_sv"}}, "potcar names Li, which the structure does not hold"),
        ({"potcar": {"Mg": "O_s"}}, "no PAW data set of Mg in 'O_s'"),
    ],
)
def test_impossible_settings_write_nothing(tmp_path, glass, parameters, match):
    with pytest.raises(ValueError, match=match):
        write_vasp_input(tmp_path / "vasp", glass, **parameters)
    assert not (tmp_path / "vasp").exists()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path, glass):
    (tmp_path / "vasp").write_text("mine")
    with pytest.raises(ValueError, match="it is a file; give the name of a folder"):
        write_vasp_input(tmp_path / "vasp", glass)


def test_a_result_of_something_else_is_refused(tmp_path, glass):
    write_vasp_input(tmp_path, glass)
    relax_like_vasp(glass, tmp_path)
    other = glass.copy()
    other.symbols[0] = "Ca"
    with pytest.raises(ValueError, match=r"CONTCAR holds Mg6Ti2O8, not the .*Ca.* that was handed over"):
        read_vasp_relaxed(tmp_path / "CONTCAR", other)
    write(tmp_path / "CONTCAR", read(tmp_path / "POSCAR", format="vasp")[::-1], format="vasp")
    with pytest.raises(ValueError, match="lists the elements in another order than the POSCAR"):
        read_vasp_relaxed(tmp_path / "CONTCAR", glass)


def test_a_result_of_another_replica_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    one, other = (
        Atoms(
            "Mg8O8",
            scaled_positions=(np.indices((4, 2, 2)).reshape(3, -1).T + rng.random(3) * k) / [4, 2, 2],
            cell=[16, 8, 8],
            pbc=True,
        )
        for k in (0, 1)
    )
    write_vasp_input(tmp_path, other)
    with pytest.raises(ValueError, match=r"lie \d\.\d Å \(median\) from those handed over, more than the 2 Å"):
        read_vasp_relaxed(tmp_path / "POSCAR", one)


@pytest.mark.parametrize("cut", [0, 200, 0.5, 0.95])
@pytest.mark.parametrize("name", ["CONTCAR", "vasprun.xml"])
def test_an_unfinished_file_is_one_line(tmp_path, glass, name, cut):
    write_vasp_input(tmp_path, glass)
    relax_like_vasp(glass, tmp_path)
    write_vasprun(tmp_path / "vasprun.xml", read(tmp_path / "CONTCAR", format="vasp"))
    path: Path = tmp_path / name
    content = path.read_bytes()
    path.write_bytes(content[: cut if cut > 1 else int(cut * len(content))])
    with pytest.raises(
        ValueError,
        match=r"is empty|counts 16 atoms|is no CONTCAR or complete vasprun.xml|is no POSCAR or CONTCAR|holds",
    ) as caught:
        read_vasp_relaxed(path, glass)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
