"""Bond-valence parameters, each row with its source."""

import csv
import functools
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from ase.data import chemical_symbols

from amorph.tables.ions import Ion, parse_ion

_ANY = "any"
_CIF_ANY = 9
"""How a bvparm .cif writes "whatever the oxidation state"."""


@dataclass(frozen=True, slots=True)
class BondValence:
    """Parameters of the bond valence exp[(r0 − d)/b] of one ion and one anion."""

    r0: float
    """Length of a bond of unit valence [Å]."""
    b: float
    """Softness [Å]."""
    source: str
    """Where the values come from."""
    verified: bool
    """Whether the values were confirmed in their first source."""


def bond_valence(ion: str | Ion, anion: str | Ion = "O2-", *, parameters: Path | None = None) -> BondValence:
    """Look up the bond-valence parameters of an ion.

    Parameters
    ----------
    ion
        The ion whose valence is summed: "Mg2+".
    anion
        The anion that it bonds: "O2-", or the bare element.
    parameters
        A bvparm .cif file of the IUCr to read instead of the shipped table. Its first row for a pair counts: the file
        lists the values in decreasing order of reliability.

    Notes
    -----
    Where a table has no row for the oxidation state but one for any oxidation state, that row counts.

    Examples
    --------
    >>> bond_valence("Mg2+").r0, bond_valence("Mg2+").b
    (1.693, 0.37)
    """
    cation = parse_ion(ion) if isinstance(ion, str) else ion
    element, charge = _anion(anion)
    table = _bond_valences() if parameters is None else _read_bvparm(Path(parameters))
    for state in (str(cation.charge), _ANY):
        for (first, first_state, second, second_charge), values in table.items():
            if (first, first_state, second) == (cation.element, state, element) and charge in (None, second_charge):
                return values
    where = "" if parameters is None else f" in {parameters}"
    remedy = (
        "pass r0 and b, or point --parameters at a bvparm .cif"
        if parameters is None
        else "pass r0 and b, or give another file"
    )
    raise ValueError(f"no bond-valence parameters for {cation}–{anion}{where}; {remedy}")


def bond_valence_charges(element: str, anion: str | Ion = "O2-", *, parameters: Path | None = None) -> tuple[int, ...]:
    """List the charges of an element that :func:`bond_valence` has a row of its own for, the lowest first.

    >>> bond_valence_charges("Mo")
    (4, 5, 6)
    """
    second, charge = _anion(anion)
    table = _bond_valences() if parameters is None else _read_bvparm(Path(parameters))
    found = {
        int(state)
        for first, state, other, other_charge in table
        if (first, other) == (element, second) and charge in (None, other_charge) and state != _ANY
    }
    return tuple(sorted(found))


def _anion(anion: str | Ion) -> tuple[str, int | None]:
    if isinstance(anion, Ion):
        return anion.element, anion.charge
    if anion in chemical_symbols[1:]:
        return anion, None
    parsed = parse_ion(anion)
    return parsed.element, parsed.charge


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files("amorph.tables").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@functools.cache
def _bond_valences() -> dict[tuple[str, str, str, int], BondValence]:
    return {
        (row["cation"], row["oxidation_state"], row["anion"], int(row["anion_oxidation_state"])): BondValence(
            float(row["r0_A"]), float(row["b_A"]), row["source"], row["status"] == "verified"
        )
        for row in _rows("bond_valence.csv")
    }


def _read_bvparm(path: Path) -> dict[tuple[str, str, str, int], BondValence]:
    """Read the parameter loop of a bvparm .cif file of the IUCr, the first row of each pair."""
    from ase.io.cif import parse_cif

    wanted = ("atom_1", "atom_1_valence", "atom_2", "atom_2_valence", "ro", "b")
    try:
        with path.open("rb") as file:
            blocks = list(parse_cif(file))
        block = next(block for block in blocks if "_valence_param_ro" in block)
        columns = [block[f"_valence_param_{name}"] for name in wanted]
        references = block.get("_valence_param_ref_id") or ["?"] * len(columns[0])
        table: dict[tuple[str, str, str, int], BondValence] = {}
        for first, state, second, second_state, r0, b, reference in zip(*columns, references, strict=True):
            key = (str(first), _ANY if int(state) == _CIF_ANY else str(int(state)), str(second), int(second_state))
            table.setdefault(key, BondValence(float(r0), float(b), f"{path.name} ref. {reference}", False))
    except OSError as error:
        raise ValueError(f"cannot read the parameter file {path}: {error.strerror}; give a bvparm .cif") from None
    except (KeyError, ValueError, TypeError, IndexError, AssertionError, RuntimeError, StopIteration) as error:
        raise ValueError(
            f"{path} is no bvparm .cif with a _valence_param_ro loop; give the file of the IUCr"
        ) from error
    return table
