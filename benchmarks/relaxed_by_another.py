"""What another potential makes of structures that it relaxes on: volume, free volume and window, before and after.

Run ``python benchmarks/relaxed_by_another.py docs/data/relaxed_by_sevennet``: a folder of files PARENT-NAME.extxyz,
each PARENT/NAME.extxyz of docs/data relaxed on. The command that relaxed them is in docs/validation.md.
"""

import argparse
from pathlib import Path

import numpy as np
from ase import Atoms
from scipy.stats import t

from amorph import bvs_map, free_volume
from amorph.reading import read_structure

DATA = Path(__file__).parents[1] / "docs/data"


def figures(atoms: Atoms) -> np.ndarray:
    """Give the volume per O [Å³], f_V [%], and the window and under-bonded shares without Mg [%]."""
    sums = bvs_map(atoms, "Mg2+", spacing=0.1, blocking="framework")
    shares = [sums.window_fraction_of_cell, sums.under_bonded_fraction_of_cell]
    return np.array(
        [
            atoms.get_volume() / atoms.symbols.formula.count()["O"],
            *(100.0 * share for share in (free_volume(atoms, ion="Mg2+").free_volume_fraction, *shares)),
        ]
    )


def main() -> None:
    """Print both structures of each file, and the mean changes of glasses and crystals of each model with 95 %."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    changes: dict[str, list[np.ndarray]] = {}
    print(f"{'structure':<42}{'Å³ per O':>16}{'f_V [%]':>16}{'window [%]':>16}{'under-bonded [%]':>18}")
    for path in sorted(parser.parse_args().folder.glob("*.extxyz")):
        parent, _, name = path.stem.rpartition("-")
        before = figures(read_structure(DATA / parent.replace("-", "/") / f"{name}.extxyz"))
        after = figures(read_structure(path))
        print(f"{path.stem:<42}" + "".join(f"{a:>9.2f}{b:>7.2f}" for a, b in zip(before, after, strict=True)))
        model = "r2scan" if "r2scan" in parent else "0.3.0"
        changes.setdefault(f"{'crystal' if name == 'crystal' else 'glass'}, {model}", []).append(after - before)
    for what, found in changes.items():
        half = t.ppf(0.975, len(found) - 1) * np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
        means = zip(np.mean(found, axis=0), half, strict=True)
        print(f"{f'{what}: change of {len(found)}':<42}" + "".join(f"{mean:>+9.2f} ±{h:>5.2f}" for mean, h in means))


if __name__ == "__main__":
    main()
