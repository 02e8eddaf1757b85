"""Short-range repulsion for hot melts: the universal potential of Ziegler, Biersack and Littmark, put under a model."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms, units as ase_units
from ase.calculators.calculator import BaseCalculator, Calculator, all_changes
from ase.data import covalent_radii
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from amorph.calculators.evaluation import evaluate
from amorph.calculators.gathering import Batch
from amorph.structure import pair_list

Vector = NDArray[np.float64]

COULOMB = 14.399645
"""e²/4πε₀ [eV Å]."""
WEIGHTS = np.array([0.18175, 0.50986, 0.28022, 0.02817])
DECAYS = np.array([3.19980, 0.94229, 0.40290, 0.20162])
"""The universal screening function, φ(x) = Σ weight · exp(−decay · x)."""
INNER, OUTER = 0.3, 0.5
"""Where the repulsion begins to be switched off and where it is gone, in sums of the covalent radii. The shortest bonds
of oxides, Mo=O at 1.68 Å, stand at 0.76; in a melt of 3000 K, Ti–O comes down to 0.70 and Li–Li to 0.61 (CHGNet
0.3.0)."""


def zbl(d: Vector, z1: Vector, z2: Vector) -> tuple[Vector, Vector, Vector]:
    r"""Screened Coulomb repulsion of two nuclei, with its slope and curvature.

    Parameters
    ----------
    d
        (m,) distances [Å].
    z1, z2
        (m,) atomic numbers.

    Returns
    -------
    (m,) arrays
        Energy [eV], its first [eV/Å] and second derivative [eV/Å²].

    Notes
    -----
    :math:`E = \frac{e^2}{4\pi\epsilon_0} \frac{Z_1 Z_2}{d} \varphi(d / a)`,
    :math:`a = 0.8854\, a_0 / (Z_1^{0.23} + Z_2^{0.23})`: Ziegler, Biersack and Littmark, *The Stopping and Range of
    Ions in Solids* (1985), as in LAMMPS's ``pair_style zbl``.

    Examples
    --------
    Two O at 0.5 Å, far inside a bond:

    >>> energy, _, _ = zbl(np.array([0.5]), np.array([8.0]), np.array([8.0]))
    >>> energy.round(1)
    array([191.6])
    """
    a = 0.8854 * ase_units.Bohr / (z1**0.23 + z2**0.23)
    terms = WEIGHTS * np.exp(-DECAYS * (d / a)[:, None])
    phi, slope, bend = terms.sum(axis=1), -(terms @ DECAYS) / a, (terms @ DECAYS**2) / a**2
    charge = COULOMB * z1 * z2 / d
    return charge * phi, charge * (slope - phi / d), charge * (bend - 2.0 * slope / d + 2.0 * phi / d**2)


def switched(d: Vector, z1: Vector, z2: Vector, inner: Vector, outer: Vector) -> tuple[Vector, Vector]:
    r"""ZBL repulsion whose energy, slope and curvature vanish at `outer`; its force is untouched within `inner`.

    Parameters
    ----------
    d, z1, z2
        As in :func:`zbl`.
    inner, outer
        (m,) distances at which the switching begins and ends [Å].

    Returns
    -------
    (m,) arrays
        Energy [eV] and its slope [eV/Å]; exactly zero from `outer` on.

    Notes
    -----
    Added are :math:`S = C` within `inner` and :math:`S = \frac A3 (d - d_1)^3 + \frac B4 (d - d_1)^4 + C` beyond, with
    A, B and C such that energy, slope and curvature end at zero: the switching of LAMMPS's ``pair_style zbl``.
    """
    end, end_slope, end_bend = zbl(outer, z1, z2)
    width = outer - inner
    a = (-3.0 * end_slope + width * end_bend) / width**2
    b = (2.0 * end_slope - width * end_bend) / width**3
    c = -end + width * end_slope / 2.0 - width**2 * end_bend / 12.0
    energy, slope, _ = zbl(d, z1, z2)
    past = np.maximum(d - inner, 0.0)
    within = d < outer
    energy = np.where(within, energy + a / 3.0 * past**3 + b / 4.0 * past**4 + c, 0.0)
    return energy, np.where(within, slope + a * past**2 + b * past**3, 0.0)


class ZBLRepulsion(Calculator):
    """A calculator with the ZBL repulsion added where atoms come closer than any bond.

    Models trained near equilibrium are soft or blind at half a bond's length, and hot atoms fall through. Beyond
    half the sum of the covalent radii nothing is added, not even a zero: the results are the model's own, bit by bit.

    Parameters
    ----------
    calculator
        Any ASE calculator; its properties stay, and those that depend on the pair energy are corrected.

    Raises
    ------
    ValueError
        It is no ASE calculator.

    Examples
    --------
    >>> from ase.calculators.emt import EMT
    >>> copper = Atoms("Cu2", positions=[[0, 0, 0], [0.8, 0, 0]], calculator=ZBLRepulsion(EMT()))
    >>> bool(copper.get_potential_energy() > EMT().get_potential_energy(copper) + 100.0)
    True
    """

    def __init__(self, calculator: BaseCalculator) -> None:
        if not isinstance(calculator, BaseCalculator):
            raise ValueError(f"a {type(calculator).__name__} is no ASE calculator that a repulsion can be added to")
        self.calculator = calculator
        self.implemented_properties = list(calculator.implemented_properties)
        self.weights_sha256: str | None = getattr(calculator, "weights_sha256", None)
        super().__init__()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute what is asked; called by ASE."""
        super().calculate(atoms, properties, system_changes)
        work = self.atoms.copy()
        work.calc = self.calculator
        asked = properties or ["energy"]
        evaluate(work, asked)
        results = {name: self.calculator.get_property(name, work) for name in asked}
        self.results = with_repulsion(self.atoms, results | self.calculator.results)  # what came along for free too


