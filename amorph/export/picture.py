"""Pictures of structures: coordination polyhedra, ions, an isosurface and a path in the cell, as PNG."""

import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from annotated_types import Interval
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, chemical_symbols
from ase.data.colors import jmol_colors
from numpy.typing import NDArray

from amorph.analysis.isosurface import Mesh, contour
from amorph.analysis.pathways import MigrationPath
from amorph.analysis.polyhedra import coordination_polyhedra
from amorph.export.rendering import Array, Camera, Scene, render
from amorph.export.replacing import replacing
from amorph.export.scenes import SceneParts, Style
from amorph.export.suffixes import writer_for
from amorph.fields import ScalarField
from amorph.parameters import Fraction, Unit, checked
from amorph.structure import anion_mask, periodic_atoms
from amorph.tables import parse_ion, radius

Pixels = NDArray[np.uint8]

_ALKALI: Final = frozenset({"Li", "Na", "K", "Rb", "Cs"})
_POLYHEDRA: Final = ((74, 134, 212), (148, 103, 189), (23, 160, 160), (206, 109, 155), (128, 133, 64), (120, 130, 145))
_MOBILE: Final = (52, 168, 83)
_OXYGEN: Final = (216, 58, 48)
_ION_SIZE: Final = 0.44
"""Radius of a cation's sphere over its covalent radius."""
_ANION_SIZE: Final = 0.33
_CENTER_SIZE: Final = 0.2
"""Radius of the sphere of a cation within its polyhedron over its covalent radius."""
_EYE: Final = 2.2
"""Distance of the eye over the longest diagonal of the cell."""
_SUPERSCRIPT: Final = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")
_ION: Final = re.compile(r"(?<=[a-zA-Z])\d?[+-](?![\w])")
"""The charge in "Mg2+"."""
_SUBSCRIPT: Final = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@checked
def write_picture(
    path: str | Path,
    atoms: Atoms,
    mesh: Mesh | None = None,
    *,
    pathway: MigrationPath | None = None,
    mobile: str = "Mg2+",
    polyhedra: Sequence[str] | None = None,
    surface_label: str | None = None,
    caption: str | None = None,
    width: Annotated[int, Interval(ge=200, le=4000), Unit("px")] = 1600,
    azimuth: Annotated[float, Interval(ge=-360, le=360), Unit("°")] = 24.0,
    elevation: Annotated[float, Interval(ge=-89, le=89), Unit("°")] = 14.0,
    opacity: Fraction = 0.55,
) -> None:
    """Draw a structure, and a surface or a path in it, as a PNG.

    Cations are drawn as coordination polyhedra or as spheres, anions as small spheres, the cell by its edges. Neither
    a display nor a graphics library is needed.

    Parameters
    ----------
    path
        Name of the file, ``.png``.
    atoms
        Structure to draw.
    mesh
        Surface to draw with it, in the same cell.
    pathway
        Migration path to draw with it, in the same cell: a tube in one piece, its sites as spheres, its color from
        yellow at its lowest value to purple at its barrier.
    mobile
        The mobile ion, or its element: drawn as spheres.
    polyhedra
        Elements drawn as polyhedra; by default every cation that is neither `mobile` nor an alkali metal.
    surface_label
        What the legend calls the surface; by default the mesh's quantity and level.
    caption
        Line below the legend; by default formula and cell.
    width
        Width of the picture.
    azimuth
        Angle about z from which the structure is seen; at 0 the viewer looks along y.
    elevation
        Angle above the xy plane from which the structure is seen.
    opacity
        Share of light that a face of a polyhedron stops; at 1 polyhedra are solid.

    Raises
    ------
    ValueError
        Suffix other than ``.png``; a mesh or a path from another cell; an ion that cannot be read.
    """
    save = writer_for(path, {".png": _save_png}, "picture")
    atoms = periodic_atoms(atoms)
    atoms.wrap()
    cell = atoms.cell.array
    for name, part in (("surface", mesh), ("path", pathway)):
        if part is not None and not np.allclose(part.cell, cell, rtol=0, atol=1e-6):
            raise ValueError(
                f"the {name} lies in the cell {part.cell.tolist()} Å, the structure in {cell.tolist()} Å; "
                f"pass the structure that the {name} was made from"
            )
    styles = _styles(atoms, mobile, polyhedra)
    parts = SceneParts(opacity)
    parts.add_cell(cell)
    parts.add_atoms(atoms, styles)
    legend = [(style.label, _sample(style, opacity)) for style in styles]
    if mesh is not None:
        parts.add_surface(mesh)
        legend.append((_surface_label(mesh) if surface_label is None else surface_label, _surface_sample()))
    if pathway is not None:
        parts.add_path(pathway.positions, _heights(pathway), pathway.sites)
        legend.append((_path_label(pathway), _path_sample()))
    axes = _viewing_axes(azimuth, elevation)
    diagonal = max(float(np.linalg.norm(signs @ cell)) for signs in product((1, -1), repeat=3))
    scene = parts.scene()
    camera = Camera.framing(scene, axes, cell.sum(axis=0) / 2, distance=_EYE * diagonal, width=width)
    samples = [(label, _render_sample(sample, axes, width // 16)) for label, sample in legend]
    picture = render(scene, camera, map_size=min(1024, width))
    image = _compose(picture, samples, _describe(atoms) if caption is None else caption)
    with replacing(path) as temporary:
        save(temporary, image)


def _styles(atoms: Atoms, mobile: str, polyhedra: Sequence[str] | None) -> list[Style]:
    """Choose how each element is drawn: polyhedra, then other cations, then anions."""
    mobile = mobile if mobile in chemical_symbols[1:] else parse_ion(mobile).element
    symbols = np.array(atoms.get_chemical_symbols())
    anion = anion_mask(atoms)
    anions, cations = (sorted(set(symbols[mask].tolist()), key=atomic_numbers.get) for mask in (anion, ~anion))
    if polyhedra is None:
        polyhedra = [element for element in cations if element != mobile and element not in _ALKALI]
    elif unknown := sorted(set(polyhedra) - set(cations)):
        raise ValueError(f"no {' or '.join(unknown)} among the cations {', '.join(cations)}; draw others as polyhedra")

    def size(element: str, share: float) -> float:
        return share * radius("cordero_covalent", element)

    def color(element: str) -> tuple[int, int, int]:
        given = {"O": _OXYGEN, mobile: _MOBILE}
        red, green, blue = given.get(element, np.rint(255 * jmol_colors[atomic_numbers[element]]).astype(int).tolist())
        return red, green, blue

    drawn = [element for element in cations if element in polyhedra and anions]
    return [
        *(
            Style(element, _POLYHEDRA[k % len(_POLYHEDRA)], size(element, _CENTER_SIZE), tuple(anions))
            for k, element in enumerate(drawn)
        ),
        *(Style(element, color(element), size(element, _ION_SIZE)) for element in cations if element not in drawn),
        *(Style(element, color(element), size(element, _ANION_SIZE)) for element in anions),
    ]


def _viewing_axes(azimuth: float, elevation: float) -> Array:
    a, e = np.radians([azimuth, elevation])
    towards = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
    right = np.array([np.cos(a), np.sin(a), 0.0])
    return np.stack([right, np.cross(towards, right), towards])


def _sample(style: Style, opacity: float) -> Scene:
    """Make what a legend shows of an element: one sphere, or one octahedron."""
    parts = SceneParts(opacity)
    if style.ligands:
        bond = radius("cordero_covalent", style.element) + radius("cordero_covalent", style.ligands[0])
        crystal = bulk("NaCl", "rocksalt", a=1.9 * bond)
        crystal.symbols = [style.element, style.ligands[0]]
        [octahedron] = coordination_polyhedra(crystal, [style.element])
        parts.add_polyhedron(octahedron, style)
    else:
        parts.add_spheres(np.zeros((1, 3)), style)
    return parts.scene()


def _surface_sample() -> Scene:
    """A piece of surface for the legend: two drops that flow together."""
    points = np.stack(np.meshgrid(*[np.linspace(-2.5, 2.5, 40, endpoint=False)] * 3, indexing="ij"), axis=-1)
    drops = [((-0.75, -0.1, 0.3), 1.0), ((0.85, 0.1, -0.35), 0.8)]
    values = sum(np.exp(-((np.linalg.norm(points - place, axis=-1) / size) ** 2)) for place, size in drops)
    parts = SceneParts(1.0)
    drop = contour(ScalarField(-values, np.eye(3) * 5.0, "", ""), -0.4)
    parts.add_surface(drop)
    return parts.scene()


def _heights(pathway: MigrationPath) -> Array:
    """Measure how far each point of a path is from its best value to its barrier, from 0 to 1."""
    from_barrier = np.abs(pathway.values - pathway.threshold)
    return 1.0 - from_barrier / max(float(from_barrier.max()), 1e-300)


def _path_label(pathway: MigrationPath) -> str:
    best = max(pathway.values, key=lambda value: abs(value - pathway.threshold))
    return f"path: {best:.3g} (yellow) to {pathway.threshold:.3g} {pathway.unit} (purple)"


def _path_sample() -> Scene:
    """A piece of a path for the legend: from one site over a barrier to the next."""
    t = np.linspace(-1, 1, 41)
    parts = SceneParts(1.0)
    parts.add_path(np.column_stack([0.8 * t, 0 * t, 0.4 * (1 - t**2)]), 1 - t**2, (0, 40))
    return parts.scene()


def _render_sample(sample: Scene, axes: Array, size: int) -> Pixels:
    low, high = sample.bounds
    target = (low + high) / 2
    half = 2.3
    return render(
        sample, Camera(axes, target, 30.0, (-half, -half), size / (2 * half), size, size), fog=0.0, map_size=128
    )


def _surface_label(mesh: Mesh) -> str:
    """Say what is constant on a surface, ions with raised charges."""
    quantity = _ION.sub(lambda ion: ion[0].translate(_SUPERSCRIPT), mesh.quantity)
    return f"{quantity} = {mesh.level:g} {mesh.unit}".strip()


def _describe(atoms: Atoms) -> str:
    """Give formula and cell, for the caption."""
    formula = atoms.get_chemical_formula(mode="metal").translate(_SUBSCRIPT)
    a, b, c, alpha, beta, gamma = atoms.cell.cellpar()
    lengths = f"{a:.2f} Å" if np.allclose([b, c], a, rtol=1e-4) else f"{a:.2f} × {b:.2f} × {c:.2f} Å"
    angles = "" if np.allclose([alpha, beta, gamma], 90, atol=0.05) else f", {alpha:.1f}°, {beta:.1f}°, {gamma:.1f}°"
    return f"{formula}, cell {lengths}{angles}"


def _compose(image: Pixels, legend: list[tuple[str, Pixels]], caption: str) -> Pixels:
    """Set a legend and a caption below an image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    height, width, _ = image.shape
    sample_size = legend[0][1].shape[0]
    font_size = 72 * width / 6000  # points, at 100 pixels per inch
    figure = Figure(dpi=100)
    canvas = FigureCanvasAgg(figure)

    def write(text: str, size: float, **options: Any) -> tuple[Text, float]:
        """Place a text, later to be moved, and measure its width."""
        placed = figure.text(0, 0, text, fontsize=size, parse_math=False, transform=None, **options)
        return placed, float(placed.get_window_extent(canvas.get_renderer()).width)  # type: ignore[no-untyped-call]

    rows: list[list[tuple[Pixels, Text, float]]] = [[]]
    for label, sample in legend:
        text, length = write(label, font_size, va="center_baseline")
        entry = 1.5 * sample_size + length
        if rows[-1] and entry + sum(used for *_, used in rows[-1]) > width:
            rows.append([])
        rows[-1].append((sample, text, entry))
    line, length = write(caption, 0.8 * font_size, color="0.35", ha="center", va="center")
    line.set_fontsize(0.8 * font_size * min(1.0, 0.96 * width / max(length, 1.0)))

    below = round(sample_size * (1.1 * len(rows) + 0.75))
    figure.set_size_inches(width / 100, (height + below) / 100)
    figure.figimage(image, 0, below, origin="upper")
    line.set_position((width / 2, 0.4 * sample_size))
    for k, row in enumerate(rows):
        left = (width - sum(used for *_, used in row) + 0.4 * sample_size) / 2
        middle = below - sample_size * (1.1 * k + 0.55)
        for sample, text, entry in row:
            figure.figimage(sample, round(left), round(middle - sample_size / 2), origin="upper")
            text.set_position((left + 1.1 * sample_size, middle))
            left += entry
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]


def _save_png(path: Path, image: Pixels) -> None:
    from matplotlib.image import imsave

    imsave(path, image, format="png", dpi=200)
