"""Numbers and names as the words of a chart have them."""

from typing import Any


def share(value: Any) -> str:
    """Write a share in percent.

    >>> share(0.033), share(0.2108), share(1.0)
    ('3.30', '21.1', '100')
    """
    return f"{100 * value:#.3g}".removesuffix(".")


def number(value: Any) -> str:
    """Write a value as a person reads it.

    >>> number(0.35678), number(-1.7e-14), number(None), number(True), number("glass")
    ('0.3568', '0', '–', 'yes', 'glass')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        text = f"{value:.4g}" if abs(value) < 1000 else f"{value:.1f}"
        return "0" if abs(value) < 1e-12 else text.replace("-", "−", 1)
    return str(value)


def beside(name: str) -> str:
    """Name what a value is of, where it has a name.

    >>> beside("glass"), beside("")
    (' (glass)', '')
    """
    return f" ({name})" if name else ""