class ZBLBatch:
    """What evaluates several structures in one call, with the ZBL repulsion added to each."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def evaluate(self, structures: Sequence[Atoms], properties: Sequence[str]) -> list[dict[str, Any]]:
        """Compute what is asked for each structure."""
        found = self.batch.evaluate(structures, properties)
        return [with_repulsion(atoms, results) for atoms, results in zip(structures, found, strict=True)]


def with_repulsion(atoms: Atoms, results: Mapping[str, Any]) -> dict[str, Any]:
    """Add the repulsion to those of a model's results that depend on the pair energy."""
    added = repulsion(atoms)
    found = dict(results)
    if "stress" in found and np.shape(found["stress"]) == (3, 3):  # which calculators may give too
        found["stress"] = full_3x3_to_voigt_6_stress(found["stress"])
    return {name: value + added[name] if name in added else value for name, value in found.items()}


def repulsion(atoms: Atoms) -> dict[str, Any]:
    """Sum the switched ZBL repulsion over a structure.

    Returns
    -------
    dict
        ASE's properties [eV, eV/Å, eV/Å³], the stress with a cell only; empty where no two atoms are that close.
    """
    numbers = atoms.numbers
    inner, outer = _reaches(tuple(sorted(set(numbers.tolist()))))
    pairs = pair_list(atoms, float(outer.max()))
    close = np.flatnonzero(pairs.d < outer[numbers[pairs.i], numbers[pairs.j]])
    if not close.size:
        return {}
    i, D, d = pairs.i[close], pairs.D[close], pairs.d[close]
    z1, z2 = numbers[i], numbers[pairs.j[close]]
    energy, slope = switched(d, z1.astype(float), z2.astype(float), inner[z1, z2], outer[z1, z2])
    pull = (slope / d)[:, None] * D

    def per_atom(values: Vector) -> Vector:
        return np.bincount(i, values, len(atoms)).astype(np.float64)

    energies = per_atom(0.5 * energy)  # a pair is listed from both its ends
    total = float(energies.sum())
    added: dict[str, Any] = {"energy": total, "free_energy": total, "energies": energies}
    added["forces"] = np.stack([per_atom(pull[:, k]) for k in range(3)], axis=1)
    if atoms.cell.rank == 3:
        voigt = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
        stresses = np.stack([per_atom(0.5 * pull[:, a] * D[:, b]) for a, b in voigt], axis=1) / atoms.get_volume()
        added |= {"stress": stresses.sum(axis=0), "stresses": stresses}
    return added


@functools.lru_cache(maxsize=16)
def _reaches(elements: tuple[int, ...]) -> tuple[Vector, Vector]:
    """Inner and outer distance of every pair of elements, by atomic number; zero for elements that are not there."""
    radii = np.zeros(len(covalent_radii))
    radii[list(elements)] = covalent_radii[list(elements)]
    present = radii > 0.0
    sums = np.where(present[:, None] & present, radii[:, None] + radii, 0.0)
    return INNER * sums, OUTER * sums
