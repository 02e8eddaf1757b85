"""Trajectories of ions in hosts, by pair potentials in LAMMPS: crystals and glasses, cold, hot and molten."""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from ase import Atoms, units
from ase.build import bulk, make_supercell
from ase.data import atomic_masses, atomic_numbers
from ase.formula import Formula
from ase.io import read
from ase.spacegroup import crystal
from numpy.typing import NDArray
from scipy.special import erfc

from amorph.calculators import open_lammps
from amorph.rocksalt import build
from amorph.substitution import substitute

Array = NDArray[np.float64]
Frames = NDArray[np.float32]
STRUCTURES = Path(__file__).parent.parent / "structures"
CUTOFF, DAMPING, COULOMB = 6.5, 0.3, 14.399645
"""Reach [Å] and damping [1/Å] of the shifted Coulomb forces, e²/4πε₀ [eV·Å]."""
FRAME_PS: Final = 0.02
STEP_PS: Final = {"BKS": 0.001}
"""Time step where it is not 0.002 ps: hot silica comes apart at that."""
QUENCHED_PS: Final = (0, 4, 20)
"""Times after the equilibration whose frames are quenched; the last ends the run."""

PEDONE = {
    "Li": (0.6, 0.001114, 3.429506, 2.681360, 1.0),
    "Na": (0.6, 0.023363, 1.763867, 3.006315, 5.0),
    "Mg": (1.2, 0.038908, 2.281000, 2.586153, 5.0),
    "Ti": (2.4, 0.024235, 2.254703, 2.708943, 1.0),
    "Zr": (2.4, 0.206237, 2.479675, 2.436997, 1.0),
    "Si": (2.4, 0.340554, 2.006700, 2.100000, 1.0),
    "P": (3.0, 0.831326, 2.585833, 1.800790, 1.0),
    "O": (-1.2, 0.042395, 1.379316, 3.618701, 22.0),
}
"""Charge [e]; with O: D [eV], a [1/Å], r0 [Å] and C [eV·Å¹²]. Pedone et al. (2006), doi:10.1021/jp0611018, as the
program amorphouspy tells them; the paper was not opened."""
BKS = {
    ("O", "Si"): (18003.7572, 4.87318, 133.5381, 0.0030978, 1.313635),
    ("O", "O"): (1388.7730, 2.76000, 175.0000, 0.0010511, 1.779239),
}
"""A [eV], b [1/Å], C [eV·Å⁶]: van Beest, Kramer, van Santen, Phys. Rev. Lett. 64, 1955 (1990), charges 2.4 and −1.2;
ε [eV], σ [Å] of a 24-6 term that keeps atoms apart. As programs tell them; the papers were not opened."""
FUMI_TOSI = {
    ("Na", "Na"): (0.2637, 0.317, 2.340, 1.048553, 0.49935),
    ("Cl", "Na"): (0.21096, 0.317, 2.755, 6.99055303, 8.6757),
    ("Cl", "Cl"): (0.158221, 0.317, 3.170, 75.0544, 150.7325),
}
"""A [eV], ρ, σ [Å], C [eV·Å⁶], D [eV·Å⁸] of NaCl: Fumi & Tosi (1964), doi:10.1016/0022-3697(64)90159-3, as input
files of LAMMPS tell them; the paper was not opened."""
KOB_ANDERSEN = {("Ni", "Ni"): (1.0, 1.0), ("Ni", "P"): (1.5, 0.8), ("P", "P"): (0.5, 0.88)}
"""ε and σ of a binary Lennard-Jones glass, in those of Ni: 2000 K and 2.4 Å, which are ours."""


@dataclass(frozen=True)
class System:
    """What is followed."""

    potential: str
    ion: str
    """The element that may move; "" where none may."""
    start: Callable[[int], Atoms]
    """Cell of a seed."""
    temperatures_K: tuple[int, ...]
    melt_K: int = 0
    """Temperature of the melt that it is quenched from; 0 for a crystal."""
    chose: bool = False
    """Whether it chose the limits; the others test them."""
    exchanged: bool = False
    """Whether half as many Mg take the places of Li in the glass."""


@dataclass(frozen=True)
class Run:
    """A system at one temperature."""

    system: str
    kelvin: int
    ion: str
    start: Atoms
    """Relaxed structure."""
    frames: Frames
    """(frames, atoms, 3) unwrapped positions from the end of the equilibration on."""
    quenched: dict[int, Array]
    """Positions of least energy below the frame at 0, 4 and 20 ps."""


