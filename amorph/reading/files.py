"""What every reader shares: the check of the file, silence, and one line for what went wrong."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from amorph.structure import periodic_atoms

_TIMES = {"time_ps": float | int, "target_K": float | int, "segment": str}
"""What the trajectories of a run say of each frame, and what they say it by."""
_MAXIMUM_REASON = 160
"""Characters of another project's message that are passed on."""


class RefusedError(Exception):
    """The file was understood, and its content is not taken; the message continues the name of the file."""


def regular_file(path: str | Path) -> Path:
    """Return the path of a file that can be opened and is not empty."""
    path = Path(path)
    try:
        if path.is_dir():
            raise ValueError(f"{path} is a directory; give a file")
        if not path.exists():
            raise ValueError(f"{path} does not exist; check the name")
        if not path.is_file():
            raise ValueError(f"{path} is no regular file; give one")
        with path.open("rb") as file:
            if not file.read(1):
                raise ValueError(f"{path} is empty; give a file with a structure")
    except OSError as error:
        raise ValueError(f"{path} cannot be opened: {error.strerror}") from None
    return path


def too_large(path: Path) -> MemoryError:
    """Return the error for a file whose content does not fit; a lack of memory is no fault of the file's form."""
    return MemoryError(f"{path} takes more memory to read than there is; it is damaged, or needs a larger machine")


def sound(path: Path, atoms: Atoms, where: str = "") -> Atoms:
    """Keep what a stage may use of a file, and refuse what makes no sense."""
    kept = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    try:
        if atoms.has("momenta"):
            if not np.isfinite(atoms.arrays["momenta"]).all():
                raise ValueError("a velocity is not finite; correct it or leave the velocities out")
            kept.set_momenta(atoms.arrays["momenta"])
        if "oxidation_states" in atoms.arrays:
            states = numeric(atoms.arrays["oxidation_states"]).astype(np.float64)
            if states.shape != (len(atoms),) or not np.isfinite(states).all():
                raise ValueError("an oxidation state is not finite; correct it or leave the column out")
            kept.set_array("oxidation_states", states)
        supercell = np.array(atoms.info.get("supercell", 0))
        if supercell.shape == (3, 3) and supercell.dtype.kind == "i":
            kept.info["supercell"] = supercell
        kept.info |= {key: atoms.info[key] for key, kind in _TIMES.items() if isinstance(atoms.info.get(key), kind)}
        return periodic_atoms(kept)
    except ValueError as error:
        raise ValueError(f"{path}: {where}{error}") from None


def numeric(array: Any) -> Any:
    """Return an array of numbers, whatever a file gave."""
    array = np.asarray(array)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"an array of numbers is needed, not of type {array.dtype}")
    return array


@contextmanager
def silence() -> Iterator[None]:
    """Keep the warnings and prints of other projects' readers from the user."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def reason_of(error: BaseException) -> str:
    """Say in one short line what another project's reader raised."""
    lines = str(error).strip().splitlines() or [""]
    text = f"{type(error).__name__}: {lines[0].strip()}" if lines[0].strip() else type(error).__name__
    return text if len(text) <= _MAXIMUM_REASON else text[:_MAXIMUM_REASON] + "…"
