"""Errors of the CHGNet engine against the chgnet package in float64, beside those of the package in float32.

    python benchmarks/chgnet_accuracy.py                     # 1 to 216 atoms, both models
    python benchmarks/chgnet_accuracy.py --repeats 2 5       # rattled rocksalt of 8 · 2³ and 8 · 5³ atoms (3 GB)

For each structure two lines, "ours" and "stock" (float32): error of the energy per atom, largest and rms error of the
force components, largest errors of the stress and of the magnetic moments. The rest describes the structure: its
closest pair and its largest force. Both codes use one thread. The first column is marked where one of our errors is
beyond the bounds of docs/chgnet_engine.md.
"""

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import GPa
from pytest import MonkeyPatch

from amorph.chgnet import CHGNetCalculator
from amorph.chgnet.weights import load_checkpoint
from amorph.structure import pair_list

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "chgnet"))
from float64_stock import AMPLITUDES, LARGE, SMALL, float64_stock, molten, rocksalt, thrifty_stock

PROPERTIES = ("energy", "forces", "stress", "magmoms")
BOUNDS = (2e-6, 1e-4, 1e-5, 1e-4, 1e-4)
"""Energy per atom [eV], force [eV/Å], rms force [eV/Å], stress [GPa], magnetic moment [μB]."""

Results = dict[str, Any]


def errors(found: Results, reference: Results) -> tuple[float, ...]:
    """Measure what BOUNDS bounds."""
    difference = {name: np.abs(np.subtract(found[name], reference[name])) for name in PROPERTIES}
    return (
        float(difference["energy"]) / len(reference["forces"]),
        difference["forces"].max(),
        np.sqrt((difference["forces"] ** 2).mean()),
        difference["stress"].max() / GPa,
        difference["magmoms"].max(),
    )


def ours(model: str, atoms: Atoms) -> Results:
    """Evaluate with the engine."""
    calculator = CHGNetCalculator(model, device="cpu", threads=1)
    return {name: calculator.get_property(name, atoms) for name in ("forces", "stress", "magmoms", "energy")}


def stock(model: str, atoms: Atoms, make: Callable[..., Any]) -> Results:
    """Evaluate with the chgnet package in one of its precisions."""
    with MonkeyPatch.context() as patch:
        return dict(make(load_checkpoint(model), patch).evaluate(atoms, set(PROPERTIES)))


def compare(name: str, model: str, atoms: Atoms) -> bool:
    """Print the two lines of one structure; tell whether ours is within the bounds."""
    reference = stock(model, atoms, float64_stock)
    mine = errors(ours(model, atoms), reference)
    closest = pair_list(atoms, 6.0).d.min()
    largest = np.linalg.norm(reference["forces"], axis=1).max()
    holds = all(error < bound for error, bound in zip(mine, BOUNDS, strict=True))
    for code, figures in (("ours", mine), ("stock", errors(stock(model, atoms, thrifty_stock), reference))):
        mark = "!" if code == "ours" and not holds else " "
        print(
            f"{mark} {name:26} {model:7} {len(atoms):5d} {closest:7.2f} {largest:8.1f}  {code:6}"
            + "".join(f"{figure:9.1e}" for figure in figures),
            flush=True,
        )
    return holds


def structures(repeats: list[int]) -> dict[str, Callable[[str], Atoms]]:
    """Name the structures and how each is made, given the model."""
    if repeats:
        return {
            f"rocksalt {8 * repeat**3}, {amplitude} Å": lambda _, r=repeat, a=amplitude: rocksalt(r, a, seed=1)
            for repeat in repeats
            for amplitude in AMPLITUDES
        }
    made = {name: lambda _, make=make: make() for name, make in (SMALL | LARGE).items()}
    for seed in range(3):
        made[f"melt at 3000 K, {seed}"] = lambda model, seed=seed: molten(
            CHGNetCalculator(model, device="cpu", threads=1), seed=seed
        )
    return made | {f"rocksalt, rattled {a} Å, 216": lambda _, a=a: rocksalt(3, a, seed=1) for a in AMPLITUDES}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["0.3.0", "r2scan"])
    parser.add_argument("--repeats", type=int, nargs="+", default=[], help="only rattled rocksalt of these sizes")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(
        "  structure                  model   atoms closest    |F|           energy    force      rms   stress   moment"
    )
    print(
        "                                                Å     eV/Å           eV/at     eV/Å     eV/Å      GPa       μB"
    )
    held = [
        compare(name, model, make(model))
        for name, make in structures(options.repeats).items()
        for model in options.models
    ]
    print(f"within the bounds: {sum(held)} of {len(held)}")


if __name__ == "__main__":
    main()
