"""Structures at the public edges: accepted as ASE or pymatgen objects, and refused when they make no sense."""

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import Atoms, units
from ase.data import chemical_symbols
from numpy.typing import NDArray

from amorph.structure.pairs import pair_list

if TYPE_CHECKING:
    from pymatgen.core import Structure


def poscar_order(atoms: Atoms) -> NDArray[np.int64]:
    """Give the indices of the atoms in the order of the POSCAR: by element in order of first appearance.

    >>> poscar_order(Atoms("OMgOMg", positions=np.eye(4, 3)))
    array([0, 2, 1, 3])
    """
    _, first, element = np.unique(atoms.numbers, return_index=True, return_inverse=True)
    return np.argsort(first[element], kind="stable")


G_CM3_PER_U_A3: Final = 1e24 / units.mol
"""Density of one atomic mass unit per Å³ in g/cm³."""
MINIMUM_DISTANCE = 0.5
"""Closest approach of two atoms that is still a structure [Å]; H–H in H2 is 0.74 Å."""
MAXIMUM_LENGTH = 1e6
"""Longest lattice vector or position [Å], a tenth of a millimeter: what is longer is no structure of atoms."""
MINIMUM_HEIGHT = 0.001
"""Closest approach of opposite faces [Å]: through a thinner cell every search for neighbors would run for ever."""

_ALWAYS: Final = frozenset({"N", "O", "F", "Cl", "Br"})
_ANIONS: Final = {
    _ALWAYS: frozenset[str](),
    frozenset({"S", "Se", "Te", "I"}): frozenset({"O", "F"}),
    frozenset({"P", "As"}): _ALWAYS | {"S", "Se", "Te", "I"},
    frozenset({"H"}): _ALWAYS | {"C", "S", "Se", "Te", "I", "P", "As"},
}
"""Elements that form anions, and the elements beside which they are cations instead, as S in a sulfate."""


def periodic_atoms(structure: "Atoms | Structure") -> Atoms:
    """Return a structure as a new, checked, fully periodic ``Atoms`` object.

    Oxidation states of a pymatgen structure go to ``atoms.arrays["oxidation_states"]``.

    Raises
    ------
    ValueError
        No atoms; an atom of no element; not periodic in three directions; a cell of zero volume, thinner than 0.001 Å
        or too elongated; positions or cell that are not finite or beyond 0.1 mm; two atoms closer than 0.5 Å.
    """
    atoms = structure.copy() if isinstance(structure, Atoms) else _from_pymatgen(structure)
    arrays = (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
    key = blake2b(b"".join(array.tobytes() for array in arrays)).digest()
    if key not in _SOUND:
        _check(atoms)
        if len(_SOUND) >= _MOST_SOUND:
            _SOUND.clear()
        _SOUND.add(key)
    return atoms


_MOST_SOUND: Final = 1000
_SOUND: set[bytes] = set()
"""Digests of structures found sound: one that is read and then goes from edge to edge is checked once."""


def _check(atoms: Atoms) -> None:
    """Refuse a structure that makes no sense, by the rules of :func:`periodic_atoms`."""
    refuse_senseless(atoms)
    # The list's bins are as wide as its cutoff, so looking twice as far takes an eighth of the bins.
    close = pair_list(atoms, 2.0 * MINIMUM_DISTANCE)
    if close.d.size and close.d[k := int(np.argmin(close.d))] < MINIMUM_DISTANCE:
        i, j = int(close.i[k]), int(close.j[k])
        raise ValueError(
            f"atoms {i} ({atoms.symbols[i]}) and {j} ({atoms.symbols[j]}) are {close.d[k]:.3f} Å apart; "
            f"at least {MINIMUM_DISTANCE} Å is needed: remove duplicates or check the units"
        )


def refuse_senseless(atoms: Atoms) -> None:
    """Refuse what no pair list can be made of: all that :func:`periodic_atoms` refuses but atoms that are too close.

    Beyond 0.1 mm, or between faces closer than 0.001 Å, the search for neighbors would miss pairs, or not come back.
    """
    if len(atoms) == 0:
        raise ValueError("the structure has no atoms")
    if not atoms.pbc.all():
        raise ValueError(
            f"the structure is periodic along {atoms.pbc.tolist()}; amorph needs all three directions: set pbc=True (a "
            "slab keeps its vacuum in the cell)"
        )
    if (unknown := np.flatnonzero((atoms.numbers < 1) | (atoms.numbers >= len(chemical_symbols)))).size:
        number = atoms.numbers[unknown[0]]
        what = "no known element (X)" if number == 0 else f"the atomic number {number}, which no element has"
        raise ValueError(f"atom {unknown[0]} has {what}; name the element of every atom")
    if not np.isfinite(atoms.cell.array).all():
        raise ValueError(f"the cell is not finite: {atoms.cell.array.tolist()}")
    if (broken := np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))).size:
        raise ValueError(f"the position of atom {broken[0]} ({atoms.symbols[broken[0]]}) is not finite")
    if not atoms.cell.volume > 1e-6:
        raise ValueError(f"the cell has the volume {atoms.cell.volume:g} Å³; give three independent lattice vectors")
    for what, lengths in (
        ("lattice vector", atoms.cell.lengths()),
        ("position of atom", np.linalg.norm(atoms.positions, axis=1)),
    ):
        if lengths[k := int(np.argmax(lengths))] > MAXIMUM_LENGTH:
            raise ValueError(
                f"{what} {k} is {lengths[k]:.2g} Å long; at most {MAXIMUM_LENGTH:g} Å make a structure: check the units"
            )
    heights = 1.0 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
    if heights.min() < MINIMUM_HEIGHT:
        raise ValueError(
            f"opposite faces of the cell are {heights.min():.2g} Å apart; at least {MINIMUM_HEIGHT} Å is needed: "
            "give the reduced cell of a lattice this skewed, or check the units"
        )


