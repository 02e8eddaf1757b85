"""Rows that refer to rows: reading along the references, and adding back along them in a fixed order.

The two are each other's transpose, so each is the other's backward pass. Sums run over rows in a stored order, never
through atomic additions, whose order changes from run to run on a GPU: the same input gives the same bits.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class References:
    """m rows, each of which refers to one of n rows; what lies beyond the last start is padding and never summed."""

    target: Tensor
    """(m,) the row referred to."""
    starts: Tensor | None = None
    """(n + 1,) where the references to each target start, in the order of `order`."""
    order: Tensor | None = None
    """(m,) a permutation that sorts the rows by target; None where they are sorted."""
    ends: Tensor | None = None
    """(n, 2) the two rows that refer to each target, where there are always two; takes the place of `starts`."""


def spread(rows: Tensor, references: References) -> Tensor:
    """Read the row that each reference points to: (n, k) to (m, k)."""
    r = references
    result: Tensor = _Spread.apply(rows, r.target, r.starts, r.order, r.ends)  # type: ignore[no-untyped-call]
    return result


def collect(rows: Tensor, references: References) -> Tensor:
    """Add up the rows that refer to the same target: (m, k) to (n, k)."""
    r = references
    result: Tensor = _Collect.apply(rows, r.target, r.starts, r.order, r.ends)  # type: ignore[no-untyped-call]
    return result


@torch.library.custom_op("amorph::segment_sum", mutates_args=())
def segment_sum(rows: Tensor, starts: Tensor) -> Tensor:
    """Sum consecutive rows, (m, k) to (n, k), the n-th sum from starts[n] to starts[n + 1].

    An operator of its own, because the compiler cannot take torch's apart when sizes are symbols.
    """
    # Unchecked: the checks would copy the starts from the device.
    return torch.segment_reduce(rows, "sum", offsets=starts, axis=0, unsafe=True, initial=0)


def segment_least(values: Tensor, starts: Tensor) -> Tensor:
    """Take the least of consecutive values, (m,) to (n,); infinite where there is none."""
    columns = torch.segment_reduce(values[:, None], "min", offsets=starts, axis=0, unsafe=True, initial=torch.inf)
    return columns[:, 0]


@segment_sum.register_fake
def _(rows: Tensor, starts: Tensor) -> Tensor:
    return rows.new_empty((starts.shape[0] - 1, rows.shape[1]))


def _collected(rows: Tensor, starts: Tensor | None, order: Tensor | None, ends: Tensor | None) -> Tensor:
    if ends is not None:
        return rows.index_select(0, ends[:, 0]) + rows.index_select(0, ends[:, 1])
    assert starts is not None  # references without ends have starts
    return segment_sum(rows.contiguous() if order is None else rows.index_select(0, order), starts)


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, target: Tensor, starts: Tensor | None, order: Tensor | None, ends: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(target, starts, order, ends)
        return rows.index_select(0, target)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        _, starts, order, ends = ctx.saved_tensors
        return _collected(gradients[0], starts, order, ends), None, None, None, None


class _Collect(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, target: Tensor, starts: Tensor | None, order: Tensor | None, ends: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(target, starts, order, ends)
        return _collected(rows, starts, order, ends)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        return gradients[0].index_select(0, ctx.saved_tensors[0]), None, None, None, None
