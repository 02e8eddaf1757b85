"""What is measured on an exchanged structure, glass and crystal alike: volumes, maps, voids, connections, spread."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from ase import Atoms

from amorph.analysis.bvs import BvsMap, bvs_map
from amorph.analysis.bvse import bvse_map
from amorph.analysis.crystallinity import Crystallinity
from amorph.analysis.percolation import PercolationThresholds, percolation_thresholds
from amorph.analysis.spread import local_free_volume, uniformity
from amorph.analysis.voids import Voids, voids
from amorph.analysis.voronoi import FreeVolume
from amorph.fields import ScalarField
from amorph.tables import parse_ion
from amorph.units import G_CM3_PER_U_A3

_SHARES: Final = ("under_bonded", "window", "over_bonded")


def bond_valence_maps(atoms: Atoms, chosen: Mapping[str, Any]) -> dict[str, BvsMap]:
    """Map the bond valence with all atoms blocking, and with the mobile ions removed, whichever a study chooses."""
    return {blocking: bvs_map(atoms, **{**chosen, "blocking": blocking}) for blocking in ("all", "framework")}


def connection_figures(maps: Mapping[str, BvsMap]) -> dict[str, Any]:
    """Figures of how room and window connect, the mobile ions removed: at which values they run through the crystal.

    Room are the points with v at most some value, the window those whose mismatch is.
    """
    bvs = maps["framework"]
    return {
        "roomy": _thresholds(percolation_thresholds(bvs.field, side="below")),
        "mismatch": _thresholds(percolation_thresholds(bvs.mismatch, side="below")),
    }


def spread_figures(maps: Mapping[str, BvsMap], atoms: Atoms, *, rng: np.random.Generator) -> dict[str, Any]:
    """Figures of how evenly the roomy volume v ≤ V + window is spread, and how much of it is around each mobile ion.

    The mobile ions are removed for the map.
    """
    bvs = maps["framework"]
    rule: dict[str, Any] = {"threshold": bvs.target_valence + bvs.window, "side": "below"}
    figures: dict[str, Any] = {**rule, **uniformity(bvs.field, **rule, rng=rng).figures()}
    element = parse_ion(bvs.ion).element
    if (atoms.symbols == element).any():
        figures["local"] = local_free_volume(bvs.field, atoms, element, **rule).figures()
    return figures


def void_figures(atoms: Atoms, ion: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of the voids between all atoms, and between those of the framework."""
    element = parse_ion(ion).element
    return {
        "all": _void_figures(voids(atoms, **chosen)),
        "framework": _void_figures(voids(atoms[~(atoms.symbols == element)], **chosen)),
    }


def site_energy_figures(atoms: Atoms, chosen: Mapping[str, Any]) -> tuple[dict[str, Any], ScalarField]:
    """Figures of the site energy and the migration barriers of the ion, and the map."""
    made = bvse_map(atoms, **chosen)
    found = percolation_thresholds(made.field, side="below")
    figures = {
        "ion": made.ion,
        "convention": made.convention,
        "charges": made.charges,
        "minimum_eV": made.minimum,
        "barriers_eV": dict(zip(_DIRECTIONS, found.barriers, strict=True)),
        "region_barriers_eV": {
            name: None if crossing is None else crossing.region_barrier
            for name, crossing in zip(_DIRECTIONS, found.crossings, strict=True)
        },
    }
    return figures, made.field


def crystallinity_figures(judged: Crystallinity) -> dict[str, Any]:
    """Figures of a verdict."""
    return asdict(judged) | {"reason": judged.reason}


def free_volume_figures(volumes: FreeVolume) -> dict[str, Any]:
    """Figures of the free volume: everything but the single atoms."""
    return {key: value for key, value in asdict(volumes).items() if key not in {"volumes", "symbols"}}


def bvs_figures(bvs: BvsMap) -> dict[str, Any]:
    """Figures of a bond-valence map: everything but the map."""
    names = ["ion", "target_valence", "window", "r0", "b", "source", "cutoff", "exclusion_radius", "blocking", "grid"]
    names += ["excluded_fraction"]
    names += [f"{share}_fraction_of_{whole}" for share in _SHARES for whole in ("cell", "accessible")]
    return {name: getattr(bvs, name) for name in names}


def density_g_cm3(atoms: Atoms) -> float:
    """Mass density of a structure [g/cm³]."""
    return float(atoms.get_masses().sum() / atoms.get_volume() * G_CM3_PER_U_A3)


_DIRECTIONS: Final = ("1D", "2D", "3D")


def _thresholds(found: PercolationThresholds) -> dict[str, float | None]:
    return dict(zip(_DIRECTIONS, found.thresholds, strict=True))


def _void_figures(made: Voids) -> dict[str, Any]:
    names = ["largest_included_radius", "largest_free_radius", "included_radius_along_free_path", "probe_radius"]
    names += ["void_fraction", "center_fraction", "accessible_fraction", "occupiable_fraction", "mean_pore_radius"]
    figures: dict[str, Any] = {name: getattr(made, name) for name in names}
    return figures | {"cavities": len(made.cavities), "dimension": made.regions.dimension}
