"""What lets an ion through the film that passivates its metal: Mg2+ beside Li+, Na+, K+, Ca2+ and Al3+.

python workflows/passivation.py [OUTPUT_FOLDER] [--films MgO LiF ...] [--spacing 0.1]

Writes passivation.csv and passivation.png, and the structure of the amorphous film. docs/passivation.md says what came
out. Films are crystals of structures/; a-MgO is made here by a melt-quench of 144 atoms.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from numpy.typing import NDArray

import amorph
from amorph.analysis.bvse import site_energy_at
from amorph.analysis.percolation import bond_valence_window, percolation, percolation_thresholds
from amorph.analysis.voids import find_holes
from amorph.cli.output import show
from amorph.export import write_structure
from amorph.fields import ScalarField
from amorph.meltquench import QuenchSchedule, Segment

STRUCTURES: Final = Path(__file__).parent.parent / "structures"
AMORPHOUS: Final = "a-MgO"
FILMS: Final = {
    "Mg2+": ("MgO", AMORPHOUS, "MgF2", "MgCl2", "MgH2", "MgO2H2", "MgS", "MgCO3"),
    "Li+": ("Li2O", "LiF", "Li2CO3", "Li3N", "Li3PS4"),
    "Na+": ("Na2O", "NaF", "NaCl", "Na3PS4"),
    "K+": ("K2O", "KF", "KCl"),
    "Ca2+": ("CaO", "CaF2", "CaO2H2", "CaCO3"),
    "Al3+": ("Al2O3", "AlCl3"),
}
"""Films on each metal."""
PUBLISHED: Final = {"MgO": "1.56, 2.76", "Li2O": "0.15", "LiF": "0.73", "Li2CO3": "0.23–0.49"}
"""Barriers of a vacancy [eV]; sources in docs/passivation.md."""

COLUMNS: Final = (
    "ion", "film", "density_g_cm3", "barrier_1D_eV", "barrier_2D_eV", "barrier_3D_eV", "barrier_of_sites_eV",
    "dimension_at_limit", "sites_above_lowest_eV", "window_1D_vu", "included_sphere_A", "free_sphere_A",
    "published_eV", "note",
)  # fmt: skip

HOP_A, ATTEMPTS_PER_S, THICKNESS_A, DURATION_S, TEMPERATURE_K = 3.0, 1e13, 100.0, 3600.0, 300.0
LIMIT_EV: Final = units.kB * TEMPERATURE_K * float(np.log(ATTEMPTS_PER_S * DURATION_S * (HOP_A / THICKNESS_A) ** 2))
"""Barrier of an ion that crosses 10 nm within an hour at 300 K, by hops of 3 Å, 10¹³ attempts a second [eV]."""


def amorphous_magnesia(cells: tuple[int, int, int] = (3, 3, 2)) -> tuple[Atoms, str]:
    """Melt and quench a few cells of MgO, and give the minimised structure with its verdict."""
    calculator = amorph.CHGNetCalculator("0.3.0")
    hot = 8000.0  # K: within a picosecond every ion has to leave its site
    schedule = QuenchSchedule(
        (Segment("melt", "NVT", hot, hot, 0.9), Segment("quench", "NVT", hot, 300.0, 0.75)), timestep_fs=1.5
    )
    start = bulk("MgO", "rocksalt", a=4.7, cubic=True) * cells
    quenched = amorph.melt_quench(
        start, calculator, schedule, rng=np.random.default_rng(0), sample_every=20, supercell=cells
    )
    relaxed = amorph.relax(quenched.atoms, calculator, cell="isotropic", fmax=0.05, max_steps=500).atoms
    return relaxed, str(amorph.crystallinity(relaxed, melted=quenched.melt.melted).reason)


def measure(film: str, ion: str, atoms: Atoms, spacing: float) -> dict[str, Any]:
    """Give one row: barriers, the bond-valence window, and the spheres that fit and pass without the mobile ions."""
    element = ion.rstrip("0123456789+")
    mobile = np.array([symbol == element for symbol in atoms.symbols])
    row = dict.fromkeys(COLUMNS) | {"ion": ion, "film": film, "published_eV": PUBLISHED.get(film)}
    row["density_g_cm3"] = amorph.structure.density_g_cm3(atoms)
    try:
        made = amorph.bvse_map(atoms, ion, spacing=spacing)
    except ValueError as error:  # no row of soft-BV for the pair
        row["note"] = str(error).split(";")[0]
    else:
        found = percolation_thresholds(made.field)
        row |= {f"barrier_{n}D_eV": barrier for n, barrier in enumerate(found.barriers, start=1)}
        points = np.rint(atoms.get_scaled_positions()[mobile] * made.grid).astype(int) % made.grid
        row["dimension_at_limit"] = _dimension_of(made.field, made.minimum + LIMIT_EV, points)
        row["barrier_of_sites_eV"] = _threshold_of(made.field, points) - made.minimum
        sites = site_energy_at(atoms.positions[mobile], made.atoms, ion)
        row["sites_above_lowest_eV"] = float(sites.mean()) - made.minimum
    window = amorph.bvs_map(atoms, ion, spacing=spacing, blocking="framework", exclusion_radius=0.0)
    crossing = percolation_thresholds(bond_valence_window(window)).crossings[0]
    row["window_1D_vu"] = None if crossing is None else crossing.threshold
    holes = find_holes(atoms[~mobile])
    row |= {"included_sphere_A": float(holes.radii[0]), "free_sphere_A": holes.passages[0].radius}
    return row


def _dimension_of(field: ScalarField, threshold: float, points: NDArray[np.int64]) -> int:
    """Give the highest dimension, at a threshold, of a region that holds one of some grid points."""
    found = percolation(field, threshold=threshold, side="below")
    labels = found.labels[tuple(points.T)]
    return int(found.dimensions[labels[labels > 0] - 1].max(initial=0))


def _threshold_of(field: ScalarField, points: NDArray[np.int64]) -> float:
    """Give the lowest value of the field at which a region that holds one of some grid points runs through."""
    values = np.unique(field.values)
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        if _dimension_of(field, float(values[middle]), points) > 0:
            high = middle
        else:
            low = middle + 1
    return float(values[low])


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows as CSV, an empty cell where there is no value."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(
            {key: round(v, 4) + 0.0 if isinstance(v, float) else v for key, v in row.items()} for row in rows
        )


def draw(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Draw the barriers of every film, one to three dimensions from dark to light, beside the limit."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 1.0 + 0.27 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colors = dict(zip(FILMS, ("C2", "C0", "C1", "C4", "C5", "C7"), strict=True))
    for place, row in enumerate(rows):
        for n, alpha in ((3, 0.25), (2, 0.5), (1, 1.0)):
            if (barrier := row[f"barrier_{n}D_eV"]) is not None:
                axes.barh(place, barrier, color=colors[row["ion"]], alpha=alpha, height=0.7)
        if row["barrier_of_sites_eV"] is not None:
            axes.plot(row["barrier_of_sites_eV"], place, "k|", markersize=9)
        else:
            axes.text(0.05, place, "no parameters", va="center", fontsize="small", color="0.4")
    axes.axvline(
        LIMIT_EV, color="0.2", linewidth=1, linestyle="--", label=f"10 nm in an hour at 300 K: {LIMIT_EV:.2f} eV"
    )
    axes.set_yticks(range(len(rows)), [f"{row['ion']} in {row['film']}" for row in rows])
    axes.invert_yaxis()
    axes.set(xlabel="BVSE barrier [eV]: dark 1D, lighter 2D and 3D\nmark: the way leads over sites of the ion")
    axes.legend(frameon=False, fontsize="small", loc="lower right")
    figure.savefig(path, dpi=150)


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Measure the films that are asked for, print the table, and write the files."""
    known = [film for films in FILMS.values() for film in films]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs/passivation"))
    parser.add_argument("--films", nargs="+", choices=known, default=known, metavar="FILM")
    parser.add_argument("--spacing", type=float, default=0.1, help="distance of grid points [Å]")
    asked = parser.parse_args(arguments)
    asked.folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for ion, films in FILMS.items():
        for film in (film for film in films if film in asked.films):
            if film == AMORPHOUS:
                atoms, verdict = amorphous_magnesia()
                write_structure(asked.folder / f"{film}.extxyz", atoms)
                print(f"{film}: {verdict}")
            else:
                atoms = amorph.read_structure(STRUCTURES / f"{film}.cif")
            rows.append(measure(film, ion, atoms, asked.spacing))
    show(rows)
    print(f"an ion crosses 10 nm within an hour at 300 K over {LIMIT_EV:.2f} eV or less")
    write_table(asked.folder / "passivation.csv", rows)
    draw(asked.folder / "passivation.png", rows)
    return rows


if __name__ == "__main__":
    main()
