"""Colors of elements, as a picture is asked for them."""

from functools import cache
from importlib import resources
from typing import Final, Literal

import numpy as np
from ase.data import atomic_numbers
from ase.data.colors import jmol_colors
from monty.serialization import loadfn

Color = tuple[int, int, int]
Colors = Literal["distinct", "vesta", "cpk"]

POLYHEDRA: Final = ((74, 134, 212), (148, 103, 189), (23, 160, 160), (206, 109, 155), (128, 133, 64), (120, 130, 145))
_MOBILE: Final = (52, 168, 83)
_ANIONS: Final[dict[str, Color]] = {"O": (216, 58, 48), "F": (236, 151, 130), "Cl": (133, 86, 52)}
"""Anions that Jmol has too bright, or as green as the mobile ion is here."""


def element_color(element: str, scheme: Colors, *, mobile: str = "") -> Color:
    """Give the sRGB color of an element's spheres in bytes.

    "vesta" are VESTA's, from the table that pymatgen ships; "cpk" Jmol's, which follow Corey, Pauling and Koltun;
    "distinct" those too, but for the mobile ion, oxygen, fluorine and chlorine.

    >>> element_color("O", "vesta"), element_color("O", "cpk")
    ((254, 3, 0), (255, 13, 13))
    """
    if scheme == "vesta" and element in _vesta():
        return _vesta()[element]
    if scheme == "distinct" and element in {*_ANIONS, mobile}:
        return _MOBILE if element == mobile else _ANIONS[element]
    red, green, blue = np.rint(255 * jmol_colors[atomic_numbers[element]]).astype(int).tolist()
    return red, green, blue


@cache
def _vesta() -> dict[str, Color]:
    with resources.as_file(resources.files("pymatgen.vis") / "ElementColorSchemes.yaml") as path:
        return {element: tuple(color) for element, color in loadfn(path)["VESTA"].items()}
