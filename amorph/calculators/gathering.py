"""One batch from several threads: each asks through a calculator of its own, one thread evaluates what all ask."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from ase import Atoms
from ase.calculators.calculator import BaseCalculator, Calculator, all_changes

log = logging.getLogger(__name__)

PATIENCE = 0.05
"""Time that a batch waits for a thread that took part in the last one, beside the duration of that one [s]."""

_ENDED = "the thread that evaluates the batches has ended; run the same command again"


class Batch(Protocol):
    """What evaluates several structures in one call, as :class:`amorph.chgnet.CHGNetBatch` does."""

    def evaluate(self, structures: Sequence[Atoms], properties: Sequence[str]) -> list[dict[str, Any]]:
        """Compute what is asked for each structure."""


@dataclass(eq=False)
class _Request:
    thread: int
    calculator: BaseCalculator
    batch: Batch
    atoms: Atoms
    properties: Sequence[str]
    answer: "Future[dict[str, Any]]" = field(default_factory=Future)


class Gathering:
    """Where threads meet whose structures are evaluated together.

    A batch begins when all have asked that took part in the last one; who does not come in time (it writes files, it
    analyses) is not waited for again until it asks by itself, so no thread can hold up the others. Which structures
    meet in a batch depends on the clock; with a batch that equals one by one to the last bit, the results do not.

    Parameters
    ----------
    threads
        Number of threads that join and leave in all; when the last one has left there is no more to serve.
    """

    def __init__(self, threads: int) -> None:
        self._left = threads
        self._changed = threading.Condition()
        self._asked: list[_Request] = []
        self._expected: set[int] = set()
        self._numbers = itertools.count()
        self._own = threading.local()
        self._duration = 0.0
        self._most: dict[int, int] = {}
        """By batch: how many structures it takes at a time, where it has refused more."""
        self._closed = False

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Take part in the batches for the time of a block, in the thread that asks."""
        self._own.number = next(self._numbers)
        try:
            yield
        finally:
            with self._changed:
                self._left -= 1
                self._expected.discard(self._own.number)
                self._changed.notify_all()

    def calculator(self, calculator: BaseCalculator, batch: Batch) -> "GatheredCalculator":
        """Make a calculator for one thread that stands for `calculator`, through the batch.

        A structure that nobody shares a batch with goes to `calculator` itself.
        """

        def ask(atoms: Atoms, properties: Sequence[str]) -> dict[str, Any]:
            request = _Request(self._own.number, calculator, batch, atoms, properties)
            with self._changed:
                if self._closed:
                    raise RuntimeError(_ENDED)
                self._asked.append(request)
                self._changed.notify_all()
            return request.answer.result()

        return GatheredCalculator(calculator, ask)

    def serve(self) -> None:
        """Evaluate batches, always in the calling thread, until every thread has left."""
        requests: list[_Request] = []
        try:
            while requests := self._next():
                started = time.monotonic()
                for batch in {id(request.batch): request.batch for request in requests}.values():
                    self._answer([request for request in requests if request.batch is batch])
                self._duration = time.monotonic() - started
        finally:
            with self._changed:
                self._closed = True
                for request in [*requests, *self._asked]:
                    if not request.answer.done():
                        request.answer.set_exception(RuntimeError(_ENDED))

    def _next(self) -> list[_Request]:
        """Wait for the next batch; an empty one when every thread has left."""
        with self._changed:
            # In turns, so that a signal is heard in between.
            while not self._changed.wait_for(lambda: self._asked or self._left <= 0, timeout=1.0):
                pass
            self._changed.wait_for(self._complete, timeout=PATIENCE + self._duration)
            requests, self._asked = self._asked, []
            self._expected = {request.thread for request in requests}
        # The n-th structure of a batch keeps its neighbor list, so the threads keep their order.
        return sorted(requests, key=lambda request: request.thread)

    def _answer(self, requests: list[_Request]) -> None:
        """Evaluate structures of one engine and hand each thread its results, or its own error."""
        batch = requests[0].batch
        asked = sorted({name for request in requests for name in request.properties})
        most = self._most.get(id(batch), len(requests))
        for first in range(0, len(requests), most):
            part, refusal = requests[first : first + most], None
            if len(part) > 1:
                try:
                    results = batch.evaluate([request.atoms for request in part], asked)
                except Exception as error:  # of one structure, or of their number: one by one shows which
                    refusal = error
                else:
                    for request, result in zip(part, results, strict=True):
                        request.answer.set_result(result)
                    continue
            faults = [_answer_alone(request) for request in part]
            if refusal is not None and not any(faults):
                self._most[id(batch)] = len(part) // 2
                log.warning(
                    "%d structures cannot be evaluated at once (%s); from now on at most %d are",
                    len(part),
                    " ".join(str(refusal).split()) or type(refusal).__name__,
                    self._most[id(batch)],
                )

    def _complete(self) -> bool:
        return self._expected <= {request.thread for request in self._asked}


def _answer_alone(request: _Request) -> bool:
    """Evaluate one structure and hand its thread the results, or its error; True for an error."""
    calculator: Any = request.calculator
    calculator.results = {}
    try:
        calculator.calculate(request.atoms, list(request.properties), all_changes)
    except Exception as error:
        request.answer.set_exception(error)
        return True
    request.answer.set_result(dict(calculator.results))
    return False


class GatheredCalculator(Calculator):
    """A calculator of one thread whose results come out of a batch: see :class:`Gathering`."""

    def __init__(self, calculator: BaseCalculator, ask: Callable[[Atoms, Sequence[str]], dict[str, Any]]) -> None:
        super().__init__()
        self.stands_for = calculator
        self.implemented_properties = calculator.implemented_properties
        self.weights_sha256: str | None = getattr(calculator, "weights_sha256", None)
        self._ask = ask

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute what is asked; called by ASE."""
        super().calculate(atoms, properties, system_changes)
        self.results.update(self._ask(self.atoms, properties or ["energy"]))
