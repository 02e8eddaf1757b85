import itertools
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from PIL import Image

from amorph.analysis.isosurface import contour
from amorph.analysis.polyhedra import coordination_polyhedra
from amorph.export.picture import drawn_atoms, element_color, images_on_faces, styles_of, whole_polyhedra, write_picture
from amorph.export.picture.periodic import within
from amorph.export.picture.rendering import linear_color
from amorph.export.picture.scenes import SceneParts
from amorph.fields import ScalarField
from amorph.reading import read_structure

# colors of the legend
TI, MO, MG, OXYGEN, SURFACE = (74, 134, 212), (148, 103, 189), (52, 168, 83), (216, 58, 48), (250, 204, 60)


@pytest.fixture(scope="module")
def atoms():
    atoms = bulk("MgO", "rocksalt", a=4.2, cubic=True) * (2, 2, 2)
    cations = np.flatnonzero(atoms.symbols == "Mg")
    rng = np.random.default_rng(0)
    rng.shuffle(cations)
    atoms.symbols[cations[:6]] = "Ti"
    atoms.symbols[cations[6:14]] = "Mo"
    del atoms[cations[26:]]
    atoms.rattle(0.25, rng=rng)
    return atoms


@pytest.fixture(scope="module")
def mesh(atoms):
    x, y, z = np.meshgrid(*[2 * np.pi * np.arange(16) / 16] * 3, indexing="ij")
    values = np.cos(x) + np.cos(y) + np.cos(z)
    return contour(ScalarField(values, atoms.cell.array, "|bond valence sum of Mg2+ − 2|", "v.u.", ion="Mg2+"), 0.5)


def hue_share(image, color):
    """Share of pixels of about a color's hue, however bright."""
    pixels = np.asarray(image.convert("HSV"), dtype=int)
    hue = np.asarray(Image.new("RGB", (1, 1), color).convert("HSV"))[0, 0, 0]
    distance = np.abs(pixels[..., 0] - int(hue))
    return np.mean((np.minimum(distance, 256 - distance) < 6) & (pixels[..., 1] > 60))


def draw(path, *arguments, **options):
    write_picture(path, *arguments, **{"width": 300} | options)
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.convert("RGB")


# --- read back by Pillow


def test_the_picture_shows_polyhedra_ions_and_surface(tmp_path, atoms, mesh):
    image = draw(tmp_path / "picture.png", atoms, mesh)
    assert image.width == 300
    assert 250 < image.height < 500
    assert image.getpixel((0, 0)) == (255, 255, 255)
    for color in (TI, MO, MG, OXYGEN, SURFACE):
        assert hue_share(image, color) > 0.004, color


def test_without_a_surface_the_structure_alone_is_drawn(tmp_path, atoms, mesh):
    image = draw(tmp_path / "structure.png", atoms)
    for color in (TI, MO, MG, OXYGEN):
        assert hue_share(image, color) > 0.004, color
    with_surface = draw(tmp_path / "surface.png", atoms, mesh)
    assert hue_share(image, SURFACE) < 0.2 * hue_share(with_surface, SURFACE)


def test_what_is_drawn_as_polyhedra_can_be_chosen(tmp_path, atoms):
    neither = draw(tmp_path / "neither.png", atoms, polyhedra=["Ti"])
    default = draw(tmp_path / "default.png", atoms)
    assert hue_share(neither, MO) < 0.2 * hue_share(default, MO)
    assert hue_share(neither, TI) > 0.02


def test_the_mobile_ion_is_a_sphere_of_its_own_color(tmp_path, atoms):
    image = draw(tmp_path / "picture.png", atoms, mobile="Mo")  # now Mg is a polyhedron, the first by atomic number
    assert hue_share(image, MG) > 0.004
    assert hue_share(image, TI) > hue_share(draw(tmp_path / "mg.png", atoms), TI)


def test_solid_polyhedra_hide_what_is_in_them(tmp_path, atoms, mesh):
    glass = draw(tmp_path / "glass.png", atoms, mesh, opacity=0.2)
    solid = draw(tmp_path / "solid.png", atoms, mesh, opacity=1.0)
    assert hue_share(solid, SURFACE) < hue_share(glass, SURFACE)


def test_the_same_scene_gives_the_same_bytes_and_the_input_stays_as_it_was(tmp_path, atoms, mesh):
    before = atoms.copy()
    for name in ("a.png", "b.png"):
        write_picture(tmp_path / name, atoms, mesh, width=200)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert atoms == before


