"""The verb of voids on real input: what it prints and writes, and how it ends."""

import csv
import json
import math
import re

import numpy as np
import pytest

from amorph.analysis.spread import local_free_volume, uniformity
from amorph.analysis.voids import voids
from amorph.reading import read_field, read_structure


def test_prints_what_the_functions_give(amorph, oxide):
    called = amorph("voids", "oxide.extxyz", "--probe-radius", 1.4, "--spacing", 0.3, "--ion", "Li+", "--json")
    assert (called.status, called.err) == (0, "")
    figures = json.loads(called.out)
    atoms = read_structure("oxide.extxyz")
    made = voids(atoms, probe_radius=1.4, spacing=0.3)
    for name in ("largest_included_radius", "largest_free_radius", "accessible_fraction", "mean_pore_radius"):
        assert figures[name] == getattr(made, name)
    assert figures["largest_free_diameter"] == 2.0 * figures["largest_free_radius"]
    assert [one["dimension"] for one in figures["passages"]] == [1, 2, 3]
    spread = uniformity(made.field, threshold=1.4)
    assert figures["uniformity"]["grain_volume_A3"] == spread.headline.grain_volume
    local = local_free_volume(made.field, atoms, "Li+", threshold=1.4)
    assert figures["local_free_volume"]["volumes"] == local.volumes.tolist()
    assert math.isclose(sum(local.volumes), figures["uniformity"]["free_volume_A3"])


def test_table_and_files(amorph, mgo, tmp_path):
    called = amorph("voids", "mgo.extxyz", "--spacing", 0.2, "-o", "distance.npz", "--curve", "pores.csv")
    assert (called.status, called.err) == (0, "")
    lines = [line.split() for line in called.out.splitlines()]
    assert ["largest", "included", "1.824", "3.648"] in [line[:4] for line in lines]
    assert ["largest", "free,", "3D", "1.489", "2.978"] in [line[:5] for line in lines]
    assert "radius [Å]  diameter [Å]  center x y z [Å]" in called.out
    assert "written to distance.npz and pores.csv" in called.out
    assert "grid" in called.out and ", spacing 0.191 Å" in called.out
    assert re.search(r"pore radius, mean ± error of the grid \[Å\] +1\.\d+ ± 0\.\d+\n", called.out)
    field, atoms = read_field(tmp_path / "distance.npz")
    assert field.quantity == "distance to the nearest atom"
    assert len(atoms) == 8
    with (tmp_path / "pores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["center_fraction"]) == 1.0
    assert math.isclose(sum(0.05 * float(row["pore_radius_density_per_A"]) for row in rows), 1.0)
    assert int(rows[-1]["dimension"]) == 0
    assert amorph("voids", "mgo.extxyz", "--spacing", 0.3, "--quiet").out == ""


def test_a_probe_larger_than_every_hole_leaves_dashes(amorph, mgo):
    called = amorph("voids", "mgo.extxyz", "--spacing", 0.3, "--probe-radius", 3, "--ion", "Mg")
    assert (called.status, called.err) == (0, "")
    assert "nan" not in called.out
    assert re.search(r"spread in boxes of 2.768 Å³: as of random grains of \[Å³\] +–\n", called.out)
    assert re.search(r"coefficient of variation +–\n", called.out)
    figures = json.loads(amorph("voids", "mgo.extxyz", "--spacing", 0.3, "--probe-radius", 3, "--json").out)
    assert figures["uniformity"]["grain_volume_A3"] is None


def test_a_host_without_the_ion_has_room_for_it(amorph, oxide):
    called = amorph("voids", "oxide.extxyz", "--spacing", 0.4, "--ion", "Mg2+", "--free", "bvs")
    assert (called.status, called.err) == (0, "")
    assert "free volume: bond valence sum ≤ 2.4 v.u." in called.out
    assert "the structure holds no Mg among which it would be shared out" in called.out
    refused = amorph("voids", "oxide.extxyz", "--spacing", 0.4, "--ion", "Mg2+")
    assert refused.status == 2
    assert "no Mg in " in refused.err


def test_radii_and_the_bond_valence_map(amorph, mgo):
    flags = ("--spacing", 0.3, "--ion", "Mg2+", "--free", "bvs", "--radii", "Mg=0.72", "O=1.4")
    called = amorph("voids", "mgo.extxyz", *flags)
    assert (called.status, called.err) == (0, "")
    assert "spheres, radii Mg 0.72 Å, O 1.4 Å" in called.out
    assert "free volume: bond valence sum ≤ 2.4 v.u." in called.out
    assert "free volume of each of 4 Mg2+" in called.out
    figures = json.loads(amorph("voids", "mgo.extxyz", *flags, "--json").out)
    assert figures["radii"] == {"Mg": 0.72, "O": 1.4}
    assert figures["free"].items() >= {"by": "bvs", "threshold": 2.4, "side": "below"}.items()
    np.testing.assert_allclose(figures["largest_included_radius"], 4.212 * math.sqrt(3) / 4 - 1.4, rtol=1e-9)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--free", "bvs"), "--free bvs needs the ion"),
        (("--ion", "Ca2+"), "no Ca in Mg4O4"),
        (("--curve", "pores.txt"), "the suffix '.txt' names no format"),
        (("--radii", "shannon"), "unknown radii set 'shannon'"),
        (("--probe-radius", -1), "--probe-radius = -1.0 Å must be greater than or equal to 0"),
    ],
)
def test_bad_input_is_one_line(amorph, mgo, flags, message):
    called = amorph("voids", "mgo.extxyz", *flags)
    assert called.status == 2
    assert message in called.err
    assert called.err.count("\n") == 1
    assert called.out == ""
