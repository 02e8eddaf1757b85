import csv

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read
from PIL import Image

from amorph.analysis.percolation import migration_path
from amorph.export import write_path
from amorph.export.picture import write_picture
from amorph.export.picture.rendering import linear_color
from amorph.export.picture.scenes import PATH_HIGH, PATH_LOW, SceneParts
from amorph.fields import ScalarField


@pytest.fixture(scope="module")
def atoms():
    return bulk("MgO", "rocksalt", a=4.2, cubic=True)


@pytest.fixture(scope="module")
def pathway(atoms):
    x, y, z = np.meshgrid(*[2 * np.pi * np.arange(12) / 12] * 3, indexing="ij")
    values = -np.cos(x + y) - 2 * np.cos(x - y) - 2 * np.cos(z)
    return migration_path(ScalarField(values, atoms.cell.array, "bond valence site energy of Mg2+", "eV", ion="Mg2+"))


def test_csv_has_the_unit_of_every_column_in_its_name(tmp_path, atoms, pathway):
    write_path(tmp_path / "path.csv", pathway, atoms)
    with (tmp_path / "path.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    positions = ("x_A", "y_A", "z_A")
    fractional = ("fractional_a", "fractional_b", "fractional_c")
    assert list(rows[0]) == ["length_A", *positions, *fractional, "value_eV"]
    table = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    np.testing.assert_allclose(table["length_A"], pathway.lengths, atol=1e-8)
    np.testing.assert_allclose(np.stack([table[name] for name in positions], 1), pathway.positions, atol=1e-8)
    np.testing.assert_allclose(np.stack([table[name] for name in fractional], 1), pathway.positions / 4.2, atol=1e-8)
    np.testing.assert_allclose(table["value_eV"], pathway.values, atol=1e-8)


@pytest.mark.parametrize("suffix", ["xyz", "extxyz"])
def test_xyz_is_the_structure_and_the_path_after_it(tmp_path, atoms, pathway, suffix):
    write_path(tmp_path / f"path.{suffix}", pathway, atoms)
    made = read(tmp_path / f"path.{suffix}", format="extxyz")
    assert made.get_chemical_symbols() == [*atoms.get_chemical_symbols(), *["X"] * len(pathway.values)]
    np.testing.assert_allclose(made.cell, atoms.cell)
    np.testing.assert_allclose(made.positions[len(atoms) :], pathway.positions, atol=1e-7)
    assert made.arrays["path"].tolist() == [0] * len(atoms) + list(range(1, len(pathway.values) + 1))
    np.testing.assert_allclose(made.arrays["value"][len(atoms) :], pathway.values, atol=1e-7)
    assert made.info["quantity"] == "bond valence site energy of Mg2+"


def share_of_hue(path, low, high):
    """Share of strongly colored pixels whose hue is between two angles in degrees."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB").convert("HSV"), dtype=float)
    hue = pixels[..., 0] * 360 / 255
    return np.mean((hue > low) & (hue < high) & (pixels[..., 1] > 140))


def test_the_picture_shows_the_tube(tmp_path, atoms, pathway):
    write_picture(tmp_path / "without.png", atoms, width=300)
    write_picture(tmp_path / "with.png", atoms, pathway=pathway, width=300)
    assert share_of_hue(tmp_path / "without.png", 30, 60) == 0.0
    assert share_of_hue(tmp_path / "with.png", 30, 60) > 0.005
    parts = SceneParts(1.0)
    parts.add_path(pathway.positions, np.linspace(0, 1, len(pathway.values)), pathway.sites, pathway.cell)
    steps = [centers for centers, _, _ in parts.spheres]
    np.testing.assert_allclose([end - start for start, end in steps], np.diff(pathway.positions, axis=0), atol=1e-9)
    colors, radii = (np.concatenate([each[k] for each in parts.spheres]) for k in (2, 1))
    np.testing.assert_allclose(colors[[0, -1]], [linear_color(*PATH_LOW), linear_color(*PATH_HIGH)])
    sites = {n for n, pair in enumerate(radii.reshape(-1, 2)) if pair[0] == radii.max()}
    assert sites == set(pathway.sites[:-1])
    assert len(parts.triangles) == len(pathway.values) - 1
    write_path(tmp_path / "path.png", pathway, atoms)
    with Image.open(tmp_path / "path.png") as image:
        assert image.size[0] == 1600


def test_bad_input_is_refused(tmp_path, atoms, pathway):
    with pytest.raises(ValueError, match=r"the suffix '.cif' names no format; known are .csv, .xyz, .extxyz, .png"):
        write_path(tmp_path / "path.cif", pathway, atoms)
    for suffix in ("csv", "png"):
        with pytest.raises(ValueError, match="pass the structure that the path was made from"):
            write_path(tmp_path / f"path.{suffix}", pathway, atoms.repeat((1, 1, 2)))
    with pytest.raises(ValueError, match="pass the structure that the path was made from"):
        write_picture(tmp_path / "path.png", atoms.repeat((1, 1, 2)), pathway=pathway)
    assert not list(tmp_path.iterdir())
