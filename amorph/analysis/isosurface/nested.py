"""Surfaces of one field at several levels, one within the other, for a viewer's slider."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from ase import Atoms

from amorph.analysis.bvs import bvs_map_of
from amorph.analysis.isosurface.marching import contour
from amorph.analysis.isosurface.mesh import Mesh
from amorph.analysis.isosurface.window import isosurface, without_gaps
from amorph.fields import ScalarField

_STEPS: Final = (0.25, 0.5, 0.75, 1.0, 1.25)
"""Levels over the map's own window, or over the distance from the lowest value to where a path opens."""
_SHARES: Final = (0.05, 0.1, 0.2, 0.35, 0.5)
"""Shares of the points below the levels of any other field."""


def nested_surfaces(
    field: ScalarField, atoms: Atoms, *, levels: Sequence[float] | None = None, opens: float | None = None
) -> list[Mesh]:
    """Triangulate a field at several levels.

    Parameters
    ----------
    field
        What is drawn; a bond-valence map by the surfaces around its window, others by surfaces of equal value, where
        points without a value count as higher than every level.
    atoms
        The structure that it was made from.
    levels
        Half widths of the window, or values, in the unit of the field; by default steps up to 5/4 of the map's own
        window, or of the way from the lowest value to `opens`, or such that 5 % to 50 % of the points lie below.
    opens
        Value at which a path runs through the crystal.

    Raises
    ------
    ValueError
        No point has a value; a level that is not finite.
    """
    if field.kind == "bond_valence":
        bvs = bvs_map_of(field, atoms)
        windows = [bvs.window * step for step in _STEPS] if levels is None else levels
        return [isosurface(bvs, window=window) for window in windows]
    whole = without_gaps(field)
    finite = field.values[np.isfinite(field.values)]
    if levels is None and opens is not None:
        low = float(finite.min())
        levels = [low + step * (opens - low) for step in _STEPS]
    elif levels is None:
        levels = np.unique(np.quantile(finite, _SHARES)).tolist()
    return [contour(whole, level) for level in levels]