def anion_mask(atoms: Atoms) -> NDArray[np.bool_]:
    """Tell which atoms are anions: by their oxidation states, or by their elements in a structure without.

    >>> anion_mask(Atoms("LiPO4")).tolist(), anion_mask(Atoms("GaP")).tolist()
    ([False, False, True, True, True, True], [False, True])
    """
    if "oxidation_states" in atoms.arrays:
        return np.asarray(atoms.arrays["oxidation_states"] < 0)
    symbols = atoms.get_chemical_symbols()
    return np.isin(
        symbols, [e for elements, oxidants in _ANIONS.items() if oxidants.isdisjoint(symbols) for e in elements]
    )


def density_g_cm3(atoms: Atoms) -> float:
    """Mass density of a structure [g/cm³]."""
    return float(atoms.get_masses().sum() / atoms.get_volume() * G_CM3_PER_U_A3)


def to_pymatgen(atoms: Atoms) -> "Structure":
    """Return a structure as a pymatgen ``Structure`` with its oxidation states."""
    from pymatgen.core import Lattice, Species, Structure

    species: list[Any] = list(atoms.get_chemical_symbols())
    if "oxidation_states" in atoms.arrays:
        species = [Species(s, q) for s, q in zip(species, atoms.arrays["oxidation_states"].tolist(), strict=True)]
    return Structure(Lattice(atoms.cell.array), species, atoms.positions, coords_are_cartesian=True)


def _from_pymatgen(structure: Any) -> Atoms:
    if not hasattr(structure, "lattice") or not hasattr(structure, "cart_coords"):
        raise ValueError(f"a {type(structure).__name__} is no structure; give ase.Atoms or pymatgen.core.Structure")
    if not structure.is_ordered:
        raise ValueError("the structure has partial occupancies; order it first")
    atoms = Atoms(
        [site.specie.symbol for site in structure],
        positions=structure.cart_coords,
        cell=structure.lattice.matrix,
        pbc=getattr(structure.lattice, "pbc", (True, True, True)),
    )
    states = [getattr(site.specie, "oxi_state", None) for site in structure]
    if all(state is not None for state in states):
        atoms.set_array("oxidation_states", np.array(states, dtype=np.float64))
    return atoms
