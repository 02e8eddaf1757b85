"""Flags of a verb, derived from the signatures and docstrings of the stages behind it."""

import functools
import inspect
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from cyclopts import Parameter, Token

from amorph.parameters import described, meanings

F = TypeVar("F", bound=Callable[..., Any])

_LAST = ("seed", "output", "json", "quiet")
"""Flags that every verb has in common, listed below its own."""
_ASKING = "(with|give|pass|lower|raise|without|and)"
"""Words of a remedy before the parameter that it asks for."""


def takes(*stages: Callable[..., Any], skip: Iterable[str] = ()) -> Callable[[F], F]:
    """Give a verb the keyword parameters of the stages behind it, in place of its ``**parameters``.

    Names, types, defaults and help come from the signatures and docstrings of the stages; the bounds are left to the
    stages themselves, whose errors are one line. The verb receives the flags that were given, and no others.
    """

    def decorate(verb: F) -> F:
        own = inspect.signature(verb)
        hints = get_type_hints(verb, include_extras=True)
        said = {name: text for stage in reversed(stages) for name, text in meanings(stage).items()}
        taken = [
            p.replace(annotation=_with_help(hints[name], said.get(name)))
            for name, p in own.parameters.items()
            if p.kind is not p.VAR_KEYWORD
        ]
        names = {parameter.name for parameter in taken}
        flags: dict[str, _Flag] = {}
        for stage in stages:
            for name, flag in _flags_of(stage).items():
                if name not in names and name not in skip:
                    flags.setdefault(name, flag)

        @functools.wraps(verb)
        def wrapper(*args: Any, **given: Any) -> Any:
            try:
                return verb(*args, **{k: flags[k].convert(v) if k in flags else v for k, v in given.items()})
            except ValueError as error:
                if type(error) is ValueError:  # others are made of more than a line
                    error.args = (_in_flags(str(error), {*names, *flags}),)
                raise

        parameters = [p for p in taken if p.name not in _LAST] + [flag.parameter for flag in flags.values()]
        parameters += [p for p in taken if p.name in _LAST]
        wrapper.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": hints.get("return")}
        del wrapper.__wrapped__  # the signature is the one above
        return wrapper  # type: ignore[return-value]

    return decorate


def whole_numbers(kind: Any, tokens: Sequence[Token]) -> Any:
    """Read whole numbers, where cyclopts would round."""
    try:
        numbers = [int(token.value) for token in tokens]
    except ValueError:
        written = " ".join(token.value for token in tokens)
        raise ValueError(f"{tokens[0].keyword} {written}: whole numbers are needed") from None
    return numbers[0] if kind is int else numbers


def _in_flags(message: str, names: Iterable[str]) -> str:
    """Name flags in a message that names parameters.

    >>> _in_flags("cutoff = -1 is no cutoff; leave exclusion_radius out", ["cutoff", "exclusion_radius"])
    '--cutoff = -1 is no cutoff; leave --exclusion-radius out'
    >>> _in_flags("no S here; pass r0 and b, name one with anion, or choose cell='fixed'", ["r0", "b", "anion", "cell"])
    'no S here; pass --r0 and --b, name one with --anion, or choose --cell fixed'
    """
    for name in names:
        flag = f"--{name.replace('_', '-').lower()}"
        message = re.sub(rf"(?<![\w./-]){name}='([^']*)'", rf"{flag} \1", message)
        # a word that a remedy asks for, and not one that happens to be a parameter's name
        message = re.sub(rf"\b{_ASKING} {name}(?= \(now| and | as well|[;,.]|$)", rf"\1 {flag}", message)
        # a word without _ may be any word, but where it has a value
        sought = rf"(?<![\w./-]){name}\b" + ("" if "_" in name else r"(?=(\.\w+)? = )")
        message = re.sub(sought, flag, message)
    return message


@dataclass(frozen=True)
class _Flag:
    """A flag of the command line, and what turns its value into the stage's."""

    parameter: inspect.Parameter
    convert: Callable[[Any], Any]


