"""The window of a bond-valence map as one field: what isosurfaces and regions are drawn and counted from."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from amorph.analysis import grids
from amorph.analysis.bvs.bond import bond_of
from amorph.analysis.bvs.exclusion import Exclusion, slab_filler
from amorph.analysis.bvs.result import BvsMap
from amorph.analysis.distance import fill_distances
from amorph.fields import ScalarField
from amorph.parameters import Count, Valence, checked


@checked
def window_field(bvs: BvsMap, *, window: Valence | None = None, threads: Count | None = None) -> ScalarField:
    r"""Give the continuous field whose zero is the surface of the window of a bond-valence map.

    Parameters
    ----------
    bvs
        The map; the field is on its grid.
    window
        Half width of the window [v.u.]; by default the map's.
    threads
        Threads to work in, by default one for each processor; the result is the same to the last bit.

    Returns
    -------
    ScalarField
        Negative in the window, positive elsewhere, finite everywhere; in the precision of the map.

    Notes
    -----
    :math:`\max(|v - V| - w, r_\mathrm{excl} - d_\mathrm{min})`, with v computed at excluded points too and d_min the
    exact distance to the nearest blocking atom; with two exclusion radii, the largest over both kinds of atom. Where a
    radius is 0 its term is left out. The first term is in v.u., the second in Å: only the zero has a meaning.
    """
    if window is None:
        window = bvs.window
    bond = bond_of(bvs.atoms, bvs.field.parameters)
    cell, item = bvs.field.cell, bvs.field.values.itemsize
    points = grids.resolve_points(cell, bvs.grid, None, bytes_per_point=item)
    layout = grids.make_grid(cell, points)
    exclusion = Exclusion(bvs.exclusion_radius, bvs.anion_exclusion_radius, bvs.blocking)
    blockers, radii = exclusion.of(bvs.atoms, bond)
    kinds = [
        (radius, grids.make_bins(cell, blockers[radii == radius], np.zeros((radii == radius).sum())))
        for radius in np.unique(radii)
        if radius > 0.0
    ]
    values = np.empty(points, bvs.field.values.dtype)
    fill = slab_filler(values[None], layout, [bond], np.empty((0, 3)), np.empty(0), [window])

    def work(first: int, slab: NDArray[Any]) -> None:
        fill(first, slab)
        slab -= bond.target_valence
        np.abs(slab, out=slab)
        slab -= window
        distances = np.empty_like(slab)
        for radius, bins in kinds:
            fill_distances(first, distances, layout, bins)
            np.maximum(slab, np.subtract(radius, distances, out=distances), out=slab)

    grids.over_slabs(values, work, threads)
    quantity = f"window of the bond valence sum of {bvs.ion}"
    arguments = {**bvs.field.parameters, "window": window}
    return ScalarField(values, cell, quantity, "v.u. or Å", arguments, "bond_valence_window", bvs.ion, bvs.field.origin)
