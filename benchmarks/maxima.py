"""Where the mean S(q) of docs/validation.md has its maxima.

Run ``python benchmarks/maxima.py s_q.csv...`` on the curves that ``amorph structure --curves DIR`` writes: smoothed
by a Gaussian of 0.1 1/Å, maxima above 1.05 between 1 and 6 1/Å, for X-rays and for neutrons.
"""

import csv
import sys
from pathlib import Path

import numpy as np

SMOOTHED, LEAST = 0.1, 1.05
GRID = np.arange(1.0, 6.0, 0.01)

for file in sys.argv[1:]:
    rows = list(csv.DictReader(Path(file).read_text(encoding="utf-8").splitlines()))
    q = np.array([float(row["q_per_A"]) for row in rows])
    weights = np.exp(-0.5 * ((GRID[:, None] - q) / SMOOTHED) ** 2)
    for probe in ("xray", "neutron"):
        s = weights @ [float(row[f"s_{probe}"]) for row in rows] / weights.sum(axis=1)
        top = np.flatnonzero((s[1:-1] > s[:-2]) & (s[1:-1] > s[2:]) & (s[1:-1] > LEAST)) + 1
        print(file, probe, " ".join(f"{GRID[k]:.2f} ({s[k]:.2f})" for k in top))
