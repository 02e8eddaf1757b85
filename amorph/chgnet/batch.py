"""Many structures at once: the replicas of an ensemble, each with its own neighbor list."""

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from ase import Atoms

from amorph.chgnet.calculator import CHGNetCalculator, Model, finite
from amorph.chgnet.cpu.engine import Engine
from amorph.chgnet.cpu.memory import MemoryGuard
from amorph.chgnet.guards import check_input


class CHGNetBatch:
    """Evaluate several structures with the weights and tables of one calculator.

    On the numba engine one structure per thread instead of all threads on one structure: small cells waste no time on
    waiting for each other, and the results equal the calculator's to the last bit. On the torch engine all structures
    in one pass over their joined graphs, equal to the calculator's to float32 rounding.

    Parameters
    ----------
    calculator
        The calculator that the structures would have one by one.

    Examples
    --------
    >>> from ase.build import bulk
    >>> batch = CHGNetBatch(CHGNetCalculator("0.3.0", device="cpu"))
    >>> results = batch.evaluate([bulk("MgO", "rocksalt", a=a) for a in (4.0, 4.25, 4.5)], ("energy",))
    >>> min(range(3), key=lambda k: results[k]["energy"])
    1
    """

    def __init__(self, calculator: CHGNetCalculator) -> None:
        self._calculator = calculator
        self._models: list[Model] = []
        self._memory = MemoryGuard()

    def evaluate(self, structures: Sequence[Atoms], properties: Sequence[str] = ("forces",)) -> list[dict[str, Any]]:
        """Compute what is asked for each structure.

        The n-th structure keeps its neighbor list from call to call, so replicas should keep their order.

        Raises
        ------
        ValueError
            A structure has no meaning for CHGNet; its number is named, and the others have no results either.
        """
        for number, atoms in enumerate(structures):
            with _named(number):
                check_input(atoms)
        asked = set(properties)
        if unknown := asked.difference(self._calculator.implemented_properties):
            known = ", ".join(self._calculator.implemented_properties)
            raise ValueError(f"CHGNet computes no {', '.join(sorted(unknown))}; ask for {known}")
        if self._calculator.engine == "torch":
            return self._joined(structures, asked)
        threads = self._calculator.threads
        if structures and self._calculator.engine == "numba":  # each keeps buffers of its own
            volume = sum(float(atoms.cell.volume) for atoms in structures)
            self._memory.check(sum(map(len, structures)), volume, threads=threads)
        while len(self._models) < len(structures):
            model = self._calculator.model
            self._models.append(model.serial_copy() if isinstance(model, Engine) else model)

        def one(number: int) -> dict[str, Any]:
            with _named(number):
                if self._calculator.engine == "chgnet":  # one after the other
                    self._calculator.check_memory(structures[number])
                return finite(self._models[number].evaluate(structures[number], asked), structures[number])

        if threads == 1 or self._calculator.engine != "numba":
            return [one(number) for number in range(len(structures))]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(one, range(len(structures))))

    def _joined(self, structures: Sequence[Atoms], properties: set[str]) -> list[dict[str, Any]]:
        from amorph.chgnet.gpu.engine import TorchEngine

        if not self._models:
            model = self._calculator.model
            assert isinstance(model, TorchEngine)  # named so by the calculator
            self._models.append(model.twin())
        engine = self._models[0]
        assert isinstance(engine, TorchEngine)  # made above
        with _named(0) if len(structures) == 1 else contextlib.nullcontext():
            results = engine.evaluate_many(structures, properties)
        for number, (result, atoms) in enumerate(zip(results, structures, strict=True)):
            with _named(number):
                results[number] = finite(result, atoms)
        return results


@contextmanager
def _named(number: int) -> Iterator[None]:
    """Say in the error of a block which structure it is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"structure {number}: {error}") from None
