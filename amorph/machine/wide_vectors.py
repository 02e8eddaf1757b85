"""Wide vectors for compiled kernels."""

from typing import Any

import numpy as np
from llvmlite import binding
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray


@intrinsic
def prefer_wide_vectors(typing_context):  # type: ignore[no-untyped-def]
    """Let LLVM use 512-bit vectors in the calling function where the CPU has them; it holds back to 256 by itself."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        attributes = builder.function.attributes
        if isinstance(attributes, set):  # llvmlite's own add refuses names that are not on its short list
            set.add(attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), generate


def vector_registers() -> tuple[int, int]:
    """Return how many vector registers this processor has, and their width in bytes."""
    features = binding.get_host_cpu_features()
    known = {"avx512f": (32, 64), "avx": (16, 32), "neon": (32, 16)}
    return next((registers for feature, registers in known.items() if features.get(feature)), (16, 16))


def aligned(shape: int | tuple[int, ...], dtype: Any = np.float32) -> NDArray[Any]:
    """Allocate zeros that start on a cache line: a vector across two lines costs two loads."""
    count = int(np.prod(shape))
    itemsize = np.dtype(dtype).itemsize
    raw = np.zeros(count * itemsize + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + count * itemsize].view(dtype).reshape(shape)
