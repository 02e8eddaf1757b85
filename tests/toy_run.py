"""A study of a toy of ions that takes seconds, and what a run of it leaves."""

import json

STUDY = """
[run]
title = "Li2Ti1/3Mo2/3O3, a toy"
seed = 0
checkpoint_minutes = 0.1
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
    { name = "melt", ensemble = "NVT", start_K = 9000, end_K = 9000, duration_ps = 0.7 },
    { name = "quench", ensemble = "NVT", start_K = 9000, end_K = 300, duration_ps = 0.25 },
]
[relax]
fmax = 0.2
pressure_tolerance_GPa = 0.5
[equilibrate]
sample_every = 5
schedule.timestep_fs = 2.0
schedule.segments = [{ name = "equilibrate", ensemble = "NVT", start_K = 300, end_K = 300, duration_ps = 0.1 }]
[final_relax]
fmax = 0.2
pressure_tolerance_GPa = 0.5
[reference]
oxides = []
[bvs]
spacing = 0.5
[export]
picture = false
"""
BRIEF = STUDY.replace("duration_ps = 0.7", "duration_ps = 0.1").replace("9000", "1500")
BRIEF = BRIEF.replace("sample_every = 7", "sample_every = 2").replace("duration_ps = 0.1 }]", "duration_ps = 0.04 }]")


def written(path, text=STUDY):
    """The study as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def content(directory):
    """Every file of a run but the log and the lock; marks without the time that the stages took."""
    files = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.name not in {"run.log", "lock"}:
            files[str(path.relative_to(directory))] = path.read_bytes()
            if path.name == "stage.json":
                mark = json.loads(path.read_bytes())
                del mark["wall_time_s"], mark["sha256"]
                files[str(path.relative_to(directory))] = json.dumps(mark).encode()
    return files


def assert_same(one, other):
    assert list(one) == list(other)
    assert [name for name in one if one[name] != other[name]] == []
