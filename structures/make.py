"""Write the reference crystals of amorph.tables.crystals into this folder, and the table in its README.

Run ``python structures/make.py`` after changing an entry there. Every CIF holds the space group with its operations,
the asymmetric unit, and the oxidation states.
"""

from fractions import Fraction
from pathlib import Path

import numpy as np

from amorph.tables.crystal import Crystal
from amorph.tables.crystals import CRYSTALS

FOLDER = Path(__file__).parent


def cif(entry: Crystal) -> str:
    """Write the crystal as CIF text."""
    formula = " ".join(f"{element}{n}" for element, n in sorted(entry.atoms().symbols.formula.count().items()))
    lines = [
        f"data_{entry.name}",
        f"_chemical_formula_sum '{formula}'",
        f"_space_group_name_H-M_alt '{entry.symbol}'",
        f"_space_group_IT_number {entry.group}",
    ]
    lines += [f"_cell_length_{axis} {length:.6g}" for axis, length in zip("abc", entry.cell[:3], strict=True)]
    lines += [
        f"_cell_angle_{angle} {value:.6g}"
        for angle, value in zip(("alpha", "beta", "gamma"), entry.cell[3:], strict=True)
    ]
    lines += ["loop_", "_space_group_symop_operation_xyz"]
    lines += [f"'{_operation(*operation)}'" for operation in entry.space_group.get_symop()]
    states = dict.fromkeys((site[0], site[1]) for site in entry.sites)
    lines += ["loop_", "_atom_type_symbol", "_atom_type_oxidation_number"]
    lines += [f"{_ion(*state)} {state[1]}" for state in states]
    lines += ["loop_", "_atom_site_label", "_atom_site_type_symbol"]
    lines += [f"_atom_site_fract_{axis}" for axis in "xyz"] + ["_atom_site_occupancy"]
    for number, (element, charge, *position) in enumerate(entry.sites, start=1):
        coordinates = " ".join(f"{x:.6f}" for x in position)
        lines.append(f"{element}{number} {_ion(element, charge)} {coordinates} 1")
    return "\n".join(lines) + "\n"


def row(entry: Crystal) -> str:
    """Write the crystal as a row of the table in the README."""
    a, b, c, *angles = (f"{value:.6g}" for value in entry.cell)
    lengths = f"{a}, {b}, {c}" if entry.cell[0] != entry.cell[1] else f"{a}, {c}" if a != c else a
    odd = [f"{n} = {v}°" for n, v in zip("αβγ", angles, strict=True) if v not in ("90", "120")]
    return f"| `{entry.name}.cif` | {entry.symbol} | {'; '.join([lengths, *odd])} | {entry.source} | {entry.status} |"


def _operation(rotation: np.ndarray, translation: np.ndarray) -> str:
    """Write a symmetry operation as in ``-x+1/2,y,z``."""
    parts = []
    for row, shift in zip(rotation, translation, strict=True):
        text = "".join(f"{'+' if n > 0 else '-'}{axis}" for n, axis in zip(row, "xyz", strict=True) if n)
        if fraction := Fraction(float(shift)).limit_denominator(12) % 1:
            text += f"+{fraction}"
        parts.append(text.removeprefix("+"))
    return ",".join(parts)


def _ion(element: str, charge: int) -> str:
    if charge == 0:
        return element
    return f"{element}{abs(charge) if abs(charge) > 1 else ''}{'+' if charge > 0 else '-'}"


README = """\
# Reference crystals

Conventional cells for references, checks and quick trials: `amorph bvs structures/TiO2_anatase.cif --ion Mg2+`.
Each file holds the space group with its operations, the asymmetric unit and the oxidation states. The files and this
page are written by `python structures/make.py` from the parameters in `amorph/tables/crystals.py`;
`tests/test_structures.py` checks that they are up to date, that spglib finds the stated space group, and that the
nearest distances make sense.

*verified*: compared with an open copy of the source. *reference*: the value that amorph's own checks are defined with
(docs/validation.md). *corroborated*: another open source agrees within its errors. *unverified*: the source could not
be opened; the values are those commonly quoted from it and only the bond lengths were checked, so compare them with
the source before you rely on a digit.

| file | space group | cell [Å] | source | status |
|---|---|---|---|---|
{rows}
"""


def main() -> None:
    """Write every file of the folder."""
    for entry in CRYSTALS:
        (FOLDER / f"{entry.name}.cif").write_text(cif(entry), encoding="utf-8")
    (FOLDER / "README.md").write_text(readme(), encoding="utf-8")


def readme() -> str:
    """Write the README with its table."""
    return README.format(rows="\n".join(row(entry) for entry in CRYSTALS))


if __name__ == "__main__":
    main()
