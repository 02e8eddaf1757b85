"""Wide vectors for compiled kernels."""

from numba import types
from numba.extending import intrinsic


@intrinsic
def prefer_wide_vectors(typing_context):  # type: ignore[no-untyped-def]
    """Let LLVM use 512-bit vectors in the calling function where the CPU has them; it holds back to 256 by itself."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        attributes = builder.function.attributes
        if isinstance(attributes, set):  # llvmlite's own add refuses names that are not on its short list
            set.add(attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), generate