def test_atoms_are_drawn_in_the_cell_whichever_image_is_given(tmp_path, atoms):
    moved = atoms.copy()
    moved.positions[::2] += atoms.cell.array[0] - 2 * atoms.cell.array[2]
    a, b = (np.asarray(draw(tmp_path / "picture.png", x, caption=""), int) for x in (atoms, moved))
    assert np.mean(np.abs(a - b) > 8) < 0.005  # rounding moves single points


def test_a_periodic_surface_is_drawn_within_the_cell(mesh):
    assert mesh.shifts.any()
    parts = SceneParts(1.0)
    parts.add_surface(mesh)
    triangles = parts.scene().triangles
    corners = triangles.vertices[triangles.faces]
    voxel = np.linalg.norm(mesh.cell[0]) / 16
    assert np.ptp(corners, axis=1).max() < 1.5 * voxel


def test_a_caption_too_long_for_the_width_is_made_to_fit(tmp_path, atoms):
    image = np.asarray(draw(tmp_path / "picture.png", atoms, caption="$x$ {long} caption " * 12))
    assert (image[:, :2] == 255).all()
    assert (image[:, -2:] == 255).all()


@pytest.mark.parametrize(
    "structure",
    [
        bulk("MgO", "rocksalt", a=4.2),
        bulk("Mg", "hcp", a=3.21, c=5.21),
        Atoms("MgO", positions=[(0, 0, 0), (2, 0, 0)], cell=[[9, 0, 0], [-4, 0, 7], [1, 6, 1]], pbc=True),
    ],
    ids=["primitive", "no anion", "left-handed, two-coordinated at most"],
)
def test_any_structure_can_be_drawn(tmp_path, structure):
    for name, mobile in (("sphere.png", "Mg2+"), ("polyhedra.png", "Li+")):
        image = np.asarray(draw(tmp_path / name, structure, mobile=mobile, width=200))
        assert np.mean(image < 250) > 0.01


def test_an_empty_surface_is_no_error(tmp_path, atoms, mesh):
    nothing = contour(ScalarField(np.zeros((4, 4, 4)), atoms.cell.array, "nothing", ""), 1e9)
    assert draw(tmp_path / "picture.png", atoms, nothing).width == 300


# --- what a crystallographer expects


def test_atoms_on_faces_stand_on_both_and_their_polyhedra_are_whole():
    """Of 4 Mg of the conventional cell 14 are seen (8 corners, 6 faces), each in a whole octahedron."""
    crystal = bulk("MgO", "rocksalt", a=4.2, cubic=True)
    images = images_on_faces(crystal)
    polyhedra = whole_polyhedra(coordination_polyhedra(crystal, ["Mg"]), images)
    assert len(polyhedra) == 14
    assert {len(each.corners) for each in polyhedra} == {6}
    numbers, places = drawn_atoms(crystal, images, polyhedra)
    for each in polyhedra:
        assert np.linalg.norm(places[:, None] - each.corners, axis=2).min(axis=0).max() < 1e-6
    assert len(np.unique(np.column_stack([numbers, places.round(3)]), axis=0)) == len(numbers)


def test_a_path_is_drawn_within_the_cell():
    cell = np.array([[5.0, 0, 0], [1.0, 6.0, 0], [0, -1.0, 7.0]])
    way = np.linspace(0, 1, 60)[:, None] * (cell.sum(axis=0) * 2) + [0.3, 0.4, 0.5]
    steps = within(way, cell)
    middles = np.array([start + end for start, end in steps]) / 2 @ np.linalg.inv(cell)
    assert (middles > -1e-6).all()
    assert (middles < 1 + 1e-6).all()
    assert np.allclose([end - start for start, end in steps], np.diff(way, axis=0))


def test_tetrahedra_have_the_mark_of_tetrahedra():
    sphalerite = bulk("ZnS", "zincblende", a=5.41, cubic=True)
    rocksalt = bulk("MgO", "rocksalt", a=4.2, cubic=True)
    assert [style.corners for style in styles_of(sphalerite, None, None)] == [4, 0]
    assert [style.corners for style in styles_of(rocksalt, None, None)] == [6, 0]


def test_a_tall_cell_makes_no_tower(tmp_path):
    tall = bulk("MgO", "rocksalt", a=4.2, cubic=True).repeat((1, 1, 8))
    assert draw(tmp_path / "tall.png", tall, elevation=0.0).height < 480
    assert draw(tmp_path / "along.png", tall, along="a", hide=["legend"]).height <= 375


