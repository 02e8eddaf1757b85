"""CIF and magnetic CIF, read by gemmi and held against what they say of themselves."""

import gc
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from math import isnan, nan
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms

from amorph.reading.files import RefusedError, aside, note, text_of
from amorph.reading.frames import plain_numbers
from amorph.reading.labels import species_of
from amorph.reading.rows import Operations, Row
from amorph.reading.sites import cell_of, crystal_of
from amorph.reading.symmetry import check_whole, composed, group_operations, operations_from
from amorph.structure import DisorderedCrystal, Share, pair_list

_OPERATIONS: Final = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_NAMES: Final = (
    "_space_group_name_h-m_alt", "_symmetry_space_group_name_h-m", "_space_group_name_h-m_full",
    "_space_group_magn_name_bns",
)  # fmt: skip
_HALLS: Final = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
_NUMBERS: Final = ("_space_group_it_number", "_symmetry_int_tables_number")
_SUMS: Final = ("_chemical_formula_sum",)
_CELL: Final = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_FORMULA: Final = re.compile(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+)?")
_ROUNDED: Final = 0.02
"""Share of an element by which rounded occupancies may miss the formula."""

Tags = dict[str, list[str]]


def read_cif(path: Path, block: str | None = None) -> list[tuple[str, DisorderedCrystal]]:
    """Read the structures of a CIF, each with the name of its block.

    Parameters
    ----------
    path
        Name of the file.
    block
        Name of one block; None reads all that hold a structure.

    Raises
    ------
    RefusedError
        It is no CIF, has no such block, or contradicts itself.
    """
    import gemmi

    try:
        document = gemmi.cif.read_string(text_of(path))
    except (ValueError, RuntimeError) as error:
        raise RefusedError(f"is no CIF: {str(error).removeprefix('string:')}; correct it there") from None
    blocks = {found.name: tags for found in document if _SITES & (tags := _tags(found)).keys()}
    if not blocks:
        raise RefusedError("has no block with atoms; give a CIF with a structure")
    if block is not None and block not in blocks:
        raise RefusedError(f"has no structure of the name {block}; it has {', '.join(list(blocks)[:8])}")
    chosen = blocks if block is None else {block: blocks[block]}
    found = []
    for name, tags in chosen.items():
        try:
            with _uncollected():
                found.append((name, _crystal(tags)))
        except RefusedError as error:
            raise error if len(blocks) == 1 else RefusedError(f"(block {name}) {error}") from None
    return found


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from searching millions of rows for cycles again and again; they have none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


_SITES: Final = {"_atom_site_fract_x", "_atom_site_label", "_atom_site_type_symbol"}


def _tags(block: Any) -> Tags:
    """Give the values of a block by name, each as a column; names in small letters, without the dots of CIF 2."""
    import gemmi

    tags: Tags = {}
    for item in block:
        if item.pair is not None:
            names, values = [item.pair[0]], [item.pair[1]]
        elif item.loop is not None:
            names, values = list(item.loop.tags), list(item.loop.values)
        else:
            continue
        for k, name in enumerate(names):
            column = [gemmi.cif.as_string(value) for value in values[k :: len(names)]]
            tags.setdefault(name.lower().replace(".", "_"), column)
    return tags


def _first(tags: Tags, names: Sequence[str]) -> str:
    """Find the first of some items that has a value; of the name of a group, of its number."""
    return next((tags[name][0] for name in names if tags.get(name) and tags[name][0] not in {"", "?", "."}), "")


def number_of(text: str) -> float:
    """Read a number of a CIF: with its uncertainty, with Fortran's exponent, or as a fraction; NaN where it is none.

    >>> number_of("0.2624(3)"), number_of("1/4"), number_of("2.5D-1"), number_of("?")
    (0.2624, 0.25, 0.25, nan)
    """
    try:
        return float(text)
    except ValueError:
        plain = plain_numbers(re.sub(r"\(\d*\)$", "", text.strip()))
        fraction = re.fullmatch(r"([+-]?\d+)/0*([1-9]\d*)", plain)
        with suppress(ValueError):
            return int(fraction[1]) / int(fraction[2]) if fraction is not None else float(plain)
    return float("nan")


