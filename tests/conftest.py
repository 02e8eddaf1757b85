"""The order of the files of tests."""

from pathlib import Path

collect_ignore = ["conftest.py"]  # it has no doctests, and its name is not its own

LONGEST = [
    "test_faults.py",
    "ensemble/test_local.py",
    "pipeline/test_pipeline.py",
    "ensemble/test_together.py",
    "ensemble/test_shared_melt.py",
    "chgnet/test_accuracy.py",
    "chgnet/test_calculator.py",
]


def pytest_collection_modifyitems(items):
    """The longest files come first: one that began last would keep a single core at work."""
    longest = {Path(__file__).parent / name for name in LONGEST}
    items.sort(key=lambda item: item.path not in longest)
