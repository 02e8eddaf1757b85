"""Bond-valence maps that files hold, made again."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from ase import Atoms

from amorph.analysis.bvs import BvsMap, bvs_map, bvs_map_of
from amorph.fields import ScalarField
from amorph.parameters import parse
from amorph.tables import BondValence, SoftBondValence, parameters_of, parse_ion

QUANTITIES: Final = {
    "bond_valence": "field",
    "bond_valence_mismatch": "mismatch",
    "signed_bond_valence_mismatch": "signed_mismatch",
}
"""What a bond-valence map gives, by the kind of the field."""


def map_again(file: Path, field: ScalarField, atoms: Atoms) -> BvsMap:
    """Make the map again that a file holds, from the structure and the parameters in it, and check that it is the same.

    Surfaces and windows need what the file does not hold, the sums inside the excluded spheres or the sign of a
    mismatch; and a file whose values were edited would be taken for another. A map takes less time than reading it.
    """
    try:
        made = bvs_map(atoms, **{**parse(bvs_map, field.parameters), "grid": field.grid})
    except ValueError as error:
        raise ValueError(f"{file}: its parameters do not make a map: {error}") from None
    # the same sums on another processor differ by 1e-14, in float32 by 1e-6
    tolerance = 1e-9 if field.values.dtype == np.float64 else 1e-4
    values = getattr(made, QUANTITIES[field.kind]).values
    if not np.allclose(values, field.values, rtol=tolerance, atol=tolerance, equal_nan=True):
        raise ValueError(f"{file}: its values are not those that its structure and parameters give; make it again")
    return bvs_map_of(replace(made.field, origin=field.origin), made.atoms)


def origin_pairs(field: ScalarField) -> dict[str, str]:
    """Write what a bond-valence field was made with: its anions or oxidation states, and every bond with its source."""
    said = {"anions": "anions", "charges": "oxidation states"}
    stated = {said[key]: str(text) for key, text in field.origin.items() if key in said}
    return {**stated, **bond_pairs(parameters_of(field.origin))}


def site_energy_pairs(field: ScalarField, atoms: Atoms) -> dict[str, str]:
    """Write what stands still under a site energy, and how deep its Morse terms are: a barrier needs both."""
    element = parse_ion(field.parameters["ion"]).element
    count = int((atoms.symbols == element).sum())
    removed = f"without its {count} {element}" if count else f"every atom: it holds no {element}"
    convention = field.parameters["convention"]
    factor = "the Morse terms whole" if convention == "full" else "the Morse terms halved"
    return {
        "framework": f"rigid, {removed}",
        "convention": f"{convention}: {factor}; cut off at {field.parameters['cutoff']:g} Å without a shift",
    }


def bond_pairs(parameters: Iterable[BondValence]) -> dict[str, str]:
    """Write each bond valence with its source, one pair to a bond."""
    return {f"{each.cation}–{each.anion}": f"{_formula(each)}: {each.source} ({each.set})" for each in parameters}


def _formula(each: BondValence) -> str:
    if isinstance(each, SoftBondValence):
        return f"D0 {each.d0:g} eV, R_min {each.r_min:g} Å, b {each.b:g} Å"
    return f"exp[({each.r0:g} Å − d)/{each.b:g} Å]"
