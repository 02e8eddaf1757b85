"""Two programs at the same work, alternating in one process: the ratio of their times, round by round."""

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Comparison:
    """One row of a table of speeds."""

    work: str
    """What both did: "200³ map, 834 atoms"."""
    peer: str
    """Against whom, with the number of threads."""
    seconds: float
    """Median of ours [s]."""
    peer_seconds: float
    """Median of the peer's [s]."""
    ratios: tuple[float, ...]
    """The peer's time over ours, one for each round."""
    agreement: str
    """How far the two results differ, measured in the same run."""

    @property
    def ratio(self) -> float:
        """Median over the rounds."""
        return statistics.median(self.ratios)

    def line(self) -> str:
        """Write the row."""
        spread = f"{min(self.ratios):.3g} to {max(self.ratios):.3g}"
        return (
            f"{self.work}: {self.ratio:.3g}× {self.peer} ({spread}); {self.seconds:.4g} s against "
            f"{self.peer_seconds:.4g} s; {self.agreement}"
        )


def compare(
    work: str,
    peer: str,
    ours: Callable[[], Any],
    theirs: Callable[[], Any],
    agreement: Callable[[Any, Any], str],
    *,
    rounds: int = 5,
    repeats: int = 3,
) -> Comparison:
    """Alternate: in each round the peer once, ours `repeats` times (the median counts). Both are warmed up first.

    `agreement` gets both results, raises SystemExit where they are not the same work, and says how near they are.
    """
    ours()
    said = agreement(ours(), theirs())
    pairs = []
    for _ in range(rounds):
        gc.collect()
        peer_seconds = seconds_of(theirs)
        pairs.append((statistics.median(seconds_of(ours) for _ in range(repeats)), peer_seconds))
    return Comparison(
        work,
        peer,
        statistics.median(pair[0] for pair in pairs),
        statistics.median(pair[1] for pair in pairs),
        tuple(theirs_ / ours_ for ours_, theirs_ in pairs),
        said,
    )


def seconds_of(work: Callable[[], Any]) -> float:
    """Time one call, the release of its result left out."""
    started = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - started
    del result
    return seconds


def show(rows: Sequence[Comparison]) -> None:
    """Print the rows."""
    for row in rows:
        print(row.line(), flush=True)
