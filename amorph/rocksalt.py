"""Disordered rocksalt supercells of any composition."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.data import atomic_masses, atomic_numbers
from numpy.typing import NDArray

from amorph.figures import Result
from amorph.parameters import Density, Length, Rng, Supercell, checked, generator_of
from amorph.structure import G_CM3_PER_U_A3, periodic_atoms
from amorph.tables import ANION_CHARGES, ion_name, likeliest_states, radius

NEUTRAL = 0.02
"""Charge per anion below which oxidation states count as balanced [e]; Li0.67Ti0.11Mo0.22O carries 0.01."""
NEARLY_NEUTRAL = 0.1
"""Charge per anion that is still accepted where nothing balances better [e]."""
LARGEST_ROUNDING = Fraction(3, 100)
"""Share of the anions by which rounded decimals may differ in number; more, as in Li0.6Ti0.3O, means vacancies."""
MAXIMUM_ATOMS = 10_000_000
"""Largest cell that is built; its positions alone take 240 MB."""


@dataclass(frozen=True, eq=False)
class Built(Result):
    """A disordered rocksalt supercell and how it was made."""

    atoms: Atoms
    """The cell, species in the order of the composition; ``arrays["oxidation_states"]`` [e], ``info["supercell"]``."""
    composition: str
    """The composition as it was asked for."""
    formula: str
    """Formula of the whole cell, in the order of the composition."""
    counts: dict[str, int]
    """Number of atoms of each element."""
    oxidation_states: dict[str, float]
    """Oxidation state of each element [e]."""
    residual_charge: float
    """Sum of the oxidation states over the cell [e]."""
    deviation: dict[str, float]
    """Count less the exact share that the composition asks for, of each element [atoms]."""
    lattice_constant: float
    """Edge of the conventional cubic cell [Å]."""
    lattice_constant_source: Literal["given", "density", "estimated"]
    """Where the lattice constant comes from; an estimated one is meant to be relaxed before use."""
    density_g_cm3: float
    """Density [g/cm³]."""
    supercell: NDArray[np.int64]
    """(3, 3) lattice vectors of the cell, as rows, in conventional cells."""
    _large: ClassVar[frozenset[str]] = frozenset({"atoms"})

    def figures(self) -> dict[str, Any]:
        """Give every figure, and the number of atoms."""
        return super().figures() | {"atoms": len(self.atoms)}

    def table(self) -> list[dict[str, str | int | float]]:
        """List each species with its count, the count asked for and the deviation [atoms]."""
        return [
            {
                "species": ion_name(element, self.oxidation_states[element]),
                "count": count,
                "asked": count - self.deviation[element],
                "deviation": self.deviation[element],
                "oxidation_state": self.oxidation_states[element],
            }
            for element, count in self.counts.items()
        ]


@checked
def build(
    composition: str,
    *,
    supercell: Supercell = (3, 3, 3),
    lattice_constant: Length | Literal["relaxed"] | None = None,
    density_g_cm3: Density | None = None,
    oxidation_states: Mapping[str, float] | None = None,
    rng: Rng,
) -> Built:
    r"""Build a rocksalt supercell with the cations at random on the cation sublattice.

    Parameters
    ----------
    composition
        Chemical formula with as many cations as anions: ``Li2Ti1/3Mo2/3O3``, ``Li0.67Ti0.11Mo0.22O``, ``MgO``,
        ``Li2(Ti1/3Mo2/3)O3``. Amounts are read exactly; a difference of cations and anions within the rounding of
        the written decimals is spread over the cations.
    supercell
        Conventional cells (four cations, four anions) along each axis, or an integer matrix whose rows are the
        lattice vectors in conventional cells.
    lattice_constant
        Edge of the conventional cell [Å], or ``relaxed``: that of the sum of the Shannon radii, to be relaxed.
    density_g_cm3
        Density [g/cm³], in place of the lattice constant.
    oxidation_states
        Oxidation state of each element [e]; those not given are worked out.
    rng
        Random generator that places the ions, or its seed.

    Raises
    ------
    ValueError
        The composition cannot be read, is not balanced in number or in charge, or leaves a species without a site;
        not exactly one of `lattice_constant` and `density_g_cm3`; a matrix without positive volume.

    Notes
    -----
    Counts are rounded by largest remainder; of equal ones the species written first gains the site. Anions are the most
    electronegative non-metals, as many of them as make cations and anions equal in number, each placed at random.

    Oxidation states: of all assignments of one known state to each cation, with at most 0.02 e per anion (0.1 e where
    none is that close), the one whose states are the most frequent in the Inorganic Crystal Structure Database,
    :math:`\max \sum_i n_i \ln p_i(q_i)`, with the counts that pymatgen carries.

    The estimate is :math:`a = 2 (\bar r_\mathrm{cation} + \bar r_\mathrm{anion})` with Shannon radii in sixfold
    coordination, high spin (Shannon 1976, doi:10.1107/S0567739476001551, from pymatgen's table).

    Examples
    --------
    >>> built = build("Li2Ti1/3Mo2/3O3", supercell=(5, 5, 5), lattice_constant=4.15, rng=np.random.default_rng(0))
    >>> built.formula, built.residual_charge
    ('Li333Ti56Mo111O500', 1.0)
    """
    rng = generator_of(rng)
    amounts, rounding = parse_composition(composition)
    anions = _anions(composition, amounts, oxidation_states)
    shares = _balanced(composition, amounts, rounding, anions)
    states = _oxidation_states(composition, shares, anions, oxidation_states)
    matrix, cells = _matrix(supercell)
    counts = dict.fromkeys(amounts, 0)
    for sublattice in ([e for e in amounts if e not in anions], anions):
        counts.update(_largest_remainder(composition, {e: shares[e] for e in sublattice}, 4 * cells))
    mass = sum(atomic_masses[atomic_numbers[element]] * n for element, n in counts.items())
    a, source = _lattice_constant(lattice_constant, density_g_cm3, mass / cells, shares, anions, states)
    atoms = _place(counts, anions, matrix, a, rng)
    atoms.set_array("oxidation_states", np.array([states[s] for s in atoms.get_chemical_symbols()], dtype=np.float64))
    per_formula = 4 * cells / _total(amounts, anions)
    return Built(
        atoms=periodic_atoms(atoms),
        composition=composition,
        formula="".join(f"{element}{n if n > 1 else ''}" for element, n in counts.items()),
        counts=counts,
        oxidation_states=states,
        residual_charge=math.fsum(states[element] * n for element, n in counts.items()),
        deviation={e: float(n - amounts[e] * per_formula) for e, n in counts.items()},
        lattice_constant=a,
        lattice_constant_source=source,
        density_g_cm3=mass * G_CM3_PER_U_A3 / (cells * a**3),
        supercell=matrix,
    )


def _lattice_constant(
    given: float | str | None,
    density: float | None,
    mass: float,
    shares: dict[str, Fraction],
    anions: list[str],
    states: dict[str, float],
) -> tuple[float, Literal["given", "density", "estimated"]]:
    """Find the edge of the conventional cell, whose mass is given, and say where it comes from."""
    if (given is None) == (density is None):
        raise ValueError(
            f"lattice_constant = {given} and density_g_cm3 = {density}: give exactly one of the two "
            "(a length in Å, 'relaxed', or a density in g/cm³)"
        )
    if density is not None:
        return (mass * G_CM3_PER_U_A3 / density) ** (1 / 3), "density"
    if isinstance(given, float):
        return given, "given"
    return _estimated_lattice_constant(shares, anions, states), "estimated"


def parse_composition(composition: str) -> tuple[dict[str, Fraction], Fraction]:
    """Read a formula exactly; also return by how much the rounding of its decimals can move the sum of its amounts.

    >>> parse_composition("Li2(Ti1/3Mo2/3)O3")[0]
    {'Li': Fraction(2, 1), 'Ti': Fraction(1, 3), 'Mo': Fraction(2, 3), 'O': Fraction(3, 1)}
    >>> parse_composition("Li0.67Ti0.33O")[1]
    Fraction(1, 100)
    """
    text = "".join(composition.split())
    # Each level of brackets is a list of (element, amount, largest rounding error of the amount).
    levels: list[list[tuple[str, Fraction, Fraction]]] = [[]]
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(
                f"cannot read {text[position:]!r} in the composition {composition!r}; "
                "write elements with amounts as in Li2Ti1/3Mo2/3O3 or Li0.67Ti0.11Mo0.22O"
            )
        position = token.end()
        if token["open"]:
            levels.append([])
            continue
        amount, error = _amount(composition, token)
        if token["close"]:
            if len(levels) == 1:
                raise ValueError(f"the composition {composition!r} closes a bracket that it never opened")
            group = levels.pop()
            levels[-1] += [(e, n * amount, n * error + d * amount) for e, n, d in group]
        elif atomic_numbers.get(token["element"], 0) == 0:
            raise ValueError(f"unknown element {token['element']!r} in the composition {composition!r}")
        else:
            levels[-1].append((token["element"], amount, error))
    if len(levels) > 1:
        raise ValueError(f"the composition {composition!r} opens a bracket that it never closes")
    if not levels[0]:
        raise ValueError(f"the composition {composition!r} names no element; write it as in Li2Ti1/3Mo2/3O3")
    amounts: dict[str, Fraction] = {}
    for element, amount, _ in levels[0]:
        amounts[element] = amounts.get(element, Fraction(0)) + amount
    return amounts, sum((error for _, _, error in levels[0]), Fraction(0))


_TOKEN = re.compile(
    r"(?:(?P<open>[(\[])|(?P<close>[)\]])(?P<n1>[\d.]+(?:/[\d.]+)?)?"
    r"|(?P<element>[A-Z][a-z]?)(?P<n2>[\d.]+(?:/[\d.]+)?)?)"
)


def _amount(composition: str, token: re.Match[str]) -> tuple[Fraction, Fraction]:
    written = token["n1"] or token["n2"]
    if written is None:
        return Fraction(1), Fraction(0)
    numerator, _, denominator = written.partition("/")
    try:
        amount = Fraction(numerator) / Fraction(denominator or 1)
    except (ValueError, ZeroDivisionError):
        amount = Fraction(0)
    if amount <= 0:
        raise ValueError(
            f"the amount {written!r} in the composition {composition!r} is no positive number; "
            "write 2, 0.67 or 1/3, or leave the element out"
        )
    decimals = len(numerator.partition(".")[2])
    error = Fraction(1, 2 * 10**decimals) if decimals and not denominator else Fraction(0)
    return amount, error


def _total(amounts: Mapping[str, Fraction], elements: list[str]) -> Fraction:
    return sum((amounts[element] for element in elements), Fraction(0))


def _anions(composition: str, amounts: dict[str, Fraction], given: Mapping[str, float] | None) -> list[str]:
    """Choose the elements of the anion sublattice: by the sign of given states, else as many as balance the number."""
    given = given or {}
    if strangers := [element for element in given if element not in amounts]:
        raise ValueError(
            f"oxidation_states names {', '.join(strangers)}, which {composition!r} does not hold; remove the entry"
        )
    candidates = [e for e in ANION_CHARGES if e in amounts and given.get(e, -1) < 0]
    candidates += [e for e in amounts if e not in ANION_CHARGES and given.get(e, 1) < 0]
    if not candidates:
        raise ValueError(f"no anion in the composition {composition!r}; a rocksalt needs one, such as O, F or S")
    certain = max((candidates.index(e) + 1 for e in candidates if e in given), default=1)
    total = sum(amounts.values())
    return min(
        (candidates[:n] for n in range(certain, len(candidates) + 1)),
        key=lambda anions: abs(total - 2 * _total(amounts, anions)),
    )


def _balanced(
    composition: str, amounts: dict[str, Fraction], rounding: Fraction, anions: list[str]
) -> dict[str, Fraction]:
    """Return the share of its own sublattice that each element fills."""
    cations = [element for element in amounts if element not in anions]
    n_cations, n_anions = _total(amounts, cations), _total(amounts, anions)
    if abs(n_cations - n_anions) > min(rounding, LARGEST_ROUNDING * n_anions):
        raise ValueError(
            f"{composition!r} has {float(n_cations):.6g} cations ({', '.join(cations) or 'none'}) for "
            f"{float(n_anions):.6g} anions ({', '.join(anions)}); a rocksalt needs as many of one as of the other"
        )
    return {e: n / (n_anions if e in anions else n_cations) for e, n in amounts.items()}


def _oxidation_states(
    composition: str, shares: dict[str, Fraction], anions: list[str], given: Mapping[str, float] | None
) -> dict[str, float]:
    """Complete the oxidation states by the rule in the notes of :func:`build`."""
    states = {element: float(charge) for element, charge in (given or {}).items()}
    for element in anions:
        states.setdefault(element, float(ANION_CHARGES[element]) if element in ANION_CHARGES else -1.0)
    unknown = [element for element in shares if element not in states]
    # charge per anion -> (log frequency, states)
    fixed = sum((shares[e] * Fraction(q).limit_denominator(1000) for e, q in states.items()), Fraction(0))
    reached = likeliest_states({element: shares[element] for element in unknown}, fixed)
    if unknown:
        closest = min(reached, key=abs)
        if abs(closest) > NEARLY_NEUTRAL:
            names = " ".join(ion_name(e, q) for e, q in reached[closest][1].items())
            raise ValueError(
                f"no oxidation states balance {composition!r}: the closest, {names}, leaves {float(closest):+.3f} e "
                "per anion; give oxidation_states (a mean such as 3.5 for a mixed valence is allowed)"
            )
        window = NEUTRAL if abs(closest) <= NEUTRAL else NEARLY_NEUTRAL
        states |= max((entry for q, entry in reached.items() if abs(q) <= window), key=lambda entry: entry[0])[1]
    return {element: states[element] for element in shares}


def _matrix(supercell: Any) -> tuple[NDArray[np.int64], int]:
    """Return the lattice vectors as rows and the volume, both in conventional cells."""
    # in Python's integers, which are exact and do not overflow
    rows = np.array(supercell, dtype=object)
    rows = np.diag(rows) if rows.ndim == 1 else rows
    volume = int(rows[0] @ np.cross(rows[1], rows[2]))
    if volume <= 0:
        raise ValueError(
            f"supercell {rows.tolist()} has the volume {volume} conventional cells; "
            "give three independent, right-handed lattice vectors as rows"
        )
    if 8 * volume > MAXIMUM_ATOMS:
        raise ValueError(f"supercell {rows.tolist()} holds {8 * volume} atoms; at most {MAXIMUM_ATOMS} are built")
    # the sites are looked for in the box that encloses the cell
    if math.prod(abs(rows).sum(axis=0)) > MAXIMUM_ATOMS:
        raise ValueError(
            f"supercell {rows.tolist()} is far longer than its {volume} conventional cells need; "
            "give shorter vectors of the same lattice"
        )
    return rows.astype(np.int64), volume


def _largest_remainder(composition: str, shares: dict[str, Fraction], sites: int) -> dict[str, int]:
    """Round shares of `sites` to integers that sum to `sites`."""
    counts = {element: int(share * sites) for element, share in shares.items()}
    by_remainder = sorted(shares, key=lambda e: counts[e] - shares[e] * sites)  # stable: first written, first served
    for element in by_remainder[: sites - sum(counts.values())]:
        counts[element] += 1
    for element, count in counts.items():
        if count == 0:
            raise ValueError(
                f"{element} in {composition!r} comes to {float(shares[element] * sites):.3f} of {sites} sites, "
                "which rounds to none; enlarge the supercell"
            )
    return counts


def _estimated_lattice_constant(shares: dict[str, Fraction], anions: list[str], states: Mapping[str, float]) -> float:
    try:
        radii = {element: radius("shannon_ionic", element, states[element]) for element in shares}
    except ValueError as error:
        raise ValueError(f"{error}; or give lattice_constant in Å or density_g_cm3") from None
    return 2 * sum(float(share) * radii[element] for element, share in shares.items())


def _place(
    counts: dict[str, int], anions: list[str], matrix: NDArray[np.int64], a: float, rng: np.random.Generator
) -> Atoms:
    """Fill both sublattices at random."""
    face_centers = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    cell = Atoms("H4He4", scaled_positions=np.vstack([face_centers, face_centers + 0.5]), cell=[a] * 3, pbc=True)
    atoms = make_supercell(cell, matrix)
    for placeholder, elements in (("H", [e for e in counts if e not in anions]), ("He", anions)):
        sites = rng.permutation(np.flatnonzero(atoms.numbers == atomic_numbers[placeholder]))
        atoms.symbols[sites] = np.repeat(elements, [counts[element] for element in elements])
    order = {element: k for k, element in enumerate(counts)}
    atoms.info["supercell"] = matrix
    return atoms[np.argsort([order[symbol] for symbol in atoms.get_chemical_symbols()], kind="stable")]
