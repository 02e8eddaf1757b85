"""Crystals of passivation films and of solid electrolytes, beside those that hosts are compared with."""

from typing import Final

from amorph.tables.crystal import AFLOW, Crystal

_NCRYSTAL: Final = "in the data library of NCrystal 4.4.6"


def _cubic(name: str, a: float, positive: tuple[str, int], negative: tuple[str, int], *origin: str) -> Crystal:
    """Give a rocksalt, or with twice as many cations an antifluorite."""
    corner, quarter = (negative, positive) if negative[1] == -2 * positive[1] else (positive, negative)
    place = 0.25 if corner == negative else 0.5
    sites = ((*corner, 0.0, 0.0, 0.0), (*quarter, place, place, place))
    source, status = origin
    return Crystal(name, 225, "F m -3 m", (a, a, a, 90, 90, 90), sites, source, status)


FILM_CRYSTALS: Final = (
    Crystal(
        "MgF2", 136, "P 42/m n m", (4.6213, 4.6213, 3.0519, 90, 90, 90),
        (("Mg", 2, 0, 0, 0), ("F", -1, 0.3028, 0.3028, 0)),
        f"sellaite: Baur & Khan, Acta Cryst. B27, 2133 (1971), doi:10.1107/S0567740871005466, as COD 9007534 "
        f"{_NCRYSTAL}, which prints c = 3.0159: two digits changed place (c = 3.0519 in the Handbook of Mineralogy)",
        "verified",
    ),
    Crystal(
        "MgH2", 136, "P 42/m n m", (4.5168, 4.5168, 3.0205, 90, 90, 90),
        (("Mg", 2, 0, 0, 0), ("H", -1, 0.306, 0.306, 0)),
        f"Ellinger et al., J. Am. Chem. Soc. 77, 2647 (1955), as COD 4124639 {_NCRYSTAL}",
        "verified",
    ),
    Crystal(
        "MgCl2", 166, "R -3 m:H", (3.6363, 3.6363, 17.6663, 90, 90, 120),
        (("Mg", 2, 0, 0, 0), ("Cl", -1, 0, 0, 0.2578)),
        "Partin & O'Keeffe, J. Solid State Chem. 95, 176 (1991), as reference 13 of doi:10.1038/srep30631, whose table "
        "has a = 3.6263 beside the volume of a = 3.6363",
        "corroborated",
    ),
    Crystal(
        "MgO2H2", 164, "P -3 m 1", (3.14979, 3.14979, 4.7702, 90, 90, 120),
        (("Mg", 2, 0, 0, 0), ("O", -2, 1 / 3, 2 / 3, 0.2203), ("H", 1, 1 / 3, 2 / 3, 0.413)),
        f"brucite: Catti et al., Phys. Chem. Miner. 22, 200 (1995), as COD 9006330 {_NCRYSTAL}",
        "verified",
    ),
    Crystal(
        "MgCO3", 167, "R -3 c:H", (4.632, 4.632, 15.002, 90, 90, 120),
        (("Mg", 2, 0, 0, 0), ("C", 4, 0, 0, 0.25), ("O", -2, 0.27748, 0, 0.25)),
        f"magnesite: Maslen et al., Acta Cryst. B51, 929 (1995), doi:10.1107/S0108768195006434, as COD 9007692 "
        f"{_NCRYSTAL}",
        "verified",
    ),
    _cubic("MgS", 5.2033, ("Mg", 2), ("S", -2), "rocksalt; a as commonly tabulated", "unverified"),
    _cubic(
        "LiF", 4.0173, ("Li", 1), ("F", -1),
        f"Wyckoff, Crystal Structures (1963), as COD 9008667 {_NCRYSTAL}", "verified",
    ),
    Crystal(
        "Li2CO3", 15, "C 1 2/c 1", (8.3593, 4.9725, 6.1975, 90, 114.83, 90),
        (
            ("Li", 1, 0.1965, 0.4484, 0.8344),
            ("C", 4, 0, 0.0657, 0.25),
            ("O", -2, 0, 0.3213, 0.25),
            ("O", -2, 0.1459, -0.0635, 0.3127),
        ),
        "zabuyelite: Effenberger & Zemann, Z. Kristallogr. 150, 133 (1979), as COD 9008283",
        "verified",
    ),
    Crystal(
        "Li3N", 191, "P 6/m m m", (3.6576, 3.6576, 3.8735, 90, 90, 120),
        (("Li", 1, 0, 0, 0.5), ("Li", 1, 1 / 3, 2 / 3, 0), ("N", -3, 0, 0, 0)),
        f"Gregory et al., Chem. Mater. 14, 2063 (2002), {AFLOW}",
        "verified",
    ),
    Crystal(
        "Li3PO4", 31, "P m n 21", (6.115, 5.2394, 4.8554, 90, 90, 90),
        (
            ("Li", 1, 0.2481, 0.3277, 0.986),
            ("Li", 1, 0.5, 0.8428, 0.9893),
            ("P", 5, 0, 0.8243, 0),
            ("O", -2, 0.20777, 0.68676, 0.8961),
            ("O", -2, 0, 0.1052, 0.9004),
            ("O", -2, 0.5, 0.1814, 0.8172),
        ),
        "the form of low temperature: Keffer et al., Inorg. Chem. 6, 119 (1967), as AMCSD 0012673",
        "verified",
    ),
    Crystal(
        "Li3PS4", 31, "P m n 21", (7.708, 6.535, 6.137, 90, 90, 90),
        (
            ("Li", 1, 0.2469, 0.323, 0.9994),
            ("Li", 1, 0.5, 0.8431, 0.9902),
            ("P", 5, 0, 0.8253, 0.0012),
            ("S", -2, 0.2203, 0.6808, 0.895),
            ("S", -2, 0, 0.1202, 0.889),
            ("S", -2, 0.5, 0.1793, 0.8333),
        ),
        "γ phase; cell: Homma et al., Solid State Ionics 182, 53 (2011), doi:10.1016/j.ssi.2010.10.001, whose density "
        "(1.93 g/cm³) it has; sites ours: those of Li3PO4 relaxed by CHGNet r2scan in this cell",
        "unverified",
    ),
    Crystal(
        "Li7La3Zr2O12", 142, "I 41/a c d:2", (13.134, 13.134, 12.663, 90, 90, 90),
        (
            ("Li", 1, 0, 0.25, 0.375),
            ("Li", 1, 0.1813, 0.4313, 0.125),
            ("Li", 1, 0.0796, 0.0863, 0.8099),
            ("La", 3, 0, 0.25, 0.125),
            ("La", 3, 0.127, 0, 0.25),
            ("Zr", 4, 0, 0, 0),
            ("O", -2, -0.0335, 0.0545, 0.1528),
            ("O", -2, 0.0529, 0.8518, 0.5338),
            ("O", -2, 0.1495, 0.0282, 0.4461),
        ),
        "garnet, tetragonal: Awaka et al., J. Solid State Chem. 182, 2046 (2009)",
        "unverified", 2,
    ),
    Crystal(
        "NaZr2P3O12", 167, "R -3 c:H", (8.8043, 8.8043, 22.7585, 90, 90, 120),
        (
            ("Na", 1, 0, 0, 0),
            ("Zr", 4, 0, 0, 0.14568),
            ("P", 5, 0.2909, 0, 0.25),
            ("O", -2, 0.1858, 0.9858, 0.1953),
            ("O", -2, 0.1909, 0.1673, 0.0866),
        ),
        "NASICON: Hagman & Kierkegaard, Acta Chem. Scand. 22, 1822 (1968)",
        "unverified",
    ),
    Crystal(
        "NaCrS2", 166, "R -3 m:H", (3.5561, 3.5561, 19.365, 90, 90, 120),
        (("Na", 1, 0, 0, 0.5), ("Cr", 3, 0, 0, 0), ("S", -2, 0, 0, 0.2667)),
        f"layered: Engelsman et al., J. Solid State Chem. 6, 574 (1973), {AFLOW}",
        "verified",
    ),
    Crystal(
        "Na3PS4", 217, "I -4 3 m", (7.06985, 7.06985, 7.06985, 90, 90, 90),
        (("Na", 1, 0.5, 0.5, 0), ("P", 5, 0, 0, 0), ("S", -2, 0.1674, 0.1674, 0.1674)),
        "cubic; cell and Na: COD 7229733, in the package gemdat 1.8.1; x of S ours, for P–S 2.05 Å",
        "cell corroborated, x ours",
    ),
    _cubic("Na2O", 5.55, ("Na", 1), ("O", -2), "antifluorite; a as commonly tabulated", "unverified"),
    _cubic(
        "NaF", 4.62, ("Na", 1), ("F", -1),
        f"Wyckoff, Crystal Structures (1963), as COD 9008679 {_NCRYSTAL}", "verified",
    ),
    _cubic("K2O", 6.436, ("K", 1), ("O", -2), "antifluorite; a as commonly tabulated", "unverified"),
    _cubic(
        "KF", 5.347, ("K", 1), ("F", -1),
        f"Wyckoff, Crystal Structures (1963), as COD 9008652 {_NCRYSTAL}", "verified",
    ),
    _cubic(
        "KCl", 6.2931, ("K", 1), ("Cl", -1),
        "sylvite: Handbook of Mineralogy, Mineral Data Publishing (2001–2005)", "verified",
    ),
    _cubic(
        "CaO", 4.81072, ("Ca", 2), ("O", -2),
        f"Verbraeken et al. (2009), doi:10.1039/b820173k, as COD 7200686 {_NCRYSTAL}", "verified",
    ),
    Crystal(
        "CaO2H2", 164, "P -3 m 1", (3.589, 3.589, 4.911, 90, 90, 120),
        (("Ca", 2, 0, 0, 0), ("O", -2, 1 / 3, 2 / 3, 0.2337), ("H", 1, 1 / 3, 2 / 3, 0.4256)),
        f"portlandite: Desgranges et al., Acta Cryst. B49, 812 (1993), as COD 1001768 {_NCRYSTAL}",
        "verified",
    ),
    Crystal(
        "Al2O3", 167, "R -3 c:H", (4.757, 4.757, 12.9877, 90, 90, 120),
        (("Al", 3, 0, 0, 0.35218), ("O", -2, 0.30625, 0, 0.25)),
        f"corundum: Kirfel & Eichhorn, Acta Cryst. A46, 271 (1990), doi:10.1107/S0108767389012596, as COD 9007498 "
        f"{_NCRYSTAL}",
        "verified",
    ),
    Crystal(
        "AlCl3", 12, "C 1 2/m 1", (5.914, 10.234, 6.148, 90, 108.25, 90),
        (("Al", 3, 0.5, 0.3338, 0), ("Cl", -1, 0.7853, 0, 0.7737), ("Cl", -1, 0.2482, 0.17869, 0.7752)),
        f"Troyanov, Russ. J. Inorg. Chem. 37, 121 (1992), {AFLOW}",
        "verified",
    ),
)  # fmt: skip
"""The films and electrolytes."""
