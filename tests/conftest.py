"""The order of the files of tests."""

from pathlib import Path

collect_ignore = ["conftest.py"]  # it has no doctests, and its name is not its own

FIRST = [
    "ensemble/test_local.py",  # compiles the kernels of the analyses, while the other worker compiles the engine's
    "chgnet/test_accuracy.py",
    "chgnet/test_calculator.py",
    "analysis/scattering/test_powder.py",
    "test_faults.py",
    "pipeline/test_pipeline.py",
    "pipeline/test_anneal.py",
    "ensemble/test_shared_melt.py",
    "ensemble/test_together.py",
]


def pytest_collection_modifyitems(items):
    """The longest files come first, in this order: one that began last would keep a single core at work."""
    order = {Path(__file__).parent / name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))
