"""Voronoi volumes of the atoms, and the free volume that they leave."""

import logging
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Final

import numpy as np
from annotated_types import Len
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from amorph.analysis.voronoi.cells import Kind, cut_cells
from amorph.analysis.voronoi.domain import REFERENCE, check_ion, mean_states, out_of_domain, told_note
from amorph.figures import Plottable, Result, Row
from amorph.parameters import Volume, checked
from amorph.structure import Radii, periodic_atoms, resolve_oxidation_states
from amorph.tables import element_of, parse_ion
from amorph.tables.crystals import BY_NAME

log = logging.getLogger(__name__)

_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class SpeciesVolume:
    """Voronoi volumes of the atoms of one species."""

    species: str
    """Chemical symbol."""
    count: int
    """Number of atoms."""
    mean: float
    """Mean volume [Å³]."""
    minimum: float
    """Smallest volume [Å³]."""
    maximum: float
    """Largest volume [Å³]."""
    standard_deviation: float
    """Standard deviation over the atoms, with the divisor n [Å³]."""


@dataclass(frozen=True, eq=False)
class FreeVolume(Result, Plottable):
    """The part of a cell that its atoms do not fill, each cation at its mean volume and each anion at a reference."""

    cell_volume: float
    """Volume of the cell [Å³]."""
    oxygen_volume: float
    """Reference volume of one anion [Å³]."""
    oxygen_volume_source: str
    """Where the reference volume comes from."""
    reference_note: str | None
    """Why the reference may say nothing of this structure; None where nothing speaks against it."""
    ion: str | None
    """The mobile ion whose volume is the yardstick: "Mg2+"; None where none is."""
    anion: str
    """Chemical symbol of the anion at its reference volume."""
    species: tuple[SpeciesVolume, ...]
    """The mobile ion first, the anion last, the others between by atomic number."""
    volumes: NDArray[np.float64]
    """(n,) volume of each atom's cell [Å³]."""
    symbols: tuple[str, ...]
    """(n,) chemical symbol of each atom."""
    tessellation: Kind
    """Plain Voronoi cells, or power cells weighted by radii."""
    radii_set: str | None
    """Name of the radii of a power tessellation; "given" for radii passed as numbers."""
    empty_cells: tuple[int, ...]
    """Atoms whose power cell is empty; they count with zero volume."""
    _large: ClassVar[frozenset[str]] = frozenset({"volumes", "symbols"})
    _derived: ClassVar[tuple[str, ...]] = (
        "free_volume_fraction",
        "oxygen_excess_fraction",
        "free_volume",
        "ratio",
        "formula",
    )

    @property
    def free_volume_fraction(self) -> float:
        """f_V = 1 − Σ n_i V_i / V_cell, the anion at its reference volume, other species at their means."""
        volumes = {row.species: row.mean for row in self.species} | {self.anion: self.oxygen_volume}
        return 1.0 - sum(row.count * volumes[row.species] for row in self.species) / self.cell_volume

    @property
    def oxygen_excess_fraction(self) -> float:
        """The same the other way: n_O (⟨V_O⟩ − V_O,reference) / V_cell. Equal to `free_volume_fraction`."""
        of_anion = self.species[-1]
        return of_anion.count * (of_anion.mean - self.oxygen_volume) / self.cell_volume

    @property
    def free_volume(self) -> float:
        """f_V·V_cell [Å³]."""
        return self.free_volume_fraction * self.cell_volume

    @property
    def ratio(self) -> float | None:
        """Free volume over the volume of all mobile ions, f_V·V_cell / (n V); None where the cell holds none."""
        first = self.species[0]
        if self.ion is None or element_of(self.ion) == self.anion or first.mean == 0.0:
            return None
        return self.free_volume / (first.count * first.mean)

    @property
    def formula(self) -> str:
        """Composition per anion, the free volume as vacancies □ as large as the ion: "Mg0.33□0.17Ti0.11Mo0.22O"."""
        amounts = [(row.species, row.count / self.species[-1].count) for row in self.species]
        if self.ratio is not None:
            amounts.insert(1, ("□", self.ratio * amounts[0][1]))
        texts = [(name, f"{round(amount, 2) + 0.0:.2f}") for name, amount in amounts]  # + 0.0: no minus zero
        return "".join(name if text == "1.00" else name + text for name, text in texts)

    def rows(self) -> list[Row]:
        """Give what is compared with another structure."""
        return [
            Row("f_V, reference volume as chosen", self.free_volume_fraction, share=True),
            Row("f_V·V_cell", self.free_volume, "Å³"),
            Row("f_V·V_cell/(n·V) of the ion", self.ratio),
            Row("nominal formula", self.formula),
        ]

    def with_oxygen_volume(self, oxygen_volume: float, *, source: str) -> "FreeVolume":
        """Measure the same volumes against another reference for the anion [Å³]."""
        return replace(self, oxygen_volume=oxygen_volume, oxygen_volume_source=source)

    def table(self) -> list[dict[str, str | int | float]]:
        """Give one row per species."""
        return [
            {
                "species": row.species,
                "count": row.count,
                "mean_A3": row.mean,
                "minimum_A3": row.minimum,
                "maximum_A3": row.maximum,
                "standard_deviation_A3": row.standard_deviation,
            }
            for row in self.species
        ]

    def per_atom_table(self) -> list[dict[str, str | int | float]]:
        """Give one row per atom, in the order of the structure, counted from 0."""
        return [
            {"atom": index, "species": symbol, "volume_A3": volume}
            for index, (symbol, volume) in enumerate(zip(self.symbols, self.volumes.tolist(), strict=True))
        ]


