"""Structures and trajectories from files: who reads what, and one line for whatever is wrong."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ase import Atoms
from ase.io.formats import filetype

from amorph.reading.ase_formats import read_ase
from amorph.reading.cif import read_cif
from amorph.reading.cssr import read_cssr
from amorph.reading.fields import read_field
from amorph.reading.files import RefusedError, regular_file, sound, text_of
from amorph.reading.frames import one_by_one
from amorph.reading.lammps import read_data, read_dump
from amorph.reading.packed import told
from amorph.reading.pdb import read_pdb
from amorph.reading.pymatgen_json import read_pymatgen_json
from amorph.reading.vasp_text import is_vasp_text, read_poscar, read_xdatcar
from amorph.reading.xyz import read_extxyz
from amorph.structure import DisorderedCrystal

_HEAD: Final = 8192
"""Bytes at the start of a file that the choice of the reader looks at."""
_WHAT: Final = "no structure that can be read; give a CIF, extended XYZ, POSCAR, LAMMPS or other structure file"


def read_structure(
    path: str | Path, *, index: int | None = None, block: str | None = None, elements: Sequence[str] | None = None
) -> Atoms:
    """Read one structure from a file; no other file is opened for it.

    Parameters
    ----------
    path
        Structure, trajectory or field file, packed with gzip, bzip2 or xz or not: CIF and PDB (read by gemmi), extended
        XYZ, POSCAR, XDATCAR, LAMMPS, pymatgen's JSON, and what ASE reads (``amorph.reading.ase_formats.READ``).
    index
        Frame of a trajectory, from 0 on, or from the end, −1 (default: the last); structure of a CIF with several.
    block
        Name of the block of a CIF that holds several.
    elements
        Elements of the LAMMPS atom types 1, 2, …, for a dump or data file that does not name them.

    Returns
    -------
    Atoms
        Elements, positions, cell, oxidation states and velocities where the file has them, and ``info["supercell"]``.
        Calculator results, constraints and other data of the file are left out.

    Raises
    ------
    ValueError
        The file is missing, empty or no structure, holds several and none is chosen, or contradicts itself; a site is
        partly occupied; or the structure is one that :func:`amorph.structure.periodic_atoms` refuses.
    MemoryError
        The file takes more memory to read than there is.

    Notes
    -----
    What a reader had to decide (copies of an atom that were merged, an unfinished frame that was left out, hydrogen
    that has no position), and what readers of other projects warn of, is logged as ``amorph.reading``.
    """
    path = regular_file(path)
    wanted = "-1" if index is None else str(index) if index in (0, -1) else ":"
    frames = _frames(path, wanted, elements, block, chosen=index is not None)
    if wanted == ":":
        assert index is not None
        if not -len(frames) <= index < len(frames):
            raise ValueError(f"{path} has {len(frames)} frames, no frame {index}; give one from 0 to {len(frames) - 1}")
        frames = [frames[index]]
    atoms = sound(path, frames[-1])
    atoms.arrays.pop("unwrapped_positions", None)  # where its atoms were before is nothing of a structure
    return atoms


def read_trajectory(
    path: str | Path, *, block: str | None = None, elements: Sequence[str] | None = None
) -> list[Atoms]:
    """Read every frame of a trajectory: ASE or extended XYZ, LAMMPS dump, XDATCAR, vasprun.xml and more.

    Blank lines between frames are skipped; an unfinished last frame is left out with a note; anything else between or
    behind the frames is an error. Parameters and errors are those of :func:`read_structure`; a file with one structure
    is a trajectory of one frame, a CIF one of its blocks.

    A LAMMPS dump with image flags (ix iy iz) or unwrapped coordinates (xu yu zu, xsu ysu zsu) gives
    ``atoms.arrays["unwrapped_positions"]`` too [Å], continuous in time. What it says of when a frame was goes to
    ``atoms.info``: ``timestep``, and ``time`` in the unit of the file.
    """
    path = regular_file(path)
    frames = one_by_one(_frames(path, ":", elements, block, chosen=True))
    return [sound(path, frame, f"frame {number}: ") for number, frame in enumerate(frames)]


def read_disordered(path: str | Path, *, block: str | None = None) -> DisorderedCrystal:
    """Read a crystal whose sites may be shared or partly empty, from a CIF or pymatgen's JSON.

    Parameters
    ----------
    path
        Name of the file, packed or not.
    block
        Name of the block of a CIF that holds several.

    Raises
    ------
    ValueError
        As those of :func:`read_structure`; a file of another format.
    """
    path = regular_file(path)
    with told(path, _WHAT) as whole:
        if (kind := _kind(whole)) == "cif":
            found = read_cif(whole, block)
        elif kind == "json" and (crystals := read_pymatgen_json(text_of(whole))) is not None:
            found = [(str(number), crystal) for number, crystal in enumerate(crystals)]
            if block is not None and not (found := [each for each in found if each[0] == block]):
                raise RefusedError(f"has no structure {block}; give one of 0 to {len(crystals) - 1}")
        else:
            raise RefusedError("gives no occupancies; give a CIF, or a structure of pymatgen as JSON")
        _check_choice(found, chosen=False)
        return found[0][1]


def _frames(path: Path, index: str, elements: Sequence[str] | None, block: str | None, *, chosen: bool) -> list[Atoms]:
    """Read the frames that an index of "0", "-1" or ":" asks for; `chosen` tells whether the user gave it."""
    if path.suffix.lower() == ".npz":
        return [read_field(path)[1]]
    with told(path, _WHAT) as whole:
        frames = _read(whole, index, elements, block, chosen)
    if not frames:
        raise ValueError(f"{path} holds no structure; give a file with one")
    return frames


def _kind(path: Path) -> str:
    """Find the format by name and first lines; of those that ASE reads its name there."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    name = path.name.lower()
    if b"ITEM: TIMESTEP" in head:
        return "lammps-dump-text"
    if re.search(rb"^\s*\d+\s+atoms\s*(#.*)?$", head, re.M) and re.search(rb"xlo\s+xhi|^.*\savec", head, re.M):
        return "lammps-data"
    if name.endswith((".cif", ".mcif")) or re.match(rb"(\s*#[^\n]*\n|\s)*data_\S+\s", head):
        return "cif"
    if name.endswith((".json", ".mson")):
        return "json"
    if name.endswith((".xyz", ".extxyz")):
        return "extxyz"
    if "xdatcar" in name:
        return "vasp-xdatcar"
    if is_vasp_text(name):
        return "vasp"
    if name.endswith(".cssr"):
        return "cssr"
    return str(filetype(str(path.absolute())))


