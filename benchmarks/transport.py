"""Do the intervals of D cover, and how fast are they? Ours beside kinisi 2.1 and a plain fit.

Run ``python benchmarks/transport.py``. kinisi stays out of the environment of amorph: ``pip install --target
/tmp/kinisi kinisi==2.1.0`` and give ``--kinisi /tmp/kinisi``; without it its columns are left out. It samples each walk
for seconds, so that it is given ``--kinisi-walks`` of them. Both are told the same lags, and kinisi and the plain fit
the start that ours finds: neither looks for one.
"""

import argparse
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from scipy.stats import linregress
from timing import compare, show

from amorph.analysis.transport import fit_line, lags_of, unwrapped_paths
from amorph.analysis.transport.motion import limit, moments

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from walks import rare_jumps, walk

KINDS = ("plain", "ballistic", "jumps")
CELL = 1e4
"""Edge of a cell that no walk leaves [Å]."""


def frames_of(paths: np.ndarray, *, extra: int = 0) -> list[Atoms]:
    """Frames of Li on paths of (ions, 3, frames), and atoms that stay."""
    ions = len(paths)
    numbers = np.array([3] * ions + [8] * extra)
    positions = np.full((ions + extra, 3), CELL / 2)
    frames = []
    for k in range(paths.shape[2]):
        positions[:ions, : paths.shape[1]] = CELL / 2 + paths[:, :, k]
        frames.append(Atoms(numbers, positions=positions, cell=[CELL] * 3, pbc=True))
    return frames


def kinisi_fit(frames: list[Atoms], lags: np.ndarray, start: int, axes: int = 3) -> np.ndarray:
    """Parse, displacements along the first axes and samples of the slope by kinisi [Å² per frame]."""
    import scipp as sc
    from kinisi.analyze import DiffusionAnalyzer

    analyzer = DiffusionAnalyzer.from_ase(
        frames,
        specie="Li",
        time_step=1.0 * sc.Unit("ps"),
        step_skip=1 * sc.Unit("dimensionless"),
        dt=sc.array(dims=["time interval"], values=lags.astype(float), unit="ps"),
        dimension="xyz"[:axes],
        progress=False,
    )
    analyzer.diffusion(float(start) * sc.Unit("ps"), progress=False)
    return np.asarray(analyzer.D.values) / 1e-4 * 2.0 * axes


def coverage(walks: int, kinisi_walks: int, frames: int, seed: int) -> None:
    """Print how often intervals hold the true slope, kind by kind."""
    for kind in KINDS:
        rng = np.random.default_rng(seed)
        lags = lags_of(frames)
        ours, plain, widths = [], [], []
        theirs, ours_beside, wider = [], [], []
        for number in range(walks):
            axes = 1 + number % 3
            ions = int(rng.integers(20, 201))
            paths, slope = walk(kind, ions, frames, axes, rng)
            values = moments(paths, lags)[0]
            line = fit_line(values, lags, frames, axes)
            if not line.diffusive or line.start is None:
                continue
            ours.append(line.interval[0] <= slope <= line.interval[1])
            widths.append(line.error / line.slope)
            used = lags >= line.start
            fit = linregress(lags[used], values.mean(axis=0)[used])
            plain.append(abs(fit.slope - slope) <= 1.96 * fit.stderr)
            if number < kinisi_walks:
                samples = kinisi_fit(frames_of(paths, extra=ions), lags, line.start, axes)
                low, high = np.percentile(samples, [2.5, 97.5])
                theirs.append(low <= slope <= high)
                ours_beside.append(ours[-1])
                wider.append((high - low) / (line.interval[1] - line.interval[0]))
        beside = (
            ""
            if not theirs
            else f"; kinisi {np.mean(theirs):.3f} of {len(theirs)}, ours {np.mean(ours_beside):.3f}, its interval "
            f"{np.median(wider):.2f} as wide (median)"
        )
        print(
            f"{kind}: ours {np.mean(ours):.3f} of {len(ours)} ({walks - len(ours)} not seen), mean relative error "
            f"{np.mean(widths):.3f}; plain least squares {np.mean(plain):.3f}{beside}",
            flush=True,
        )


def rare(walks: int, seed: int) -> None:
    """Print what few jumps of 24 ions in 400 frames give: an interval where they are seen, a limit where not."""
    frames, ions = 400, 24
    lags = lags_of(frames)
    rng = np.random.default_rng(seed)
    for jumps in (3, 6, 12, 24, 60):
        held, ratios, bounds = [], [], []
        for _ in range(walks):
            paths, slope = rare_jumps(jumps, ions, frames, 3, rng)
            line = fit_line(moments(paths, lags)[0], lags, frames, 3)
            if line.diffusive:
                held.append(line.interval[0] <= slope <= line.interval[1])
                ratios.append(line.slope / slope)
            else:
                bounds.append(limit(line, ions, frames) / slope)
        both = (sum(held) + sum(np.array(bounds) >= 1)) / walks
        print(
            f"{jumps} jumps: seen in {len(held) / walks:.2f}, the interval holds in {np.mean(held):.2f} of these and "
            f"D is {np.mean(ratios):.2f} of the true one; else the limit holds in "
            f"{np.mean(np.array(bounds) >= 1):.2f} and is {np.median(bounds):.1f} of it; one or the other holds in "
            f"{both:.2f}",
            flush=True,
        )


