"""One rule for the frames of a text: blank lines between them are skipped, an unfinished last one is left out."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Final, TextIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from amorph.reading.files import RefusedError, note

T = TypeVar("T")
_FORTRAN: Final = re.compile(r"(?<=[\d.])[dD](?=[+-]?\d)")
_BLOCK: Final = 50_000
"""Rows whose words are kept at a time."""


class Unfinished(Exception):
    """The file ends within a frame; the message says what is missing."""


class Lines:
    """The lines of a file, one after the other; whoever asks for more than there are finds the frame unfinished."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._held: list[str] = []
        self.number = 0
        self.most = (os.fstat(file.fileno()).st_size + 1) // 2
        """Lines that the file can have at most, each of a sign and an end."""

    def next(self) -> str:
        """Give the next line."""
        line = self._held.pop() if self._held else self._file.readline()
        if not line:
            raise Unfinished("it ends there")
        self.number += 1
        return line

    def hold(self, line: str) -> None:
        """Take a line back, to be the next again."""
        self._held.append(line)
        self.number -= 1

    def ahead(self, number: int) -> list[str]:
        """Look at up to so many lines that come next."""
        taken: list[str] = []
        with suppress(Unfinished):
            for _ in range(number):
                taken.append(self.next())  # noqa: PERF401
        for line in reversed(taken):
            self.hold(line)
        return taken

    def rows(self, number: int) -> list[str]:
        """Give the lines of so many atoms; a last line that breaks off makes the frame unfinished."""
        if number < 0:
            raise RefusedError(f"counts {number} atoms; correct it")
        if number > self.most:
            raise RefusedError(f"counts {number} atoms and has not as many lines; give a whole file")
        rows = [self._held.pop() for _ in range(min(number, len(self._held)))]
        rows += islice(self._file, number - len(rows))
        if len(rows) < number:
            raise Unfinished(f"it counts {number} atoms and has {len(rows)} lines of them")
        self.number += number
        if rows and not rows[-1].endswith("\n") and _breaks_off(rows):
            raise Unfinished("its last line breaks off")
        return rows

    def skip_blank(self) -> bool:
        """Go on to the next line that is not blank; False at the end of the file."""
        try:
            while not (line := self.next()).strip():
                pass
        except Unfinished:
            return False
        self.hold(line)
        return True


def _breaks_off(rows: list[str]) -> bool:
    """Tell whether the last line, without an end, has fewer words or digits than all others."""
    last, others = rows[-1].split(), [row.split() for row in rows[:-1]]
    if not others or not others[-1]:
        return False
    if len(last) < min(map(len, others)) or not last:
        return True
    places = {len(row[-1].partition(".")[2]) for row in others if len(row) == len(last)}
    return len(others) > 1 and len(places) == 1 and len(last[-1].partition(".")[2]) < places.pop()


def frames_of(file: TextIO, take: Callable[[Lines], T]) -> Iterator[T]:
    """Take frame after frame from a file.

    Parameters
    ----------
    file
        Opened text.
    take
        Takes one frame from the lines, the first of which is not blank; raises :class:`RefusedError` where they begin
        none.

    Raises
    ------
    RefusedError
        The first frame is unfinished; something between or behind frames is none.
    """
    lines = Lines(file)
    count = 0
    while lines.skip_blank():
        begin = lines.number + 1
        try:
            frame = take(lines)
        except Unfinished as error:
            if not count:
                raise RefusedError(f"ends within its first frame: {error}; give a whole file") from None
            note(f"frame {count}, which begins in line {begin}, is unfinished ({error}) and left out")
            return
        yield frame
        count += 1


def chosen(frames: Iterator[T], index: str) -> Iterator[T]:
    """Go through all frames, and give the first, the last or every one ("0", "-1", ":"), each as it comes."""
    if index == ":":
        yield from frames
        return
    kept: list[T] = []
    for frame in frames:
        if index == "-1" or not kept:
            kept = [frame]
    yield from kept


def one_by_one(frames: list[T]) -> Iterator[T]:
    """Give the frames of a list, which lets go of them: what is made of them may have their memory."""
    frames.reverse()
    while frames:
        yield frames.pop()


def plain_numbers(text: str) -> str:
    """Write the exponents of Fortran, 1.5D-01, as everybody reads them."""
    return _FORTRAN.sub("e", text) if "D" in text or "d" in text else text


def word_of(row: str, column: int) -> str:
    """Give one word of a row, counted from 0; nothing where it has fewer."""
    words = row.split(maxsplit=column + 1)
    return words[column] if len(words) > column else ""


def vectors(rows: list[str], first: int) -> NDArray[np.float64]:
    """Read the three numbers at the beginning of each row.

    Raises
    ------
    RefusedError
        A row, counted from line `first` of the file on, has none.
    """
    blocks = [_block(rows[k : k + _BLOCK], first + k) for k in range(0, len(rows), _BLOCK)]
    return np.concatenate([np.empty((0, 3)), *blocks])


def _block(rows: list[str], first: int) -> NDArray[np.float64]:
    table = [plain_numbers(row).split()[:3] for row in rows]
    try:
        found = np.array(table, dtype=np.float64).reshape(-1, 3)
    except ValueError:
        found = np.empty((0, 3))
    if len(found) != len(rows):
        bad = next((k for k, words in enumerate(table) if not _are_numbers(words, 3)), 0)
        raise RefusedError(f"has '{rows[bad].strip()[:40]}' in line {first + bad}, where three numbers belong")
    return found


def _are_numbers(words: list[str], number: int) -> bool:
    try:
        return len([float(word) for word in words]) == number
    except ValueError:
        return False


def numbers_in(line: str) -> list[float]:
    """Read the numbers at the beginning of a line, up to the first word that is none."""
    found: list[float] = []
    for word in plain_numbers(line).split():
        try:
            found.append(float(word))
        except ValueError:
            break
    return found
