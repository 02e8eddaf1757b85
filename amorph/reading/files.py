"""What every reader shares: the check of the file, notes on it, and one line for what went wrong."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from contextvars import ContextVar
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from amorph.structure import periodic_atoms

_TIMES = {"time_ps": Real, "target_K": Real, "segment": str, "time": Real, "timestep": Integral}
"""What the trajectories of a run say of each frame, and those of LAMMPS (a time in whatever its unit is, the number of
the step), and what they say it by."""
_MAXIMUM_REASON = 160
"""Characters of another project's message that are passed on."""
_MOST_NOTES = 8
"""Notes on one file that are shown."""


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
            if states.any():  # all zero is how databases say that they know none
                kept.set_array("oxidation_states", states)
        if "unwrapped_positions" in atoms.arrays:
            unwrapped = numeric(atoms.arrays["unwrapped_positions"]).astype(np.float64)
            if unwrapped.shape != atoms.positions.shape or not np.isfinite(unwrapped).all():
                raise ValueError("an unwrapped position is not finite; correct it or leave the columns out")
            kept.set_array("unwrapped_positions", unwrapped)
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


_log = logging.getLogger(__name__)
_notes: ContextVar[list[str] | None] = ContextVar("notes", default=None)
_FOR_DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ImportWarning, ResourceWarning)


def note(text: str) -> None:
    """Tell something of the file being read that its reader decided, once."""
    notes = _notes.get()
    if notes is not None and text not in notes:
        notes.append(text)


@contextmanager
def aside() -> Iterator[list[str]]:
    """Keep the notes of an attempt apart, so that they are told only if it is the one that counts."""
    notes: list[str] = []
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


@contextmanager
def noted(path: Path) -> Iterator[None]:
    """Show the notes on a file, and what other projects' readers warn of or print, as lines of the log.

    What these say to developers is left out, and of what is said over and over the first lines are shown.
    """
    printed = io.StringIO()
    with (
        aside() as notes,
        warnings.catch_warnings(record=True) as caught,
        redirect_stdout(printed),
        redirect_stderr(printed),
    ):
        warnings.simplefilter("always")
        yield
    said = [str(warning.message) for warning in caught if not issubclass(warning.category, _FOR_DEVELOPERS)]
    lines = [" ".join(text.split()) for text in (*notes, *said, *printed.getvalue().splitlines())]
    unique = list(dict.fromkeys(filter(None, lines)))
    for line in unique[:_MOST_NOTES]:
        _log.warning("%s: %s", path, _short(line))
    if len(unique) > _MOST_NOTES:
        _log.warning("%s: and %d notes more", path, len(unique) - _MOST_NOTES)


def text_of(path: Path) -> str:
    """Read a text whatever its encoding, its lines ended by a line feed."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def reason_of(error: BaseException) -> str:
    """Say in one short line what another project's reader raised."""
    lines = str(error).strip().splitlines() or [""]
    text = f"{type(error).__name__}: {lines[0].strip()}" if lines[0].strip() else type(error).__name__
    return _short(text)


def _short(text: str) -> str:
    return text if len(text) <= _MAXIMUM_REASON else text[:_MAXIMUM_REASON] + "…"
