"""Random walks whose diffusion coefficient is known."""

import numpy as np
from scipy.signal import lfilter

MEMORY = 10.0
"""Frames in which the persistent walk forgets its direction."""
BACK = 0.4
"""Chance that a jump takes the one before it back."""


def walk(kind, ions, frames, axes, rng):
    """(ions, axes, frames) paths, and the slope of their mean-square displacement, 2 d D per frame."""
    shape = (ions, axes, frames - 1)
    if kind == "plain":
        return summed(rng.normal(size=shape)), float(axes)
    if kind == "ballistic":
        keep = np.exp(-1.0 / MEMORY)
        before = keep * rng.normal(size=(ions, axes, 1))
        steps = lfilter([np.sqrt(1 - keep**2)], [1, -keep], rng.normal(size=shape), axis=2, zi=before)[0]
        return summed(steps), axes * (1 + keep) / (1 - keep)
    if kind == "rare":
        return rare_jumps(rng.integers(5, 31), ions, frames, axes, rng)
    # jumps of 2 along an axis, one of ten frames; some go straight back; rattling between them
    steps = np.zeros(shape)
    axis, sign = rng.integers(0, axes, ions), rng.choice([-1.0, 1.0], ions)
    for frame in range(frames - 1):
        jumps = rng.random(ions) < 0.1
        back = rng.random(ions) < BACK
        axis = np.where(jumps & ~back, rng.integers(0, axes, ions), axis)
        sign = np.where(jumps, np.where(back, -sign, rng.choice([-1.0, 1.0], ions)), sign)
        steps[np.flatnonzero(jumps), axis[jumps], frame] = 2.0 * sign[jumps]
    rattle = 0.3 * rng.normal(size=(ions, axes, frames))
    return summed(steps) + rattle, 0.1 * 4.0 * (1 - BACK) / (1 + BACK)


def rare_jumps(expected, ions, frames, axes, rng):
    """The same of so many jumps of 3 in any direction, on average, of all ions together; rattling for five frames."""
    jumps = rng.random((ions, 1, frames - 1)) < expected / (ions * frames)
    directions = rng.normal(size=(ions, axes, frames - 1))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    keep = np.exp(-1.0 / 5.0)
    rattle = lfilter([np.sqrt(1 - keep**2)], [1, -keep], 0.25 * rng.normal(size=(ions, axes, frames)), axis=2)
    return summed(3.0 * jumps * directions) + rattle, 9.0 * expected / (ions * frames)


def summed(steps):
    """Paths of steps, from zero."""
    return np.concatenate([np.zeros((*steps.shape[:2], 1)), np.cumsum(steps, axis=2)], axis=2)


def leaping(frames, rng):
    """(frames, atoms, 3) fractional coordinates of three Li and an O, none wrapped: each Li leaps along a line of its
    own by 0.45, 0.7 or 1.3 of the cell, so that they never meet."""
    places = np.array([[0.0, 0.1, 0.1], [0.4, 0.0, 0.6], [0.8, 0.4, 0.0], [0.5, 0.8, 0.85]])
    leaps = rng.choice([0.45, 0.7, 1.3], (frames - 1, 3)) * rng.choice([-1.0, 1.0], (frames - 1, 3))
    moved = np.zeros((frames, 4, 3))
    moved[1:, range(3), range(3)] = np.cumsum(leaps, axis=0)
    return places + moved


def covered(cases, frames, seed):
    """How often interval or limit hold the true slope, and how often diffusion is seen, of (kind, ions, axes)."""
    from amorph.analysis.transport import fit_line, lags_of
    from amorph.analysis.transport.motion import limit, moments

    rng = np.random.default_rng(seed)
    lags = lags_of(frames)
    found = []
    for kind, ions, axes in cases:
        paths, slope = walk(kind, ions, frames, axes, rng)
        line = fit_line(moments(paths, lags)[0], lags, frames, axes)
        low, high = line.interval if line.diffusive else (0.0, limit(line, ions, frames))
        found.append((low <= slope <= high, line.diffusive))
    return np.mean(found, axis=0)
