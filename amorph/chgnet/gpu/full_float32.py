"""Matrix products in full float32, whatever the process has been told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_LOCK = threading.RLock()


@contextmanager
def full_float32() -> Iterator[None]:
    """Hold torch to IEEE float32 for the time of a block, one thread at a time.

    A call anywhere in the process, or a variable that NVIDIA's containers set, makes torch multiply in TF32 or
    bfloat16: forces of a melt are then wrong by up to 0.5 eV/Å. torch has two interfaces to this setting, and its
    compiler refuses to work where they disagree, so both are set and both are put back.
    """
    products: tuple[Any, Any] = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    with _LOCK:
        before = [product.fp32_precision for product in products]
        for product in products:
            product.fp32_precision = "ieee"
        # Asked before, torch refuses to answer where the two disagree.
        older = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(older)
            for product, precision in zip(products, before, strict=True):
                product.fp32_precision = precision
