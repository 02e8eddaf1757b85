"""The verb `structure`: order and scattering, beside an experiment."""

import csv
import json
import re

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read

from amorph import structure_report


@pytest.fixture
def files(tmp_path):
    paths = []
    for seed in (1, 2):
        atoms = bulk("MgO", "rocksalt", a=4.21, cubic=True) * (2, 2, 1)
        atoms.rattle(0.1, seed=seed)
        paths.append(tmp_path / f"glass_{seed}.extxyz")
        atoms.write(paths[-1])
    return paths


def test_figures_are_those_of_the_report(amorph, files):
    found = json.loads(amorph("structure", *files, "--q-max", "8", "--json").out)
    assert found["samples"] == 2
    assert found["coordination"]["Mg-O"]["bond_length_standard_error_A"] > 0.0
    assert {"r", "g_r", "q_per_A", "s_q", "g_pdf", "two_theta_deg", "intensity", "density_g_cm3"} <= found.keys()


def test_a_measured_curve_is_found_again(amorph, files, tmp_path):
    """The computed S(q), three times as large on a constant."""
    from amorph.reading import read_trajectory

    report = structure_report([read_trajectory(files[0])], q_max=8.0)
    lines = [
        "# q, S(q)",
        *(f"{q}, {3 * s + 1}" for q, s in zip(report.scattering.q, report.scattering.total("xray"), strict=True)),
    ]
    (tmp_path / "measured.csv").write_text("\n".join(lines))
    flags = ["--experiment", tmp_path / "measured.csv", "--as", "sq", "--background-terms", "1", "--q-max", "8"]
    found = json.loads(amorph("structure", files[0], *flags, "--json").out)["experiment"]
    assert found["scale"] == pytest.approx(3.0, rel=1e-6)
    assert found["r_w"] == pytest.approx(0.0, abs=1e-6)


def test_the_window_of_the_experiment(amorph, files, tmp_path):
    flags = ["--window", "none", "--q-max", "12", "--json"]
    found = json.loads(amorph("structure", files[0], *flags).out)
    assert found["window"] == "none"
    np.savetxt(tmp_path / "measured.gr", np.column_stack([found["r_pdf_A"], found["g_pdf"]]))
    beside = ["--experiment", tmp_path / "measured.gr", "--as", "gr"]
    for window, scale in (("none", True), ("lorch", False)):
        flags[1] = window
        experiment = json.loads(amorph("structure", files[0], *flags, *beside).out)["experiment"]
        assert (abs(experiment["scale"] - 1.0) < 1e-9) is scale
        assert (experiment["r_w"] < 1e-9) is scale


def test_curves_and_figure_are_written(amorph, files, tmp_path):
    out = amorph("structure", files[0], "--curves", tmp_path / "curves", "-o", tmp_path / "glass.svg").out
    assert "written to" in out
    with (tmp_path / "curves/g_r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert np.all([float(row["g_Mg-O"]) >= 0.0 for row in rows])
    assert "<svg" in (tmp_path / "glass.svg").read_text()


def test_bad_input_is_one_line(amorph, files, tmp_path):
    (tmp_path / "empty.dat").write_text("# nothing\n")
    for flags, said in (
        (["--experiment", tmp_path / "empty.dat"], "--as is missing"),
        (["--experiment", tmp_path / "empty.dat", "--as", "sq"], "empty.dat"),
        (["--cutoffs", "Mg-Xx=2"], "Xx"),
        (["--wavelength", "FeKa"], "FeKa"),
        (["-o", tmp_path / "glass.xyz"], "glass.xyz"),
    ):
        outcome = amorph("structure", files[0], *flags)
        assert outcome.status == 2
        assert said in outcome.err.splitlines()[-1]
        assert outcome.err.splitlines()[-1].startswith("amorph: ")


def test_the_amorphous_share_of_a_mixture_is_found(amorph, files, tmp_path):
    """Three parts of the disturbed crystal and one of the ideal one, twice as intense, their lines with tails."""
    ideal = tmp_path / "ideal.cif"
    bulk("MgO", "rocksalt", a=4.21, cubic=True).write(ideal)
    flags, tails = ["--two-theta", "30", "80"], ["--lorentzian-share", "0.3"]
    glass, crystal = (json.loads(amorph("structure", file, *flags, *tails, "--json").out) for file in (files[0], ideal))
    mixed = 2.0 * (0.75 * np.array(glass["intensity"]) + 0.25 * np.array(crystal["intensity"]))
    np.savetxt(tmp_path / "mixed.xy", np.column_stack([glass["two_theta_deg"], mixed]))
    flags += ["--experiment", tmp_path / "mixed.xy", "--as", "xrd", "--crystal", ideal, "-o", tmp_path / "mixed.pdf"]
    found = json.loads(amorph("structure", files[0], *flags, *tails, "--json").out)
    assert found["amorphous_share"]["share_of_atoms"] == pytest.approx(0.75, abs=1e-6)
    without = json.loads(amorph("structure", files[0], *flags, "--json").out)
    assert without["amorphous_share"]["share_of_atoms"] > 0.76
    assert found["experiment"]["r_w"] == pytest.approx(0.0, abs=1e-6)
    about = found["amorphous_share"]
    assert (about["lattice_factor"], about["line_width_deg"]) == pytest.approx((1.0, crystal["width_deg"]), abs=1e-6)
    out = amorph("structure", files[0], *flags).out
    assert all(word in out for word in ("share_of_mass", "lattice_factor", "line_width_deg"))


def test_the_tables_are_those_of_the_figures(amorph, files):
    """Convention, how far rings were searched, anions, Qⁿ and the error of the peak: not in --json alone."""
    found = json.loads(amorph("structure", *files, "--q-max", "8", "--json").out)
    out = amorph("structure", *files, "--q-max", "8").out
    lines = [line.split() for line in out.splitlines()]
    assert found["s_q_convention"] in out
    assert f"searched up to {found['rings']['largest']}" in out
    for words, shares in ((["O"], found["bridging"]["O"]), (["Mg", "Q"], found["q_n"]["Mg"])):
        for n, one in shares.items():
            first = " ".join(words) + n
            row = next(line for line in lines if " ".join(line).startswith(f"{first} "))
            assert float(row[len(words)]) == pytest.approx(one["mean"], rel=1e-3)
    peak = found["first_sharp_peak"]
    row = next(line for line in out.splitlines() if line.startswith("first sharp peak"))
    assert ("±" in row) == (peak is not None and peak["place_standard_error_per_A"] is not None)


def test_a_cutoff_without_bonds_is_told_with_the_shortest_distance(amorph, files):
    outcome = amorph("structure", files[0], "--cutoffs", "Mg-O=0.5")
    [line] = [line for line in outcome.err.splitlines() if "cutoff of 0.5" in line]
    assert "Mg-O" in line
    atoms = read(files[0])
    of = [np.flatnonzero(atoms.symbols == symbol) for symbol in ("Mg", "O")]
    shortest = atoms.get_all_distances(mic=True)[np.ix_(*of)].min()
    assert float(re.search(r"distance is (\S+)", line)[1]) == pytest.approx(shortest, abs=0.02)  # of one bin
    assert "cutoff of" not in amorph("structure", files[0], "--cutoffs", "Mg-O=2.5").err


def test_the_same_file_twice_is_no_second_glass(amorph, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = amorph("structure", files[0], files[1], files[0].name)
    assert outcome.status == 2
    assert "glass_1.extxyz is given twice" in outcome.err
