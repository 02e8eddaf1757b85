"""How much memory of its device an evaluation in torch needs, known from its counts before anything large is made.

The figures come from the tensors that live at once on a CPU, where nothing is compiled, and a fifth more; no GPU has
been measured.
"""

from collections.abc import Callable

import torch

from amorph.chgnet.gpu.graph import Sizes
from amorph.machine.memory import available_memory

STORED = {"bond": 24_000, "angle": 14_500}
"""Bytes for the way back of a bond (both directions) and an angle, all layers, with features of 4 bytes."""

RECOMPUTED = {"bond": 5_400, "angle": 3_900}
"""The same where only features between layers are kept and one layer at a time is computed again."""

PER_ATOM = 30_000

PER_LISTED_PAIR = 200
"""Bytes of a directed pair within the reach of the lists, and of what is measured on it."""


def needed_bytes(atoms: int, pairs: int, sizes: Sizes, *, itemsize: int, recompute: bool) -> int:
    """Estimate the peak of one evaluation with its gradient, and of its lists."""
    per = RECOMPUTED if recompute else STORED
    bonds = sizes.shorts + sizes.longs
    features = PER_ATOM * atoms + per["bond"] * bonds + per["angle"] * sizes.angles
    return features * itemsize // 4 + PER_LISTED_PAIR * pairs


def free_bytes(device: torch.device) -> int:
    """Return what new tensors may take: what nobody has, and what torch's own cache holds idle.

    The cache of captured graphs does not count: only what they run may lie in it.
    """
    if device.type == "cpu":
        return available_memory()
    index = torch.cuda.current_device() if device.index is None else device.index
    segments = torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]
    own = [part for part in segments if part["device"] == index and tuple(part["segment_pool_id"]) == (0, 0)]
    return int(torch.cuda.mem_get_info(device)[0]) + sum(part["total_size"] - part["active_size"] for part in own)


def choose_recompute(
    device: torch.device, atoms: int, pairs: int, sizes: Sizes, *, itemsize: int, release: Callable[[], None]
) -> bool:
    """Tell whether layers have to be computed again on the way back because what they leave would not fit.

    `release` gives back what captured graphs and torch's cache hold; it is called where the rest is not enough. An
    estimate that is more than what is free even so is refused.
    """

    def fits(recompute: bool) -> bool:
        return needed_bytes(atoms, pairs, sizes, itemsize=itemsize, recompute=recompute) <= free_bytes(device)

    if fits(False):
        return False
    release()
    if not (kept := fits(False)) and not fits(True):
        raise does_not_fit(device, atoms, pairs, sizes, itemsize=itemsize)
    return not kept


def does_not_fit(device: torch.device, atoms: int, pairs: int, sizes: Sizes, *, itemsize: int) -> ValueError:
    """Make the error for structures that are too large for the device."""
    need, free = needed_bytes(atoms, pairs, sizes, itemsize=itemsize, recompute=True), free_bytes(device)
    return ValueError(
        f"{atoms} atoms with {sizes.angles} angles need about {need / 1e9:.1f} GB on {device} for CHGNet and "
        f"{free / 1e9:.1f} GB are free; use a smaller cell, fewer structures at once, or a device with more memory"
    )
