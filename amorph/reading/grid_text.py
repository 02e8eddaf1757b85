"""Scalar fields of other programs: CUBE, XSF, and VASP's CHGCAR and its like."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.units import Bohr
from numpy.typing import NDArray

from amorph.fields import FieldKind, ScalarField
from amorph.reading.files import RefusedError, note
from amorph.reading.frames import Lines, Unfinished, numbers_in, plain_numbers, vectors
from amorph.reading.vasp_text import is_vasp_text, poscar_atoms

_QUANTITIES: Final = {
    "LOCPOT": ("local potential", "eV"),
    "ELFCAR": ("electron localization function", ""),
    "CHGCAR": ("charge density", "e/Å³"),
    "AECCAR": ("charge density", "e/Å³"),
    "PARCHG": ("partial charge density", "e/Å³"),
}
"""What VASP's files hold, by the beginning of their names."""
_KINDS: Final[dict[str, FieldKind]] = {
    "bond valence sum of ": "bond_valence",
    "bond valence mismatch of ": "bond_valence_mismatch",
    "signed bond valence mismatch of ": "signed_bond_valence_mismatch",
    "window of the bond valence sum of ": "bond_valence_window",
    "bond valence site energy of ": "site_energy",
    "distance to the nearest ": "distance",
    "radius of the largest sphere ": "pore_radius",
}
"""How the quantities of the kinds begin in files that do not name the kind."""
_OWN: Final = re.compile(r"(.*) \[(.*?)\]( times the volume of the cell; (\S+) = no value; amorph)?\s*$")


def kind_of(quantity: str) -> FieldKind:
    """Tell the kind of a field by its quantity in words."""
    return next((kind for start, kind in _KINDS.items() if quantity.startswith(start)), "other")


def is_grid_text(name: str) -> bool:
    """Tell by its name, packed or not, whether a file may hold a field as text."""
    plain = re.sub(r"\.(gz|bz2|xz)$", "", name, flags=re.I)
    return plain.lower().endswith((".cube", ".cub", ".xsf")) or is_vasp_text(plain)


def holds_grid(path: Path) -> bool:
    """Tell whether a file with such a name, unpacked, holds a grid behind its structure; a CUBE always does."""
    with path.open(encoding="utf-8", errors="replace") as file:
        if path.suffix.lower() == ".xsf":
            return any("DATAGRID_3D" in line for line in file)
        if path.suffix.lower() not in {".cube", ".cub"}:
            lines = Lines(file)
            poscar_atoms(lines)
            return lines.skip_blank() and _is_grid(lines.next())
    return True


