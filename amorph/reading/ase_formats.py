"""What ASE reads for amorph: only formats whose readers open the one file that the user named."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Final

from ase import Atoms
from ase.io import read as ase_read
from ase.io.formats import UnknownFileTypeError, ioformats
from ase.io.utils import ImageIterator
from ase.io.vasp_parsers.vasp_outcar_parsers import OutcarHeaderParser, outcarchunks

from amorph.reading.files import RefusedError, note, text_of
from amorph.reading.symmetry import is_above_p1

READ: Final = frozenset(
    {
        "aims", "aims-output", "castep-geom", "castep-md", "cfg", "crystal", "cube", "dlp4", "dmol-arc", "dmol-car",
        "espresso-out", "gen", "gpumd", "gromacs", "json", "rmc6f", "runnerdata", "siesta-xv", "struct", "traj",
        "v-sim", "vasp-out", "vasp-xml", "xsd", "xsf",
    }
)  # fmt: skip
"""Formats of ASE that are read as ASE reads them. Of the others some open further files (octopus-in, onetep-in, xtd,
res), start a program (castep-cell), are databases or folders, or hold no crystal."""

_COUNTS: Final[Mapping[str, tuple[tuple[str, re.Pattern[bytes]], ...]]] = {
    "cfg": (
        ("atoms", re.compile(rb"Number of particles\s*=\s*(\d+)")),
        ("columns", re.compile(rb"entry_count\s*=\s*(\d+)")),
    ),
    "cube": (("atoms", re.compile(rb"\A[^\n]*\n[^\n]*\n[ \t]*[+-]?(\d+)")),),
    "xsf": (("atoms", re.compile(rb"PRIMCOORD[^\n]*\n\s*(\d+)")),),
}
"""Numbers of which ASE takes memory for as many lines or words before it has seen them."""

_HEAD: Final = 100_000
"""Bytes that the first lines of a CUBE take at most."""


def read_ase(path: Path, index: str, kind: str) -> list[Atoms]:
    """Read frames with ASE, where their format is one that opens no other file.

    Parameters
    ----------
    path
        Plain file.
    index
        "0", "-1" or ":".
    kind
        ASE's name of the format.

    Raises
    ------
    RefusedError
        ASE has a reader for it that is not used; it counts more atoms than it has lines.
    Exception
        Whatever ASE raises on a damaged file.
    """
    if kind not in READ:
        if kind in ioformats and ioformats[kind].can_read:
            raise RefusedError(
                f"has the format {kind} of ASE, which is not read: its reader may open other files, or it holds no "
                "crystal; export its structure first, as extended XYZ"
            )
        raise UnknownFileTypeError(kind)
    if kind == "xsd":
        _check_xsd(path)
    if kind in _COUNTS:
        _check_counts(path, kind)
    if kind == "vasp-xml" and b"</modeling>" not in path.read_bytes()[-200:]:
        note("the run has not ended; its finished steps are read")
    own: dict[str, Callable[[Path, str], Any]] = {"vasp-out": _read_outcar, "traj": _read_traj}
    # The absolute path: ASE takes a relative name that starts with "mysql" for the address of a database.
    file = str(path.absolute())
    read = (
        own[kind](path, index)
        if kind in own
        else ase_read(file, index=index, format=kind, do_not_split_by_at_sign=True)
    )
    return list(read) if isinstance(read, list) else [read]


def _read_outcar(path: Path, index: str) -> list[Atoms]:
    """Read the frames of an OUTCAR; ASE's own reader would take constraints from a CONTCAR or POSCAR beside it."""
    with path.open(encoding="utf-8", errors="replace") as file:
        frames = list(ImageIterator(partial(outcarchunks, header_parser=OutcarHeaderParser()))(file, index=":"))
    return frames if index == ":" else [frames[int(index)]]


def _read_traj(path: Path, index: str) -> Any:
    """Read an ASE trajectory from a map of it: of a file ASE takes memory for as many bytes as a number in it says."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return ase_read(content, index=index, format="traj")


def _check_counts(path: Path, kind: str) -> None:
    """Refuse a number that the file has not as many lines for, each of a sign and an end."""
    content = path.read_bytes()
    for what, pattern in _COUNTS[kind]:
        # a CUBE says it in its first lines, the others in any
        numbers = pattern.findall(content, 0, _HEAD if kind == "cube" else len(content))
        if (most := max(map(int, numbers), default=0)) > (len(content) + 1) // 2:
            raise RefusedError(f"counts {most} {what} and has not as many lines; give a whole file")


def _check_xsd(path: Path) -> None:
    """Refuse an XSD above P 1: ASE reads the atoms that it lists and applies no operation."""
    for attributes in re.findall(r"<SpaceGroup\b([^>]*)", text_of(path)):
        names = dict(re.findall(r'\b(GroupName|LongName)="([^"]*)"', attributes))
        number = re.search(r'\bITNumber="(\d+)"', attributes)
        for name in names.values():
            # ASE writes the word itself as its name
            if name != "GroupName" and is_above_p1(name, int(number[1]) if number is not None else None):
                raise RefusedError(
                    f"has the space group {name}, whose operations are not read of an XSD; give it as P 1"
                )
