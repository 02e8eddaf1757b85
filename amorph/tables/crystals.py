"""Reference crystals, from published parameters: space group, cell and asymmetric unit.

``structures/`` holds them as CIF, with what is verified of each.
"""

from typing import Final

import numpy as np

from amorph.tables.crystal import AFLOW, Crystal
from amorph.tables.film_crystals import FILM_CRYSTALS

SQRT3: Final = 3**0.5


def _layered(a: float, c: float, oxygen_height: float) -> tuple[tuple[float, ...], float, float]:
    """Give cell, x and z of the Li2MnO3 type that orders a layered R -3 m parent without moving an ion.

    Rows of the honeycomb run along b = 3a; the next layer is shifted by a/√3, a third of the new a. Oxygen lies
    `oxygen_height` [Å] above the centre of three cations, at x = 1/6 in projection.
    """
    layer, shift = c / 3, a / SQRT3
    beta = float(np.degrees(np.arctan2(layer, -shift)))
    z = oxygen_height / layer
    return (SQRT3 * a, 3 * a, float(np.hypot(layer, shift)), 90.0, beta, 90.0), 1 / 6 + z / 3, z


_MOLYBDATE, _X, _Z = _layered(2.884, 14.834, 1.21)

CRYSTALS: Final = (
    Crystal(
        "MgO", 225, "F m -3 m", (4.212, 4.212, 4.212, 90, 90, 90),
        (("Mg", 2, 0, 0, 0), ("O", -2, 0.5, 0.5, 0.5)),
        "room temperature; the lattice constant of the reference oxygen volume in the free volume",
        "reference",
    ),
    Crystal(
        "Li2O", 225, "F m -3 m", (4.619, 4.619, 4.619, 90, 90, 90),
        (("Li", 1, 0.25, 0.25, 0.25), ("O", -2, 0, 0, 0)),
        "antifluorite; a as commonly tabulated",
        "unverified",
    ),
    Crystal(
        "Li2TiO3", 15, "C 1 2/c 1", (5.0623, 8.7876, 9.7533, 90, 100.212, 90),
        (
            ("Li", 1, 0.238, 0.077, 0.0),
            ("Li", 1, 0.25, 0.25, 0.5),
            ("Li", 1, 0, 0.083, 0.25),
            ("Ti", 4, 0, 0.415, 0.25),
            ("Ti", 4, 0, 0.747, 0.25),
            ("O", -2, 0.141, 0.265, 0.138),
            ("O", -2, 0.102, 0.586, 0.138),
            ("O", -2, 0.138, 0.906, 0.135),
        ),
        "cell: Kataoka et al., Mater. Res. Bull. 44, 168 (2009); sites: Dorrian & Newnham, Mater. Res. Bull. 4, 179 "
        "(1969)",
        "unverified",
    ),
    Crystal(
        "Li2MoO3", 12, "C 1 2/m 1", _MOLYBDATE,
        (
            ("Mo", 4, 0, 1 / 6, 0),
            ("Li", 1, 0, 0.5, 0),
            ("Li", 1, 0, 0, 0.5),
            ("Li", 1, 0, 2 / 3, 0.5),
            ("O", -2, _X, 0, _Z),
            ("O", -2, _X, 1 / 3, _Z),
        ),
        "our ordered model (Li2MnO3 type) of the layered R -3 m average, a = 2.884, c = 14.834 Å, James & Goodenough, "
        "J. Solid State Chem. 76, 87 (1988), Mo–O 2.06 Å; the real crystal is disordered, with Mo3 triangles",
        "unverified",
    ),
    Crystal(
        "LiMoO2", 166, "R -3 m:H", (2.8663, 2.8663, 15.4743, 90, 90, 120),
        (("Li", 1, 0, 0, 0), ("Mo", 3, 0, 0, 0.5), ("O", -2, 0, 0, 0.249)),
        "average structure: Aleandri & McCarley, Inorg. Chem. 27, 1041 (1988); z of O ours, for Mo–O 2.09 Å",
        "unverified",
    ),
    Crystal(
        "MoO2", 14, "P 1 21/c 1", (5.6109, 4.8562, 5.6285, 90, 120.95, 90),
        (
            ("Mo", 4, 0.2316, -0.0084, 0.0164),
            ("O", -2, 0.1123, 0.2171, 0.2335),
            ("O", -2, 0.3908, 0.6965, 0.2987),
        ),
        "Brandt & Skapski, Acta Chem. Scand. 21, 661 (1967)",
        "unverified",
    ),
    Crystal(
        "MoO3", 62, "P n m a", (13.855, 3.6964, 3.9628, 90, 90, 90),
        (
            ("Mo", 6, 0.10164, 0.25, 0.08669),
            ("O", -2, 0.4351, 0.25, 0.4994),
            ("O", -2, 0.0866, 0.25, 0.5212),
            ("O", -2, 0.2214, 0.25, 0.0373),
        ),
        "α-MoO3 (Pbnm, axes turned to Pnma): Kihlborg, Ark. Kemi 21, 357 (1963); agrees within its errors with the "
        "refinement in the IUCr supporting information bm5082 (CCDC 1444281)",
        "corroborated",
    ),
    Crystal(
        "TiO2_rutile", 136, "P 42/m n m", (4.5922, 4.5922, 2.9574, 90, 90, 90),
        (("Ti", 4, 0, 0, 0), ("O", -2, 0.30496, 0.30496, 0)),
        f"Swope, Smyth & Larson, Am. Mineral. 80, 448 (1995), {AFLOW}",
        "verified",
    ),
    Crystal(
        "TiO2_anatase", 141, "I 41/a m d:2", (3.785, 3.785, 9.514, 90, 90, 90),
        (("Ti", 4, 0, 0.75, 0.125), ("O", -2, 0, 0.75, 0.33306)),
        f"Howard, Sabine & Dickson, Acta Cryst. B47, 462 (1991), {AFLOW}",
        "verified", 2,
    ),
    Crystal(
        "SiO2_quartz", 154, "P 32 2 1", (4.916, 4.916, 5.4054, 90, 90, 120),
        (("Si", 4, 0.4697, 0, 2 / 3), ("O", -2, 0.4135, 0.2669, 0.1191 + 2 / 3)),
        "α-quartz: Levien, Prewitt & Weidner, Am. Mineral. 65, 920 (1980), as AMCSD 0000789, its origin moved by 2c/3",
        "verified",
    ),
    Crystal(
        "SiO2_cristobalite", 92, "P 41 21 2", (4.957, 4.957, 6.8903, 90, 90, 90),
        (("Si", 4, 0.3047, 0.3047, 0), ("O", -2, 0.2381, 0.1109, 0.1826)),
        f"α-cristobalite, cold: Pluth, Smith & Faber, J. Appl. Phys. 57, 1045 (1985), {AFLOW}",
        "verified",
    ),
    Crystal(
        "LiCoO2", 166, "R -3 m:H", (2.8156, 2.8156, 14.0542, 90, 90, 120),
        (("Li", 1, 0, 0, 0), ("Co", 3, 0, 0, 0.5), ("O", -2, 0, 0, 0.2395)),
        "the cell of the migration-barrier check",
        "reference",
    ),
    Crystal(
        "LiFePO4", 62, "P n m a", (10.332, 6.010, 4.692, 90, 90, 90),
        (
            ("Li", 1, 0, 0, 0),
            ("Fe", 2, 0.28222, 0.25, 0.97472),
            ("P", 5, 0.09486, 0.25, 0.41820),
            ("O", -2, 0.09678, 0.25, 0.74279),
            ("O", -2, 0.45710, 0.25, 0.20602),
            ("O", -2, 0.16558, 0.04646, 0.28478),
        ),
        "cell: of the migration-barrier check; sites: Streltsov et al., Acta Cryst. B49, 147 (1993)",
        "cell reference, sites unverified",
    ),
    Crystal(
        "MgTi2O4", 227, "F d -3 m:2", (8.509, 8.509, 8.509, 90, 90, 90),
        (("Mg", 2, 0.125, 0.125, 0.125), ("Ti", 3, 0.5, 0.5, 0.5), ("O", -2, 0.2595, 0.2595, 0.2595)),
        "cubic spinel; the cell of the migration-barrier check",
        "reference", 2,
    ),
    Crystal(
        "MgTi2S4", 227, "F d -3 m:2", (10.352, 10.352, 10.352, 90, 90, 90),
        (("Mg", 2, 0.125, 0.125, 0.125), ("Ti", 3, 0.5, 0.5, 0.5), ("S", -2, 0.2591, 0.2591, 0.2591)),
        "thiospinel, the cathode of Sun et al., Energy Environ. Sci. 9, 2273 (2016), doi:10.1039/c6ee00724d; cell and "
        "u ours: relaxed by CHGNet r2scan",
        "unverified", 2,
    ),
    Crystal(
        "MgAl2O4", 227, "F d -3 m:2", (8.0806, 8.0806, 8.0806, 90, 90, 90),
        (("Mg", 2, 0.125, 0.125, 0.125), ("Al", 3, 0.5, 0.5, 0.5), ("O", -2, 0.2624, 0.2624, 0.2624)),
        "spinel; the cell of the migration-barrier check",
        "reference", 2,
    ),
    Crystal(
        "Mg", 194, "P 63/m m c", (3.2093, 3.2093, 5.2106, 90, 90, 120),
        (("Mg", 0, 1 / 3, 2 / 3, 0.25),),
        f"von Batchelder & Raeuchle, Phys. Rev. 105, 59 (1957), {AFLOW}",
        "verified",
    ),
    Crystal(
        "NaCl", 225, "F m -3 m", (5.6393, 5.6393, 5.6393, 90, 90, 90),
        (("Na", 1, 0, 0, 0), ("Cl", -1, 0.5, 0.5, 0.5)),
        f"Walker et al., Am. Mineral. 89, 204 (2004), {AFLOW}",
        "verified",
    ),
    Crystal(
        "CaF2", 225, "F m -3 m", (5.4631, 5.4631, 5.4631, 90, 90, 90),
        (("Ca", 2, 0, 0, 0), ("F", -1, 0.25, 0.25, 0.25)),
        f"fluorite: Speziale & Duffy, Phys. Chem. Miner. 29, 465 (2002), {AFLOW}",
        "verified",
    ),
    Crystal(
        "FeS2", 205, "P a -3", (5.417, 5.417, 5.417, 90, 90, 90),
        (("Fe", 2, 0, 0, 0), ("S", -1, 0.3851, 0.3851, 0.3851)),
        f"pyrite, a disulfide: Bayliss, Am. Mineral. 62, 1168 (1977), {AFLOW}",
        "verified",
    ),
    Crystal(
        "CaCO3", 167, "R -3 c:H", (4.988, 4.988, 17.061, 90, 90, 120),
        (("Ca", 2, 0, 0, 0), ("C", 4, 0, 0, 0.25), ("O", -2, 0.2567, 0, 0.25)),
        f"calcite: Markgraf & Reeder, Am. Mineral. 70, 590 (1985), {AFLOW}",
        "verified",
    ),
    Crystal(
        "Li3OCl", 221, "P m -3 m", (3.91, 3.91, 3.91, 90, 90, 90),
        (("Li", 1, 0.5, 0, 0), ("O", -2, 0, 0, 0), ("Cl", -1, 0.5, 0.5, 0.5)),
        "antiperovskite; the cell of the check of sums over two anions",
        "reference",
    ),
    *FILM_CRYSTALS,
)  # fmt: skip

BY_NAME: Final = {entry.name: entry for entry in CRYSTALS}
"""The crystals by name."""


def _binary_oxides() -> dict[tuple[str, int], Crystal]:
    found: dict[tuple[str, int], Crystal] = {}
    for entry in CRYSTALS:
        species = {(element, state) for element, state, *_ in entry.sites}
        cations = species - {("O", -2)}
        if len(species) == 2 and len(cations) == 1 and min(cations)[1] > 0:
            found.setdefault(min(cations), entry)
    return found


BINARY_OXIDES: Final = _binary_oxides()
"""The oxide of each cation and state; of polymorphs the first, as rutile before anatase."""
