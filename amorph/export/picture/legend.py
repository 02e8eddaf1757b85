"""What stands below a picture: a legend of plain marks, and a caption."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.isosurface import Mesh
from amorph.analysis.percolation import MigrationPath
from amorph.export.picture.scenes import PATH_HIGH, PATH_LOW, SURFACE, Style

Pixels = NDArray[np.uint8]

_SUPERSCRIPT: Final = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")
_SUBSCRIPT: Final = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_DPI: Final = 100
_OUTLINES: Final = {4: "^", 5: "p", 8: "8"}
"""Marks of polyhedra by their number of corners; others are hexagons, as octahedra are seen."""
_MINUS: Final = "−"


def below(
    image: Pixels,
    styles: Sequence[Style],
    opacity: float,
    mesh: Mesh | None,
    pathway: MigrationPath | None,
    *,
    surface_label: str | None,
    caption: str,
    axes: Mapping[str, tuple[float, float]],
    legend: bool = True,
) -> Pixels:
    """Set a legend and a caption below an image, and the names of the axes into it, where there are any [pixels].

    Polyhedra are drawn by their outline, tetrahedra as triangles and octahedra as hexagons; ions as discs.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.legend_handler import HandlerTuple
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import IdentityTransform

    height, wide, _ = image.shape
    width = max(wide, round(0.6 * height)) if legend else wide  # a narrow picture has room for its legend
    font_size = 0.012 * max(wide, height)  # [points]
    figure = Figure(dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    marks = _marks(styles, opacity, mesh, pathway, surface_label, font_size)

    def extent(drawn: Any) -> Any:
        return drawn.get_window_extent(canvas.get_renderer())  # type: ignore[no-untyped-call]

    line = figure.text(0, 0, caption, fontsize=0.8 * font_size, color="0.35", ha="center", parse_math=False)
    line.set(transform=None, fontsize=0.8 * font_size * min(1.0, 0.9 * width / max(extent(line).width, 1.0)))
    line.set_position((width / 2, font_size))
    if not legend:
        line.remove()
    for columns in range(len(marks) if legend else 0, 0, -1):
        made = figure.legend(
            list(marks.values()),
            list(marks),
            loc="lower center",
            bbox_to_anchor=(width / 2, 2.6 * font_size),
            bbox_transform=IdentityTransform(),
            ncols=columns,
            frameon=False,
            handletextpad=0.7,
            fontsize=font_size,
            handler_map={tuple: HandlerTuple(ndivide=None, pad=0.0)},
        )
        for text in made.get_texts():
            text.set_parse_math(False)
        if columns == 1 or extent(made).width < width:
            break
        made.remove()
    added = round(extent(made).y1 + 0.5 * font_size) if legend else 0
    figure.set_size_inches(width / _DPI, (height + added) / _DPI)
    left = (width - wide) // 2
    figure.figimage(image, left, added, origin="upper")
    halo = [withStroke(linewidth=0.25 * font_size, foreground="white")]
    for name, (x, y) in axes.items():
        at: dict[str, Any] = {"transform": None, "ha": "center", "va": "center", "path_effects": halo}
        figure.text(left + x, added + y, name, fontsize=1.2 * font_size, fontstyle="italic", color="0.1", **at)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]


def _marks(
    styles: Sequence[Style],
    opacity: float,
    mesh: Mesh | None,
    pathway: MigrationPath | None,
    surface_label: str | None,
    font_size: float,
) -> dict[str, Any]:
    """Give the marks of a legend by their labels."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    largest = max(style.size for style in styles)
    marks: dict[str, Any] = {}
    for style in styles:
        share = 1.0 if style.ligands else max(0.55, style.size / largest)
        stopped = 1.0 - (1.0 - opacity) ** 2 if style.ligands else 1.0  # one looks through two faces
        marks[style.label] = Line2D(
            [],
            [],
            linestyle="",
            marker=_OUTLINES.get(style.corners, "h") if style.ligands else "o",
            markersize=1.5 * font_size * share,
            markerfacecolor=(*_unit(style.color), stopped),
            markeredgecolor=_unit(style.color, 0.6),
            markeredgewidth=0.05 * font_size,
        )
    if mesh is not None:
        label = _surface_label(mesh) if surface_label is None else surface_label
        marks[label.replace("-", _MINUS)] = Patch(color=_unit(SURFACE))
    if pathway is not None:
        ends = (Line2D([], [], color=_unit(color), linewidth=0.4 * font_size) for color in (PATH_LOW, PATH_HIGH))
        marks[_path_label(pathway)] = tuple(ends)
    return marks


def describe(atoms: Atoms) -> str:
    """Give formula and cell, for the caption."""
    formula = atoms.get_chemical_formula(mode="metal").translate(_SUBSCRIPT)
    a, b, c, alpha, beta, gamma = atoms.cell.cellpar()
    lengths = f"{a:.2f} Å" if np.allclose([b, c], a, rtol=1e-4) else f"{a:.2f} × {b:.2f} × {c:.2f} Å"
    angles = "" if np.allclose([alpha, beta, gamma], 90, atol=0.05) else f", {alpha:.1f}°, {beta:.1f}°, {gamma:.1f}°"
    return f"{formula}, cell {lengths}{angles}"


def _surface_label(mesh: Mesh) -> str:
    """Say what is constant on a surface, the charge of its ion raised."""
    ion = mesh.ion or ""
    quantity = mesh.quantity.replace(ion, ion.translate(_SUPERSCRIPT))
    return f"{quantity} = {mesh.level:g} {mesh.unit}".strip()


def _path_label(pathway: MigrationPath) -> str:
    best = max(pathway.values, key=lambda value: abs(value - pathway.threshold))
    said = f"path: {best:.3g} (yellow) to {pathway.threshold:.3g} {pathway.unit} (purple)"
    return said.replace("-", _MINUS)


def _unit(color: tuple[int, int, int], shade: float = 1.0) -> tuple[float, float, float]:
    red, green, blue = (shade * part / 255 for part in color)
    return red, green, blue
