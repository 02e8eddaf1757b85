"""Atomistic toolkit for amorphous battery cathodes: composition, glass, ion exchange, free volume."""

import importlib
from importlib.metadata import version
from typing import Any

__version__ = version("amorph")

_PUBLIC = {
    "build": "rocksalt",
    "melt_quench": "meltquench",
    "substitute": "substitution",
    "relax": "relaxation",
    "voronoi_volumes": "analysis.voronoi",
    "free_volume": "analysis.voronoi",
    "crystallinity": "analysis.crystallinity",
    "bvs_map": "analysis.bvs",
    "bvs_maps": "analysis.bvs",
    "window_convergence": "analysis.bvs_convergence",
    "distance_map": "analysis.distance",
    "bvse_map": "analysis.bvse",
    "with_oxidation_states": "analysis.oxidation_states",
    "isosurface": "analysis.isosurface",
    "CHGNetCalculator": "chgnet",
    "read_structure": "reading",
    "read_trajectory": "reading",
    "read_field": "reading",
}

__all__ = [*_PUBLIC, "__version__"]  # noqa: PLE0604 (names, all of them)


def __getattr__(name: str) -> Any:
    # Loaded on first use (PEP 562), so that `import amorph` stays fast and `amorph bvs` loads no torch.
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"amorph.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'amorph' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
