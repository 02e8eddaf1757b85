"""What every verb shares: flags from a stage's signature, results as a table or JSON, one-line errors."""

import functools
import inspect
import json as json_module
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import numpy as np
from cyclopts import Parameter
from docstring_parser import parse_from_object
from rich.console import Console
from rich.table import Table

from amorph.parameters import model_of, unit_of

F = TypeVar("F", bound=Callable[..., Any])

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON, and nothing else.")]
Quiet = Annotated[bool, Parameter(name=("--quiet", "-q"), negative="", help="Print errors only.")]
Output = Annotated[Path | None, Parameter(name=("--output", "-o"), help="File to write; the suffix names the format.")]
Seed = Annotated[int, Parameter(name="--seed", help="Seed of the random generator.")]


class CheckFailed(Exception):
    """The result was made and kept, but a check on it failed: exit status 4."""


class Stopped(Exception):
    """The run stopped where it can be continued: exit status 3."""


def takes(*stages: Callable[..., Any], skip: Iterable[str] = ()) -> Callable[[F], F]:
    """Give a verb the parameters of the stages behind it, in place of its ``**parameters``.

    Names, types, bounds, defaults and help come from the signatures and docstrings of the stages.
    """

    def decorate(verb: F) -> F:
        own = inspect.signature(verb)
        hints = get_type_hints(verb, include_extras=True)
        taken = {name: p for name, p in own.parameters.items() if p.kind is not p.VAR_KEYWORD}
        derived = {
            name: parameter
            for stage in stages
            for name, parameter in _flags_of(stage).items()
            if name not in taken and name not in skip
        }

        @functools.wraps(verb)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return verb(*args, **kwargs)

        parameters = [p.replace(annotation=hints[name]) for name, p in taken.items()] + list(derived.values())
        # Required parameters without a default must come first among the positional ones; keywords sort freely.
        wrapper.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": hints.get("return")}
        del wrapper.__wrapped__  # the signature is the one above
        return wrapper  # type: ignore[return-value]

    return decorate


def arguments_of(stage: Callable[..., Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Pick a stage's own parameters out of a verb's."""
    return {name: value for name, value in parameters.items() if name in model_of(stage).model_fields}


def _flags_of(stage: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    hints = get_type_hints(stage, include_extras=True)
    bare = get_type_hints(stage)  # the bounds are left to the stage, whose errors are one line
    described = {
        parameter.arg_name: " ".join((parameter.description or "").split())
        for parameter in parse_from_object(stage).params
    }
    model = model_of(stage)
    flags = {}
    for name, parameter in inspect.signature(stage).parameters.items():
        if name not in model.model_fields or parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        unit = unit_of(Annotated[hints[name], None])
        text = described.get(name, "").replace("``", "")
        if unit and f"[{unit}]" not in text:
            text = f"{text.removesuffix('.')} [{unit}]."
        annotation: Any = Annotated[bare[name], Parameter(help=text.strip(), negative_iterable=())]
        flags[name] = parameter.replace(annotation=annotation)
    return flags


def start(*, quiet: bool, json: bool) -> None:
    """Send the log to stderr: progress on a terminal and in batch logs alike, errors only when quiet."""
    level = logging.ERROR if quiet else logging.WARNING if json else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("amorph")
    logger.handlers[:] = [h for h in logger.handlers if type(h) is not logging.StreamHandler]
    logger.addHandler(handler)
    handler.setLevel(level)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def show(rows: Iterable[Mapping[str, Any]], *, title: str | None = None) -> None:
    """Print rows as an aligned table on stdout."""
    rows = list(rows)
    if not rows:
        return
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for key in rows[0]:
        numeric = isinstance(rows[0][key], (int, float)) and not isinstance(rows[0][key], bool)
        table.add_column(key, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(text_of(row.get(key)) for key in rows[0]))
    width = None if sys.stdout.isatty() else 200
    Console(file=sys.stdout, width=width, highlight=False, markup=False).print(table)


def say(text: str) -> None:
    """Print a line on stdout."""
    sys.stdout.write(text + "\n")


def show_json(value: Mapping[str, Any]) -> None:
    """Print a result as JSON on stdout."""
    sys.stdout.write(json_module.dumps(value, default=_plain, indent=2, ensure_ascii=False) + "\n")


def text_of(value: Any) -> str:
    """Write a value as a person reads it."""
    if value is None:
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:.4g}" if abs(number) < 1000 else f"{number:.1f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text_of(entry)}" for key, entry in value.items())
    if isinstance(value, (list, tuple, np.ndarray)):
        return " ".join(text_of(entry) for entry in value)
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
