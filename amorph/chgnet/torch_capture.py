"""Few launches on a GPU: the network compiled, and a whole evaluation captured as one CUDA graph.

Where either cannot be had the log says so once, with the reason, and the evaluation goes on without.
"""

import logging
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

logger = logging.getLogger(__name__)

KEPT = 8
"""Captured graphs kept at once, the last used ones."""


class Compiled:
    """A function compiled for all sizes on a GPU; on a CPU, where a compiler may be missing, the function itself."""

    def __init__(self, function: Callable[..., Any], device: torch.device) -> None:
        self._function = function
        self._device = device
        self._compiled: Callable[..., Any] | None = None
        if device.type == "cuda":
            self._compiled = torch.compile(function, dynamic=True)

    def __call__(self, *inputs: Any) -> Any:
        if self._compiled is None:
            return self._function(*inputs)
        try:
            with warnings.catch_warnings():
                # The compiler warns of its own calls, and advises TF32, which would cost three digits of the forces.
                warnings.simplefilter("ignore")
                return self._compiled(*inputs)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # compilers fail in every way
            logger.warning("CHGNet runs on %s without torch.compile: %s", self._device, _first_line(error))
            self._compiled = None
            return self._function(*inputs)


class Captures:
    """Evaluations captured as CUDA graphs, one for each set of sizes; on a CPU they simply run."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._on = device.type == "cuda"
        self._announced = False
        self._graphs: OrderedDict[Hashable, tuple[torch.cuda.CUDAGraph, Tensor]] = OrderedDict()

    def clear(self) -> None:
        """Drop the graphs; those made before read addresses that are given up."""
        self._graphs.clear()

    def run(self, key: Hashable, evaluation: Callable[[], Tensor]) -> NDArray[np.float64]:
        """Evaluate, and copy the result to the host.

        Parameters
        ----------
        key
            What the shapes inside the evaluation depend on.
        evaluation
            Reads what it needs from the device at addresses that stay the same, and asks the device for nothing.
        """
        if not self._on:
            return _to_host(evaluation())
        with torch.cuda.device(self._device):
            if key not in self._graphs:
                try:
                    self._graphs[key] = self._capture(evaluation)
                except torch.OutOfMemoryError:
                    raise
                except RuntimeError as error:
                    logger.warning(
                        "CHGNet runs on %s without a CUDA graph, with a launch for each operation: %s",
                        self._device,
                        _first_line(error),
                    )
                    self._on = False
                    self._graphs.clear()
                    return _to_host(evaluation())
                if len(self._graphs) > KEPT:
                    self._graphs.popitem(last=False)
            self._graphs.move_to_end(key)
            graph, output = self._graphs[key]
            graph.replay()
            return _to_host(output)

    def _capture(self, evaluation: Callable[[], Tensor]) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        """Run once to compile and to set up libraries, on a stream of its own, then capture."""
        start = time.perf_counter()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        current = torch.cuda.current_stream()
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            evaluation()
        current.wait_stream(stream)
        torch.cuda.synchronize()
        if not self._announced:
            self._announced = True
            logger.info("compiled CHGNet for %s in %.0f s", self._device, time.perf_counter() - start)
        graph = torch.cuda.CUDAGraph()
        # Graphs run one at a time and their results are copied at once, so they can share memory.
        pool = next(iter(self._graphs.values()))[0].pool() if self._graphs else None
        with torch.cuda.graph(graph, pool=pool):
            output = evaluation()
        return graph, output


def _to_host(values: Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = values.cpu().numpy()
    return array


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
