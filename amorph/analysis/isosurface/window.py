"""Isosurfaces of the maps of an ion."""

from dataclasses import replace
from typing import Any

import numpy as np

from amorph.analysis.bvs import BvsMap, window_field
from amorph.analysis.bvse import BvseMap
from amorph.analysis.isosurface.marching import contour
from amorph.analysis.isosurface.mesh import Mesh
from amorph.fields import ScalarField
from amorph.parameters import Threads, Valence, checked


@checked
def isosurface(
    made: BvsMap | BvseMap,
    *,
    window: Valence | None = None,
    value: float | None = None,
    capped: bool = False,
    threads: Threads | None = None,
) -> Mesh:
    """Find the surface around the points of a map where the ion is at home.

    Of a bond-valence map these are the points that it does not exclude and where abs(v − V) is less than the window.
    The surface closes at excluded points too: it is the zero of :func:`~amorph.analysis.bvs.window_field`. Of site
    energies they are the points below a value; excluded points count as above every value.

    Parameters
    ----------
    made
        The map.
    window
        Half width of the window around the ion's valence [v.u.]; by default the map's. Of a bond-valence map only.
    value
        Site energy on the surface [eV]. Of a map of site energies only, which needs it.
    capped
        Close the surface with flat caps at the cell faces, instead of leaving it periodic.

    Returns
    -------
    Mesh
        Its quantity is the mismatch and its level the window, or the site energy and the value. The shells of a window
        are often thinner than two voxels: the volume that they enclose is better taken from the points of the map.

    Raises
    ------
    ValueError
        A value of a bond-valence map; a window, or no value, of site energies.
    """
    how: dict[str, Any] = {"capped": capped, "threads": threads}
    if isinstance(made, BvseMap):
        if value is None or window is not None:
            given = "no value" if window is None else f"window = {window:g}"
            raise ValueError(
                f"{given}: a surface of site energies needs its value [eV], from {made.minimum:.4g} (the lowest) on"
            )
        return contour(without_gaps(made.field), value, **how)
    if value is not None:
        raise ValueError(f"value = {value:g}: the surface of a bond-valence map has a window; give window")
    window = made.window if window is None else window
    mesh = contour(window_field(made, window=window, threads=threads), 0.0, **how)
    quantity = f"|bond valence sum of {made.ion} − {made.target_valence:g}|"
    return replace(mesh, quantity=quantity, unit="v.u.", level=window)


def without_gaps(field: ScalarField) -> ScalarField:
    """Give points without a value the highest of all, so that surfaces of smaller values close around them.

    Raises
    ------
    ValueError
        No point has a value.
    """
    finite = np.isfinite(field.values)
    if finite.all():
        return field
    if not finite.any():
        raise ValueError(f"the {field.quantity} has no value at any point; give a field that has some")
    return replace(field, values=np.where(finite, field.values, field.values[finite].max()))
