"""A result's table as HTML, short enough for a notebook."""

from html import escape
from typing import Any, Final

from amorph.figures import Result, cell_of, heading

MOST_ROWS: Final = 20
_MOST_COLUMNS: Final = 14
_LONGEST: Final = 60
"""Letters of a cell at most."""


def table_html(result: Result) -> str:
    """Write the table of a result, its first rows where there are many, below its name."""
    rows = result.table()
    shown = [row for row in rows if not _is_long(row)][:MOST_ROWS]
    keys = list(dict.fromkeys(key for row in shown for key in row))[:_MOST_COLUMNS]
    head = "".join(f"<th>{escape(heading(str(key)))}</th>" for key in keys)
    body = "".join(f"<tr>{''.join(_cell(row, str(key)) for key in keys)}</tr>" for row in shown)
    left = len(rows) - len(shown)
    more = f"<p>… and {left} more rows: <code>.table()</code> has all of them</p>" if left else ""
    name = escape(type(result).__name__)
    return f"<div><strong>{name}</strong><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}</div>"


def _is_long(row: dict[str, Any]) -> bool:
    """Tell whether a row of a plain list of figures holds a whole curve, which no cell can show."""
    return list(row) == ["figure", "value"] and isinstance(row["value"], list | dict) and len(row["value"]) > MOST_ROWS


def _cell(row: dict[str, Any], key: str) -> str:
    text, value = cell_of(row, key), row.get(key)
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    side = "right" if isinstance(value, int | float) and not isinstance(value, bool) else "left"
    return f'<td style="text-align:{side}">{escape(short)}</td>'