def _crystal(tags: Tags) -> DisorderedCrystal:
    if float(_first(tags, ("_cell_modulation_dimension",)).strip("'") or 0) or any("_ssg_" in name for name in tags):
        raise RefusedError("is a modulated structure, whose average is none of atoms; give a supercell of it")
    parameters = [number_of(_first(tags, (f"_cell_{name}",))) for name in _CELL]
    cell = cell_of(parameters)
    rows = _rows(tags)
    choices, names = _symmetry(tags, parameters[3:])
    attempts, refused = [], []
    for choice, name in zip(choices, names, strict=True):
        try:
            with aside() as notes:
                crystal, spread = crystal_of(rows, choice, cell)
                rank = _implausibility(crystal, spread, tags) if len(choices) > 1 else ()
        except RefusedError as error:  # of one origin its atoms may share a site
            refused.append(error)
        else:
            attempts.append((rank, name, notes, crystal))
    if not attempts:
        raise refused[0]
    _, name, notes, crystal = min(attempts, key=lambda attempt: attempt[0])
    if len(choices) > 1:
        note(f"the symbol leaves the origin open; {name} is taken, which fits the atoms best")
    for text in notes:
        note(text)
    _hold_against_formula(crystal, tags)
    return crystal


def _symmetry(tags: Tags, angles: Sequence[float]) -> tuple[list[Operations], list[str]]:
    """Find the operations of a block, and where its symbol leaves the origin open both choices."""
    name = _first(tags, _NAMES)
    figure = _first(tags, _NUMBERS)
    number = int(figure) if figure.isdigit() and 0 < int(figure) <= 230 else None
    magnetic = _listed(tags, ("_space_group_symop_magn_operation_xyz",))
    if magnetic:
        centrings = operations_from(_listed(tags, ("_space_group_symop_magn_centering_xyz",)))
        operations = composed(operations_from(magnetic), centrings)
        named = _first(tags, ("_space_group_magn_number_bns",)).split(".")[0]
        # 1.1 to 1.3 are the magnetic groups of P 1; those of others may have fewer operations than that of the number
        check_whole(operations, "", "", int(named) if named.isdigit() and len(operations) == 1 else None, angles)
        return [operations], [name]
    if _first(tags, ("_space_group_magn_number_bns", "_space_group_magn_name_bns")):
        raise RefusedError("names a magnetic space group and none of its operations; give a file that lists them")
    if listed := _listed(tags, _OPERATIONS):
        operations = operations_from(listed)
        check_whole(operations, _first(tags, _HALLS), name, number, angles)
        return [operations], [name]
    return group_operations(_first(tags, _HALLS), name, number, angles)


def _listed(tags: Tags, names: Sequence[str]) -> list[str]:
    return [text for name in names for text in tags.get(name, []) if text not in {"", "?", "."}]


def _rows(tags: Tags) -> list[Row]:
    """Read the atoms of a block; rows of dummies and of occupancy 0 are left out."""
    xyz = [tags.get(f"_atom_site_fract_{axis}", []) for axis in "xyz"]
    number = len(tags.get("_atom_site_label") or tags.get("_atom_site_type_symbol") or [])
    if any(len(column) != number for column in xyz):
        raise RefusedError("gives its atoms no fractional coordinates; write _atom_site_fract_x, _y and _z")
    blank = [""] * number
    labels = tags.get("_atom_site_label", blank)
    symbols = tags.get("_atom_site_type_symbol", blank)
    occupancies = tags.get("_atom_site_occupancy", blank)
    flags = tags.get("_atom_site_calc_flag", blank)
    assemblies = tags.get("_atom_site_disorder_assembly", blank)
    groups = tags.get("_atom_site_disorder_group", blank)
    listed = zip(tags.get("_atom_type_symbol", []), tags.get("_atom_type_oxidation_number", []), strict=False)
    states = {symbol: number_of(state) for symbol, state in listed}
    rows, left_out = [], []
    formula = frozenset(element for element, _ in _FORMULA.findall(_first(tags, _SUMS)))
    columns = zip(labels, symbols, occupancies, flags, assemblies, groups, *xyz, strict=True)
    for label, symbol, occupancy, flag, assembly, group, *position in columns:
        filled = 1.0 if occupancy in {"", "?", "."} else number_of(occupancy)
        if flag.lower() == "dum" or filled == 0:
            left_out.append(label or symbol)
            continue
        if not 0 < filled < 2:
            raise RefusedError(f"gives {label or symbol} the occupancy {occupancy}; it must lie between 0 and 1")
        element, state = species_of(label, symbol, formula)
        if not isnan(known := states.get(symbol, nan)):
            state = known
        x, y, z = map(number_of, position)
        share = Share(element, filled, state, label or symbol)
        rows.append(Row(share, (x, y, z), _named_group(assembly), _named_group(group)))
    if left_out:
        note(
            f"left out: {', '.join(left_out[:5])}{' and more' if len(left_out) > 5 else ''}, of occupancy 0 or dummies"
        )
    if not rows:
        raise RefusedError("has no block with atoms; give a CIF with a structure")
    return rows


