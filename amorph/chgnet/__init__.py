"""The CHGNet force engine: the weights of the chgnet package behind a fast ASE calculator."""

from typing import Any

from amorph.chgnet.calculator import CHGNetCalculator

__all__ = ["CHGNetBatch", "CHGNetCalculator"]


def __getattr__(name: str) -> Any:
    # The batch needs the compiled kernels, which most uses of the calculator's name do not.
    if name == "CHGNetBatch":
        from amorph.chgnet.batch import CHGNetBatch

        return CHGNetBatch
    raise AttributeError(f"module 'amorph.chgnet' has no attribute {name!r}")
