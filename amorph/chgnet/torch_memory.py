"""How much memory of its device an evaluation in torch needs, known from its counts before anything large is made."""

import torch

from amorph.chgnet.memory import available_bytes
from amorph.chgnet.torch_graph import Sizes

STORED = {"bond": 24_000, "angle": 14_500}
"""Bytes for the way back of a bond (both directions) and an angle, all layers, with features of 4 bytes."""

RECOMPUTED = {"bond": 9_000, "angle": 6_500}
"""The same where only features between layers are kept and one layer at a time is computed again."""

PER_ATOM = 30_000


def needed_bytes(atoms: int, sizes: Sizes, *, itemsize: int, recompute: bool) -> int:
    """Estimate the peak of one evaluation with its gradient."""
    per = RECOMPUTED if recompute else STORED
    bonds = sizes.shorts + sizes.longs
    return (PER_ATOM * atoms + per["bond"] * bonds + per["angle"] * sizes.angles) * itemsize // 4


def free_bytes(device: torch.device) -> int | None:
    """Return what new tensors may take, or None where the system does not say."""
    if device.type == "cpu":
        return available_bytes()
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def choose_recompute(device: torch.device, atoms: int, sizes: Sizes, *, itemsize: int) -> bool:
    """Tell whether layers have to be computed again on the way back because what they leave would not fit.

    Raises
    ------
    ValueError
        Even so, the estimate is more than what is free.
    """
    free = free_bytes(device)
    if free is None or needed_bytes(atoms, sizes, itemsize=itemsize, recompute=False) <= free:
        return False
    need = needed_bytes(atoms, sizes, itemsize=itemsize, recompute=True)
    if need > free:
        raise ValueError(
            f"{atoms} atoms with {sizes.angles} angles need about {need / 1e9:.1f} GB on {device} for CHGNet and "
            f"{free / 1e9:.1f} GB are free; use a smaller cell, fewer structures at once, or a device with more memory"
        )
    return True
