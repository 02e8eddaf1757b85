"""The page of a run: seconds to make it, seconds until a browser has drawn it, and its size.

Run ``python benchmarks/report.py``: it makes two runs of soft ions in some minutes, which have the cell, grid and
schedule of the quickstart, and 1000 atoms mapped on some 200³ points; ``python benchmarks/report.py RUN...`` takes
finished runs. The browser is Debian's Chromium, without a graphics card.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import tomli_w

from amorph.reading import read_field

HOME = Path(__file__).parent.parent
sys.path.insert(0, str(HOME / "tests/report"))
from browser import Browser  # noqa: E402

AMORPH = (sys.executable, "-m", "amorph")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path, help="finished runs; by default two are made")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder, Browser(Path(folder)) as browser:
        for run in runs or (made(Path(folder), kind) for kind in ("quickstart", "large")):
            show(run, Path(folder) / "page.html", browser)


def made(folder: Path, kind: str) -> Path:
    """Run soft ions on the quickstart's study; the large one has 1200 sites, and a shorter schedule."""
    study = tomllib.loads((HOME / "workflows/quickstart.toml").read_text())
    study["calculator"] = {"factory": "workflows.soft_ions:SoftIons"}
    study["reference"] = {"oxides": []}
    if kind == "large":
        study["build"] |= {"supercell": [5, 5, 6], "lattice_constant": 4.6}
        study["bvs"] = study["bvse"] = {"spacing": 0.11}
        study["voids"] = {"spacing": 0.3}
        study["melt_quench"]["sample_every"] = 5
        for segment in study["melt_quench"]["schedule"]["segments"]:
            segment["duration_ps"] = 0.3
    (folder / f"{kind}.toml").write_text(tomli_w.dumps(study))
    run = folder / kind
    subprocess.run([*AMORPH, "run", folder / f"{kind}.toml", "--dir", run, "-q"], cwd=HOME, check=False)
    if not (run / "summary.json").exists():  # a check may fail, soft ions are no material
        raise SystemExit(f"{run} did not finish; see {run / 'run.log'}")
    return run


def show(run: Path, page: Path, browser: Browser) -> None:
    """Make the page of a run as the verb does, open it, and print what that took."""
    started, before = time.monotonic(), processor_s()
    subprocess.run([*AMORPH, "report", run, "-o", page, "-q"], check=True)
    seconds, busy = time.monotonic() - started, processor_s() - before
    opened = min(browser.open(page) for _ in range(3))
    [field] = run.glob("*_analysis/bvs.npz")
    values, atoms = read_field(field)
    grid, said = " × ".join(map(str, values.grid)), browser.complaints or "nothing"
    print(f"{run.name}: {len(atoms)} atoms, {grid} points; the browser complained of {said}")
    size = page.stat().st_size / 1e6
    print(f"  made in {seconds:.1f} s ({busy:.1f} s of processor), drawn in {opened:.1f} s, {size:.1f} MB")


def processor_s() -> float:
    """Give the time that processors have spent on the children that have ended [s]."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
