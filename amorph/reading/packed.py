"""Compressed files, unpacked as far as is honest, and texts without their byte order mark."""

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final, cast

from amorph.reading.files import RefusedError, noted, reason_of, too_large

_OPENERS: Final[Mapping[str, Callable[[Path], object]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_LARGEST_RATIO: Final = 100
"""Unpacked size over packed size. A perfect crystal of 64 000 atoms has 12 to 35 (gzip, bzip2) or 15 to 119 (xz), and a
glass less; a bomb has 1000 with gzip and any with the others."""
_ALWAYS: Final = 500_000_000
"""Unpacked size that is let through whatever the ratio [bytes]: a map that is zero almost everywhere packs well."""
_CHUNK: Final = 1_000_000
_MARKS: Final[Mapping[bytes, str]] = {
    codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be",
}  # fmt: skip
"""Byte order marks, and the encoding that each tells."""


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Give a file without its compression and byte order mark, in a folder of its own that is removed afterwards.

    Nothing lies beside the unpacked file, and readers know it by its own name and first lines. A file that has neither
    is given as it is.

    Raises
    ------
    RefusedError
        The file becomes more than 100 times as large (and more than 500 MB), is damaged or packed twice, or the disk
        has no room for it.
    """
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        with _unmarked(path) as plain:
            yield plain
        return
    limit = max(_ALWAYS, _LARGEST_RATIO * path.stat().st_size)
    with TemporaryDirectory() as folder:
        whole = Path(folder) / path.stem
        if whole.suffix.lower() in _OPENERS:
            raise RefusedError("is packed twice, which is not read; unpack it once")
        size = 0
        try:
            with cast(BinaryIO, opener(path)) as source, whole.open("wb") as target:
                while chunk := source.read(_CHUNK):
                    if (size := size + len(chunk)) > limit:
                        raise RefusedError(
                            f"unpacks to more than {limit / 1e6:.0f} MB, more than {_LARGEST_RATIO} times its size; if"
                            " you know what it is, unpack it and give the plain file"
                        )
                    target.write(chunk)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise RefusedError(f"cannot be unpacked: {reason}; give a whole file, or the plain one") from None
        if size == 0:
            raise RefusedError("holds nothing; give a file with a structure")
        with _unmarked(whole) as plain:
            yield plain


@contextmanager
def _unmarked(path: Path) -> Iterator[Path]:
    """Give a text without the mark that Windows puts before it."""
    with path.open("rb") as source:
        begin = source.read(3)
        mark = next((mark for mark in _MARKS if begin.startswith(mark)), None)
        if mark is None:
            yield path
            return
        source.seek(len(mark))
        with TemporaryDirectory() as folder:
            plain = Path(folder) / path.name
            text = codecs.getreader(_MARKS[mark])(source, "replace")
            with plain.open("w", encoding="utf-8", newline="") as target:
                while chunk := text.read(_CHUNK):
                    target.write(chunk)
            yield plain


@contextmanager
def told(path: Path, what: str) -> Iterator[Path]:
    """Unpack a file, show the notes on it, and turn whatever goes wrong with reading it into one line that names it.

    Parameters
    ----------
    path
        Name of the file.
    what
        What it is then and the remedy, parted by a semicolon: "no field; give a CUBE".
    """
    try:
        with noted(path), unpacked(path) as whole:
            yield whole
    except RefusedError as error:
        raise ValueError(f"{path} {error}") from None
    except MemoryError:
        raise too_large(path) from None
    except Exception as error:  # readers of other projects raise what they like on rubbish
        kind, _, remedy = what.partition("; ")
        raise ValueError(f"{path} is {kind} ({reason_of(error)}); {remedy}") from None
