"""A trial of a study on its built cell, before anything is computed."""

from typing import Any

import numpy as np
from ase import Atoms

from amorph.analysis.bvs import bvs_map
from amorph.pipeline.order import stages_of
from amorph.pipeline.study import Study


def rehearse(study: Study) -> dict[str, Any]:
    """Try on the built cell what could otherwise fail after hours: the verdict, the exchange, the analyses.

    Returns
    -------
    dict
        The bond-valence parameters that the study comes down to, with their source; of one that only melts, none.

    Raises
    ------
    ValueError
        A stage cannot do what is asked.
    """
    rng = np.random.default_rng(study.seed)
    atoms = Atoms()
    for record in stages_of(study, "start", "melt", "glass", "exchanged"):
        if record.trial is not None:
            atoms = record.trial(study, atoms, rng)
    if study["snapshots"]:
        return {}
    bvs = bvs_map(atoms, **{**study["bvs"], "grid": (2, 2, 2), "spacing": None})
    return {"bond_valence": {"r0": bvs.r0, "b": bvs.b, "source": bvs.source}}
