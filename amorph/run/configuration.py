"""A run's configuration: its forms in JSON and TOML, what of it binds, and where two differ."""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import tomli_w

from amorph.figures import plain
from amorph.run.durable import write_atomically


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record as JSON that ends with its own checksum, whole or not at all."""
    sealed = {**record, "sha256": hashlib.sha256(_json(record)).hexdigest()}
    write_atomically(path, _json(sealed) + b"\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a record back, or refuse one that is damaged; those of before had no checksum."""
    record = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(record, dict):
        raise ValueError("it is no record")
    name, digest = next(reversed(record.items()), ("", ""))
    if name != "sha256" and not re.fullmatch("[0-9a-f]{64}", str(digest)):
        return record
    if record.pop(name) != hashlib.sha256(_json(record)).hexdigest() or name != "sha256":
        raise ValueError("its checksum does not match")
    return record


def _json(record: Mapping[str, Any]) -> bytes:
    # What of a file's name is no character has its code, which JSON reads back.
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace")


_SEAL = "# sha256 of the lines above: "


def write_run_toml(directory: Path, content: Mapping[str, Any]) -> None:
    """Write the configuration of a run, with its own checksum below it, whole or not at all."""
    text = tomli_w.dumps(content)
    write_atomically(directory / "run.toml", f"{text}{_SEAL}{hashlib.sha256(text.encode()).hexdigest()}\n".encode())


def read_run_toml(directory: Path) -> dict[str, Any]:
    """Read the configuration of a run back, or refuse one that is damaged; those of before had no checksum."""
    path = directory / "run.toml"
    try:
        text, sealed, digest = path.read_bytes().decode().rpartition(_SEAL)
        if sealed and digest.strip() != hashlib.sha256(text.encode()).hexdigest():
            raise ValueError("its checksum does not match")
        return tomllib.loads(text if sealed else digest)
    except ValueError as error:  # of TOML and UTF-8 too
        raise ValueError(f"{path} is damaged ({error}); use a new --dir") from None


def holds(directory: Path, config: Mapping[str, Any], besides: Set[str] = frozenset()) -> bool:
    """Tell whether a directory holds a run of this configuration, whatever made it; some tables may be others."""
    try:
        stored = read_run_toml(directory)
    except (OSError, ValueError):
        return False
    there, here = binding(stored | {"provenance": {}}), binding(_whole(config, {}))
    return not difference(there, here, besides=besides)


def _whole(config: Mapping[str, Any], provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {**toml_form(config), "provenance": toml_form(provenance)}


def binding(content: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of a run's configuration and provenance what its numbers depend on."""
    free = {"run": ("title", "checkpoint_minutes")}
    tables = {
        name: {key: value for key, value in table.items() if key not in free.get(name, ())}
        for name, table in content.items()
        if name != "provenance" and table  # a table that is not used is none
    }
    made_by = content.get("provenance", {})
    tables |= {key: made_by.get(key, {}) for key in ("versions", "weights_sha256", "input_sha256", "code_sha256")}
    return tables | {"engines": _of_engines(made_by, ("engine", "device"))}


def _free(content: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of a run's provenance what may change the last digits of its numbers."""
    made_by = content.get("provenance", {})
    told = {key: made_by.get(key) for key in ("commit", "processor")}
    return {**told, "engines": _of_engines(made_by, ("threads",))}


def _of_engines(made_by: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {
        model: {key: engine[key] for key in keys if key in engine}
        for model, engine in made_by.get("engines", {}).items()
    }


def difference(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "", besides: Set[str] = frozenset()
) -> str:
    """Say in words where two configurations differ besides some keys: "bvs.cutoff 6.0 there, 5.0 here"."""
    lines = []
    for key in [*old, *(key for key in new if key not in old)]:
        name, a, b = f"{prefix}{key}", old.get(key, _NOTHING), new.get(key, _NOTHING)
        if a == b or key in besides:
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines.append(difference(a, b, f"{name}."))
        else:
            there, here = ("nothing" if value is _NOTHING else repr(value) for value in (a, b))
            lines.append(f"{name} {there} there, {here} here")
    return ", ".join(lines)


_NOTHING = object()


def toml_form(value: Any) -> Any:
    """JSON form without None, which TOML cannot say: a key that is missing has its default None.

    What of a file's name is no character has its code.
    """
    value = plain(value)
    if isinstance(value, dict):
        return {toml_form(key): toml_form(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    return [toml_form(entry) for entry in value] if isinstance(value, list) else value
