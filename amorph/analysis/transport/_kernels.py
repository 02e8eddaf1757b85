"""Compiled kernel: sums over all windows of a lag of the squared displacement and of its square, ion by ion."""

import numpy as np
from numba import njit

from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def window_moments(paths, lags, second, fourth):  # type: ignore[no-untyped-def]
    """Fill (ions, lags) means of r² and r⁴ over every window of each lag of (ions, axes, frames) paths."""
    ions, axes, frames = paths.shape
    squared = np.empty(frames)
    for ion in range(ions):
        for k in range(lags.size):
            lag = lags[k]
            windows = frames - lag
            path = paths[ion, 0]
            for t in range(windows):
                step = path[t + lag] - path[t]
                squared[t] = step * step
            for axis in range(1, axes):
                path = paths[ion, axis]
                for t in range(windows):
                    step = path[t + lag] - path[t]
                    squared[t] += step * step
            total = 0.0
            square = 0.0
            for t in range(windows):
                total += squared[t]
                square += squared[t] * squared[t]
            second[ion, k] = total / windows
            fourth[ion, k] = square / windows
