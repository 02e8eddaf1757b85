"""What stands behind a factory that is not ours: its source files, and the files that it was given."""

import ast
import hashlib
import importlib.machinery
import itertools
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from amorph.run import sha256_of

WRITES_TO = frozenset({"directory", "label", "logfile", "outdir", "tmp_dir", "tmpdir", "txt", "workdir"})
"""Names, in ASE and elsewhere, of the files and folders that a calculator writes: what they hold is no input."""


def code_files(module: str) -> dict[str, Path]:
    """Find the file of a loaded module and those that it imports from its own folder, by name.

    They are found by what the sources say, not by what is loaded, which differs from one process to the next. Of an
    installed module it is the folder of its package.
    """
    file = Path(getattr(sys.modules.get(module), "__file__", None) or "/nonexistent")
    if not file.is_file():
        return {}
    found, top = {module: file}, module.partition(".")[0]
    if top == "amorph":  # its commit and version are recorded
        return found
    depth = module.count(".") + (file.stem == "__init__")
    root = file.parents[min(depth, len(file.parents) - 1)]
    # Wherever an environment takes them from, another one among them.
    if {"site-packages", "dist-packages"} & set(root.parts) or root.is_relative_to(sysconfig.get_path("stdlib")):
        return found | ({f"{top} package": root / top} if (root / top).is_dir() else {})
    left, seen, names = [(module, file)], {file}, set[str]()
    while left:
        wanted = set(_imported_by(*left.pop())) - names
        names |= wanted
        for parent, path in itertools.chain(*(_along(root, name) for name in sorted(wanted))):
            if path not in seen:
                seen.add(path)
                left.append((parent, path))
                found[path.relative_to(root).as_posix()] = path
    return found


def digest_of(path: Path) -> str:
    """Digest a file, or all Python sources in a folder."""
    return _of_folder(path, "*.py") if path.is_dir() else sha256_of(path)


def _imported_by(module: str, file: Path) -> Iterator[str]:
    """Name what a source imports, at its top or later; "from a import b" may be the module a.b."""
    if file.suffix != ".py":
        return
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError):
        return  # it is no code that ran
    package = module.split(".") if file.stem == "__init__" else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{start}.{alias.name}".strip(".") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(word := node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in {"import_module", "__import__"} and isinstance(word.value, str):
                yield word.value.strip(".")


def _along(root: Path, name: str) -> Iterator[tuple[str, Path]]:
    """Give each file that is run when a name below a folder is imported: those of its packages, and its own."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:count])
        candidates = [place / "__init__.py", *(place.with_name(place.name + end) for end in _SUFFIXES)]
        if file := next((path for path in candidates if path.is_file()), None):
            yield ".".join(parts[:count]), file


_SUFFIXES = importlib.machinery.SOURCE_SUFFIXES + importlib.machinery.EXTENSION_SUFFIXES


def given_files(name: str, value: Any) -> dict[str, str]:
    """Digest the files and folders that an argument names, itself or within lists and tables."""
    if isinstance(value, Mapping | list | tuple):
        parts = value.items() if isinstance(value, Mapping) else enumerate(value)
        return {key: digest for part, one in parts for key, digest in given_files(f"{name}.{part}", one).items()}
    if not isinstance(value, str) or "\0" in value or name.rpartition(".")[2].lower() in WRITES_TO:
        return {}
    path = Path(value)
    try:
        if path.is_file():
            return {name: sha256_of(path)}
        # A folder that we stand in holds what is being made.
        inputs = path.is_dir() and not Path.cwd().is_relative_to(path.resolve())
        return {name: _of_folder(path)} if inputs else {}
    except OSError:  # too long for a name, say
        return {}


def _of_folder(folder: Path, pattern: str = "*") -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob(pattern)):
        if path.is_file():
            digest.update(
                f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\n".encode(errors="surrogateescape")
            )
    return digest.hexdigest()
