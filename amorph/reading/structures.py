"""Structures and trajectories from files: ASE first, pymatgen for what it lacks."""

import json
import re
import warnings
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.cif import CIFBlock, parse_cif
from ase.io.formats import UnknownFileTypeError

from amorph.reading.ase_formats import check_poscar, read_ase, refuse_partial
from amorph.reading.fields import read_field
from amorph.reading.files import RefusedError, reason_of, regular_file, silence, sound, too_large
from amorph.reading.packed import unpacked
from amorph.structure import periodic_atoms

_PYMATGEN = {
    "cif": ("*.cif", "*.mcif"),
    "poscar": ("*poscar*", "*contcar*", "*.vasp", "chgcar*", "locpot*"),
    "cssr": ("*.cssr",),
    "xsf": ("*.xsf",),
}
"""What pymatgen reads, by name. It is given the text and not the file: its readers of files look for others beside it,
and those of JSON and YAML import the modules that the text names."""
_HEAD = 8192
"""Bytes at the start of a file that the choice of the reader looks at."""
_SETTINGS = {"1": 1, "2": 2, "H": 1, "R": 2}
_SYMMETRY_OPERATIONS = re.compile(r"_symop[._]operation_xyz|_symmetry_equiv_pos_as_xyz", re.I)


def read_structure(path: str | Path, *, index: int = -1, elements: Sequence[str] | None = None) -> Atoms:
    """Read one structure from a file that ASE or pymatgen reads; no other file is opened for it.

    Parameters
    ----------
    path
        Structure, trajectory or field file, packed with gzip, bzip2 or xz or not. ASE reads it first (in the formats of
        ``amorph.reading.ase_formats.READ``), pymatgen a CIF, POSCAR, CHGCAR, CSSR or XSF that ASE cannot.
    index
        Frame of a trajectory; −1 is the last.
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
        The file is missing, empty or no structure; a site is partly occupied; or the structure is one that
        :func:`amorph.structure.periodic_atoms` refuses.
    MemoryError
        The file takes more memory to read than there is.
    """
    path = regular_file(path)
    frames = _frames(path, str(index) if index in (0, -1) else ":", elements)
    if index not in (0, -1):
        if not -len(frames) <= index < len(frames):
            raise ValueError(f"{path} has {len(frames)} frames, no frame {index}; give one from 0 to {len(frames) - 1}")
        frames = [frames[index]]
    return sound(path, frames[-1])


def read_trajectory(path: str | Path, *, elements: Sequence[str] | None = None) -> list[Atoms]:
    """Read every frame of a trajectory: ASE or extended XYZ, LAMMPS dump, XDATCAR, vasprun.xml and more.

    Parameters and errors are those of :func:`read_structure`; a file with one structure is a trajectory of one frame.
    """
    path = regular_file(path)
    frames = _frames(path, ":", elements)
    return [sound(path, frame, f"frame {number}: ") for number, frame in enumerate(frames)]


def _frames(path: Path, index: str, elements: Sequence[str] | None) -> list[Atoms]:
    """Read frames with ASE, else with pymatgen, and turn every failure into one line."""
    if path.suffix.lower() == ".npz":
        return [read_field(path)[1]]
    try:
        with silence(), unpacked(path) as whole:
            frames = _read(whole, index, elements)
    except RefusedError as error:
        raise ValueError(f"{path} {error}") from None
    except MemoryError:
        raise too_large(path) from None
    except Exception as error:  # readers of other projects raise what they like on rubbish
        raise ValueError(
            f"{path} is no structure that ASE or pymatgen can read ({reason_of(error)}); "
            "give a CIF, extended XYZ, POSCAR, LAMMPS or other structure file"
        ) from None
    if not frames:
        raise ValueError(f"{path} holds no structure; give a file with one")
    return frames


def _read(path: Path, index: str, elements: Sequence[str] | None) -> list[Atoms]:
    try:
        return _reader(path, elements)(path, index)
    except (RefusedError, MemoryError):
        raise
    except Exception as error:
        try:
            return [_read_with_pymatgen(path)]
        except (RefusedError, MemoryError):
            raise
        except Exception:
            raise error from None  # what ASE says of it is the plainer


_Reader = Callable[[Path, str], list[Atoms]]


