"""Isosurfaces of periodic scalar fields."""

from dataclasses import replace

from amorph.analysis.bvs import BvsMap, window_field
from amorph.analysis.isosurface.marching import contour
from amorph.analysis.isosurface.mesh import Mesh
from amorph.parameters import Threads, Valence, checked


@checked
def isosurface(
    bvs: BvsMap, *, window: Valence | None = None, capped: bool = False, threads: Threads | None = None
) -> Mesh:
    """Find the surface around the points of a bond-valence map whose mismatch is within a window.

    The points are those that the map does not exclude and where abs(v − V) is less than the window. The surface closes
    at excluded points too: it is the zero of :func:`~amorph.analysis.bvs.window_field`.

    Parameters
    ----------
    bvs
        The map.
    window
        Half width of the window around the ion's valence [v.u.]; by default the map's.
    capped
        Close the surface with flat caps at the cell faces, instead of leaving it periodic.

    Returns
    -------
    Mesh
        Its quantity is the mismatch, its level the window. The shells are often thinner than two voxels: the volume
        that they enclose is better taken from the points of the map.
    """
    window = bvs.window if window is None else window
    mesh = contour(window_field(bvs, window=window, threads=threads), 0.0, capped=capped, threads=threads)
    quantity = f"|bond valence sum of {bvs.ion} − {bvs.target_valence:g}|"
    return replace(mesh, quantity=quantity, unit="v.u.", level=window)
