"""The step of a limited-memory BFGS minimiser whose whole memory can be saved."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

UPHILL = 1e-6
"""Relative rise of the energy that counts as one: single-precision models are noisy below it."""


class Lbfgs:
    """Limited-memory BFGS without line search, for noisy forces.

    Nocedal and Wright, *Numerical Optimization* (2006), algorithm 7.4, with three safeguards: a pair of no positive
    curvature is not learned; a direction that does not lead downhill, and any step that led uphill, empties the memory;
    the caller's step limit is halved after a step uphill and grows again by a tenth.

    ASE's ``LBFGS`` lacks the first two, and with a moving cell it cannot be continued from a file.
    """

    NAMES = ("moves", "turns", "last_x", "last_gradient", "last_energy", "caution")

    def __init__(self, *, stiffness: float, memory: int) -> None:
        self._stiffness, self._memory = stiffness, memory
        self._moves: list[Vector] = []
        self._turns: list[Vector] = []
        self._last_x: Vector = np.empty(0)
        self._last_gradient: Vector = np.empty(0)
        self._last_energy = np.inf
        self._caution = 1.0

    @property
    def caution(self) -> float:
        """Factor on the longest step allowed."""
        return self._caution

    def direction(self, x: Vector, gradient: Vector, energy: float) -> Vector:
        """Return the step to take from a point, before any limit on its length."""
        if self._last_x.size:
            self._learn(x - self._last_x, gradient - self._last_gradient)
            if energy > self._last_energy + UPHILL * abs(self._last_energy):
                self._forget()
                self._caution = max(self._caution / 2.0, 0.05)
            else:
                self._caution = min(self._caution * 1.1, 1.0)
        self._last_x, self._last_gradient, self._last_energy = x.copy(), gradient.copy(), energy
        step = self._two_loops(gradient)
        if np.vdot(step, gradient) >= 0.0:
            self._forget()
            step = -gradient / self._stiffness
        return step

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything that the next direction depends on."""
        width = self._last_x.size
        return {
            "moves": np.array(self._moves).reshape(-1, width),
            "turns": np.array(self._turns).reshape(-1, width),
            "last_x": self._last_x.copy(),
            "last_gradient": self._last_gradient.copy(),
            "last_energy": np.array(self._last_energy),
            "caution": np.array(self._caution),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take on the memory that :meth:`to_arrays` gave."""
        self._moves, self._turns = [row.copy() for row in arrays["moves"]], [row.copy() for row in arrays["turns"]]
        self._last_x, self._last_gradient = arrays["last_x"].copy(), arrays["last_gradient"].copy()
        self._last_energy, self._caution = float(arrays["last_energy"]), float(arrays["caution"])

    def _learn(self, move: Vector, turn: Vector) -> None:
        if np.vdot(move, turn) > 1e-8 * float(np.linalg.norm(move) * np.linalg.norm(turn)):
            self._moves = [*self._moves, move][-self._memory :]
            self._turns = [*self._turns, turn][-self._memory :]

    def _forget(self) -> None:
        self._moves, self._turns = [], []

    def _two_loops(self, gradient: Vector) -> Vector:
        q = gradient.copy()
        pairs = list(zip(self._moves, self._turns, strict=True))
        weights = []
        for move, turn in reversed(pairs):
            weight = float(np.vdot(move, q) / np.vdot(move, turn))
            weights.append(weight)
            q -= weight * turn
        q /= self._stiffness
        for (move, turn), weight in zip(pairs, reversed(weights), strict=True):
            q += move * (weight - float(np.vdot(turn, q) / np.vdot(move, turn)))
        return -q
