"""An ensemble of toy runs that take a second each."""

from pathlib import Path

HERE = Path(__file__).parent.parent

STUDY = """
[run]
title = "toy"
[calculator]
factory = "toys:Ions"
[build]
composition = "Li2Ti1/3Mo2/3O3"
supercell = [2, 2, 2]
lattice_constant = 4.2
[melt_quench]
sample_every = 7
schedule.timestep_fs = 2.0
schedule.damping_time_ps = 0.04
schedule.segments = [
    { name = "melt", ensemble = "NVT", start_K = 9000, end_K = 9000, duration_ps = 0.5 },
    { name = "quench", ensemble = "NVT", start_K = 9000, end_K = 300, duration_ps = 0.25 },
]
[relax]
fmax = 0.2
pressure_tolerance_GPa = 0.5
[equilibrate]
sample_every = 5
schedule.timestep_fs = 2.0
schedule.segments = [{ name = "equilibrate", ensemble = "NVT", start_K = 300, end_K = 300, duration_ps = 0.02 }]
[final_relax]
fmax = 0.2
pressure_tolerance_GPa = 0.5
[reference]
oxides = []
[control]
crystal = false
[bvs]
spacing = 0.5
[export]
picture = false
structures = []
fields = []
meshes = []
"""

ENSEMBLE = """
[ensemble]
study = "study.toml"
seed = 7
members = 2
"""
VARY = "[vary]\nmelt_quench.schedule.segments.quench.duration_ps = [0.25, 0.15]\n"


def write_files(folder, vary=VARY):
    """Write the study and the ensemble."""
    (folder / "study.toml").write_text(STUDY)
    (folder / "ensemble.toml").write_text(ENSEMBLE + vary)
