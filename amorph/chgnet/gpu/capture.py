"""Few launches on a GPU: the network compiled, and a whole evaluation captured as one CUDA graph.

Where either cannot be had the log says so once, with the reason, and the evaluation goes on without.
"""

import contextlib
import logging
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

logger = logging.getLogger(__name__)

KEPT = 12
"""Kinds of evaluation that are remembered of the same inputs, the last used ones.

The counts, and the eight rooms of three sizes that each go up and down across the end of a bucket, with some to spare.
"""


class Compiled:
    """A function compiled for all sizes on a GPU; on a CPU, where a compiler may be missing, the function itself.

    Not in float64 (`wanted`): the few structures that need it would wait for a compiler in the middle of a run.
    """

    def __init__(self, function: Callable[..., Any], device: torch.device, *, wanted: bool = True) -> None:
        self._function = function
        self._device = device
        self._compiled: Callable[..., Any] | None = None
        self._announced = False
        if wanted and device.type == "cuda":
            self._compiled = torch.compile(function, dynamic=True, options=_options())

    @property
    def compiled(self) -> bool:
        """Whether there is a compiler, until it fails."""
        return self._compiled is not None

    def __call__(self, *inputs: Any) -> Any:
        if self._compiled is None:
            return self._function(*inputs)
        # Sizes that break an assumption of the first call are compiled for again, so every call has its settings.
        started = time.perf_counter()
        for rows in inputs:
            if isinstance(rows, Tensor) and rows.dim() == 2:  # any number of them, but all as wide
                torch._dynamo.mark_static(rows, 1)
        try:
            with warnings.catch_warnings(), _sizes_of_their_own():
                # The compiler warns of its own calls, and advises TF32, which would cost three digits of the forces.
                warnings.simplefilter("ignore")
                result = self._compiled(*inputs)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # compilers fail in every way
            logger.warning("CHGNet runs on %s without torch.compile: %s", self._device, _first_line(error))
            self._compiled = None
            return self._function(*inputs)
        if not self._announced:
            logger.info("compiled CHGNet for %s in %.0f s", self._device, time.perf_counter() - started)
        self._announced = True
        return result


def _options() -> dict[str, Any]:
    """Ask for the same kernels in every process, where this torch can do that; else it times them and takes one."""
    import torch._inductor.config

    return {"deterministic": True} if hasattr(torch._inductor.config, "deterministic") else {}


def _sizes_of_their_own() -> contextlib.AbstractContextManager[None]:
    """Do not compile for two sizes being equal because they are so the first time."""
    import torch.fx.experimental._config

    config: Any = torch.fx.experimental._config
    patched: contextlib.AbstractContextManager[None] = config.patch(use_duck_shape=False)
    return patched


class Captures:
    """Evaluations captured as CUDA graphs; on a CPU they simply run.

    One for all engines of a device that share their weights: they share memory, and what fails for one is not tried
    again by the others.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._on = device.type == "cuda"
        self._stream: torch.cuda.Stream | None = None
        self._graphs: WeakKeyDictionary[Any, OrderedDict[Hashable, tuple[torch.cuda.CUDAGraph, Tensor] | None]]
        self._graphs = WeakKeyDictionary()
        self._too_large: WeakKeyDictionary[Any, set[Hashable]] = WeakKeyDictionary()

    @property
    def on(self) -> bool:
        """Whether evaluations are captured: on a GPU, until that fails."""
        return self._on

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """Work on the device, on the one stream that evaluations are tried and captured on.

        Libraries keep memory for each stream that they have seen, and what they set up on the first run is there when
        the second is captured.
        """
        if self._device.type != "cuda":
            yield
            return
        with torch.cuda.device(self._device):
            if self._stream is None:
                self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                yield

    def clear(self) -> None:
        """Drop all graphs and give back the memory of the device that nothing uses."""
        self._graphs.clear()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def run(self, inputs: Any, kind: Hashable, evaluation: Callable[[], Tensor]) -> NDArray[np.float64]:
        """Evaluate, within `stream`, and copy the result to the host; the second time of a kind is captured.

        Parameters
        ----------
        inputs
            What the evaluation reads, at addresses that stay the same; its graphs go when it goes.
        kind
            What the shapes inside the evaluation depend on.
        evaluation
            Asks the device for nothing.

        Raises
        ------
        torch.OutOfMemoryError
            Memory is exhausted, and not by a capture alone.
        """
        if not self._on:
            return _to_host(evaluation())
        graphs = self._graphs.setdefault(inputs, OrderedDict())
        known = kind in graphs
        captured = graphs.setdefault(kind, None)
        graphs.move_to_end(kind)
        if len(graphs) > KEPT:
            graphs.popitem(last=False)
        if not known or kind in self._too_large.get(inputs, ()):
            return _to_host(evaluation())
        if captured is None:
            captured = self._tried(inputs, kind, evaluation)
            if captured is None:
                return _to_host(evaluation())  # out of the call that failed, whose tensors are gone now
            graphs[kind] = captured
        graph, output = captured
        graph.replay()
        return _to_host(output)

    def _tried(
        self, inputs: Any, kind: Hashable, evaluation: Callable[[], Tensor]
    ) -> tuple[torch.cuda.CUDAGraph, Tensor] | None:
        """Capture, or drop all graphs and return None; what exhausts memory is not tried again for these inputs."""
        try:
            return self._capture(evaluation)
        except RuntimeError as error:
            if _exhausted(error):
                self._too_large.setdefault(inputs, set()).add(kind)
            else:
                logger.warning(
                    "CHGNet runs on %s without a CUDA graph, with a launch for each operation: %s",
                    self._device,
                    _first_line(error),
                )
                self._on = False
        self.clear()
        return None

    def _capture(self, evaluation: Callable[[], Tensor]) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        # Graphs run one at a time and their results are copied at once, so they can share memory.
        others = (captured[0] for graphs in self._graphs.values() for captured in graphs.values() if captured)
        pool = next((graph.pool() for graph in others), None)
        graph = torch.cuda.CUDAGraph()
        # Calls of other threads, in other libraries, do not end the capture.
        with torch.cuda.graph(graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"):
            output = evaluation()
        return graph, output


def _to_host(values: Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = values.cpu().numpy()
    return array


def _exhausted(error: BaseException | None) -> bool:
    """Tell whether an error says that memory is exhausted, or came up while such a one ended a capture."""
    while error is not None and not isinstance(error, torch.OutOfMemoryError) and "out of memory" not in str(error):
        error = error.__context__
    return error is not None


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
