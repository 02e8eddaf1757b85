"""The verdict on a trajectory: settled frames, unwrapped positions, and whether it melted."""

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np
from ase import Atoms
from ase.geometry import find_mic

from amorph.analysis.crystallinity.verdict import (
    CRYSTAL_LIMIT,
    Crystallinity,
    _check_same_atoms,
    _checked_frames,
    _parent,
    crystallinity,
)
from amorph.parameters import Fraction, Supercell, checked
from amorph.structure import periodic_atoms

log = logging.getLogger(__name__)

TRAJECTORY_FRAMES: Final = 10
"""Frames at the end of a trajectory over which it is judged, at most."""
SETTLED: Final = 0.1
"""Share of the range of target temperatures within which the end of a run counts as at its last target."""

EMPTY_LAYER_A: Final = 8.0
"""Thickness of a layer without atoms that no solid has [Å]; gaps between the layers of a crystal have half of it."""

WRAPPED_SPAN: Final = 1.25
"""Span of fractional coordinates below which a trajectory counts as wrapped. LAMMPS leaves atoms a little outside."""


@checked
def verdict_of_trajectory(
    frames: Atoms | Sequence[Atoms],
    *,
    supercell: Supercell | None = None,
    anion: str | None = None,
    crystal_limit: Fraction = CRYSTAL_LIMIT,
    start: Atoms | None = None,
) -> Crystallinity:
    """Judge the end of a trajectory: the mean over its last frames, at most ten, or the one structure.

    Where every frame says its target temperature (``info["target_K"]``, as in the trajectories of this package), only
    frames at the end of the schedule count: :func:`settled_frames`. Where not, the last ten do wherever they lie; of a
    sparse trajectory some of them may still be melt, and a crystal that grew in the cooling is seen too faintly.

    Parameters
    ----------
    frames
        A structure, or the frames of a trajectory in order, wrapped or not.
    supercell
        The rocksalt supercell that the structure came from, as :func:`crystallinity` takes it.
    anion
        The anion, as :func:`crystallinity` takes it.
    crystal_limit
        Crystal fraction from which it counts as partly crystalline.
    start
        The structure before the melt. Without it the first frame counts where it is crystalline; where it is not, the
        melting lies before the trajectory and criterion (c) stays unknown.

    Raises
    ------
    ValueError
        As :func:`crystallinity`; a slab, a wire or molecules in vacuum.
    """
    images = _checked_frames(frames)
    _check_bulk(images[-1])
    if start is not None:
        start = periodic_atoms(start)
        _check_same_atoms(start, images[0])
    if supercell is None and (matrix := _parent(images[0] if start is None else start, None)) is not None:
        supercell = matrix.tolist()
    if start is None and len(images) > 1:
        if crystallinity(images[0], supercell=supercell, anion=anion).verdict == "crystalline":
            start = images[0]
        else:
            log.info("the first frame is not crystalline: whether it melted lies before the trajectory")
    if start is not None and _may_be_wrapped(images):
        images = unwrap([start, *images])[1:]
    targets = [atoms.info.get("target_K") for atoms in images]
    known = [float(target) for target in targets if isinstance(target, int | float | np.number)]
    count = settled_frames(known) if len(known) == len(images) else TRAJECTORY_FRAMES
    return crystallinity(images[-count:], supercell=supercell, anion=anion, crystal_limit=crystal_limit, start=start)


def _check_bulk(atoms: Atoms) -> None:
    """Refuse what has a layer of vacuum: the shape of what stands between would pass for a Bragg peak."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
    places = np.sort(atoms.cell.scaled_positions(atoms.positions) % 1.0, axis=0)
    gaps = heights * np.diff(places, axis=0, append=places[:1] + 1.0).max(axis=0)
    if gaps.max() > EMPTY_LAYER_A:
        raise ValueError(
            f"a layer {gaps.max():.1f} Å thick across the {'abc'[int(gaps.argmax())]} axis has no atom: the shape of a "
            "slab or of molecules would pass for order; give a bulk"
        )


def settled_frames(targets_K: Sequence[float]) -> int:
    """Count the frames at the end of a run that show what it made: from one to ten.

    Their target temperatures, and those of all frames after them, differ from the last one by at most a tenth of the
    range of all the targets. Frames of the melt or of the cooling would make a crystal look disordered.
    """
    targets = np.array(targets_K, dtype=float)
    away = np.flatnonzero(np.abs(targets - targets[-1]) > SETTLED * np.ptp(targets))
    settled = len(targets) - (int(away[-1]) + 1 if away.size else 0)
    return min(settled, TRAJECTORY_FRAMES)


def unwrap(frames: Sequence[Atoms]) -> list[Atoms]:
    """Follow the atoms of a wrapped trajectory across the faces of the cell.

    From frame to frame each atom takes its shortest step under the periodicity, measured in fractional coordinates of
    the current cell. Steps must therefore stay below half the cell.
    """
    images = _checked_frames(frames)
    fractional = images[0].cell.scaled_positions(images[0].positions)
    for atoms in images[1:]:
        step = (atoms.cell.scaled_positions(atoms.positions) - fractional) @ atoms.cell.array
        fractional = fractional + atoms.cell.scaled_positions(find_mic(step, atoms.cell, pbc=True)[0])
        atoms.positions = fractional @ atoms.cell.array
    return images


def _may_be_wrapped(frames: list[Atoms]) -> bool:
    """Tell whether all atoms lie in or near one cell; long steps of an unwrapped trajectory must not be shortened.

    Where that cell begins does not matter: a box may be centred on the origin.
    """
    fractional = np.array([atoms.cell.scaled_positions(atoms.positions) for atoms in frames])
    return bool((np.ptp(fractional, axis=(0, 1)) < WRAPPED_SPAN).all())
