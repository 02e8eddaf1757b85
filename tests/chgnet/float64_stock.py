"""Stock CHGNet cast to float64, the reference for the engine, and the structures that it is compared on."""

from functools import partial

import chgnet.model.model
import numpy as np
import torch
from ase import Atoms, units
from ase.build import bulk, fcc111
from ase.calculators.calculator import Calculator
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from torch.utils.checkpoint import checkpoint as recomputed

from amorph.chgnet.stock import StockModel
from amorph.chgnet.weights import Checkpoint

AMPLITUDES = (0.05, 0.1, 0.2, 0.3, 0.35)
"""Normal displacements of the rattled rocksalt [Å]; at 0.35 atoms come as close as 0.6 Å."""


def float64_stock(checkpoint: Checkpoint, monkeypatch, *, thrifty: bool = True) -> StockModel:
    """Cast the chgnet package's model to float64; its composition model and batches need their input cast too."""
    stock = thrifty_stock(checkpoint, monkeypatch) if thrifty else StockModel(checkpoint)
    stock._model.double()
    monkeypatch.setattr(chgnet.model.model, "TORCH_DTYPE", torch.float64)
    reference = stock._model.composition_model
    energy = reference._get_energy
    monkeypatch.setattr(reference, "_get_energy", lambda composition: energy(composition.double()))
    return stock


def thrifty_stock(checkpoint: Checkpoint, monkeypatch) -> StockModel:
    """Let the chgnet package compute its layers again on the way back instead of keeping what they held.

    The package also prepares to differentiate its forces, for training; left out, 1000 atoms fit in 3 GB in float64.
    """
    stock, gradient = StockModel(checkpoint), torch.autograd.grad
    model = stock._model
    for layer in (*model.atom_conv_layers, *model.bond_conv_layers, *model.angle_layers):
        monkeypatch.setattr(layer, "forward", partial(recomputed, layer.forward, use_reentrant=False))
    monkeypatch.setattr(
        torch.autograd, "grad", lambda *arguments, **options: gradient(*arguments, **options | {"create_graph": False})
    )
    return stock


def rocksalt(repeat: int, amplitude: float, seed: int = 0, a: float = 4.15) -> Atoms:
    """Disordered Li2Ti1/3Mo2/3O3-like rocksalt, rattled by a normal amplitude [Å]."""
    rng = np.random.default_rng(seed)
    atoms = bulk("MgO", "rocksalt", a=a, cubic=True) * (repeat, repeat, repeat)
    cations = np.flatnonzero(atoms.numbers == 12)
    lithium, titanium = round(cations.size * 2 / 3), round(cations.size / 9)
    elements = [3] * lithium + [22] * titanium + [42] * (cations.size - lithium - titanium)
    atoms.numbers[cations] = rng.permutation(elements)
    atoms.positions += rng.normal(scale=amplitude, size=atoms.positions.shape)
    return atoms


def melt(atoms_count: int = 48, seed: int = 0) -> Atoms:
    """Random packing at the density of the melt with no pair closer than 1.4 Å."""
    rng = np.random.default_rng(seed)
    edge = (atoms_count / 0.09) ** (1 / 3)
    placed: list[np.ndarray] = []
    while len(placed) < atoms_count:
        trial = rng.random(3) * edge
        gaps = [trial - other for other in placed]
        if all(np.linalg.norm(gap - edge * np.round(gap / edge)) > 1.4 for gap in gaps):
            placed.append(trial)
    return Atoms(rng.choice([3, 8, 8, 22, 42], atoms_count), positions=placed, cell=[edge] * 3, pbc=True)


def molten(calculator: Calculator, repeat: int = 2, seed: int = 0, picoseconds: float = 1.0) -> Atoms:
    """Rocksalt after some time at 3000 K, with the velocities it has then."""
    rng = np.random.default_rng(seed)
    atoms = rocksalt(repeat, 0.1, seed, a=4.3)
    atoms.calc = calculator
    thermalize_momenta(atoms, 6000.0, rng=rng)
    dynamics = Langevin(atoms, 2 * units.fs, temperature_K=3000, friction=0.02 / units.fs, fixcm=False, rng=rng)
    dynamics.run(round(picoseconds * 500))
    atoms.calc = None
    return atoms


