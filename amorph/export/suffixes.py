"""The suffix of a file name chooses the format."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

Writer = TypeVar("Writer")


def writer_for(path: str | Path, writers: Mapping[str, Writer], content: str) -> Writer:
    """Find the writer for a file name by its suffix.

    Raises
    ------
    ValueError
        No writer has this suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in writers:
        raise ValueError(
            f"cannot write a {content} as '{Path(path).name}': the suffix '{suffix}' names no format; "
            f"known are {', '.join(writers)}"
        )
    return writers[suffix]
