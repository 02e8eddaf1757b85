"""What ASE reads for amorph: only formats whose readers open the one file that the user named."""

from functools import partial
from itertools import islice, takewhile
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Final

from ase import Atoms
from ase.data import atomic_numbers
from ase.io import read as ase_read
from ase.io.formats import UnknownFileTypeError, filetype, ioformats
from ase.io.utils import ImageIterator
from ase.io.vasp_parsers.vasp_outcar_parsers import OutcarHeaderParser, outcarchunks

from amorph.reading.files import RefusedError

READ: Final = frozenset(
    {
        "aims", "aims-output", "castep-geom", "castep-md", "cfg", "cif", "crystal", "cube", "dlp4", "dmol-arc",
        "dmol-car", "espresso-out", "extxyz", "gen", "gpumd", "gromacs", "json", "lammps-data", "lammps-dump-text",
        "proteindatabank", "rmc6f", "runnerdata", "siesta-xv", "struct", "traj", "v-sim", "vasp", "vasp-out",
        "vasp-xdatcar", "vasp-xml", "xsd", "xsf", "xyz",
    }
)  # fmt: skip
"""Formats of ASE that are read. Of the others some open further files (octopus-in, onetep-in, xtd, res), start a
program (castep-cell), are databases or folders, or hold no crystal."""


def read_ase(path: Path, index: str, format: str | None = None) -> list[Atoms]:
    """Read frames with ASE, where their format is one that opens no other file.

    Parameters
    ----------
    path
        Plain file.
    index
        "0", "-1" or ":".
    format
        ASE's name of the format; None lets ASE find it by name and first lines.

    Raises
    ------
    RefusedError
        ASE has a reader for it that is not used; the file names no elements, or has a partly occupied site.
    Exception
        Whatever ASE raises on a damaged file.
    """
    # The absolute path: ASE takes a relative name that starts with "mysql" for the address of a database.
    file = str(path.absolute())
    kind = format or filetype(file)
    if kind not in READ:
        if kind in ioformats and ioformats[kind].can_read:
            raise RefusedError(
                f"has the format {kind} of ASE, which is not read: its reader may open other files, or it holds no "
                "crystal; export its structure first, as extended XYZ"
            )
        raise UnknownFileTypeError(kind)
    if kind == "vasp":
        check_poscar(path.read_text(encoding="utf-8", errors="replace"))
    if kind == "extxyz":
        _check_extxyz(path)
    if kind == "vasp-out":
        read: Any = _read_outcar(path, index)
    elif kind == "traj":
        read = _read_traj(path, index)
    else:
        read = ase_read(file, index=index, format=kind, do_not_split_by_at_sign=True)
    frames = list(read) if isinstance(read, list) else [read]
    for frame in frames:
        refuse_partial(frame.info.get("occupancy"))
    return frames


def _read_outcar(path: Path, index: str) -> list[Atoms]:
    """Read the frames of an OUTCAR; ASE's own reader would take constraints from a CONTCAR or POSCAR beside it."""
    with path.open(encoding="utf-8", errors="replace") as file:
        frames = list(ImageIterator(partial(outcarchunks, header_parser=OutcarHeaderParser()))(file, index=":"))
    return frames if index == ":" else [frames[int(index)]]


def _read_traj(path: Path, index: str) -> Any:
    """Read an ASE trajectory from a map of it: of a file ASE takes memory for as many bytes as a number in it says."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return ase_read(content, index=index, format="traj")


def _check_extxyz(path: Path) -> None:
    """Refuse an extended XYZ file whose frames count more atoms than it has lines: ASE would go on counting."""
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = sum(1 for _ in file)
        file.seek(0)
        for line in file:
            if line.lstrip().startswith("VEC"):
                continue
            if not _is_whole(line):
                return  # an empty line ends the frames, and of any other ASE says what is wrong
            if (atoms := int(line)) > lines:
                raise RefusedError(f"counts {atoms} atoms in a frame and has {lines} lines; give a whole file")
            next(islice(file, max(0, atoms) + 1, max(0, atoms) + 1), None)


def check_poscar(text: str) -> None:
    """Refuse a POSCAR without elements, or with more atoms than lines.

    ASE would look for the elements in an OUTCAR beside it, pymatgen would take H and He; both take memory for as many
    atoms as are counted before they read one.
    """
    rows = text.split("\n")  # only here do lines end for the readers
    counts: list[str] = []
    for row in rows[5:]:
        words = row.split()
        if words and _is_whole(words[0]):
            counts += takewhile(_is_whole, words)  # a comment may follow
        elif counts:
            break
    if (atoms := sum(map(int, counts))) > len(rows):
        raise RefusedError(f"counts {atoms} atoms and has {len(rows)} lines; give a whole file")
    words = rows[5].split() if len(rows) > 5 else []
    named = rows[0].split()[: len(words)]
    if words and _is_whole(words[0]) and not (len(named) == len(words) and set(named) <= set(atomic_numbers)):
        raise RefusedError("names no elements; write their symbols as a line above the numbers of atoms")


def _is_whole(word: str) -> bool:
    """Say whether Python, and so ASE, takes a word for a whole number."""
    try:
        int(word)
    except ValueError:
        return False
    return True


def refuse_partial(occupancy: Any) -> None:
    """Refuse sites that ASE would fill with their most frequent species."""
    for site in (occupancy or {}).values():
        if any(abs(float(share) - 1) > 1e-3 for share in site.values()):
            listed = ", ".join(f"{species} {float(share):g}" for species, share in site.items())
            raise RefusedError(f"has a partly occupied site ({listed}); write an ordered supercell of it first")
