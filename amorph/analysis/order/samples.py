"""What is measured: independent structures, each one frame or many, and the mean over them with its error."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.grids import Task
from amorph.figures import Result
from amorph.parameters import Meaning
from amorph.progress import task_of
from amorph.structure import anion_mask, density_g_cm3, periodic_atoms

Structures = Annotated[
    Atoms | Sequence[Atoms | Sequence[Atoms]],
    Meaning(
        "One structure, or a list of independent ones (glasses quenched apart), over which the errors are. Each is a "
        "structure or, for a trajectory, the list of its frames, which are averaged first: a trajectory alone is "
        "``[frames]``."
    ),
]


@dataclass(frozen=True)
class Samples:
    """Independent structures, checked: periodic, of the same elements."""

    frames: tuple[tuple[Atoms, ...], ...]
    """Of each structure its frames."""
    species: tuple[str, ...]
    """Elements: cations by atomic number, then anions by atomic number."""
    anions: frozenset[str]
    """Those that are anions."""

    @property
    def cations(self) -> tuple[str, ...]:
        """Elements that are no anions."""
        return tuple(symbol for symbol in self.species if symbol not in self.anions)

    def kinds(self, atoms: Atoms) -> NDArray[np.int64]:
        """Give the place of each atom's element among the species."""
        return np.array([self.species.index(symbol) for symbol in atoms.get_chemical_symbols()])

    def among(self, atoms: Atoms, symbols: Collection[str]) -> NDArray[np.bool_]:
        """Tell which atoms are of some elements."""
        return np.isin(np.array(atoms.get_chemical_symbols()), list(symbols))

    def require(self, *symbols: str) -> None:
        """Refuse elements that the structures do not have."""
        if absent := [symbol for symbol in symbols if symbol not in self.species]:
            raise ValueError(f"there is no {absent[0]} in the structures; they have {', '.join(self.species)}")

    def of_one_composition(self) -> Self:
        """Refuse structures that differ in composition."""
        first, *others = (atoms for frames in self.frames for atoms in frames)
        shares = [np.bincount(self.kinds(atoms)) / len(atoms) for atoms in (first, *others)]
        for atoms, share in zip(others, shares[1:], strict=True):
            if not np.allclose(share, shares[0], rtol=0.0, atol=1e-9):
                raise ValueError(
                    f"{atoms.get_chemical_formula()} and {first.get_chemical_formula()} are of different composition; "
                    "give structures of one"
                )
        return self

    def pair(self, name: str) -> tuple[str, str]:
        """Read "Ti-O" or "O-Ti" as the pair in the order of the species."""
        symbols = name.split("-")
        if len(symbols) != 2:
            raise ValueError(f"'{name}' is no pair of elements; write it as Ti-O")
        self.require(*symbols)
        first, second = sorted(symbols, key=self.species.index)
        return first, second

    def average(
        self, measure: Callable[[Atoms], NDArray[np.float64]], label: str = "", progress: Task | None = None
    ) -> "Average":
        """Measure every frame; average the frames of each structure, then the structures."""
        with task_of(progress)(label, sum(map(len, self.frames))) as update:
            done = 0

            def measured(atoms: Atoms) -> NDArray[np.float64]:
                nonlocal done
                values = measure(atoms)
                done += 1
                update(done, "")
                return values

            return average([average(map(measured, frames)).mean for frames in self.frames])

    def measured(self) -> dict[str, Any]:
        """Give what every result says of the structures."""
        density = self.average(lambda atoms: np.array(density_g_cm3(atoms))).at()
        return {
            "samples": len(self.frames),
            "frames": sum(map(len, self.frames)),
            "density_g_cm3": density.mean,
            "density_standard_error_g_cm3": density.standard_error,
        }


@dataclass(frozen=True, kw_only=True)
class Measured(Result):
    """What every result of this room says of the structures that it was measured on."""

    samples: int
    """Independent structures: the unit of every standard error."""
    frames: int
    """Frames of all structures together."""
    density_g_cm3: float
    """Mean density [g/cm³]."""
    density_standard_error_g_cm3: float | None
    """Standard error of the density over the structures [g/cm³]; None for one."""


@dataclass(frozen=True)
class Mean(Result):
    """A figure of independent structures."""

    mean: float | None
    """Mean over the structures; None where none has a value."""
    standard_error: float | None
    """Standard error of the mean; None where fewer than two structures have a value."""


@dataclass(frozen=True)
class Average:
    """A mean over independent structures, and its standard error."""

    mean: NDArray[np.float64]
    """Mean over the structures; NaN where none has a value."""
    error: NDArray[np.float64] | None
    """Standard deviation (divisor n − 1) over √n of the n structures that have a value; None for one structure."""

    def at(self, *place: int) -> Mean:
        """Give one entry."""
        error = np.nan if self.error is None else self.error[place]
        mean, error = (None if np.isnan(value) else float(value) for value in (self.mean[place], error))
        return Mean(mean, error)

    def shares(self, *place: int) -> dict[int, Mean]:
        """Give the numbers that occur, with their shares, of a row of shares."""
        return {n: self.at(*place, n) for n in np.flatnonzero(self.mean[place] > 0.0).tolist()}


def average(samples: Iterable[NDArray[np.float64]]) -> Average:
    """Average the values of independent structures; NaN marks one that a structure does not have."""
    values = np.array(list(samples), dtype=np.float64)
    n = np.sum(~np.isnan(values), axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(values, axis=0) / n
        if len(values) == 1:
            return Average(mean, None)
        return Average(mean, np.sqrt(np.nansum((values - mean) ** 2, axis=0) / (n - 1) / n))


def samples_of(structures: Any) -> Samples:
    """Check structures and sort their elements.

    Raises
    ------
    ValueError
        No structure, one that makes no sense, or structures of different elements.
    """
    if isinstance(structures, Atoms) or not isinstance(structures, Iterable) or hasattr(structures, "lattice"):
        structures = [structures]
    frames = tuple(
        tuple(map(periodic_atoms, entry)) if isinstance(entry, list | tuple) else (periodic_atoms(entry),)
        for entry in structures
    )
    if not frames or not all(frames):
        raise ValueError("there is no structure to measure; give at least one, and at least one frame of each")
    first = frames[0][0]
    negative = frozenset(np.array(first.get_chemical_symbols())[anion_mask(first)].tolist())
    numbers = dict(zip(first.get_chemical_symbols(), first.numbers.tolist(), strict=True))
    for atoms in (atoms for entry in frames for atoms in entry):
        if set(atoms.get_chemical_symbols()) != set(numbers):
            raise ValueError(
                f"{atoms.get_chemical_formula()} and {first.get_chemical_formula()} have different elements; "
                "measure them apart"
            )
    species = tuple(sorted(numbers, key=lambda symbol: (symbol in negative, numbers[symbol])))
    return Samples(frames, species, negative)