def coulomb(product: float, r: Array) -> Array:
    """Energy of two charges by damped shifted forces, Fennell & Gezelter (2006), doi:10.1063/1.2206581 (unverified)."""
    edge = erfc(DAMPING * CUTOFF) / CUTOFF
    slope = (
        erfc(DAMPING * CUTOFF) / CUTOFF**2 + 2 * DAMPING / np.sqrt(np.pi) * np.exp(-((DAMPING * CUTOFF) ** 2)) / CUTOFF
    )
    return COULOMB * product * (erfc(DAMPING * r) / r - edge + slope * (r - CUTOFF))


def pair_energy(potential: str, one: str, other: str, r: Array) -> Array:
    """Energy of a pair [eV]."""
    pair = (min(one, other), max(one, other))
    if potential == "Pedone":
        energy = coulomb(PEDONE[one][0] * PEDONE[other][0], r)
        if "O" in pair:
            _, depth, a, r0, repulsion = PEDONE[other if one == "O" else one]
            energy += depth * ((1 - np.exp(-a * (r - r0))) ** 2 - 1) + repulsion / r**12
        return energy
    if potential == "Fumi-Tosi":
        A, rho, sigma, C, D = FUMI_TOSI[pair]
        return coulomb(1.0 if one == other else -1.0, r) + A * np.exp((sigma - r) / rho) - C / r**6 - D / r**8
    if potential == "BKS":
        charges = {"Si": 2.4, "O": -1.2}
        energy = coulomb(charges[one] * charges[other], r)
        if pair in BKS:
            A, b, C, epsilon, sigma = BKS[pair]
            energy += A * np.exp(-b * r) - C / r**6 + 4 * epsilon * ((sigma / r) ** 24 - (sigma / r) ** 6)
        return energy
    epsilon, sigma = KOB_ANDERSEN[pair][0] * 2000 * units.kB, KOB_ANDERSEN[pair][1] * 2.4
    x, edge = (sigma / np.minimum(r, 2.5 * sigma)) ** 6, 2.5**-6
    return 4 * epsilon * (x * x - x - edge * edge + edge)


class Box:
    """A cell with right angles in LAMMPS, its potential as tables."""

    def __init__(self, atoms: Atoms, potential: str, folder: Path) -> None:
        self.symbols, lengths = atoms.symbols, atoms.cell.lengths()
        self.step_ps = STEP_PS.get(potential, 0.002)
        species = sorted(set(atoms.symbols))
        self.lmp = open_lammps("-screen", "none", "-log", "none")
        corners = " ".join(f"0 {length:.10f}" for length in lengths)
        self.run(
            "units metal", "atom_style atomic", "atom_modify map array sort 0 0.0", "neighbor 1.0 bin",
            f"region all block {corners}", f"create_box {len(species)} all",
        )  # fmt: skip
        types = [species.index(symbol) + 1 for symbol in atoms.symbols]
        inside = atoms.get_scaled_positions() % 1.0 @ atoms.cell.array
        self.lmp.create_atoms(len(atoms), list(range(1, len(atoms) + 1)), types, inside.ravel().tolist())
        r = np.linspace(0.6, CUTOFF, 5000)
        self.run(f"pair_style table linear {len(r)}")
        for (i, one), (j, other) in itertools.combinations_with_replacement(enumerate(species, start=1), 2):
            energy = pair_energy(potential, one, other, r)
            rows = np.c_[np.arange(1, len(r) + 1), r, energy, -np.gradient(energy, r, edge_order=2)]
            head = f"{one}{other}\nN {len(r)} R {r[0]} {r[-1]}\n"
            np.savetxt(folder / "table", rows, fmt="%d %.10g %.10g %.10g", header=head, comments="")
            self.run(f"pair_coeff {i} {j} {folder / 'table'} {one}{other}")
        masses = (atomic_masses[atomic_numbers[symbol]] for symbol in species)
        self.run(*(f"mass {i} {mass}" for i, mass in enumerate(masses, start=1)))
        self.run(
            "neigh_modify every 1 delay 2 check yes", f"timestep {self.step_ps}", "thermo 1000000", "fix move all nve"
        )

    def run(self, *commands: str) -> None:
        """Give commands to LAMMPS."""
        self.lmp.commands_list(list(commands))

    @property
    def positions(self) -> Array:
        """Positions in the order of the atoms, wrapped [Å]."""
        number = len(self.symbols)
        places = np.empty((number, 3))
        places[self.lmp.numpy.extract_atom("id")[:number] - 1] = self.lmp.numpy.extract_atom("x")[:number]
        return places

    @property
    def atoms(self) -> Atoms:
        """The structure as it stands."""
        low, high = (np.array(corner) for corner in self.lmp.extract_box()[:2])
        return Atoms(self.symbols, self.positions - low, cell=high - low, pbc=True)

    def minimize(self, *, cell: bool) -> None:
        """Bring the energy to its minimum, with the volume or without."""
        for _ in range(3 if cell else 0):
            self.run("fix cell all box/relax iso 0.0 vmax 0.002", "minimize 0 1e-4 500 5000", "unfix cell")
        self.run("minimize 0 1e-4 2000 20000")

    def move(self, from_K: int, to_K: int, ps: float, seed: int) -> None:
        """Run dynamics with velocity rescaling and keep no frame."""
        self.run(
            f"fix heat all temp/csvr {from_K} {to_K} 0.1 {seed}",
            f"run {round(ps / self.step_ps)} post no",
            "unfix heat",
        )

    def follow(self, path: Array, kelvin: int, ps: float, seed: int) -> Frames:
        """Run dynamics and give the positions every 0.02 ps, unwrapped from those where the atoms stand now."""
        lengths = self.atoms.cell.lengths()
        frames = []
        self.run(f"fix heat all temp/csvr {kelvin} {kelvin} 0.1 {seed}")
        for number in range(round(ps / FRAME_PS)):
            self.run(f"run {round(FRAME_PS / self.step_ps)} pre {'no' if number else 'yes'} post no")
            step = self.positions - path
            path = path + step - lengths * np.round(step / lengths)
            frames.append(path.astype(np.float32))
        self.run("unfix heat")
        return np.array(frames)


