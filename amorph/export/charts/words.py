"""Numbers and names as the words of a chart have them."""

from typing import Any

from amorph.figures import text_of


def share(value: Any) -> str:
    """Write a share in percent.

    >>> share(0.033), share(0.2108), share(1.0)
    ('3.30', '21.1', '100')
    """
    return f"{100 * value:#.3g}".removesuffix(".")


def number(value: Any, unit: str = "") -> str:
    """Write a value of some unit as the terminal does, with a true minus sign.

    >>> number(-0.35678), number(-1.7e-14), number(2e-13, "cm²/s"), number(True), number("glass")
    ('−0.3568', '0', '2e-13', 'yes', 'glass')
    """
    text = text_of(value, unit)
    return f"−{text[1:]}" if isinstance(value, float) and text.startswith("-") else text


def beside(name: str) -> str:
    """Name what a value is of, where it has a name.

    >>> beside("glass"), beside("")
    (' (glass)', '')
    """
    return f" ({name})" if name else ""