def _flags_of(stage: Callable[..., Any]) -> dict[str, _Flag]:
    bare, parameters = get_type_hints(stage), inspect.signature(stage).parameters
    flags = {}
    for name, about in described(stage).items():
        parameter = parameters[name]
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        kind, convert, metavar = _written(bare[name])
        text = about.meaning
        if about.unit and f"[{about.unit}]" not in text:
            text = f"{text.removesuffix('.')} [{about.unit}]."
        if about.bounds:
            text = f"{text} [{about.bounds}]"
        options = Parameter(
            name=f"--{name.replace('_', '-').lower()}",
            help=text,
            metavar=metavar,
            converter=whole_numbers if _is_whole(kind) else None,
            negative=None if parameter.default is True else "",
            negative_iterable=(),
            consume_multiple=kind is not bare[name] or _is_open(kind),
            show_default=_default_text if parameter.default not in (None, {}) else False,
        )
        # An empty default would be checked as if it were given, against the type that is written.
        flags[name] = _Flag(
            parameter.replace(
                annotation=Annotated[kind, options], default=None if parameter.default == {} else parameter.default
            ),
            convert,
        )
    return flags


def _written(hint: Any) -> tuple[Any, Callable[[Any], Any], str | None]:
    """Say how a type is written on the command line, how that becomes the type, and what the help calls it."""
    members = [member for member in _members(hint) if member is not type(None)]
    kinds = [get_origin(member) or member for member in members]
    for member, kind in zip(members, kinds, strict=True):
        if inspect.isclass(kind) and issubclass(kind, Mapping):
            value = get_args(member)[1]
            read = _literal if value is Any else str if value is str else _number
            alone = str if str in kinds else _number if float in kinds else None
            convert = functools.partial(_entries, alone=alone, read=read)
            return list[str] | None, convert, {str: "SET|", _number: "VALUE|"}.get(alone, "") + "NAME=VALUE..."
    if len(members) > 1 and all(kind is tuple for kind in kinds):
        return list[int] | None, _integers, None
    if kinds == [Sequence]:
        return list[str] | None, tuple, None
    return hint, lambda value: value, None


def _members(hint: Any) -> tuple[Any, ...]:
    is_union = type(None) in get_args(hint) or str(get_origin(hint)) in {"typing.Union", "<class 'types.UnionType'>"}
    return get_args(hint) if is_union else (hint,)


def _is_whole(kind: Any) -> bool:
    """Tell whether a type is an integer, or a tuple or list of integers, or None beside them."""
    parts = [part for member in _members(kind) for part in get_args(member) or (member,)]
    return int in parts and set(parts) <= {int, type(None), Ellipsis}


def _is_open(kind: Any) -> bool:
    """Tell whether a type is a tuple of any length."""
    return get_origin(kind) is tuple and Ellipsis in get_args(kind)


def _entries(tokens: list[str], *, alone: Callable[[str], Any] | None, read: Callable[[str], Any]) -> Any:
    """Read NAME=VALUE tokens; `alone` reads a single token without "=", where one is allowed."""
    if alone is not None and len(tokens) == 1 and "=" not in tokens[0]:
        return alone(tokens[0])
    entries: dict[str, str] = {}
    for token in tokens:
        name, equals, value = token.partition("=")
        if not (name and equals and value):
            raise ValueError(f"{token!r} is no NAME=VALUE; write it as in Ti=4")
        if name in entries:
            raise ValueError(f"{name} is given twice; give it one value")
        entries[name] = value
    return {name: read(value) for name, value in entries.items()}


def _literal(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _integers(numbers: list[int]) -> Any:
    """Three integers as they are, nine as the rows of a matrix."""
    if len(numbers) == 9:
        return tuple(tuple(numbers[row : row + 3]) for row in (0, 3, 6))
    if len(numbers) != 3:
        raise ValueError(
            f"supercell = {' '.join(map(str, numbers))} has {len(numbers)} integers; give 3, or 9 row by row"
        )
    return tuple(numbers)


def _default_text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _with_help(hint: Any, text: str | None) -> Any:
    """Describe a verb's own parameter as its stage does, where the verb says nothing itself."""
    if any(isinstance(entry, Parameter) and entry.help for entry in getattr(hint, "__metadata__", ())):
        return hint
    return Annotated[hint, Parameter(help=text)] if text else hint
