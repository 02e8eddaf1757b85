"""The name of a file chooses the format."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

Writer = TypeVar("Writer")


def writer_for(path: str | Path, writers: Mapping[str, Writer], content: str) -> Writer:
    """Find the writer for a file name by its suffix, or by how the name begins.

    A key of `writers` that is no suffix is the beginning of names: "CHGCAR" stands for "CHGCAR_bvs" too.

    Raises
    ------
    ValueError
        No writer has this suffix or name.
    """
    name = Path(path).name
    suffix = Path(path).suffix.lower()
    if suffix in writers:
        return writers[suffix]
    for beginning in writers:
        if not beginning.startswith(".") and name.upper().startswith(beginning):
            return writers[beginning]
    raise ValueError(
        f"cannot write a {content} as '{name}': the suffix '{suffix}' names no format; known are {', '.join(writers)}"
    )