def _reader(path: Path, elements: Sequence[str] | None) -> _Reader:
    """Choose the reader by name and first lines."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    name = path.name.lower()
    if b"ITEM: TIMESTEP" in head:
        return lambda path, index: [
            _typed(frame, elements, head) for frame in read_ase(path, index, "lammps-dump-text")
        ]
    if re.search(rb"^\s*\d+\s+atoms\s*(#.*)?$", head, re.M) and re.search(rb"xlo\s+xhi|^.*\savec", head, re.M):
        return lambda path, index: [_typed(frame, elements, head) for frame in read_ase(path, index, "lammps-data")]
    if name.endswith((".cif", ".mcif")):
        return _read_cif
    if name.endswith((".json", ".mson")):
        return _read_json
    return read_ase


def _read_cif(path: Path, index: str) -> list[Atoms]:
    with path.open("rb") as file:
        blocks = [block for block in parse_cif(file) if block.has_structure()]
    if not blocks:
        raise UnknownFileTypeError("no block with atoms")
    chosen = blocks if index == ":" else [blocks[int(index)]]
    return [_cif_atoms(block) for block in chosen]


def _cif_atoms(block: CIFBlock) -> Atoms:
    tags = {str(name): value for name, value in block.items()}
    for name in ("_space_group_name_h-m_alt", "_symmetry_space_group_name_h-m"):
        # ASE knows the origin or axes of "F d -3 m:2" and "R -3 m:H" only as a setting
        symbol, colon, setting = str(tags.get(name, "")).partition(":")
        if colon and setting.strip().upper() in _SETTINGS:
            tags |= {name: symbol.strip(), "_symmetry_space_group_setting": _SETTINGS[setting.strip().upper()]}
    atoms = CIFBlock(block.name, tags).get_atoms()
    refuse_partial(atoms.info.get("occupancy"))
    types = dict(
        zip(
            _column(tags.get("_atom_type_symbol")),
            _column(tags.get("_atom_type_oxidation_number")),
            strict=False,  # the second column is optional
        )
    )
    states = [_state(symbol, types) for symbol in _column(tags.get("_atom_site_type_symbol"))]
    kinds = atoms.arrays.get("spacegroup_kinds")
    if kinds is not None and states and all(state is not None for state in states):
        atoms.set_array("oxidation_states", np.array([states[kind] for kind in kinds], dtype=np.float64))
    return atoms


def _column(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _state(symbol: str, types: dict[str, Any]) -> float | None:
    """Find the oxidation state of a CIF type symbol: in the loop of atom types, else in the symbol ("Ti4+")."""
    if isinstance(listed := types.get(symbol), int | float):
        return float(listed)
    match = re.fullmatch(r"[A-Z][a-z]?(?:(\d*\.?\d*)([+-])|([+-])(\d+))", str(symbol))
    if match is None:
        return None
    return float((match[2] or match[3]) + (match[1] or match[4] or "1"))


def _read_json(path: Path, index: str) -> list[Atoms]:
    """Read a pymatgen structure as plain JSON, or what ASE writes as JSON."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if not (isinstance(content, dict) and {"lattice", "sites"} <= set(content)):
        return read_ase(path, index, "json")
    sites = content["sites"]
    for site in sites:
        if len(site["species"]) != 1 or abs(site["species"][0].get("occu", 1) - 1) > 1e-3:
            listed = ", ".join(f"{species['element']} {species.get('occu', 1):g}" for species in site["species"])
            raise RefusedError(f"has a partly occupied site ({listed}); write an ordered supercell of it first")
    species = [site["species"][0] for site in sites]
    atoms = Atoms(
        [entry["element"] for entry in species],
        scaled_positions=[site["abc"] for site in sites],
        cell=content["lattice"]["matrix"],
        pbc=content["lattice"].get("pbc", True),
    )
    states = [entry.get("oxidation_state") for entry in species]
    if all(state is not None for state in states):
        atoms.set_array("oxidation_states", np.array(states, dtype=np.float64))
    return [atoms]


def _typed(atoms: Atoms, elements: Sequence[str] | None, head: bytes) -> Atoms:
    """Give LAMMPS atom types their elements; ASE takes type 1 for hydrogen."""
    named = re.search(rb"^ITEM: ATOMS.*\b(element|mass)\b|^\s*(Masses|Atom Type Labels)", head, re.M)
    if elements is None:
        if named is None:
            raise RefusedError(
                "names no elements, only LAMMPS types; give the element of each type, as in --elements Li Ti Mo O or "
                "elements=['Li', 'Ti', 'Mo', 'O']"
            )
        return atoms
    types = atoms.arrays.get("type")
    if types is None:
        return atoms
    if unknown := [element for element in elements if atomic_numbers.get(element, 0) == 0]:
        raise RefusedError(f"cannot have the element {unknown[0]!r}; give chemical symbols")
    if not 1 <= types.min() <= types.max() <= len(elements):
        raise RefusedError(
            f"has the LAMMPS types {types.min()} to {types.max()}, but {len(elements)} elements are given"
        )
    atoms.numbers = np.array([atomic_numbers[element] for element in elements])[types.astype(int) - 1]
    return atoms


def _read_with_pymatgen(path: Path) -> Atoms:
    from pymatgen.core import Structure

    name = path.name.lower()
    fits = (kind for kind, patterns in _PYMATGEN.items() if any(fnmatch(name, pattern) for pattern in patterns))
    if (kind := next(fits, None)) is None:
        raise UnknownFileTypeError(name)
    text = path.read_text(encoding="utf-8", errors="replace")
    if kind == "cif" and not _SYMMETRY_OPERATIONS.search(text):
        raise UnknownFileTypeError("pymatgen takes a space group that it does not know for P 1")
    if kind == "poscar":
        check_poscar(text)
        text = re.split(r"\n\s*\n", text, maxsplit=1)[0]  # velocities and densities come after an empty line
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Elements in POSCAR cannot be determined")
        structure = Structure.from_str(text, kind)
    if not structure.is_ordered:
        listed = next(str(site.species_string) for site in structure if not site.is_ordered)
        raise RefusedError(f"has a partly occupied site ({listed}); write an ordered supercell of it first")
    return periodic_atoms(structure)
