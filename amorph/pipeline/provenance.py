"""What made the figures of a run: versions, commit, weights, engines."""

import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amorph.calculators import ZBLRepulsion, calculator_name
from amorph.run import sha256_of

PACKAGES = ("amorph", "ase", "chgnet", "numba", "numpy", "pymatgen", "scipy", "torch", "vesin")


def provenance(*calculators: Any, inputs: Sequence[Path] = ()) -> dict[str, Any]:
    """Say what made a run's numbers: versions, commit, models, their engines, the sha256 of weights and input files."""
    engines = {calculator_name(calculator): _engine(calculator) for calculator in calculators}
    weights = {
        calculator_name(calculator): str(digest)
        for calculator in calculators
        if (digest := getattr(calculator, "weights_sha256", None))
    }
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "commit": _commit(),
        "models": sorted({calculator_name(calculator) for calculator in calculators}),
        "weights_sha256": weights,
        "engines": {name: engine for name, engine in engines.items() if engine},
        "input_sha256": {str(path): sha256_of(path) for path in inputs},
    }


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
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):  # no git, or a checkout on a disk that hangs
        return None
    inside = done.returncode == 0 and (package.parent / ".git").exists()
    return done.stdout.strip() if inside else None
