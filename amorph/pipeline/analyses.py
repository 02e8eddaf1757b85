"""What a run asks of an exchanged structure, glass and crystal alike: one record for each question, in order."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ase import Atoms

from amorph.analysis.bvs import BvsMap, bvs_map
from amorph.analysis.bvse import bvse_map
from amorph.analysis.glass_report import StructureReport, structure_report
from amorph.analysis.order.samples import samples_of
from amorph.analysis.oxide_mixture import OxideMixture, oxide_mixture
from amorph.analysis.percolation import PercolationThresholds, bond_valence_window, percolation_thresholds
from amorph.analysis.scattering import powder_pattern
from amorph.analysis.spread import LocalFreeVolume, Uniformity, local_free_volume, uniformity
from amorph.analysis.voids import Voids, voids
from amorph.analysis.voronoi import FreeVolume, free_volume, reference_volume
from amorph.export.fields import write_field
from amorph.figures import Result, Row
from amorph.parameters import arguments_of
from amorph.pipeline.results import References
from amorph.run import write_csv
from amorph.tables import crystals, element_of, parse_ion

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """An exchanged structure that is asked, and what several questions share."""

    atoms: Atoms
    """The structure."""
    tables: Mapping[str, Mapping[str, Any]]
    """The tables of the study that say how."""
    references: References | None = None
    """Crystals of known volume, relaxed by the model; None where there are none."""
    model: str = ""
    """What relaxed it."""
    directory: Path | None = None
    """Where tables and fields are written; nowhere in a rehearsal."""
    cutoffs: Mapping[str, float] | None = None
    """Longest bonds of the glass that it is set beside [Å]; None where it finds its own."""

    @cached_property
    def volumes(self) -> FreeVolume:
        """Voronoi volumes and the free volume."""
        chosen = self.tables["free_volume"]
        there = chosen["ion"] is not None and element_of(chosen["ion"]) in self.atoms.symbols
        return free_volume(self.atoms, **{**chosen, "ion": chosen["ion"] if there else None})

    @cached_property
    def maps(self) -> dict[str, BvsMap]:
        """Bond-valence maps with all atoms blocking, and with the mobile ions removed, whichever the study chooses."""
        chosen = self.tables["bvs"]
        return {blocking: bvs_map(self.atoms, **{**chosen, "blocking": blocking}) for blocking in ("all", "framework")}

    @property
    def structure(self) -> dict[str, Any]:
        """How order and scattering are measured: as the study says, and with the bonds of the glass."""
        chosen, there = self.tables.get("structure", {}), set(self.atoms.symbols)
        shared = {pair: cutoff for pair, cutoff in (self.cutoffs or {}).items() if there.issuperset(pair.split("-"))}
        return {**chosen, "cutoffs": shared | (chosen.get("cutoffs") or {})}

    @property
    def element(self) -> str:
        """Element of the mobile ion."""
        return parse_ion(self.tables["bvs"]["ion"]).element


@dataclass(frozen=True)
class Analysis:
    """One question: its name in the figures, and how it is answered; None where the study does not ask."""

    name: str
    measure: Callable[[Subject], Result | None]


@dataclass(frozen=True)
class SamePotential(Result):
    """The free volume against the oxygen of the same potential's MgO."""

    volumes: FreeVolume

    def figures(self) -> dict[str, Any]:
        """Give those of the free volume."""
        return self.volumes.figures()

    def rows(self) -> list[Row]:
        """Give what is compared with another structure."""
        return [Row("f_V, V_O of the same potential's MgO", self.volumes.free_volume_fraction, share=True)]


@dataclass(frozen=True)
class BondValenceShares(Result):
    """How the points of the bond-valence map share out."""

    all: BvsMap
    """Every atom blocks."""
    framework: BvsMap
    """The mobile ions are removed."""

    def rows(self) -> list[Row]:
        """Give what is compared with another structure."""
        return [
            Row("window share of the cell, all atoms block", self.all.window_fraction_of_cell, share=True),
            Row("window share of the cell, ion removed", self.framework.window_fraction_of_cell, share=True),
            Row("under-bonded share, all atoms block", self.all.under_bonded_fraction_of_cell, share=True),
            Row("under-bonded share, ion removed", self.framework.under_bonded_fraction_of_cell, share=True),
            Row("over-bonded share, ion removed", self.framework.over_bonded_fraction_of_cell, share=True),
            Row("excluded share, ion removed", self.framework.excluded_fraction, share=True),
        ]


