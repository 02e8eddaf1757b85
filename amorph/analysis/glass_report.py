"""Is it the glass of the experiment? Order, scattering and powder pattern of structures, in one report."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from amorph.analysis.grids import Task
from amorph.analysis.order import (
    BondAngles,
    Connectivity,
    Coordination,
    Cutoffs,
    PairDistributions,
    PolyhedraShapes,
    RingStatistics,
    Structures,
    bond_angles,
    bond_cutoffs,
    connectivity,
    coordination,
    pair_distributions,
    polyhedra,
    rings,
)
from amorph.analysis.order.samples import samples_of
from amorph.analysis.scattering import (
    PairFunction,
    PowderPattern,
    SharpPeak,
    StructureFactor,
    first_sharp_peak,
    pair_function,
    powder_pattern,
    structure_factor,
)
from amorph.analysis.scattering.peak import peak_rows
from amorph.analysis.scattering.powder import Broadening, LineWidth, LorentzianShare, Polarization, TwoTheta, Wavelength
from amorph.analysis.scattering.real_space import Window
from amorph.figures import ERROR, Plottable, Result, Row, plain
from amorph.parameters import Length, Unit, checked

Criterion = Literal["primitive", "king", "guttman"]
Probe = Literal["neutron", "xray"]


@dataclass(frozen=True)
class StructureReport(Result, Plottable):
    """Order and scattering of independent structures, each a frame or many."""

    distributions: PairDistributions
    """g(r) and running numbers."""
    coordination: Coordination
    """Coordination numbers within the cutoffs."""
    angles: BondAngles
    """Bond angles within them."""
    polyhedra: PolyhedraShapes | None
    """Shapes of the coordination polyhedra; None without cations and anions."""
    connectivity: Connectivity | None
    """How they share corners, edges and faces; None without cations and anions."""
    rings: RingStatistics
    """Rings of the network."""
    scattering: StructureFactor
    """S(q), total and partial."""
    pattern: PowderPattern
    """Powder pattern."""
    probe: Probe
    """What G(r) and the first sharp peak are of."""
    pair_function: PairFunction
    """G(r) as an experiment transforms it from S(q)."""
    peak: SharpPeak | None
    """First sharp diffraction peak; None where none stands above the noise, or is as wide as the vectors lie apart."""

    @property
    def parts(self) -> list[Result]:
        """What the report holds, in order."""
        held = [self.coordination, self.angles, self.polyhedra, self.connectivity, self.rings]
        return [part for part in held if part is not None]

    def figures(self) -> dict[str, Any]:
        """Give every curve and figure, the rings under a name of their own."""
        figures: dict[str, Any] = {}
        for part in (self.pattern, self.pair_function, self.scattering, self.distributions, *self.parts):
            figures |= {"rings": part.figures()} if part is self.rings else part.figures()
        return figures | {"probe": self.probe, "first_sharp_peak": None if self.peak is None else self.peak.figures()}

    def curves(self) -> dict[str, list[dict[str, Any]]]:
        """Give the curves by name, each as the rows of a table; of several structures with standard errors."""
        pattern = self.pattern
        error = pattern.intensity_standard_error
        errors = {} if error is None else {f"intensity{ERROR}": error}
        return {
            "g_r": _rows(**self.distributions.columns()),
            "s_q": self.scattering.table(),
            "g_pdf": self.pair_function.table(),
            "pattern": _rows(two_theta_deg=pattern.two_theta_deg, intensity=pattern.intensity, **errors),
        }

    def rows(self) -> list[Row]:
        """Give what is compared with another structure: bonds, coordination, edges, rings, first sharp peak."""
        return [
            *self.coordination.rows(),
            *([] if self.connectivity is None else self.connectivity.rows()),
            *self.rings.rows(),
            *peak_rows(self.peak),
        ]


@checked
def structure_report(
    structures: Structures,
    *,
    cutoffs: Cutoffs | None = None,
    r_max: Length = 10.0,
    bin_width: Length = 0.05,
    criterion: Criterion = "primitive",
    probe: Probe = "xray",
    q_max: Annotated[float, Gt(0), Unit("1/Å")] = 15.0,
    window: Window = "lorch",
    wavelength: Wavelength = "CuKa",
    two_theta: TwoTheta = (5.0, 90.0),
    width: LineWidth = 0.1,
    lorentzian_share: LorentzianShare | None = None,
    broadening: Broadening = 0.0,
    polarization: Polarization = False,
    progress: Task | None = None,
) -> StructureReport:
    """Measure how structures are ordered and how they scatter.

    Parameters
    ----------
    r_max
        Where g(r) and G(r) end.
    bin_width
        Width of the bins of g(r).
    criterion
        Which rings count: primitive ones, King's or Guttman's shortest ones.
    probe
        What G(r) and the first sharp diffraction peak are of.
    q_max
        Where S(q) ends.
    window
        Lorch's window of G(r), or none: that of the experiment.

    Raises
    ------
    ValueError
        No structure, one that makes no sense, or different compositions; an unknown pair or wavelength.
    """
    pattern = powder_pattern(
        structures,
        wavelength=wavelength,
        two_theta=two_theta,
        width=width,
        lorentzian_share=lorentzian_share,
        broadening=broadening,
        polarization=polarization,
        progress=progress,
    )
    distributions = pair_distributions(structures, r_max=r_max, bin_width=bin_width, progress=progress)
    scattering = structure_factor(structures, q_max=q_max, progress=progress)
    of_cell: dict[str, Any] = {"intervals": scattering.intervals, "number_density": scattering.number_density}
    bonded: dict[str, Any] = {"cutoffs": bond_cutoffs(structures, cutoffs=cutoffs), "progress": progress}
    peak = first_sharp_peak(scattering.q, scattering.sampled_total(probe))
    samples = samples_of(structures)
    ionic = bool(samples.cations and samples.anions)
    return StructureReport(
        distributions,
        coordination(structures, **bonded),
        bond_angles(structures, **bonded),
        polyhedra(structures, **bonded) if ionic else None,
        connectivity(structures, **bonded) if ionic else None,
        rings(structures, criterion=criterion, **bonded),
        scattering,
        pattern,
        probe,
        pair_function(scattering.q, scattering.total(probe), **of_cell, window=window, r_max=r_max),
        # a peak narrower than the distance of the cell's vectors is one of them
        None if peak is None or peak.width_per_A < scattering.q[0] else peak,
    )


def _rows(**columns: NDArray[np.float64]) -> list[dict[str, Any]]:
    listed = [plain(column) for column in columns.values()]
    return [dict(zip(columns, values, strict=True)) for values in zip(*listed, strict=True)]
