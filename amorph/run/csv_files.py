"""Tables as CSV files."""

import csv
import io
from pathlib import Path
from typing import Any

from amorph.run.durable import write_atomically


def csv_rows(rows: list[dict[str, Any]], *, header: bool) -> str:
    """Write rows as CSV text, below their header where that is wanted."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV, whole or not at all."""
    write_atomically(path, csv_rows(rows, header=True).encode())
