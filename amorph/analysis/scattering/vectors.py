"""Sums over the atoms at every reciprocal vector of the cell, gathered in shells of its length."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Final

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray

from amorph.analysis.grids import Task
from amorph.analysis.order.samples import Samples
from amorph.machine.memory import refuse_beyond_memory
from amorph.progress import task_of

_ATOMS_AT_ONCE: Final = 8192
"""Atoms whose phases are in memory at once."""
_ROWS_AT_ONCE: Final = 16
"""Rows of vectors in one product of matrices: all of them are as long as the longest."""
_PRODUCT: Final = 250_000
"""Multiplications in one product of matrices: OpenBLAS takes a single thread up to 2¹⁸. Its threads wait for each other
on a busy machine, and a thousand small products of one thread are faster than those of many."""


@dataclass(frozen=True, eq=False)
class Shells:
    """What the reciprocal vectors of one cell, or of the cells of several frames, give in shells of their length."""

    elements: tuple[str, ...]
    """Cations by atomic number, then anions by atomic number."""
    numbers: NDArray[np.int64]
    """(n_elements,) atoms of each element in one frame."""
    volume: float
    """Volume of the cell, its mean over frames [Å³]."""
    vectors: NDArray[np.int64]
    """(n_shells,) reciprocal vectors in each shell, a vector and its opposite counted both."""
    lengths: NDArray[np.float64]
    """(n_shells,) sum of their lengths [1/Å]."""
    products: NDArray[np.float64]
    r"""(n_shells, n_pairs) sum of :math:`\mathrm{Re}\,\rho_a\rho_b^*`, pairs as in :func:`pairs_of`."""
    frames: int
    """Frames that were added up."""

    @property
    def concentrations(self) -> NDArray[np.float64]:
        """(n_elements,) share of the atoms."""
        return np.asarray(self.numbers / self.numbers.sum())


def pairs_of(elements: int) -> list[tuple[int, int]]:
    """Give the pairs a ≤ b of elements, by their places, in the order of every array of pairs."""
    return list(combinations_with_replacement(range(elements), 2))


def shells_of(samples: Samples, q_max: float, width: float, progress: Task | None = None) -> list[Shells]:
    r"""Sum over the atoms at every reciprocal vector up to a length, and gather the products in shells, by sample.

    Parameters
    ----------
    samples
        Structures of one composition; the cells may differ.
    q_max
        Largest length of a vector [1/Å].
    width
        Width of a shell [1/Å].
    progress
        Where to show how far the sums are.

    Notes
    -----
    :math:`\rho_a(\mathbf q) = \sum_{j \in a} \exp(i\mathbf q\cdot\mathbf r_j)`, exact at the vectors of the cell. Rows
    of vectors along one reciprocal axis are a product of matrices: the phases of the other two axes times the cosines
    and sines along this one, :math:`\rho(l \pm m) = PC \pm iPS`.
    """
    n = len(samples.species)
    total = math.floor(q_max / width + 1e-6) + 1
    made = []
    for frames in samples.frames:
        sums = np.zeros(total, np.int64), np.zeros(total), np.zeros((total, len(pairs_of(n))))
        for frame in frames:
            _add(frame, samples.kinds(frame), n, q_max, width, sums, progress)
        counts = np.bincount(samples.kinds(frames[0]), minlength=n)
        volume = float(np.mean([frame.cell.volume for frame in frames]))
        vectors, lengths, products = sums
        made.append(Shells(samples.species, counts, volume, 2 * vectors, 2.0 * lengths, 2.0 * products, len(frames)))
    return made


def _add(
    atoms: Atoms,
    kinds: NDArray[np.int64],
    n_kinds: int,
    q_max: float,
    width: float,
    sums: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
    progress: Task | None,
) -> None:
    from amorph.analysis.scattering._kernels import cosines_and_sines, gather, phases

    cell = np.asarray(minkowski_reduce(atoms.cell.array)[0])
    order = np.argsort(kinds, kind="stable")
    x, y, z = np.ascontiguousarray((atoms.positions[order] @ np.linalg.inv(cell)).T)
    reciprocal = 2.0 * np.pi * np.linalg.inv(cell).T
    metric = reciprocal @ reciprocal.T
    farthest = math.floor(q_max * np.linalg.norm(cell[2]) / (2.0 * np.pi)) + 1
    refuse_beyond_memory(
        16 * (farthest + 1) * len(atoms), f"S(q) of {len(atoms)} atoms to {q_max:g} 1/Å", "lower q_max"
    )
    cosines, sines = np.empty((2, farthest + 1, len(atoms)))
    cosines_and_sines(z, farthest, cosines, sines)
    bounds = np.searchsorted(kinds[order], np.arange(n_kinds + 1)).tolist()

    last_h = math.floor(q_max * np.linalg.norm(cell[0]) / (2.0 * np.pi) + 1e-9)
    work = [rows for h in range(last_h + 1) for rows in _rows(metric, q_max, h)]
    with task_of(progress)("reciprocal vectors", len(work)) as update:
        for done, (h, k_first, middles, columns) in enumerate(work):
            products = np.zeros((2, n_kinds, 2 * len(middles), columns))
            few = max(_PRODUCT // (2 * len(middles) * columns), 1)
            for first in range(0, len(atoms), _ATOMS_AT_ONCE):
                held = np.empty((2 * len(middles), min(_ATOMS_AT_ONCE, len(atoms) - first)))
                phases(x, y, first, h, k_first, middles, cosines, sines, held)
                for a in range(n_kinds):
                    last = min(bounds[a + 1], first + held.shape[1])
                    for begin in range(max(bounds[a], first), last, few):
                        part = slice(begin, min(begin + few, last))
                        of_part = held[:, begin - first : part.stop - first]
                        products[0, a] += of_part @ cosines[:columns, part].T
                        products[1, a] += of_part @ sines[:columns, part].T
            gather(h, k_first, middles, metric, q_max * (1.0 + 1e-12), width, products[0], products[1], *sums)
            update(done + 1, "")


def _rows(metric: NDArray[np.float64], q_max: float, h: int) -> Iterator[tuple[int, int, NDArray[np.int64], int]]:
    """Give the rows of vectors with one h, some at a time: h, the first k, the middle l of each row, and how many
    l ≥ middle the longest of them has; of h = 0 only k ≥ 0."""
    # the square of the length with l where it is least: a form in h and k alone
    s11, s12, s22 = (metric[i, j] - metric[i, 2] * metric[j, 2] / metric[2, 2] for i, j in ((0, 0), (0, 1), (1, 1)))
    left = q_max**2 * (1.0 + 1e-9) - h * h * (s11 - s12**2 / s22)
    if left < 0.0:
        return
    half, center = math.sqrt(left / s22), -h * s12 / s22
    k = np.arange(math.ceil(center - half) if h else 0, math.floor(center + half) + 1)
    centers = -(h * metric[0, 2] + k * metric[1, 2]) / metric[2, 2]
    middles = np.rint(centers).astype(np.int64)
    rest = q_max**2 * (1.0 + 1e-9) - (s11 * h * h + 2.0 * s12 * h * k + s22 * k * k)
    reach = np.floor(np.sqrt(np.maximum(rest, 0.0) / metric[2, 2]) + np.abs(centers - middles)).astype(np.int64)
    for first in range(0, len(k), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        yield h, int(k[first]), middles[part], int(reach[part].max()) + 1
