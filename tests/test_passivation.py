"""workflows/passivation.py: what lets an ion through the film on its metal."""

import csv
import importlib.util
from pathlib import Path

import pytest

from amorph import bvse_map, read_structure
from amorph.analysis.percolation import percolation_thresholds
from amorph.structure import with_oxidation_states

ROOT = Path(__file__).parent.parent
_spec = importlib.util.spec_from_file_location("passivation", ROOT / "workflows" / "passivation.py")
passivation = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(passivation)


def by_film(rows):
    return {row["film"]: row for row in rows}


def test_a_few_films(tmp_path, capsys):
    rows = by_film(passivation.main([str(tmp_path), "--films", "MgO", "MgF2", "MgH2", "Li2O", "--spacing", "0.2"]))
    assert list(rows) == ["MgO", "MgF2", "MgH2", "Li2O"]
    # the window between two sites is a triangle of O: a/√6 from each
    assert rows["MgO"]["free_sphere_A"] == pytest.approx(4.212 / 6**0.5)
    assert rows["MgO"]["included_sphere_A"] == pytest.approx(4.212 / 2)
    assert rows["MgO"]["barrier_1D_eV"] > passivation.LIMIT_EV > rows["Li2O"]["barrier_1D_eV"]
    assert (rows["MgO"]["dimension_at_limit"], rows["Li2O"]["dimension_at_limit"]) == (0, 3)
    assert rows["MgO"]["barrier_of_sites_eV"] == pytest.approx(rows["MgO"]["barrier_1D_eV"])
    # in rutile the lowest way is the empty channel along c, which no cation borders on
    assert rows["MgF2"]["barrier_of_sites_eV"] > rows["MgF2"]["barrier_1D_eV"] + 0.2
    assert rows["MgH2"]["barrier_1D_eV"] is None
    assert "Mg2+–H-" in rows["MgH2"]["note"]
    with (tmp_path / "passivation.csv").open(encoding="utf-8", newline="") as file:
        table = by_film(csv.DictReader(file))
    assert float(table["Li2O"]["barrier_3D_eV"]) == pytest.approx(rows["Li2O"]["barrier_3D_eV"], abs=1e-4)
    assert (tmp_path / "passivation.png").stat().st_size > 5000
    assert "0.80 eV" in capsys.readouterr().out


def test_the_limit_is_that_of_a_random_walk():
    # mean-square displacement of hops of 3 Å over 10 nm in an hour, at kT = 25.852 meV
    hops = (100.0 / 3.0) ** 2
    rate = 1e13 * 2.718281828459045 ** (-passivation.LIMIT_EV / 0.0258520)
    assert rate * 3600.0 == pytest.approx(hops, rel=1e-3)


def test_a_film_that_nobody_knows_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        passivation.main([str(tmp_path), "--films", "MgX"])
    assert "MgX" in capsys.readouterr().err


@pytest.mark.slow
def test_every_crystal_as_the_page_prints_it(tmp_path):
    crystals = [film for films in passivation.FILMS.values() for film in films if film != passivation.AMORPHOUS]
    rows = by_film(passivation.main([str(tmp_path), "--films", *crystals]))
    page = (ROOT / "docs" / "passivation.md").read_text(encoding="utf-8")
    rows_of_page = [[cell.strip() for cell in line.split("|")] for line in page.splitlines() if line.count("|") > 9]
    printed = {cells[2]: (cells[3], cells[4]) for cells in rows_of_page}
    for film in crystals:
        barriers = [rows[film][f"barrier_{n}D_eV"] for n in (1, 2, 3)]
        if None not in barriers:
            barrier = " / ".join(f"{barrier:.2f}" for barrier in barriers)
            assert printed[film] == (barrier, f"{rows[film]['barrier_of_sites_eV']:.2f}")


@pytest.mark.slow
def test_a_melt_quench_of_magnesia():
    atoms, verdict = passivation.amorphous_magnesia()
    assert atoms.symbols.formula.count() == {"Mg": 72, "O": 72}
    if "is crystalline" in verdict:  # a melt is chaotic: the last digit of a processor decides
        pytest.skip(f"magnesia froze: {verdict}")
    assert "it melted" in verdict
    row = passivation.measure(passivation.AMORPHOUS, "Mg2+", atoms, 0.2)
    crystal = read_structure(ROOT / "structures" / "MgO.cif")
    ordered = percolation_thresholds(bvse_map(with_oxidation_states(crystal), "Mg2+", spacing=0.2).field)
    assert row["barrier_1D_eV"] < ordered.barriers[0]
    assert row["density_g_cm3"] < 3.5
