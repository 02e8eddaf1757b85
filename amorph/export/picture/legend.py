"""TODO amorph/export/picture/legend.py"""

from typing import Any, Final

import numpy as np
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray

from amorph.analysis.isosurface import Mesh, contour
from amorph.analysis.percolation import MigrationPath
from amorph.analysis.polyhedra import coordination_polyhedra
from amorph.export.picture.rendering import Array, Camera, Scene, render
from amorph.export.picture.scenes import SceneParts, Style
from amorph.fields import ScalarField
from amorph.tables import radius

Pixels = NDArray[np.uint8]

_SUPERSCRIPT: Final = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")
_SUBSCRIPT: Final = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


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
    """Say what is constant on a surface, the charge of its ion raised."""
    ion = mesh.ion or ""
    quantity = mesh.quantity.replace(ion, ion.translate(_SUPERSCRIPT))
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
