"""Parameters, defined once: a stage function's signature is the definition.

Units and bounds stand in ``Annotated`` beside each parameter. From the signature come the check of every call
(:func:`checked`), the table of a TOML run file (:func:`model_of`) and the flags of the command line.
"""

import difflib
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, is_dataclass
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from annotated_types import Ge, Gt, Interval
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Strict,
    TypeAdapter,
    ValidationError,
    WrapValidator,
    create_model,
)
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUndefinedAnnotation, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema


def arguments_of(stage: Callable[..., Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Pick a stage's own parameters out of a verb's."""
    return {name: value for name, value in parameters.items() if name in model_of(stage).model_fields}


P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit in which a parameter is given; shown in help texts and errors."""

    symbol: str


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a parameter of several functions means: said beside its type, and written into their docstrings."""

    text: str


Length = Annotated[float, Gt(0), Unit("Å")]
NonNegativeLength = Annotated[float, Ge(0), Unit("Å")]
Duration = Annotated[float, Gt(0), Unit("ps")]
Timestep = Annotated[float, Gt(0), Unit("fs")]
Temperature = Annotated[float, Ge(0), Unit("K")]
Kelvin = Annotated[float, Gt(0), Unit("K")]
"""A temperature that is not 0."""
Pressure = Annotated[float, Unit("GPa")]
Density = Annotated[float, Gt(0), Unit("g/cm³")]
Force = Annotated[float, Gt(0), Unit("eV/Å")]
Volume = Annotated[float, Gt(0), Unit("Å³")]
Energy = Annotated[float, Gt(0), Unit("eV")]
Valence = Annotated[float, Gt(0), Unit("v.u.")]
Fraction = Annotated[float, Interval(ge=0, le=1)]
Count = Annotated[int, Gt(0)]
Seed = Annotated[int, Ge(0)]
Rng = np.random.Generator | int
"""A random generator, or the seed of a new one."""
Threads = Annotated[
    Count, Meaning("Threads to work in, by default one for each processor; the result is the same to the last bit.")
]
GridPoints = Annotated[
    tuple[Count, Count, Count], Meaning("Number of points along each lattice vector; by default `spacing` decides.")
]
Spacing = Annotated[
    Length,
    Meaning(
        "Largest distance between neighboring points along a lattice vector [Å], in place of a grid; by default 0.1 Å."
    ),
]

_Row = tuple[int, int, int]
Supercell = Annotated[
    tuple[Count, Count, Count] | tuple[_Row, _Row, _Row],
    BeforeValidator(lambda value: value.tolist() if isinstance(value, np.ndarray) else value),
]
"""Conventional cells along each axis, or an integer matrix whose rows are the lattice vectors in conventional cells."""

_CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True, validate_default=True)


class _WholeSchema(GenerateJsonSchema):
    """Refuses a union of which no file can hold one member; pydantic itself would leave that member out."""

    def emit_warning(self, kind: Any, detail: str) -> None:
        if kind == "skipped-choice":
            raise PydanticInvalidForJsonSchema(detail)
        super().emit_warning(kind, detail)


@functools.cache
def model_of(function: Callable[..., Any]) -> type[BaseModel]:
    """Make the pydantic model of a stage's parameters from its signature.

    A parameter whose type no file can hold (a structure, a calculator, a random generator) is left out.
    """
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        try:
            # the JSON schema fails for a callable, which pydantic itself would take
            TypeAdapter(hints[name], config=_CONFIG).json_schema(schema_generator=_WholeSchema)
        except (PydanticUserError, PydanticUndefinedAnnotation):
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (_strict(hints[name]), default)
    return create_model(function.__name__, __config__=_CONFIG, **fields)


def parse(
    function: Callable[..., Any],
    values: dict[str, Any],
    *,
    table: str | None = None,
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Check values against a stage's signature and return them whole, defaults filled in: `defaults` before its own.

    Raises
    ------
    ValueError
        One line that names the parameter, its value and the rule, for the first value that breaks one.
    """
    model = model_of(function)
    try:
        parsed = model(**{**defaults, **values})
    except ValidationError as error:
        raise ValueError(_one_line(error, model, table, defaults)) from None
    return {name: getattr(parsed, name) for name in model.model_fields}


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Check the arguments of every call against the bounds in the signature, and complete the docstring from it."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        given = {name: value for name, value in bound.arguments.items() if name in model_of(function).model_fields}
        bound.arguments.update(parse(function, given))
        return function(*bound.args, **bound.kwargs)

    wrapper.__doc__ = _with_meanings(signature, function.__doc__)
    return wrapper


def unit_of(hint: Any) -> str | None:
    """Find the unit in an annotation, also inside a union or a tuple."""
    unit = _found(Unit, hint)
    return None if unit is None else unit.symbol


def generator_of(rng: Rng) -> np.random.Generator:
    """Give a random generator as it is, or make one from a seed.

    Raises
    ------
    ValueError
        A seed that is no whole number of at least 0.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer) or rng < 0:
        raise ValueError(f"seed = {rng!r} must be a whole number of at least 0")
    return np.random.default_rng(rng)


M = TypeVar("M")


def _found(kind: type[M], hint: Any) -> M | None:
    """Find what of a kind stands in an annotation, also inside a union or a tuple."""
    for argument in get_args(hint):
        if isinstance(argument, kind):
            return argument
        if (inner := _found(kind, argument)) is not None:
            return inner
    return None


@dataclass(frozen=True, slots=True)
class Described:
    """What a parameter means and may be, in words, from its function's signature and docstring."""

    meaning: str
    """What it is for; empty where the docstring does not say."""
    unit: str | None
    kind: str
    """What it may be, with its bounds: "number above 0"."""
    bounds: str
    """The bounds alone; empty where there are none."""
    required: bool
    default: Any = None


def described(function: Callable[..., Any]) -> dict[str, Described]:
    """Describe every parameter of a function, or every field of a dataclass, that a file can hold.

    >>> def work(*, share: Fraction = 0.5) -> None: ...
    >>> described(work)["share"].kind
    'number from 0 to 1'
    """
    hints, said = get_type_hints(function, include_extras=True), meanings(function)
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in model_of(function).model_fields:
            continue
        whole: Any = Annotated[hints[name], None]
        required = parameter.default is parameter.empty
        default = None if required else parameter.default
        found[name] = Described(
            said.get(name, ""), unit_of(whole), _kind(hints[name]), _bounds(whole), required, default
        )
    return found


_ROLE = re.compile(r":[a-z]+:(?=`)")


def meanings(function: Callable[..., Any]) -> dict[str, str]:
    """Read what a docstring says of each parameter, or of each field of a dataclass, as plain text."""
    from docstring_parser import parse_from_object

    return {
        name.strip(): _ROLE.sub("", " ".join((parameter.description or "").split())).replace("`", "")
        for parameter in parse_from_object(function).params
        for name in parameter.arg_name.split(",")
    }


_KINDS = {bool: "true or false", int: "whole number", float: "number", str: "text", Any: "any value"}


def _kind(hint: Any) -> str:
    """Say in words what a type holds."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _KINDS:
        return _KINDS[hint]
    if origin is Annotated:
        return f"{_kind(arguments[0])} {_bounds(Annotated[int, *arguments[1:]])}".strip()
    if origin is Literal:
        return " or ".join(f'"{choice}"' for choice in arguments)
    if origin in (Union, UnionType):
        return ", or ".join(dict.fromkeys(_kind(member) for member in arguments if member is not type(None)))
    if origin is tuple and Ellipsis not in arguments:
        one = _kind(arguments[0])
        return f"{len(arguments)} " + (f"rows of {one}" if "numbers" in one else one.replace("number", "numbers"))
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return f"table of names, each with {_kind(arguments[1])}"
    if inspect.isclass(origin) and issubclass(origin, Collection):
        return f"list of {_kind(arguments[0])}"
    return "table" if is_dataclass(hint) else "path"


def _bounds(hint: Any) -> str:
    """Say in words what bounds stand in an annotation, also inside a union or a tuple."""
    interval = _found(Interval, hint) or Interval(
        gt=getattr(_found(Gt, hint), "gt", None), ge=getattr(_found(Ge, hint), "ge", None)
    )
    words = {"above": interval.gt, "at least": interval.ge, "below": interval.lt, "at most": interval.le}
    text = " and ".join(f"{word} {limit}" for word, limit in words.items() if limit is not None)
    return re.sub("at least (.*) and at most", r"from \1 to", text)


def _with_meanings(signature: inspect.Signature, docstring: str | None) -> str | None:
    """Add what the signature says of parameters to a docstring that does not, in the order of the signature."""
    docstring = None if docstring is None else inspect.cleandoc(docstring)
    title = "Parameters\n----------\n"
    said = {name: found.text for name, p in signature.parameters.items() if (found := _found(Meaning, p.annotation))}
    if not docstring or not said or title not in docstring:
        return docstring
    before, _, rest = docstring.partition(title)
    section, gap, after = rest.partition("\n\n")
    entries = {name: f"{name}\n{textwrap.indent(textwrap.fill(text, 112), '    ')}" for name, text in said.items()}
    entries |= {re.split(r"\W", entry, maxsplit=1)[0]: entry for entry in re.split(r"\n(?=\S)", section)}
    ordered = [entries[name] for name in signature.parameters if name in entries]
    return before + title + "\n".join(ordered) + gap + after


def _strict(hint: Any) -> Any:
    """Make a type take no text for a number, no number for a switch and no 20.0 for a whole number.

    An integer stays good for a float, a list for a tuple, text for a path and a table for a dataclass.
    """
    if hint in (bool, int, float):
        return Annotated[hint, Strict(), BeforeValidator(_python_scalar)]
    if inspect.isclass(hint) and is_dataclass(hint):
        return Annotated[model_of(hint), WrapValidator(functools.partial(_instance, hint))]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        inner, *metadata = arguments
        if inner in (bool, int, float):  # the bounds stand on the bare number, for pydantic's wording of them
            return Annotated[inner, *metadata, Strict(), BeforeValidator(_python_scalar)]
        return Annotated[_strict(inner), *metadata]
    if origin in (Union, UnionType):
        return Union[tuple(map(_strict, arguments))]  # noqa: UP007
    if inspect.isclass(origin) and issubclass(origin, Collection):
        generic: Any = origin
        return generic[tuple(map(_strict, arguments))]
    return hint


def _python_scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic | np.ndarray) and value.ndim == 0 else value


def _instance(kind: type[Any], value: Any, validate: Callable[[Any], BaseModel]) -> Any:
    """Make a dataclass from a table whose entries are checked as strictly as all others."""
    return value if isinstance(value, kind) else kind(**dict(validate(value)))


def _one_line(error: ValidationError, model: type[BaseModel], table: str | None, defaults: Mapping[str, Any]) -> str:
    where = f" in [{table}]" if table else ""
    # A union reports one error per member; the last error of the deepest location says most.
    entries = error.errors(include_url=False)
    # A key that is unknown explains the one that is missing.
    first = next((entry for entry in entries if entry["type"] == "extra_forbidden"), entries[0])
    name = str(first["loc"][0]) if first["loc"] else model.__name__
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        near = difflib.get_close_matches(name, model.model_fields, n=1)
        remedy = f"did you mean '{near[0]}'?" if near else f"known keys are {', '.join(sorted(model.model_fields))}"
        return f"unknown key '{name}'{where}; {remedy}"
    field = model.model_fields.get(name)
    if first["type"] == "missing" and len(first["loc"]) == 1:
        return f"'{name}' is missing{where}; give it a value"
    location = _location(first["loc"])
    if nested := _nested_key(error, where):
        return nested
    rules = dict.fromkeys(_rule(entry) for entry in error.errors(include_url=False) if str(entry["loc"][0]) == name)
    unit = _field_unit(field)
    default = defaults.get(name, None if field is None or field.is_required() else field.default)
    remedy = "" if default is None or location.partition(".")[2] else f" (default {default!r})"
    return f"{location} = {first['input']!r}{f' {unit}' if unit else ''}{where} {' or '.join(rules)}{remedy}"


def _nested_key(error: ValidationError, where: str) -> str | None:
    """Name a key inside a value that is unknown or missing, as in the segments of a schedule."""
    entries = [entry for entry in error.errors(include_url=False) if len(entry["loc"]) > 1]
    unknown = [entry["loc"] for entry in entries if entry["type"] in {"unexpected_keyword_argument", "extra_forbidden"}]
    missing = [entry["loc"] for entry in entries if entry["type"].startswith("missing")]
    if not unknown and not missing:
        return None
    place, key = (*unknown, *missing)[0][:-1], (*unknown, *missing)[0][-1]
    if not unknown:
        return f"'{key}' is missing in {_location(place)}{where}; give it a value"
    absent = [str(loc[-1]) for loc in missing if loc[:-1] == place]
    near = difflib.get_close_matches(str(key), absent, n=1)
    remedy = f"did you mean '{near[0]}'?" if near else "remove it"
    return f"unknown key '{key}' in {_location(place)}{where}; {remedy}"


def _location(loc: tuple[int | str, ...]) -> str:
    return str(loc[0]) + "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc[1:] if _is_path(part)
    )


def _field_unit(field: Any) -> str | None:
    if field is None:
        return None
    return next((entry.symbol for entry in field.metadata if isinstance(entry, Unit)), unit_of(field.annotation))


def _is_path(part: int | str) -> bool:
    """Tell a key or index from the labels that pydantic adds for the members of a union."""
    return isinstance(part, int) or (
        part.isidentifier() and part not in {"str", "int", "float", "bool", "tuple", "list"}
    )


_PLAIN_RULES = {
    "path_type": "must be a path",
    "model_type": "must be a table of its keys",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
}
"""Rules for errors that pydantic describes by the names of Python's types."""


def _rule(entry: Any) -> str:
    if (plain := _PLAIN_RULES.get(entry["type"])) is not None:
        return plain
    message = str(entry["msg"])
    for start, ours in (("Input should be", "must be"), ("Value error, ", ""), ("Input should", "should")):
        if message.startswith(start):
            return ours + message.removeprefix(start)
    return "is refused: " + message[:1].lower() + message[1:]