def relaxed(system: System, seed: int, folder: Path) -> Atoms:
    """Make the structure of a seed: a crystal, a glass, or one whose ions were exchanged; at rest."""
    box = Box(system.start(seed), system.potential, folder)
    if system.melt_K:
        box.minimize(cell=False)
        box.run(f"velocity all create {system.melt_K} {17 + seed} mom yes dist gaussian")
        box.move(system.melt_K, system.melt_K, 4.0, 17 + seed)
        box.move(system.melt_K, 300, 8.0, 18 + seed)
    box.minimize(cell=True)
    if system.exchanged:
        rng = np.random.default_rng(seed)
        atoms = substitute(box.atoms, ion="Li+", by="Mg2+", fraction=1.0, rng=rng).atoms
        box = Box(atoms, system.potential, folder)
        box.minimize(cell=True)
    box = Box(box.atoms, system.potential, folder)  # in its own cell, with new tables of neighbors
    box.minimize(cell=False)
    return box.atoms


def dynamics(start: Atoms, potential: str, kelvin: int, seed: int, folder: Path) -> tuple[Frames, dict[int, Array]]:
    """Equilibrate a structure for 1 ps, follow it, and quench some of its frames."""
    box = Box(start, potential, folder)
    box.run(f"velocity all create {kelvin} {1000 * seed + kelvin} mom yes dist gaussian")
    settled = box.follow(start.positions, kelvin, 1.0, 1000 * seed + kelvin)[-1].astype(np.float64)
    frames = box.follow(settled, kelvin, QUENCHED_PS[-1], 1000 * seed + kelvin + 1)
    quenched = {}
    for ps in QUENCHED_PS:
        frame = frames[max(0, round(ps / FRAME_PS) - 1)].astype(np.float64)
        resting = Box(Atoms(start.symbols, frame, cell=start.cell, pbc=True), potential, folder)
        before = resting.positions
        resting.minimize(cell=False)
        step = resting.positions - before
        quenched[ps] = frame + step - start.cell.lengths() * np.round(step / start.cell.lengths())
    return frames, quenched


def made(name: str, seed: int, keep: Path | None) -> Iterator[Run]:
    """Give the runs of a system, from the folder where they lie there."""
    system = SYSTEMS[name]
    start = None
    with tempfile.TemporaryDirectory() as folder:
        for kelvin in system.temperatures_K:
            path = None if keep is None else keep / f"{name} {seed} {kelvin}.npz"
            if path is not None and path.exists():
                with np.load(path) as kept:
                    atoms = Atoms(kept["symbols"].tolist(), kept["start"], cell=kept["cell"], pbc=True)
                    frames, quenched = kept["frames"], dict(zip(QUENCHED_PS, kept["quenched"], strict=True))
            else:
                atoms = start = start or relaxed(system, seed, Path(folder))
                frames, quenched = dynamics(start, system.potential, kelvin, seed, Path(folder))
                if path is not None:
                    np.savez(
                        path,
                        symbols=np.array(start.symbols),
                        start=start.positions,
                        cell=start.cell.lengths(),
                        frames=frames,
                        quenched=[quenched[ps] for ps in QUENCHED_PS],
                    )
            yield Run(name, kelvin, system.ion, atoms, frames, quenched)