def read_grid_text(path: Path) -> tuple[ScalarField, Atoms]:
    """Read a CUBE, an XSF, or a file of VASP that holds a density or potential.

    Raises
    ------
    RefusedError
        It has no grid, or fewer values than the grid has points, or a value that is no number.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        try:
            reader = _READERS.get(path.suffix.lower())
            return _vasp(file, path.name.upper()) if reader is None else reader(file)
        except Unfinished as error:
            raise RefusedError(f"is no whole field: {error}; give a whole file") from None


def _vasp(file: TextIO, name: str) -> tuple[ScalarField, Atoms]:
    """Read the structure, the grid and its values, x fastest; densities come times the volume of the cell."""
    lines = Lines(file)
    title = lines.ahead(1)[0] if lines.skip_blank() else ""
    atoms = poscar_atoms(lines)
    if not lines.skip_blank():
        raise RefusedError("holds a structure and no grid of values; give a CHGCAR, LOCPOT or CUBE")
    grid = _grid(line := lines.next())
    text = file.read()
    values = _values(text, grid).reshape(grid, order="F")
    own = _OWN.match(title) if "amorph" in title else None
    quantity, unit = next((known for start, known in _QUANTITIES.items() if name.startswith(start)), ("field", ""))
    if own is not None:
        quantity, unit = own[1], own[2]
    if not name.startswith(("LOCPOT", "ELFCAR")):
        values = values / atoms.get_volume()
    if own is not None and own[3]:
        values[np.isclose(values, float(own[4]), rtol=1e-5, atol=0.0)] = np.nan
    elif f"\n{line.rstrip()}" in text:
        note(f"holds more grids than one (spins); the first is read, the {quantity} in all")
    return named_field(values, atoms.cell.array, quantity, unit), atoms


def _cube(file: TextIO) -> tuple[ScalarField, Atoms]:
    """Read a CUBE: z fastest, lengths in bohr, or in Å where the numbers of points are negative."""
    lines = Lines(file)
    title, comment = lines.next().strip(), lines.next().strip()
    head = numbers_in(lines.next())
    if len(head) < 4 or not head[0].is_integer():
        raise RefusedError("is no CUBE: its third line has no number of atoms and origin; give another")
    if head[0] < 0 or (len(head) > 4 and head[4] != 1):
        raise RefusedError("holds several values at each point (orbitals); write one of them into a file of its own")
    axes = [numbers_in(lines.next()) for _ in range(3)]
    if any(len(axis) < 4 or not axis[0].is_integer() or not axis[0] for axis in axes):
        raise RefusedError("is no CUBE: its lines 4 to 6 have no number of points and step; give another")
    unit_A = Bohr if axes[0][0] > 0 else 1.0
    grid = (abs(int(axes[0][0])), abs(int(axes[1][0])), abs(int(axes[2][0])))
    cell = np.array([axis[1:4] for axis in axes]) * np.array(grid)[:, None] * unit_A
    rows = lines.rows(int(head[0]))
    numbers = [int(found[0]) if (found := numbers_in(row)) else 0 for row in rows]
    positions = vectors([" ".join(row.split()[2:]) for row in rows], 7) - np.array(head[1:4])
    values = _values(file.read(), grid).reshape(grid)
    if any(head[1:4]):
        note("the origin of the grid is not 0; grid and atoms are moved there together")
    quantity, unit = title or "field", "as in the file"
    if comment.startswith("written by amorph") and (own := _OWN.match(title)) is not None:
        quantity, unit = own[1], own[2]
        values = _without(values, re.search(r"; (\S+) stands for no value", comment))
    return named_field(values, cell, quantity, unit), Atoms(numbers, positions=positions * unit_A, cell=cell, pbc=True)


def _xsf(file: TextIO) -> tuple[ScalarField, Atoms]:
    """Read a periodic XSF: x fastest, lengths in Å, the first point of each axis again as its last."""
    lines = Lines(file)
    said: list[str] = []
    cell, rows = np.empty((0, 3)), None
    while not (line := lines.next().strip()).startswith(("BEGIN_DATAGRID_3D", "DATAGRID_3D")):
        if line.startswith("#"):
            said.append(line.lstrip("# "))
        elif line == "PRIMVEC":
            cell = vectors(lines.rows(3), lines.number - 2)
        elif line == "PRIMCOORD":
            first = lines.number + 2
            rows = lines.rows(int((numbers_in(lines.next()) or [-1])[0]))
    name = line.removeprefix("BEGIN_").removeprefix("DATAGRID_3D_") or "field"
    if rows is None or len(cell) != 3:
        raise RefusedError("has no PRIMVEC and PRIMCOORD before its grid; give the XSF of a crystal")
    parts = [(*row.split(maxsplit=1), "", "")[:2] for row in rows]
    numbers = [int(kind) if kind.isdecimal() else atomic_numbers.get(kind, 0) for kind, _ in parts]
    positions = vectors([place for _, place in parts], first)
    if min(ends := _grid(lines.next())) < 2:
        raise RefusedError(f"has a grid of {ends} points, which repeats no beginning as its end; give a whole file")
    origin, *spans = vectors(lines.rows(4), lines.number - 3)
    if not np.allclose(spans, cell, atol=1e-4):
        raise RefusedError("has a grid over another cell than PRIMVEC; write it over the whole primitive cell")
    text, end, _ = file.read().partition("END_DATAGRID")
    if not end:
        raise Unfinished("it has no END_DATAGRID_3D")
    values = _values(text, ends).reshape(ends, order="F")[:-1, :-1, :-1]
    if np.any(origin):
        note("the origin of the grid is not 0; grid and atoms are moved there together")
    quantity, unit = name.replace("_", " "), "as in the file"
    if len(said) > 1 and said[1].startswith("written by amorph") and (own := _OWN.match(said[0])) is not None:
        quantity, unit = own[1], own[2]
        values = _without(values, re.search(r"; (\S+) stands for no value", said[1]))
    return named_field(values, cell, quantity, unit), Atoms(numbers, positions=positions - origin, cell=cell, pbc=True)


_READERS: Final = {".cube": _cube, ".cub": _cube, ".xsf": _xsf}


def _without(values: NDArray[np.float64], fill: re.Match[str] | None) -> NDArray[np.float64]:
    """Take what stands for no value out."""
    return values if fill is None else np.where(np.isclose(values, float(fill[1]), rtol=1e-5, atol=0.0), np.nan, values)


def named_field(
    values: NDArray[Any],
    cell: NDArray[np.float64],
    quantity: str,
    unit: str,
    parameters: Mapping[str, Any] = {},
    origin: Mapping[str, Any] = {},
) -> ScalarField:
    """Make a field whose kind and ion its quantity tells in words."""
    ion = re.search(r"\b([A-Z][a-z]?\d*[+-])$", quantity)
    named = ion[1] if ion is not None else None
    return ScalarField(values, cell, quantity, unit, dict(parameters), kind_of(quantity), named, dict(origin))


def _is_grid(line: str) -> bool:
    words = line.split()
    return len(words) == 3 and all(word.isdecimal() and int(word) > 0 for word in words)


def _grid(line: str) -> tuple[int, int, int]:
    if not _is_grid(line):
        raise RefusedError("holds a structure and no grid of values; give a CHGCAR, LOCPOT or CUBE")
    nx, ny, nz = map(int, line.split())
    return nx, ny, nz


def _values(text: str, grid: tuple[int, int, int]) -> NDArray[np.float64]:
    if (number := grid[0] * grid[1] * grid[2]) > len(text) // 2 + 1:
        raise RefusedError(f"promises {number} values and is too short for them; give a whole file")
    if re.search(r"\d[dD][+-]?\d", text[:2000]):
        text = plain_numbers(text)
    # numbers end where words begin, as those on the augmentation behind a density
    words = re.search(r"[^\d\s.eE+-]", text)
    try:
        values = np.fromstring(text[: words.start()] if words else text, sep=" ")[:number]
    except ValueError:  # a number that breaks off
        values = np.empty(0)
    if len(values) < number or not np.isfinite(values).all():
        raise RefusedError(
            f"has not the {number} values of its grid, or something that is none among them; give a whole file"
        )
    return values
