"""The structure factor S(q): partial, of neutrons and of X-rays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import numpy as np
from annotated_types import Gt, Len
from numpy.typing import NDArray

from amorph.analysis.grids import Task
from amorph.analysis.order.samples import Structures, average, samples_of
from amorph.analysis.scattering.vectors import pairs_of, shells_of
from amorph.figures import ERROR, Plottable, Result, plain
from amorph.parameters import Meaning, Unit, checked
from amorph.tables import form_factor, scattering_length

Probe = Literal["neutron", "xray"]
InverseLength = Annotated[float, Gt(0), Unit("1/Å")]
Curves = dict[str, NDArray[np.float64]]
FormFactors = Annotated[
    Mapping[str, str],
    Meaning('Entries of the table of form factors by element, as in {"O": "O2-"}; by default the neutral atoms.'),
]

CONVENTION: Final = "Faber–Ziman: S = Σ c_a c_b w_a w_b S_ab/(Σ c_a w_a)², S_ab → 1 at high q"
"""What every S(q) of this room is, as it is printed."""
_CANCELLED: Final = 1e-4
"""Where (Σ c w)² is less than this share of Σ c w², the total says nothing: it is divided by zero."""


@dataclass(frozen=True, eq=False)
class StructureFactor(Result, Plottable):
    """S(q) at the reciprocal vectors of the cells, in shells of their length; nothing below the shortest of them."""

    elements: tuple[str, ...]
    """Cations by atomic number, then anions by atomic number."""
    concentrations: NDArray[np.float64]
    """(n_elements,) share of the atoms."""
    number_density: float
    """Atoms per volume, its mean over the samples [1/Å³]."""
    bin_width: float
    """Width of a shell [1/Å]."""
    q: NDArray[np.float64]
    """(n,) mean length of the vectors in each shell that has any [1/Å]."""
    vectors: NDArray[np.int64]
    """(n,) vectors in each shell, of all samples and frames together."""
    intervals: NDArray[np.float64]
    """(n,) stretch of q that the vectors of each shell stand for, their number by its mean over all q [1/Å]."""
    sampled: NDArray[np.float64]
    """(n_samples, n_pairs, n) Faber–Ziman partials of each sample; NaN where a sample has no vector."""
    weights: Mapping[str, NDArray[np.float64]]
    """By probe the (n_pairs, n) weights of the partials in the total; they sum to 1."""
    weights_from: Mapping[str, str]
    """By probe the lengths or form factors in words, with their source."""
    frames: int
    """Frames of all samples together."""

    @property
    def samples(self) -> int:
        """Independent structures, the unit of the errors."""
        return len(self.sampled)

    @property
    def pairs(self) -> tuple[str, ...]:
        """Names of the pairs: "Ti-O"."""
        return tuple(f"{self.elements[a]}-{self.elements[b]}" for a, b in pairs_of(len(self.elements)))

    @property
    def partials(self) -> Curves:
        """Faber–Ziman partials, the mean over the samples."""
        return dict(zip(self.pairs, average(self.sampled).mean, strict=True))

    @property
    def ashcroft_langreth(self) -> Curves:
        """Ashcroft–Langreth partials A_ab = δ_ab + √(c_a c_b) (S_ab − 1)."""
        c, partials = self.concentrations, average(self.sampled).mean
        return {
            name: float(a == b) + np.sqrt(c[a] * c[b]) * (partial - 1.0)
            for name, (a, b), partial in zip(self.pairs, pairs_of(len(c)), partials, strict=True)
        }

    @property
    def partial_errors(self) -> Curves | None:
        """Standard errors of the partials over the samples; None for one sample."""
        error = average(self.sampled).error
        return None if error is None else dict(zip(self.pairs, error, strict=True))

    def sampled_total(self, probe: str) -> NDArray[np.float64]:
        """Give the (n_samples, n) total of each sample.

        Raises
        ------
        ValueError
            It was not asked for.
        """
        if probe not in self.weights:
            raise ValueError(f"there is no S(q) of {probe}; it has {', '.join(self.weights)}: name it in probes")
        return np.asarray((self.weights[probe] * self.sampled).sum(axis=1))

    def total(self, probe: str) -> NDArray[np.float64]:
        """Give the (n,) total, its mean over the samples."""
        return average(self.sampled_total(probe)).mean

    def total_error(self, probe: str) -> NDArray[np.float64] | None:
        """Give the (n,) standard error of the total over the samples; None for one."""
        return average(self.sampled_total(probe)).error

    def figures(self) -> dict[str, Any]:
        """Give the curves and what they are."""
        totals = {probe: self.total(probe) for probe in self.weights}
        errors = {probe: self.total_error(probe) for probe in self.weights}
        several = self.samples > 1
        return {
            "q_per_A": plain(self.q),
            "s_q": plain(totals | {"partial": self.partials}),
            "s_q_standard_error": plain(errors | {"partial": self.partial_errors}) if several else None,
            "s_q_convention": CONVENTION,
            "smallest_q_per_A": float(self.q[0]),
            "q_bin_width_per_A": self.bin_width,
            "weights": dict(self.weights_from),
            "number_density_per_A3": self.number_density,
            "samples": self.samples,
            "frames": self.frames,
        }

    def table(self) -> list[dict[str, Any]]:
        """Give one row for each shell; of several structures with the standard errors."""
        columns = {f"s_{probe}": self.total(probe) for probe in self.weights}
        columns |= {f"s_{name}": partial for name, partial in self.partials.items()}
        errors = {probe: self.total_error(probe) for probe in self.weights} | (self.partial_errors or {})
        columns |= {f"s_{name}{ERROR}": error for name, error in errors.items() if error is not None}
        return [
            {"q_per_A": float(q), **{name: float(column[n]) for name, column in columns.items()}}
            for n, q in enumerate(self.q)
        ]


@checked
def structure_factor(
    structures: Structures,
    *,
    q_max: InverseLength = 15.0,
    bin_width: InverseLength = 0.05,
    probes: Annotated[tuple[Probe, ...], Len(1)] = ("neutron", "xray"),
    scattering_lengths: Mapping[str, float] | None = None,
    form_factors: FormFactors | None = None,
    progress: Task | None = None,
) -> StructureFactor:
    r"""Compute S(q) by the sum over all atoms at every reciprocal vector of the cell, which is exact.

    Parameters
    ----------
    q_max
        Longest vector [1/Å].
    bin_width
        Width of the shells of length over which vectors are averaged [1/Å].
    probes
        Totals to give.
    scattering_lengths
        Lengths [fm] by element, for isotopes, instead of the table's for natural elements.

    Raises
    ------
    ValueError
        A structure that makes no sense, structures of different composition, no length or form factor of an element,
        or lengths that cancel.

    Notes
    -----
    With :math:`\rho_a(\mathbf q) = \sum_{j\in a} e^{i\mathbf q\cdot\mathbf r_j}` Ashcroft and Langreth's partials are
    :math:`A_{ab} = \langle\mathrm{Re}\,\rho_a\rho_b^*\rangle/\sqrt{N_a N_b}`, Faber and Ziman's
    :math:`S_{ab} = 1 + (A_{ab} - \delta_{ab})/\sqrt{c_a c_b}`, and the total is
    :math:`S = \sum_{ab} c_a c_b\,\mathrm{Re}(w_a w_b^*)\,S_{ab}/|\sum_a c_a w_a|^2`, where w is the coherent scattering
    length, complex where the element absorbs, or the form factor at the mean q of the shell. No Compton scattering, no
    anomalous dispersion. A feature of g(r) at r loses about (r · bin_width)²/24 to the averaging in shells.

    Examples
    --------
    Two atoms of the cell scatter in phase or against each other:

    >>> from ase.build import bulk
    >>> made = structure_factor(bulk("CsCl", "cesiumchloride", a=4.0), q_max=2.5, probes=("xray",))
    >>> made.q.round(6).tolist(), [float(s.round(6)) for s in made.partials["Cs-Cl"]]
    ([1.570796, 2.221441], [-1.0, 3.0])
    """
    shells = shells_of(samples_of(structures).of_one_composition(), q_max, bin_width, progress)
    first = shells[0]
    vectors = np.sum([one.vectors for one in shells], axis=0)
    met = vectors > 0
    if not met.any():
        raise ValueError(f"the cell has no reciprocal vector up to q_max = {q_max:g} 1/Å; raise it")
    q = np.sum([one.lengths for one in shells], axis=0)[met] / vectors[met]
    c, elements = first.concentrations, first.elements
    of_probe = {probe: _weights(probe, elements, q, scattering_lengths, form_factors) for probe in probes}
    return StructureFactor(
        elements,
        c,
        float(np.mean([one.numbers.sum() / one.volume for one in shells])),
        bin_width,
        q,
        vectors[met],
        2.0 * np.pi**2 * vectors[met] / (q**2 * sum(one.frames * one.volume for one in shells)),
        np.array([_faber_ziman(one.products[met], one.vectors[met], one.numbers) for one in shells]),
        {probe: _shares(probe, c, w) for probe, (w, _) in of_probe.items()},
        {probe: said for probe, (_, said) in of_probe.items()},
        sum(one.frames for one in shells),
    )


def form_factors_of(
    elements: tuple[str, ...], q: NDArray[np.float64], chosen: Mapping[str, str] | None
) -> tuple[NDArray[np.float64], str]:
    """Give the (n_elements, n) form factors, and which they are in words."""
    chosen = {} if chosen is None else chosen
    if unknown := set(chosen) - set(elements):
        raise ValueError(f"a form factor is given for {min(unknown)}; the structure has {', '.join(elements)}")
    species = [chosen.get(element, element) for element in elements]
    return np.array([form_factor(name, q) for name in species]), f"f0 of {', '.join(species)} (Waasmaier & Kirfel)"


def _weights(
    probe: Probe,
    elements: tuple[str, ...],
    q: NDArray[np.float64],
    lengths: Mapping[str, float] | None,
    form_factors: Mapping[str, str] | None,
) -> tuple[NDArray[np.complex128], str]:
    if probe == "xray":
        factors, said = form_factors_of(elements, q, form_factors)
        return factors.astype(np.complex128), said
    lengths = {} if lengths is None else lengths
    if unknown := set(lengths) - set(elements):
        raise ValueError(f"a scattering length is given for {min(unknown)}; the structure has {', '.join(elements)}")
    b = [complex(lengths[e]) if e in lengths else scattering_length(e) for e in elements]
    words = []
    for element, value in zip(elements, b, strict=True):
        absorbs = abs(value.imag) > 0.01 * abs(value.real)
        words.append(f"{element} {value.real:.3f}{f'{value.imag:+.3f}i' if absorbs else ''}")
    said = f"b [fm]: {', '.join(words)} (periodictable{', or as given' if lengths else ''})"
    return np.repeat(np.array(b)[:, None], q.size, axis=1), said


def _shares(probe: str, c: NDArray[np.float64], w: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Give the weights of the pairs in the total."""
    mean = np.abs(c @ w) ** 2
    if (mean < _CANCELLED * (c @ np.abs(w) ** 2)).any():
        raise ValueError(
            f"the {probe} weights cancel, (Σ c w)² = {mean.min():.2g}: the total is not defined; leave it out of probes"
        )
    pairs = pairs_of(len(c))
    return np.array([(2.0 - (a == b)) * c[a] * c[b] * (w[a] * w[b].conj()).real / mean for a, b in pairs])


def _faber_ziman(
    products: NDArray[np.float64], vectors: NDArray[np.int64], numbers: NDArray[np.int64]
) -> NDArray[np.float64]:
    c = numbers / numbers.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.array(
            [
                1.0 + (products[:, n] / vectors / np.sqrt(numbers[a] * numbers[b]) - (a == b)) / np.sqrt(c[a] * c[b])
                for n, (a, b) in enumerate(pairs_of(len(numbers)))
            ]
        )
