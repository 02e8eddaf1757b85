"""XCrySDen XSF files of scalar fields."""

from pathlib import Path

from ase import Atoms

from amorph.export.fields.order import x_fastest
from amorph.export.fields.text import FILL, write_lines
from amorph.export.whole_files import replacing
from amorph.fields import ScalarField


def write_xsf(path: str | Path, field: ScalarField, atoms: Atoms, *, fill: float = FILL) -> None:
    """Write a field and its structure as an XSF file.

    The format's general grid has lengths in Å, runs through x fastest, and repeats the first point of each axis as
    its last. Values keep their unit and six digits; at points without one (NaN), which the format cannot express,
    stands the finite `fill`.
    """
    cell = ["  ".join(f"{x:17.12f}" for x in vector) for vector in field.cell]
    rows = zip(atoms.numbers, atoms.positions, strict=True)
    name = "_".join(field.quantity.split())
    header = [
        " ".join(f"# {field.quantity} [{field.unit}]".split()),
        f"# written by amorph; lengths in Angstrom; {fill:g} stands for no value (excluded points)",
        "CRYSTAL",
        "PRIMVEC",
        *cell,
        "PRIMCOORD",
        f"{len(atoms)} 1",
        *(f"{number:3d} " + "  ".join(f"{x:17.12f}" for x in position) for number, position in rows),
        "BEGIN_BLOCK_DATAGRID_3D",
        name,
        f"BEGIN_DATAGRID_3D_{name}",
        " ".join(str(n + 1) for n in field.grid),
        "0.0 0.0 0.0",
        *cell,
    ]
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(("\n".join(header) + "\n").encode())
        write_lines(file, x_fastest(field.values, repeat=True), fill=fill)
        file.write(b"END_DATAGRID_3D\nEND_BLOCK_DATAGRID_3D\n")
