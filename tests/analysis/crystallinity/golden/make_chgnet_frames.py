"""Melt, quench and, beside it, keep solid a 64-atom Li21Ti4Mo7O32 rocksalt with CHGNet 0.3.0; see README.md."""

from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.io import write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from chgnet.model import CHGNetCalculator

HERE = Path(__file__).parent
TIMESTEP_FS = 2.0
DAMPING_TIME_FS = 20.0


class ForcesOnly(CHGNetCalculator):
    """CHGNet without the stress and the magnetic moments, which the dynamics does not need."""

    def calculate(self, atoms=None, properties=None, system_changes=None, task="ef") -> None:
        super().calculate(atoms, properties, system_changes, task="ef")


def crystal(lattice_constant: float, rng: np.random.Generator) -> Atoms:
    atoms = bulk("LiO", "rocksalt", a=lattice_constant, cubic=True) * (2, 2, 2)
    cations = rng.permutation(np.flatnonzero(atoms.symbols == "Li"))
    symbols = atoms.symbols
    symbols[cations[:4]] = "Ti"
    symbols[cations[4:11]] = "Mo"
    atoms.info["supercell"] = 2 * np.eye(3, dtype=int)
    return atoms


def follow(atoms: Atoms, temperatures_K: np.ndarray, every: int, rng: np.random.Generator) -> list[Atoms]:
    dynamics = Langevin(
        atoms,
        TIMESTEP_FS * units.fs,
        temperature_K=temperatures_K[0],
        friction=1.0 / (DAMPING_TIME_FS * units.fs),
        fixcm=False,
        rng=rng,
    )
    frames = []
    for step, temperature in enumerate(temperatures_K, start=1):
        dynamics.set_temperature(temperature_K=temperature)
        dynamics.run(1)
        if step % every == 0:
            frames.append(bare(atoms))
    return frames


def bare(atoms: Atoms) -> Atoms:
    frame = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=True)
    frame.info["supercell"] = atoms.info["supercell"]
    return frame


def main() -> None:
    calculator = ForcesOnly(use_device="cpu", verbose=False)
    rng = np.random.default_rng(0)

    atoms = crystal(4.40, rng)
    start = bare(atoms)
    atoms.calc = calculator
    MaxwellBoltzmannDistribution(atoms, temperature_K=6000, rng=rng)
    follow(atoms, np.full(350, 6000.0), 50, rng)
    melt = follow(atoms, np.full(300, 3000.0), 20, rng)[-10:]
    quench = follow(atoms, np.linspace(3000, 300, 300), 50, rng)
    write(HERE / "chgnet_melt.extxyz", [start, *melt], columns=["symbols", "positions"], write_results=False)
    write(HERE / "chgnet_glass.extxyz", quench[-1], columns=["symbols", "positions"], write_results=False)

    atoms = crystal(4.28, rng)
    atoms.calc = calculator
    MaxwellBoltzmannDistribution(atoms, temperature_K=600, rng=rng)
    solid = follow(atoms, np.full(60, 300.0), 20, rng)
    write(HERE / "chgnet_solid.extxyz", solid[-1], columns=["symbols", "positions"], write_results=False)


if __name__ == "__main__":
    main()