def test_colors_cells_and_what_is_hidden(tmp_path, atoms):
    vesta = draw(tmp_path / "vesta.png", atoms, colors="vesta")
    assert hue_share(vesta, (251, 123, 21)) > 0.004  # VESTA's Mg is orange
    assert hue_share(draw(tmp_path / "no_mg.png", atoms, hide=["Mg"]), MG) < 0.001
    bare = draw(tmp_path / "bare.png", atoms, hide=["polyhedra"])
    assert hue_share(bare, TI) < hue_share(draw(tmp_path / "all.png", atoms), TI)
    once, twice = (draw(tmp_path / "n.png", atoms, repeat=n, hide=["legend"]) for n in ((1, 1, 1), (2, 1, 1)))
    assert twice.height < once.height


def test_axes_are_named(tmp_path, atoms):
    named, bare = (np.asarray(draw(tmp_path / "n.png", atoms, hide=hide), int) for hide in ([], ["labels"]))
    assert named.shape == bare.shape
    changed = (np.abs(named - bare).sum(axis=2) > 100).sum()
    assert 20 < changed < 2000


# --- no display, no graphics library


def test_no_graphics_library_is_loaded(tmp_path):
    script = textwrap.dedent(
        """
        import sys
        import numpy as np
        from ase.build import bulk
        from amorph.analysis.isosurface import contour
        from amorph.export.picture import write_picture
        from amorph.fields import ScalarField

        atoms = bulk("MgO", "rocksalt", a=4.2, cubic=True)
        values = np.random.default_rng(0).normal(size=(6, 6, 6))
        write_picture(sys.argv[1], atoms, contour(ScalarField(values, atoms.cell.array, "noise", ""), 0.0), width=200)
        with open("/proc/self/maps") as maps:
            libraries = {line.split()[-1].rsplit("/", 1)[-1] for line in maps if ".so" in line}
        assert any("_multiarray_umath" in name for name in libraries), "the check sees no libraries at all"
        graphics = ("libGL", "libEGL", "libOSMesa", "libX11", "vtkRendering")
        sys.exit(", ".join(sorted(name for name in libraries if any(g in name for g in graphics))) or 0)
        """
    )
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND", "PYOPENGL_PLATFORM"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    path = tmp_path / "picture.png"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with Image.open(path) as image:
        assert image.width == 200


# --- errors


def test_a_surface_from_another_cell_is_refused(tmp_path, atoms, mesh):
    with pytest.raises(ValueError, match="pass the structure that the surface was made from"):
        write_picture(tmp_path / "picture.png", atoms * (1, 1, 2), mesh)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"polyhedra": ["Zr"]}, "no Zr among the cations Mg, Ti, Mo"),
        ({"mobile": "Xx2+"}, "unknown element 'Xx'"),
        ({"width": 10}, "width = 10 px must be greater than or equal to 200"),
        ({"hide": ["Zr"]}, "hide = 'Zr'"),
        ({"hide": ["Mg", "Ti", "Mo", "O"]}, "leaves no element"),
        ({"repeat": (0, 1, 1)}, "repeat"),
        ({"opacity": 1.5}, "opacity = 1.5 must be less than or equal to 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, atoms, options, match):
    with pytest.raises(ValueError, match=match):
        write_picture(tmp_path / "picture.png", atoms, **options)


def test_an_unknown_suffix_is_refused(tmp_path, atoms):
    with pytest.raises(ValueError, match=r"suffix '.jpg' names no format; known are .png"):
        write_picture(tmp_path / "picture.jpg", atoms)


def in_lab(color):
    """CIE L*a*b* of an sRGB color in bytes, for daylight (IEC 61966-2-1, ISO/CIE 11664-4)."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ linear_color(*color) / to_xyz.sum(axis=1)
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("anions", [["O"], ["F"], ["Cl"], ["Br"], ["I"], ["S"], ["N"], ["O", "F"], ["S", "Cl"]])
def test_distinct_colors_tell_the_mobile_ion_and_the_anions_apart(anions):
    """A distance of 2 is just seen; the greens of the mobile ion and of Jmol's Cl are 56 and 9 degrees apart."""
    found = [in_lab(element_color(each, "distinct", mobile="Li")) for each in ("Li", *anions)]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(found, 2)) > 40
    hues = [np.degrees(np.arctan2(lab[2], lab[1])) for lab in found]
    assert min(abs((hue - hues[0] + 180) % 360 - 180) for hue in hues[1:]) > 40


def test_hydrogen_is_a_sphere_and_the_mobile_ion_only_where_it_is_asked_for():
    brucite = read_structure(Path(__file__).parents[3] / "structures/MgO2H2.cif")
    of = {ion: {style.element: style for style in styles_of(brucite, ion, None)} for ion in (None, "H+", "Mg2+")}
    assert [found["H"].corners for found in of.values()] == [0, 0, 0]
    assert of[None]["H"].color == of["Mg2+"]["H"].color == element_color("H", "distinct")
    assert of["H+"]["H"].color == of["Mg2+"]["Mg"].color