@checked
def free_volume(
    atoms: Atoms,
    *,
    ion: str | None = None,
    anion: str = "O",
    oxygen_volume: Volume | str = "experiment",
    oxygen_volume_source: Annotated[str, Len(1)] | None = None,
    tessellation: Kind = "plain",
    radii: Radii | None = None,
) -> FreeVolume:
    r"""Measure the volume that the atoms leave free.

    Parameters
    ----------
    atoms
        Periodic structure.
    ion
        The mobile ion with whose volume the free volume is compared: "Mg2+", "K+", or the bare element; by default
        Mg2+ where there is Mg.
    anion
        The anion that counts with a reference volume in place of its volume in the model.
    oxygen_volume
        Volume of one anion in a dense crystal of the same network [Å³]: "experiment" for oxygen in MgO (a = 4.212 Å,
        a³/8 = 9.341 Å³ where cells are plain), the name of another oxide (TiO2_rutile, MoO2), each cut as the structure
        is, or a number, such as that of MgO relaxed with the same potential.
    oxygen_volume_source
        Where a number comes from; it is repeated in the result.
    radii
        Radii of a power tessellation, as :func:`tessellate` takes them.

    Raises
    ------
    ValueError
        No such anion or ion in the cell, or in another state; no reference; radii and tessellation that do not fit.
    RuntimeError
        The Voronoi volumes do not add up to the cell's.

    Notes
    -----
    :math:`f_V = 1 - \sum_i n_i V_i / V_\mathrm{cell}`, T. Kawaguchi et al., Commun. Mater. 6 (2025),
    doi:10.1038/s43246-025-00921-0. As the cells fill space, that is
    :math:`n_O (\langle V_O \rangle - V_{O,\mathrm{reference}}) / V_\mathrm{cell}`: the free volume sits in the cells
    of the anions; where it is negative, so is the □ of the formula. The oxygen of MgO is no reference in a network of
    triangles or tetrahedra (f_V of quartz would be 32 %), with hydrogen, beside another anion, or where no cation has
    the size of Mg2+ (Shannon's radius in six neighbors within 15 %, as Goldschmidt's rule has it for ions that replace
    each other); nor is any reference where f_V is negative. Result and a warning say so.

    Examples
    --------
    >>> from ase.build import bulk
    >>> abs(round(free_volume(bulk("MgO", "rocksalt", a=4.212)).free_volume_fraction, 12))
    0.0
    """
    atoms = periodic_atoms(atoms)
    name = element_of(anion)
    if ion is None and "Mg" in atoms.symbols:
        ion = "Mg2+"
    mobile = None if ion is None else element_of(ion)
    for what, given, element in (("anion", anion, name), ("ion", ion, mobile)):
        if element is not None and element not in atoms.symbols:
            present = ", ".join(sorted(set(atoms.symbols)))
            raise ValueError(f"{what} = {given} is not in the cell, which has {present}; name one that is")
    if ion is not None and ion != mobile:
        check_ion(atoms, parse_ion(ion))
    volumes = cut_cells(atoms, tessellation, radii).volumes
    reference = _reference(name, oxygen_volume, oxygen_volume_source, tessellation, radii)
    found = FreeVolume(
        float(atoms.cell.volume),
        *reference,
        reference_note=None,
        ion=ion,
        anion=name,
        species=_species(volumes, tuple(atoms.symbols), mobile, name),
        volumes=volumes,
        symbols=tuple(atoms.symbols),
        tessellation=tessellation,
        radii_set=radii if isinstance(radii, str) or radii is None else "given",
        empty_cells=_told_empty(volumes, atoms),
    )
    return replace(found, reference_note=_note(atoms, found, oxygen_volume in ("experiment", REFERENCE)))


