"""A trial of a study on its built cell, before anything is computed."""

from typing import Any

import numpy as np

from amorph.analysis.bvs import bvs_map
from amorph.analysis.bvse import bvse_map
from amorph.analysis.crystallinity import crystallinity
from amorph.analysis.grids import resolve_points
from amorph.analysis.voronoi import free_volume
from amorph.pipeline.figures import void_figures
from amorph.pipeline.study import Study
from amorph.rocksalt import build
from amorph.substitution import substitute


def rehearse(study: Study) -> dict[str, Any]:
    """Try on the built cell what could otherwise fail after hours: the verdict, the exchange, the analyses.

    Returns
    -------
    dict
        The bond-valence parameters that the study comes down to, with their source.

    Raises
    ------
    ValueError
        A stage cannot do what is asked.
    """
    rng = np.random.default_rng(study.seed)
    host = build(**study["build"], rng=rng).atoms
    for table in ("melt_quench", "equilibrate"):
        crystallinity(host, supercell=study[table]["supercell"], anion=study[table]["anion"])
    # Whether new ions find room at a distance from each other shows only in the glass.
    exchanged = substitute(host, **{**study["substitute"], "minimum_distance": 0.0}, rng=rng).atoms
    free_volume(exchanged, **study["free_volume"])
    chosen = study["bvs"]
    for table in ("bvs", "bvse", "voids"):
        if study[table]:
            resolve_points(exchanged.cell.array, study[table]["grid"], study[table]["spacing"])
    bvs = bvs_map(exchanged, **{**chosen, "grid": (2, 2, 2), "spacing": None})
    void_figures(exchanged, chosen["ion"], {**study["voids"], "grid": (8, 8, 8), "spacing": None})
    if study["bvse"]:
        bvse_map(exchanged, **{**study["bvse"], "grid": (2, 2, 2), "spacing": None})
    return {"r0": bvs.r0, "b": bvs.b, "source": bvs.source}
