"""TOML files: studies, ensembles, schedules."""

import tomllib
from pathlib import Path
from typing import Any, Final

_LARGEST: Final = 2_000_000
"""Size of a file that somebody wrote [bytes]; 100 000 varied values take 1 MB."""
_DEEPEST: Final = 32
"""Tables and lists within each other; a study has 4, and what goes through them calls itself at each."""


def read_toml(path: Path, whose: str) -> dict[str, Any]:
    """Read a TOML file of modest size and depth.

    Parameters
    ----------
    path
        Name of the file.
    whose
        What it should hold, for the remedy: "a study's".

    Raises
    ------
    ValueError
        One line that names the file: it is missing, no regular file, too large, no TOML, or nested too deeply.
    """
    remedy = f"give {whose} TOML file"
    try:
        if path.is_dir():
            raise ValueError(f"{path} is a directory; {remedy}")
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ValueError(f"{path} is no regular file; {remedy}")
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist; {remedy}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; {remedy}") from None
    if len(text) > _LARGEST:
        raise ValueError(f"{path} is larger than {_LARGEST / 1e6:g} MB; {remedy}")
    try:
        content = tomllib.loads(text.decode())
    except RecursionError:
        raise ValueError(f"{path} nests more than {_DEEPEST} tables and lists; {remedy}") from None
    except ValueError as error:  # of TOML, of UTF-8, of an integer with thousands of digits
        raise ValueError(f"{path} is no TOML file: {error}; correct it there") from None
    level: list[Any] = [content]
    for _ in range(_DEEPEST):
        inner = [part.values() if isinstance(part, dict) else part for part in level]
        level = [part for parts in inner for part in parts if isinstance(part, dict | list)]
    if level:
        raise ValueError(f"{path} nests more than {_DEEPEST} tables and lists; {remedy}")
    return content