def rocksalt(formula: str, repeats: tuple[int, int, int], constant: float) -> Callable[[int], Atoms]:
    """Lay ions at random on the sites of rocksalt."""
    return lambda seed: (
        build(formula, supercell=repeats, lattice_constant=constant, rng=np.random.default_rng(seed)).atoms
    )


def scattered(formula: str, units_: int, volume: float) -> Callable[[int], Atoms]:
    """Lay atoms at random on the sites of a simple cubic lattice, so much volume each [Å³]."""

    def start(seed: int) -> Atoms:
        symbols = [symbol for symbol, count in Formula(formula).count().items() for _ in range(count * units_)]
        rng = np.random.default_rng(seed)
        rng.shuffle(symbols)
        edge, sites = (len(symbols) * volume) ** (1 / 3), int(np.ceil(len(symbols) ** (1 / 3)))
        places = np.indices((sites,) * 3).reshape(3, -1).T[rng.permutation(sites**3)[: len(symbols)]]
        return Atoms(symbols, (places + 0.5) * edge / sites, cell=[edge] * 3, pbc=True)

    return start


def nasicon() -> Atoms:
    """Give NaZr2P3O12 in the cell of right angles that its hexagonal one has."""
    atoms = make_supercell(read(STRUCTURES / "NaZr2P3O12.cif"), [[1, 0, 0], [1, 2, 0], [0, 0, 1]])
    atoms.set_cell(np.diag(atoms.cell.lengths()), scale_atoms=True)
    return atoms


def cristobalite() -> Atoms:
    """Give what the glass of silica is molten from."""
    return crystal(
        ["Si", "O"], [(0, 0, 0), (1 / 8, 1 / 8, 1 / 8)], spacegroup=227, setting=1, cellpar=3 * [7.16] + 3 * [90]
    ) * (2, 2, 2)


_TITANATE = (300, 600, 900, 1200, 1600, 2400)
SYSTEMS = {
    "MgO crystal": System(
        "Pedone", "Mg", lambda _: bulk("MgO", "rocksalt", a=4.212, cubic=True) * (3, 3, 3),
        (300, 2000, 4000, 5500, 7000), chose=True,
    ),
    "Li2O crystal": System(
        "Pedone", "Li", lambda _: bulk("OLi2", "fluorite", a=4.62, cubic=True) * (3, 3, 2),
        (300, 1000, 1500, 2000, 2600, 3200), chose=True,
    ),
    "NaCl crystal": System(
        "Fumi-Tosi", "Na", lambda _: bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (3, 3, 3),
        (300, 900, 1200, 1500, 2000), chose=True,
    ),
    "SiO2 glass": System(
        "BKS", "", lambda _: cristobalite(), (300, 2000, 3000, 3600, 4500), melt_K=6000, chose=True
    ),
    "Na2Si2O5 glass": System(
        "Pedone", "Na", scattered("Na2Si2O5", 22, 13.5), (300, 800, 1300, 1800, 2300, 3200), melt_K=4000, chose=True
    ),
    "Li2TiO3 glass": System(
        "Pedone", "Li", rocksalt("Li2TiO3", (3, 3, 3), 4.3), _TITANATE, melt_K=4000, chose=True
    ),
    "NaZr2P3O12 crystal": System("Pedone", "Na", lambda _: nasicon(), (300, 1000, 2000, 2600, 3200, 4000)),
    "Li2TiO3 crystal": System(
        "Pedone", "Li", rocksalt("Li2TiO3", (3, 3, 3), 4.15), (300, 800, 1200, 1600, 2000, 3000)
    ),
    "Ni4P glass": System(
        "Kob-Andersen", "P", scattered("Ni4P", 45, 2.4**3 / 1.2), (200, 500, 800, 950, 1100, 1600), melt_K=4000
    ),
    "MgTiO3 glass, exchanged": System(
        "Pedone", "Mg", rocksalt("Li2TiO3", (3, 3, 3), 4.3), _TITANATE, melt_K=4000, exchanged=True
    ),
}  # fmt: skip
"""Parameters of cells that are not of structures/ are unverified; they are relaxed before all else."""