def _note(atoms: Atoms, found: FreeVolume, of_mgo: bool) -> str | None:
    """Say why the reference may say nothing of a structure; None where nothing speaks against it."""
    states = mean_states(atoms)
    why = out_of_domain(atoms, states, found.anion) if of_mgo else None
    if why is None and found.free_volume_fraction < -_ROUNDING:
        why = f"a cell that packs its {found.anion} more closely, f_V = {100 * found.free_volume_fraction:.1f} %"
    reference = f"{found.anion} at {found.oxygen_volume:.4g} Å³ ({found.oxygen_volume_source})"
    return None if why is None else told_note(why, states, reference)


def _told_empty(volumes: NDArray[np.float64], atoms: Atoms) -> tuple[int, ...]:
    empty = np.flatnonzero(volumes == 0.0).tolist()
    if empty:
        names = ", ".join(f"{index} ({atoms.symbols[index]})" for index in empty)
        log.warning("the power cells of these atoms are empty and count with 0 Å³: %s", names)
    return tuple(empty)


def reference_volume(crystal: Atoms, tessellation: Kind, radii: Radii | None) -> float:
    """Measure the mean volume of oxygen in a crystal [Å³], cut as the structure that is held against it.

    Raises
    ------
    ValueError
        The radii of a power tessellation lack one of its elements.
    """
    try:
        if tessellation == "power":  # radii may be of ions
            crystal, _ = resolve_oxidation_states(crystal, "formal")
        volumes = cut_cells(crystal, tessellation, radii).volumes
    except ValueError as error:
        raise ValueError(
            f"the reference {crystal.get_chemical_formula('metal', empirical=True)} is cut by the same radii: {error}; "
            "or give oxygen_volume in Å³"
        ) from None
    return float(volumes[crystal.symbols == "O"].mean())


def _reference(
    anion: str, volume: float | str, source: str | None, tessellation: Kind, radii: Radii | None
) -> tuple[float, str]:
    if not isinstance(volume, str):
        return volume, source or "given"
    if source is not None:
        raise ValueError(f"oxygen_volume_source = {source!r} describes a number; give oxygen_volume in Å³ with it")
    name = REFERENCE if volume == "experiment" else volume
    if anion != "O":
        raise ValueError(f"{name} is a reference for oxygen, not for {anion}; give oxygen_volume in Å³")
    crystal = BY_NAME.get(name)
    oxides = [known for known, entry in BY_NAME.items() if "O" in {site[0] for site in entry.sites}]
    if crystal is None or name not in oxides:
        raise ValueError(f"oxygen_volume = '{name}' is no oxide of the table, {', '.join(oxides)}; or give it in Å³")
    of = f"MgO, a = {crystal.cell[0]:g} Å" if name == REFERENCE else f"{name}, mean over its oxygen"
    return reference_volume(crystal.atoms(), tessellation, radii), f"experiment: {of}"


def _species(
    volumes: NDArray[np.float64], symbols: tuple[str, ...], mobile: str | None, anion: str
) -> tuple[SpeciesVolume, ...]:
    names = np.array(symbols)
    rows = []
    for name in sorted(set(symbols), key=lambda name: (name == anion, name != mobile, atomic_numbers[name])):
        own = volumes[names == name]
        rows.append(
            SpeciesVolume(name, own.size, float(own.mean()), float(own.min()), float(own.max()), float(own.std()))
        )
    return tuple(rows)
