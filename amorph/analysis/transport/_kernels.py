"""Compiled kernel: means over windows of the squared displacement and of its square, ion by ion.

Windows of a long lag that begin at neighboring frames say almost the same. A lag that is m·2^k frames with m of 8 or
more is therefore taken from every 2^k-th frame, so that windows begin at least eight times in a lag.
"""

import numpy as np
from numba import njit

from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()

_FEWEST = 8
"""Windows that begin within a lag, at least."""
_BLOCK = 512
"""Windows at once: their squares stay in the first cache."""


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def window_moments(paths, lags, second, fourth):  # type: ignore[no-untyped-def]
    """Fill (ions, lags) means of r² and r⁴ over windows of each lag of (ions, axes, frames) paths."""
    ions, axes, frames = paths.shape
    squared = np.empty(_BLOCK)
    thinned = np.empty((axes, frames))
    for ion in range(ions):
        every = 0
        for k in range(lags.size):
            stride = 1
            while lags[k] % (2 * stride) == 0 and lags[k] // (2 * stride) >= _FEWEST:
                stride *= 2
            count = (frames + stride - 1) // stride
            if stride != every:
                every = stride
                for axis in range(axes):
                    for t in range(count):
                        thinned[axis, t] = paths[ion, axis, t * stride]
            lag = lags[k] // stride
            total = 0.0
            square = 0.0
            for begin in range(0, count - lag, _BLOCK):
                size = min(_BLOCK, count - lag - begin)
                squared[:size] = 0.0
                for axis in range(axes):
                    early = thinned[axis, begin : begin + size]
                    late = thinned[axis, begin + lag : begin + lag + size]
                    for t in range(size):
                        step = late[t] - early[t]
                        squared[t] += step * step
                for t in range(size):
                    total += squared[t]
                    square += squared[t] * squared[t]
            second[ion, k] = total / (count - lag)
            fourth[ion, k] = square / (count - lag)
