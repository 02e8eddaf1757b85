"""What every key of a study means, from the signatures that define it."""

import difflib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from amorph.figures import plain
from amorph.meltquench import QuenchSchedule, Segment
from amorph.parameters import Described, described
from amorph.pipeline.study import TABLES, Table


@dataclass(frozen=True)
class Key:
    """One key of a file."""

    name: str
    """Table and key: "bvs.spacing"; with a schedule's own keys, "melt_quench.schedule.timestep_fs"."""
    about: Described
    """What it means and may be."""
    default: str
    """Its default as TOML has it, or in words."""

    def row(self) -> dict[str, str]:
        """Give what a table shows of it."""
        return {
            "key": self.name,
            "meaning": self.about.meaning,
            "unit": self.about.unit or "",
            "value": self.about.kind,
            "default": self.default,
        }


def keys_of(name: str, table: Table) -> list[Key]:
    """Give the keys of a table; a schedule's own keys after it.

    >>> print(keys_of("control", TABLES["control"])[0].default)
    true
    """
    found = []
    for key, about in described(table.function).items():
        if key in table.fixed:
            continue
        found.append(Key(f"{name}.{key}", about, _default(name, table, key, about)))
        if key == "schedule":
            found += _nested(f"{name}.{key}", QuenchSchedule) + _nested(f"{name}.{key}.segments", Segment)
    return found


def study_keys() -> dict[str, list[Key]]:
    """Give every key of a study, by its table."""
    return {name: keys_of(name, table) for name, table in TABLES.items()}


def explained(asked: str) -> list[Key]:
    """Find what is meant by "bvs.spacing", by a key alone in whatever table, or by a table.

    Raises
    ------
    ValueError
        No table has such a key.
    """
    keys = study_keys()
    wanted = asked.strip("[]")
    if wanted in keys:
        return keys[wanted]
    every = list(_flat(keys))
    if found := [key for key in every if key.name == wanted or key.name.endswith(f".{wanted}")]:
        return found
    names = {*keys, *(key.name for key in every), *(key.name.rpartition(".")[2] for key in every)}
    near = difflib.get_close_matches(wanted, sorted(names), n=1)
    remedy = f"did you mean {near[0]}?" if near else f"the tables are {', '.join(keys)}"
    raise ValueError(f"a study has no key or table '{asked}'; {remedy}")


def _flat(keys: dict[str, list[Key]]) -> Iterator[Key]:
    return (key for table in keys.values() for key in table)


def _nested(name: str, kind: Callable[..., Any]) -> list[Key]:
    return [
        Key(f"{name}.{key}", about, "required" if about.required else _written(about.default))
        for key, about in described(kind).items()
    ]


def _default(name: str, table: Table, key: str, about: Described) -> str:
    if name == "final_calculator":
        return "as in [calculator]"
    if table.follows_exchange and key == "ion":
        return "the ion that the exchange puts in"
    if (name, key) == ("reference", "oxides"):
        return "those of the study's elements"
    if key in table.needs or (about.required and key not in table.defaults):
        return "required"
    return _written(table.defaults.get(key, about.default))


def _written(value: Any) -> str:
    return "not set" if value is None else json.dumps(plain(value), ensure_ascii=False)