def _named_group(text: str) -> str:
    """Give the name of an assembly or group; a group 0 is none, as of what is not disordered."""
    return "" if text in {"", "?", ".", "0"} else text


def _implausibility(crystal: DisorderedCrystal, spread: float, tags: Tags) -> tuple[bool, bool, int, float]:
    """Rank a choice of the origin: by the formula, copies of an atom that lie apart, number of atoms, distances."""
    wrong = False
    if (formula := _formula(tags)) is not None:
        wrong = _mismatch(_content(crystal), _slack(crystal), *formula)[0]
    positions = crystal.positions
    atoms = Atoms(numbers=np.ones(len(positions), dtype=int), scaled_positions=positions, cell=crystal.cell, pbc=True)
    shortest = next((float(d.min()) for cutoff in (1.0, 4.0) if (d := pair_list(atoms, cutoff).d).size), 4.0)
    return wrong, spread > 0.05 or shortest < 0.9, len(atoms), -shortest


def _content(crystal: DisorderedCrystal) -> dict[str, float]:
    """Give the number of each element in the cell, by occupancy where it is disordered."""
    content: dict[str, float] = {}
    for site in crystal.sites:
        whole = site.is_whole
        for share in site.shares[:1] if whole else site.shares:
            occupancy = 1.0 if whole else share.occupancy
            content[share.element] = content.get(share.element, 0.0) + occupancy * len(site.positions)
    for each in (each for assembly in crystal.assemblies for each in assembly.alternatives):
        for share in each.shares:
            content[share.element] = content.get(share.element, 0.0) + each.occupancy * len(each.positions)
    return content


def _slack(crystal: DisorderedCrystal) -> float:
    """Give the share by which rounded occupancies may miss the formula; none of an ordered crystal."""
    return _ROUNDED if crystal.partial else 0.0


def _formula(tags: Tags) -> tuple[dict[str, float], dict[str, float], float | None] | None:
    """Read the formula of a block: number and uncertainty by element, and Z; None where there is none."""
    text = _first(tags, _SUMS).strip("'\" ")
    if not text:
        return None
    parts = _FORMULA.findall(text)
    if "".join(element + figure for element, figure in parts) != re.sub(r"\s", "", text):
        note(f"the formula '{text[:60]}' cannot be read, and the atoms are not held against it")
        return None
    numbers: dict[str, float] = {}
    doubts: dict[str, float] = {}
    for element, figure in parts:
        symbol = "H" if element == "D" else element
        numbers[symbol] = numbers.get(symbol, 0.0) + float(figure or 1)
        doubts[symbol] = 10.0 ** -len(figure.partition(".")[2]) if "." in figure else 0.0
    z = number_of(_first(tags, ("_cell_formula_units_z",)))
    return numbers, doubts, z if z > 0 else None


def _mismatch(
    content: dict[str, float], slack: float, numbers: dict[str, float], doubts: dict[str, float], z: float | None
) -> tuple[bool, bool]:
    """Tell whether a content contradicts a formula, and whether it merely lacks hydrogen."""

    def differs(z: float, elements: set[str]) -> bool:
        return any(
            abs(content.get(element, 0) - z * numbers.get(element, 0.0))
            > z * doubts.get(element, 0.0) + slack * content.get(element, 0) + 1e-6
            for element in elements
        )

    # Some programs write the content of the cell as the formula, and the Z of the reduced one.
    whole = np.gcd.reduce([round(number) for number in numbers.values()]) if not any(doubts.values()) else 0
    elements = (content.keys() | numbers.keys()) - {"H"}
    free = {content[e] / numbers[e] for e in elements if e in content and numbers.get(e)} or {1.0}
    for number in free if z is None else {z, 1.0} if z == whole else {z}:
        if not differs(number, elements):
            lacks = content.get("H", 0) * (1.0 + slack) < number * numbers.get("H", 0.0) - 1e-6
            return differs(number, {"H"}) and not lacks, lacks
    return True, False


def _hold_against_formula(crystal: DisorderedCrystal, tags: Tags) -> None:
    if (formula := _formula(tags)) is None:
        return
    numbers, _, z = formula
    content = _content(crystal)
    wrong, lacks = _mismatch(content, _slack(crystal), *formula)
    found = " ".join(f"{element}{number:.6g}" for element, number in content.items())
    said = " ".join(f"{element}{number:g}" for element, number in numbers.items()) + (f", Z = {z:g}" if z else "")
    if wrong:
        raise RefusedError(
            f"has {found} in its cell and gives the formula {said}; correct the formula, or the operations and atoms"
        )
    if lacks:
        note(f"the cell has {found}, the formula is {said}: hydrogen has no positions in the file")