def skewed() -> Atoms:
    """Five atoms in a strongly skewed cell whose shortest height is 2.2 Å."""
    rng = np.random.default_rng(5)
    cell = np.array([[5.0, 0.0, 0.0], [4.0, 3.0, 0.0], [-3.0, 6.5, 4.0]])
    points = np.array([[0.05, 0.1, 0.1], [0.5, 0.55, 0.05], [0.2, 0.6, 0.5], [0.75, 0.2, 0.5], [0.45, 0.1, 0.8]])
    return Atoms("MgOTiOLi", scaled_positions=points + 0.01 * rng.random((5, 3)), cell=cell, pbc=True)


def unwrapped() -> Atoms:
    """Atoms several cells away from the cell, each in another direction."""
    atoms = rocksalt(1, 0.1, seed=3)
    shifts = np.random.default_rng(3).integers(-3, 4, atoms.positions.shape)
    atoms.positions += shifts @ atoms.cell.array
    return atoms


def all_elements() -> Atoms:
    """Every element that CHGNet knows, on a cubic lattice with a spacing of 3 Å, rattled."""
    atoms = Atoms([*range(1, 95), 8, 8], cell=[12.0, 12.0, 18.0], pbc=True)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in (4, 4, 6)), indexing="ij"), axis=-1).reshape(-1, 3)
    atoms.positions = 3.0 * grid + np.random.default_rng(1).normal(scale=0.2, size=(96, 3))
    return atoms


def slab() -> Atoms:
    """Two layers of platinum with an oxygen, under 12 Å of vacuum."""
    atoms = fcc111("Pt", size=(2, 2, 2), vacuum=6.0)
    atoms += Atoms("O", positions=[atoms.positions[-1] + [0.3, 0.2, 1.9]])
    atoms.pbc = True
    return atoms


def one_atom() -> Atoms:
    """A primitive cell of copper, sheared."""
    atoms = bulk("Cu", "fcc", a=3.61)
    atoms.set_cell(atoms.cell.array @ [[1.0, 0.03, 0.0], [0.0, 1.02, 0.0], [0.05, 0.0, 0.98]], scale_atoms=True)
    return atoms


def two_atoms() -> Atoms:
    """A primitive cell of MgO off its symmetric place."""
    atoms = bulk("MgO", "rocksalt", a=4.212)
    atoms.positions[1] += [0.1, -0.05, 0.2]
    return atoms


def close_pair() -> Atoms:
    """Molybdenum and oxygen 0.86 Å apart, where messages change fastest."""
    return Atoms("MoO", positions=[[0.0, 0.0, 0.0], [0.5, 0.5, 0.495]], cell=[4.0, 4.1, 4.2], pbc=True)


def pressed() -> Atoms:
    """A primitive cell of aluminum at 1.9 Å: no forces, and a stress of hundreds of GPa."""
    atoms = bulk("Al", "fcc", a=2.7)
    atoms.set_cell(atoms.cell.array @ [[1.0, 0.02, 0.0], [0.0, 1.0, 0.0], [0.03, 0.0, 1.0]], scale_atoms=True)
    return atoms


SMALL = {
    "packing": lambda: melt(16),
    "one atom": one_atom,
    "one atom, pressed": pressed,
    "two atoms": two_atoms,
    "two atoms at 0.86 Å": close_pair,
    "eight atoms": lambda: rocksalt(1, 0.1, seed=4),
    "skewed cell": skewed,
    "unwrapped": unwrapped,
    "slab": slab,
}
LARGE = {f"rocksalt 64, {amplitude} Å": partial(rocksalt, 2, amplitude, seed=2) for amplitude in AMPLITUDES} | {
    "rocksalt 216, 0.35 Å": lambda: rocksalt(3, 0.35, seed=1),
    "packing": melt,
    "all elements": all_elements,
}
