"""What made the figures of a run: versions, commit, weights, engines."""

import contextlib
import functools
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

from amorph.calculators import CHGNET, ZBLRepulsion, calculator_name
from amorph.pipeline.foreign_code import code_files, digest_of, given_files
from amorph.run import sha256_of

PACKAGES = ("amorph", "ase", "chgnet", "numba", "numpy", "pymatgen", "scipy", "torch", "vesin")


def provenance(
    *calculators: Any,
    inputs: Sequence[Path] = (),
    made: Sequence[Mapping[str, Any]] = (),
    moved: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Say what made a run's numbers: versions, commit, models, their engines, the sha256 of weights and input files.

    `made` are the tables that the calculators were made from: the code behind a foreign factory, and the files that it
    was given, are named with their sha256. `moved` are the parameters of its dynamics: the version of an engine that is
    not ours is named.
    """
    engines = {calculator_name(calculator): _engine(calculator) for calculator in calculators}
    packages = PACKAGES + tuple(sorted({table["engine"] for table in moved if table.get("engine")}))
    weights = {
        calculator_name(calculator): str(digest)
        for calculator in calculators
        if (digest := getattr(calculator, "weights_sha256", None))
    }
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in packages}},
        "commit": _commit(),
        "models": sorted({calculator_name(calculator) for calculator in calculators}),
        "weights_sha256": weights,
        "engines": {name: engine for name, engine in engines.items() if engine},
        "input_sha256": {str(path): sha256_of(path) for path in inputs},
        "code_sha256": {name: digest for table in made for name, digest in _code(table).items()},
        "processor": _processor(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        raise ValueError(f"{package} is not installed here; pip install 'amorph[{package}]'") from None


def _code(table: Mapping[str, Any]) -> dict[str, str]:
    """Digest the sources of a foreign factory and the files among its arguments; name its distribution's version."""
    if table["factory"] == CHGNET:
        return {}
    module = table["factory"].partition(":")[0]
    found = {name: digest_of(path) for name, path in code_files(module).items()}
    for key, value in {"model": table["model"], **table["arguments"]}.items():
        found |= {f"{module} {name}": digest for name, digest in given_files(key, value).items()}
    for name in distributions().get(module.partition(".")[0], []):
        found[name] = version(name)
    return found


@functools.cache
def distributions() -> Mapping[str, Sequence[str]]:
    """Name the distributions of every module, once in a process: the files of all that is installed are listed."""
    return packages_distributions()


def _processor() -> str:
    """Name the processor, whose libraries choose their kernels by it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _engine(calculator: Any) -> dict[str, str | int]:
    """Say what computes a model, as far as its calculator tells: engine, device, number of threads."""
    model = getattr(calculator, "stands_for", calculator)
    if isinstance(model, ZBLRepulsion):
        model = model.calculator
    told = {key: getattr(model, key, None) for key in ("engine", "device", "threads")}
    return {key: value for key, value in told.items() if isinstance(value, str | int)}


def _commit() -> str | None:
    """Commit of a development checkout; None for an installed package."""
    package = Path(__file__).parents[1]
    command = ["git", "-C", str(package), "describe", "--always", "--dirty", "--match=", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):  # no git, or a checkout on a disk that hangs
        return None
    inside = done.returncode == 0 and (package.parent / ".git").exists()
    return done.stdout.strip() if inside else None
