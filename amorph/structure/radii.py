"""The radius of every atom of a structure: from a named set, or from numbers by ion or element."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.parameters import Meaning, NonNegativeLength
from amorph.tables import Ion, radius

Radii = Annotated[
    str | Mapping[str, NonNegativeLength],
    Meaning(
        "Radii of spheres around the atoms: the name of a set (`shannon_ionic` needs ``oxidation_states``, "
        "`cordero_covalent` does not), or numbers [Å] by ion or element. By default the atoms are points."
    ),
]


def atomic_radii(atoms: Atoms, radii: Radii) -> NDArray[np.float64]:
    """Find the radius of every atom [Å]; where the structure carries ``oxidation_states``, that of its ion.

    Raises
    ------
    ValueError
        No radius for an atom, or several of which the oxidation state would choose one.

    Examples
    --------
    >>> atomic_radii(Atoms("MgO"), {"Mg": 0.72, "O": 1.4}).tolist()
    [0.72, 1.4]
    """
    states: list[float | None] = [None] * len(atoms)
    if "oxidation_states" in atoms.arrays:
        states = atoms.arrays["oxidation_states"].astype(float).tolist()
    kinds = list(zip(atoms.symbols, states, strict=True))
    values = {
        (element, state): radius(radii, element, state) if isinstance(radii, str) else _given(radii, element, state)
        for element, state in dict.fromkeys(kinds)
    }
    return np.array([values[kind] for kind in kinds])


def _given(radii: Mapping[str, float], element: str, state: float | None) -> float:
    name = Ion(element, int(state)).name if state is not None and state == int(state) != 0 else element
    for key in (name, element):
        if key in radii:
            return radii[key]
    raise ValueError(f"no radius for {name} among {', '.join(radii) or 'none'}; give one for every species [Å]")