@dataclass(frozen=True)
class Connection(Result):
    """At which values room and window run through the crystal, the mobile ions removed."""

    roomy: PercolationThresholds
    """Room are the points with v at most some value."""
    mismatch: PercolationThresholds
    """The window are those whose mismatch is."""

    def figures(self) -> dict[str, Any]:
        """Give the thresholds by direction [v.u.]."""
        return {"roomy": by_direction(self.roomy.thresholds), "mismatch": by_direction(self.mismatch.thresholds)}

    def rows(self) -> list[Row]:
        """Give what is compared with another structure."""
        named = (("mismatch whose window percolates", self.mismatch), ("v below which room percolates", self.roomy))
        return [
            Row(f"{name}, {direction}", by_direction(found.thresholds)[direction], "v.u.")
            for name, found in named
            for direction in ("1D", "3D")
        ]


@dataclass(frozen=True)
class SiteEnergy(Result):
    """The site energy and the migration barriers of the ion."""

    ion: str
    convention: str
    charges: str
    minimum_eV: float
    barriers_eV: Mapping[str, float | None]
    """From the lowest point of the cell, by direction [eV]."""
    region_barriers_eV: Mapping[str, float | None]
    """From the lowest point of the region that runs through [eV]."""

    def rows(self) -> list[Row]:
        """Give what is compared with another structure."""
        return [
            Row("migration barrier (BVSE), 1D", self.barriers_eV["1D"], "eV"),
            Row("migration barrier (BVSE), 3D", self.barriers_eV["3D"], "eV"),
            Row("barrier from its region's lowest site, 1D", self.region_barriers_eV["1D"], "eV"),
            Row("BVSE barriers are of", f"rigid framework, {self.convention} Morse"),
        ]


@dataclass(frozen=True)
class Spread(Result):
    """How evenly the roomy volume v ≤ V + window is spread, and how much of it is around each mobile ion."""

    threshold: float
    """V + window [v.u.]."""
    side: str
    uniformity: Uniformity
    local: LocalFreeVolume | None
    """None where the structure holds no mobile ion."""

    def figures(self) -> dict[str, Any]:
        """Give those of the spread, and of the ions under `local`."""
        local = {} if self.local is None else {"local": self.local.figures()}
        return {"threshold": self.threshold, "side": self.side, **self.uniformity.figures(), **local}

    def rows(self) -> list[Row]:
        """Give what is compared with another structure."""
        return self.uniformity.rows() + ([] if self.local is None else self.local.rows())


@dataclass(frozen=True)
class VoidSizes(Result):
    """The voids between atoms."""

    all: Voids
    """Between all of them."""
    framework: Voids
    """The mobile ions removed."""

    def rows(self) -> list[Row]:
        """Give what is compared with another structure."""
        return [
            Row("largest included sphere, ion removed", self.framework.largest_included_radius, "Å"),
            Row("largest free sphere, ion removed", self.framework.largest_free_radius, "Å"),
            Row("probe-accessible share, ion removed", self.framework.accessible_fraction, share=True),
            Row("mean pore radius, ion removed", self.framework.mean_pore_radius, "Å"),
            Row("grid error of the mean pore radius", self.framework.mean_pore_radius_error, "Å"),
        ]


@dataclass(frozen=True)
class Order(Result):
    """Bonds, coordination, polyhedra, connectivity, rings and the first sharp diffraction peak."""

    report: StructureReport

    def figures(self) -> dict[str, Any]:
        """Give all but the curves, which stand in files of their own."""
        curved = (self.report.angles,)
        parts = {type(part).__name__: part.figures() for part in self.report.parts if part not in curved}
        peak = self.report.peak
        return {**parts, "first_sharp_peak": None if peak is None else peak.figures()}

    def rows(self) -> list[Row]:
        """Give what is compared with another structure."""
        return self.report.rows()


def bond_cutoffs_of(figures: Mapping[str, Any]) -> Mapping[str, float]:
    """Read from the figures of an analysed structure how long its bonds may be [Å]; empty where it has no order."""
    found: Mapping[str, float] = figures.get("order", {}).get("RingStatistics", {}).get("cutoffs_A", {})
    return found


def check_structure(atoms: Atoms, table: Mapping[str, Any]) -> None:
    """Refuse what of [structure] no structure of these elements can be measured with: a pair, a wavelength, a range."""
    samples = samples_of(atoms)
    try:
        for pair in table.get("cutoffs") or {}:
            samples.pair(pair)
        powder_pattern(atoms, **arguments_of(powder_pattern, table))
    except ValueError as error:
        raise ValueError(f"{error} (in [structure])") from None