def fft_msd(paths: np.ndarray) -> np.ndarray:
    """(ions, frames) mean squared displacement at every lag, by numpy's FFT."""
    ions, _, frames = paths.shape
    made = np.empty((ions, frames))
    count = frames - np.arange(frames)
    for ion in range(ions):
        squares = (paths[ion] ** 2).sum(axis=0)
        spectrum = np.fft.rfft(paths[ion], 2 * frames, axis=1)
        products = np.fft.irfft((spectrum.real**2 + spectrum.imag**2).sum(axis=0), 2 * frames)[:frames] / count
        ends = np.concatenate([[0.0], squares[:-1] + squares[::-1][:-1]]) if frames > 1 else np.zeros(1)
        made[ion] = (2 * squares.sum() - np.cumsum(ends)) / count - 2 * products
    return made


def speed(atoms: int, frames: int, *, kinisi: bool) -> None:
    """Print ratios of times."""
    rng = np.random.default_rng(0)
    paths = walk("plain", atoms, frames, 3, rng)[0]
    lags = lags_of(frames)

    def agreement(ours: np.ndarray, theirs: np.ndarray) -> str:
        every = lags < 16  # of longer lags ours takes fewer windows
        worst = float(np.abs(ours[:, every] / theirs[:, lags[every]] - 1).max())
        means = float(np.abs(ours.mean(axis=0) / theirs[:, lags].mean(axis=0) - 1).max())
        if worst > 1e-6 or means > 0.02:
            raise SystemExit(f"the displacements differ by {worst:.2g}, the means by {means:.2g}")
        return f"same windows agree to {worst:.1g}, means over fewer windows to {means:.1g}"

    row = compare(
        f"MSD of each of {atoms} atoms, {frames} frames, {len(lags)} lags, with ⟨r⁴⟩",
        "numpy's FFT",
        lambda: moments(paths, lags)[0],
        lambda: fft_msd(paths),
        agreement,
        rounds=3,
        repeats=1,
    )
    show([row])
    if kinisi:
        made = frames_of(paths)

        def ours() -> float:
            followed = unwrapped_paths(made)
            line = fit_line(moments(followed.of("Li"), lags)[0], lags, frames, 3)
            return line.slope

        show(
            [
                compare(
                    f"paths, MSD and fit of {atoms} atoms, {frames} frames",
                    "kinisi",
                    ours,
                    lambda: float(np.mean(kinisi_fit(made, lags, 3))),
                    lambda a, b: f"slopes {a:.4g} and {b:.4g} Å² a frame",
                    rounds=1,
                    repeats=1,
                )
            ]
        )


def main() -> None:
    """Print coverage, speed and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--walks", type=int, default=400)
    parser.add_argument("--kinisi-walks", type=int, default=20)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--kinisi", type=Path)
    parser.add_argument("--atoms", type=int, default=1000)
    parser.add_argument("--speed-frames", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("coverage", "rare", "speed", "memory"))
    given = parser.parse_args()
    if given.kinisi is not None:
        sys.path.append(str(given.kinisi))  # behind our own numpy and scipy
    if given.only in (None, "memory"):
        followed = unwrapped_paths(streamed(given.atoms, given.speed_frames))
        moments(followed.of("Li"), lags_of(followed.frames))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{given.atoms} atoms, {given.speed_frames} frames: at most {peak:.0f} MB", flush=True)
    if given.only in (None, "speed"):
        speed(given.atoms, given.speed_frames, kinisi=given.kinisi is not None)
    if given.only in (None, "coverage"):
        coverage(given.walks, given.kinisi_walks if given.kinisi else 0, given.frames, given.seed)
    if given.only in (None, "rare"):
        rare(given.walks, given.seed)


def streamed(atoms: int, frames: int) -> Iterator[Atoms]:
    """Frames one at a time, half of the atoms Li."""
    rng = np.random.default_rng(0)
    numbers = np.array([3, 8] * (atoms // 2))
    positions = rng.random((len(numbers), 3)) * 20.0
    for _ in range(frames):
        positions = positions + 0.1 * rng.normal(size=positions.shape)
        yield Atoms(numbers, positions=positions, cell=[20.0] * 3, pbc=True)


if __name__ == "__main__":
    main()
