"""Structures of pymatgen as plain JSON; no module that the text names is imported."""

import json
from typing import Any

import numpy as np

from amorph.reading.files import RefusedError
from amorph.reading.sites import ion_of
from amorph.structure import DisorderedCrystal, Share, SharedSite


def read_pymatgen_json(text: str) -> list[DisorderedCrystal] | None:
    """Read the structure, or the structures of a list, of pymatgen's JSON: at the top, or within one entry there.

    Returns
    -------
    list of crystals
        None where the text holds something else.

    Raises
    ------
    RefusedError
        Several entries hold one; a site of no element, or in a cell that is not periodic.
    """
    content = json.loads(text)
    return [_crystal(found) for found in _structures(content)] if _structures(content) else None


def _structures(content: Any) -> list[dict[str, Any]]:
    if _is_structure(content):
        return [content]
    if isinstance(content, list):
        return [found for entry in content for found in (_structures(entry) if isinstance(entry, dict) else [])]
    if not isinstance(content, dict):
        return []
    within = {name: entry for name, entry in content.items() if _is_structure(entry)}
    if len(within) > 1:
        raise RefusedError(
            f"holds the structures {', '.join(within)}; write the one that you mean into a file of its own"
        )
    return list(within.values())


def _is_structure(content: Any) -> bool:
    return isinstance(content, dict) and {"lattice", "sites"} <= content.keys()


def _crystal(content: dict[str, Any]) -> DisorderedCrystal:
    lattice = content["lattice"]
    if not all(lattice.get("pbc", (True, True, True))):
        raise RefusedError(f"is no crystal: the structure is periodic along {lattice['pbc']}; amorph needs all three")
    sites = []
    for number, site in enumerate(content["sites"]):
        shares = []
        for species in site["species"]:
            if (ion := ion_of(species["element"])) is None:
                raise RefusedError(f"has '{species['element']}' on site {number}, which is no element; correct it")
            state = species.get("oxidation_state")
            shares.append(Share(ion[0], float(species.get("occu", 1)), None if state is None else float(state)))
        sites.append(SharedSite(np.array([site["abc"]], dtype=np.float64), tuple(shares)))
    return DisorderedCrystal(np.array(lattice["matrix"], dtype=np.float64), tuple(sites))
