"""The window around a value as a field of half widths, in which the surface of that value itself is inside."""

from dataclasses import replace

import numpy as np

from amorph.analysis.bvs import BvsMap, bvs_map
from amorph.analysis.grids import Task
from amorph.fields import ScalarField
from amorph.parameters import parse


def bond_valence_window(made: BvsMap, *, threads: int | None = None, progress: Task | None = None) -> ScalarField:
    """Give the half width at which each point first lies in the window of a bond-valence map, NaN where excluded.

    The map is summed once more, at excluded points too: beside the spheres the surface passes between these and others.
    `threads` and `progress` are as of :func:`~amorph.analysis.bvs.bvs_map`.
    """
    whole = {**parse(bvs_map, made.field.parameters), "exclusion_radius": 0.0, "anion_exclusion_radius": 0.0}
    whole |= {"grid": made.grid, "threads": threads}
    width = window_width(bvs_map(made.atoms, **whole, progress=progress).signed_mismatch)
    width.values[np.isnan(made.field.values)] = np.nan
    return replace(width, origin=made.field.origin)


def window_width(signed: ScalarField) -> ScalarField:
    r"""Give the half width w at which each point first lies in a window, \|v − V\| ≤ w.

    Where v − V changes sign between two neighbors along an axis, the surface v = V passes between them, and the nearer
    one stands for it: its half width is 0. With \|v − V\| alone the thresholds of a window that contains a surface that
    runs through the crystal would be the spacing of the grid times the slope, where they are 0. Of every cube that the
    surface cuts a corner is inside, and the corners of a cube are neighbors, so the points hang together as it does.

    Parameters
    ----------
    signed
        v − V on any grid; NaN where it has no value.

    Examples
    --------
    The surface cos x = 0.1 fills planes, between the points of the grid:

    >>> values = np.cos(2 * np.pi * np.arange(8) / 8)[:, None, None] * np.ones((8, 8, 8)) - 0.1
    >>> made = window_width(ScalarField(values, np.eye(3) * 8.0, "v − V", "v.u."))
    >>> np.flatnonzero(made.values[:, 0, 0] == 0.0)
    array([2, 6])
    """
    here = np.asarray(signed.values, dtype=np.float64)
    size = np.abs(here)
    width = size.copy()
    for axis in range(3):
        crossed = here * np.roll(here, -1, axis) < 0.0
        next_size = np.roll(size, -1, axis)
        width[crossed & (size <= next_size)] = 0.0
        width[np.roll(crossed & (next_size <= size), 1, axis)] = 0.0
    return replace(
        signed,
        values=width,
        quantity=signed.quantity.removeprefix("signed "),
        kind="bond_valence_mismatch",
    )
