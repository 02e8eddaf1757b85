"""The step of a limited-memory BFGS minimiser whose whole memory can be saved."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

UPHILL = 1e-6
"""Relative rise of the energy that counts as one: single-precision models are noisy below it."""
SHORTEST = 1e-3
"""Smallest limit of a step, in units of the longest."""


class Lbfgs:
    """Limited-memory BFGS without line search, for noisy forces.

    Nocedal and Wright, *Numerical Optimization* (2006), algorithm 7.4, with two safeguards: a pair of no positive
    curvature is not learned, so that every step leads downhill; after a step uphill the next one is at most half as
    long, and then the limit grows again.

    ASE's ``LBFGS`` lacks these, and with a moving cell it cannot be continued from a file.

    Parameters
    ----------
    stiffness
        First guess of the curvature.
    memory
        Number of steps that the curvature is learned from.
    length
        Length of a step in units of the longest that is allowed.
    """

    def __init__(self, *, stiffness: float, memory: int, length: Callable[[Vector], float]) -> None:
        self._stiffness, self._memory, self._length = stiffness, memory, length
        self._moves: list[Vector] = []
        self._turns: list[Vector] = []
        self._last_x: Vector = np.empty(0)
        self._last_gradient: Vector = np.empty(0)
        self._last_energy = np.inf
        self._limit = 1.0

    def step(self, x: Vector, gradient: Vector, energy: float) -> Vector:
        """Return the step to take from a point."""
        if self._last_x.size:
            move = x - self._last_x
            self._learn(move, gradient - self._last_gradient)
            if energy > self._last_energy + UPHILL * abs(self._last_energy):
                self._limit = min(max(self._length(move) / 2.0, SHORTEST), 1.0)
            else:
                self._limit = min(self._limit * 1.5, 1.0)
        self._last_x, self._last_gradient, self._last_energy = x.copy(), gradient.copy(), energy
        step = self._two_loops(gradient)
        length = self._length(step)
        return step * (self._limit / length) if length > self._limit else step

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything that the next direction depends on."""
        shape = (len(self._moves), self._last_x.size)
        return {
            "moves": np.array(self._moves).reshape(shape),
            "turns": np.array(self._turns).reshape(shape),
            "last_x": self._last_x.copy(),
            "last_gradient": self._last_gradient.copy(),
            "last_energy": np.array(self._last_energy),
            "limit": np.array(self._limit),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take on the memory that :meth:`to_arrays` gave."""
        self._moves, self._turns = [row.copy() for row in arrays["moves"]], [row.copy() for row in arrays["turns"]]
        self._last_x, self._last_gradient = arrays["last_x"].copy(), arrays["last_gradient"].copy()
        self._last_energy, self._limit = float(arrays["last_energy"]), float(arrays["limit"])

    def _learn(self, move: Vector, turn: Vector) -> None:
        if np.vdot(move, turn) > 1e-8 * float(np.linalg.norm(move) * np.linalg.norm(turn)):
            self._moves = [*self._moves, move][-self._memory :]
            self._turns = [*self._turns, turn][-self._memory :]

    def _two_loops(self, gradient: Vector) -> Vector:
        q = gradient.copy()
        pairs = list(zip(self._moves, self._turns, strict=True))
        weights = []
        for move, turn in reversed(pairs):
            weight = float(np.vdot(move, q) / np.vdot(move, turn))
            weights.append(weight)
            q -= weight * turn
        if pairs:
            move, turn = pairs[-1]
            q *= float(np.vdot(move, turn) / np.vdot(turn, turn))
        else:
            q /= self._stiffness
        for (move, turn), weight in zip(pairs, reversed(weights), strict=True):
            q += move * (weight - float(np.vdot(turn, q) / np.vdot(move, turn)))
        return -q