def by_direction(values: Iterable[float | None]) -> dict[str, float | None]:
    """Name three values by the number of directions that they are for."""
    return dict(zip(("1D", "2D", "3D"), values, strict=True))


def _free_volume(subject: Subject) -> FreeVolume:
    found = subject.volumes
    if subject.directory is not None:
        write_csv(subject.directory / "voronoi_species.csv", found.table())
        write_csv(subject.directory / "voronoi_atoms.csv", found.per_atom_table())
    return found


def _same_potential(subject: Subject) -> SamePotential | None:
    ratio = None if subject.references is None else subject.references.volume_ratio.get("MgO")
    if ratio is None or subject.volumes.anion != "O":
        return None
    crystal, chosen = crystals.BY_NAME["MgO"].atoms(), subject.tables["free_volume"]
    crystal.set_cell(ratio ** (1.0 / 3.0) * crystal.cell.array, scale_atoms=True)
    known = reference_volume(crystal, chosen.get("tessellation", "plain"), chosen.get("radii"))
    return SamePotential(subject.volumes.with_oxygen_volume(known, source=f"MgO relaxed by {subject.model}"))


def _mixture(subject: Subject) -> OxideMixture | None:
    ratios = None if subject.references is None else subject.references.volume_ratio
    try:
        return oxide_mixture(subject.atoms, volume_ratios=ratios)
    except ValueError as error:  # what is no oxide, or one of ions whose oxide is not known, has no such figure
        log.info("not compared with its oxides: %s", error)
        return None


def _shares(subject: Subject) -> BondValenceShares:
    if subject.directory is not None:
        chosen = subject.maps[subject.tables["bvs"]["blocking"]]
        write_field(subject.directory / "bvs.npz", chosen.field, subject.atoms)
    return BondValenceShares(**subject.maps)


def _connection(subject: Subject) -> Connection:
    bvs = subject.maps["framework"]
    fields = bvs.field, bond_valence_window(bvs)
    return Connection(*(percolation_thresholds(field, side="below") for field in fields))


def _spread(subject: Subject) -> Spread:
    bvs, atoms = subject.maps["framework"], subject.atoms
    rule: dict[str, Any] = {"threshold": bvs.target_valence + bvs.window, "side": "below"}
    spread = uniformity(bvs.field, **rule)
    there = (atoms.symbols == subject.element).any()
    return Spread(
        **rule, uniformity=spread, local=local_free_volume(bvs.field, atoms, subject.element, **rule) if there else None
    )


def _voids(subject: Subject) -> VoidSizes:
    framework = subject.atoms[~(subject.atoms.symbols == subject.element)]
    return VoidSizes(*(voids(atoms, **subject.tables["voids"]) for atoms in (subject.atoms, framework)))


def _site_energy(subject: Subject) -> SiteEnergy | None:
    if not subject.tables["bvse"]:
        return None
    made = bvse_map(subject.atoms, **subject.tables["bvse"])
    found = percolation_thresholds(made.field, side="below")
    if subject.directory is not None:
        write_field(subject.directory / "bvse.npz", made.field, subject.atoms)
    return SiteEnergy(
        made.ion,
        made.convention,
        made.charges,
        made.minimum,
        by_direction(found.barriers),
        by_direction(None if crossing is None else crossing.region_barrier for crossing in found.crossings),
    )


def _order(subject: Subject) -> Order | None:
    try:
        report = structure_report(subject.atoms, **subject.structure)
    except ValueError as error:  # a cell too small for a g(r) with a minimum, say: that must not end a run
        log.warning("bonds and rings are not measured: %s", error)
        return None
    if subject.directory is not None:
        for name, rows in report.curves().items():
            write_csv(subject.directory / f"{name}.csv", rows)
    return Order(report)


ANALYSES: tuple[Analysis, ...] = (
    Analysis("free_volume", _free_volume),
    Analysis("free_volume_same_potential", _same_potential),
    Analysis("oxide_mixture", _mixture),
    Analysis("bvs", _shares),
    Analysis("connection", _connection),
    Analysis("bvse", _site_energy),
    Analysis("spread", _spread),
    Analysis("voids", _voids),
    Analysis("order", _order),
)
"""Every question, in the order of the summary."""