def _read(path: Path, index: str, elements: Sequence[str] | None, block: str | None, chosen: bool) -> list[Atoms]:
    kind = _kind(path)
    if block is not None and kind != "cif":
        raise RefusedError(f"has no blocks, and so none of the name {block}; leave it out")
    if kind == "lammps-dump-text":
        return read_dump(path, index, elements)
    if kind in {"extxyz", "xyz"}:
        return read_extxyz(path, index)
    if kind == "vasp-xdatcar":
        return read_xdatcar(path, index)
    if kind == "lammps-data":
        frames = [read_data(path, elements)]
    elif kind == "vasp":
        frames = [read_poscar(path)]
    elif kind == "cssr":
        frames = [read_cssr(path)]
    elif kind == "proteindatabank":
        frames = read_pdb(path)
    elif kind == "cif":
        found = read_cif(path, block)
        _check_choice(found, chosen=chosen)
        frames = [_whole(crystal) for _, crystal in (found if index == ":" else [found[int(index)]])]
    elif kind == "json" and (crystals := read_pymatgen_json(text_of(path))) is not None:
        frames = [_whole(crystal) for crystal in crystals]
    else:
        return read_ase(path, index, kind)
    return frames if index == ":" else frames[int(index) :][:1]


def _check_choice(found: Sequence[tuple[str, Any]], *, chosen: bool) -> None:
    """Refuse to take one of many structures that are no trajectory, unless it was chosen."""
    if len(found) > 1 and not chosen:
        names = ", ".join(name for name, _ in found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
        raise RefusedError(f"holds {len(found)} structures ({names}); choose one, as in --block {found[0][0]}")


def _whole(crystal: DisorderedCrystal) -> Atoms:
    try:
        return crystal.atoms()
    except ValueError as error:
        raise RefusedError(str(error)) from None
