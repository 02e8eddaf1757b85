"""An ensemble of toy runs that take a second each."""

from pathlib import Path

import toy_run

HERE = Path(__file__).parent.parent

# Brief: no control, nothing exported, one short equilibration.
STUDY = toy_run.STUDY.replace("duration_ps = 0.7 ", "duration_ps = 0.5 ").replace(
    "duration_ps = 0.1 ", "duration_ps = 0.02 "
)
STUDY = STUDY.replace("picture = false", "picture = false\nstructures = []\nfields = []\nmeshes = []")
STUDY += "[control]\ncrystal = false\n"

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
