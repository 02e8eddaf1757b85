"""Positions and cell as one vector of variables, for minimisers."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
MovingCell = Literal["fixed", "isotropic", "free"]


@dataclass(frozen=True, eq=False)
class Deformation:
    r"""A cell that deforms, and the atoms in it.

    The variables are the positions :math:`s` in the undeformed cell and, where the cell may move, the logarithmic
    strain :math:`u` times a scale: :math:`F = \exp u`, positions :math:`s F`, cell :math:`h_0 F`. A symmetric strain
    never turns the cell.

    ASE's ``FrechetCellFilter`` has the same variables, but takes the logarithm of the deformation anew at every step,
    with rounding and warnings; here the strain itself is kept.
    """

    start_cell: NDArray[np.float64]
    """(3, 3) undeformed cell [Å]."""
    cell: MovingCell
    """What the cell may do."""
    scale: float
    """Variable per strain [Å]: it makes the curvatures along strains and displacements alike."""

    def variables(self, positions: NDArray[np.float64]) -> Vector:
        """Return the variables of the undeformed cell."""
        return positions.ravel() if self.cell == "fixed" else np.concatenate([positions.ravel(), np.zeros(9)])

    def structure(self, x: Vector) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (n, 3) positions and (3, 3) cell [Å]."""
        positions, u = self._split(x)
        if self.cell == "fixed":
            return positions, self.start_cell
        F = self._stretch(u)
        return positions @ F, self.start_cell @ F

    def gradient(self, x: Vector, forces: NDArray[np.float64], stress: NDArray[np.float64]) -> Vector:
        r"""Return the gradient of the energy.

        Parameters
        ----------
        x
            Variables.
        forces
            (n, 3) forces [eV/Å].
        stress
            (6,) stress in ASE's order [eV/Å³].

        Notes
        -----
        :math:`\partial E/\partial s = -f F` and :math:`\partial E/\partial u = L(u, V F^{-1} \sigma)`, where :math:`L`,
        the Fréchet derivative of the exponential, is in the axes of u a product element by element with
        :math:`(e^{\lambda_i} - e^{\lambda_j})/(\lambda_i - \lambda_j)`.
        """
        if self.cell == "fixed":
            return -forces.ravel()
        _, u = self._split(x)
        F = self._stretch(u)
        volume = abs(float(np.linalg.det(self.start_cell @ F)))
        sigma = stress[[0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(3, 3)
        if self.cell == "isotropic":
            along_strain = np.eye(3) * (volume * float(np.trace(sigma)) / 3.0)
        else:
            slope = volume * np.linalg.solve(F, sigma)
            eigenvalues, Q = np.linalg.eigh(u)
            half = (eigenvalues[:, None] - eigenvalues) / 2.0
            mean = np.exp((eigenvalues[:, None] + eigenvalues) / 2.0)
            small = abs(half) < 1e-6
            # sinh(h)/h = 1 + h²/6: exact to rounding for small h.
            weight = mean * np.where(small, 1.0 + half**2 / 6.0, np.sinh(half) / np.where(small, 1.0, half))
            along_strain = Q @ (weight * (Q.T @ ((slope + slope.T) / 2.0) @ Q)) @ Q.T
        return np.concatenate([-(forces @ F).ravel(), along_strain.ravel() / self.scale])

    def moves(self, step: Vector) -> tuple[float, float]:
        """Return the longest displacement of an atom [Å] and the size of the strain in a step."""
        displacements, u = self._split(step)
        return float(np.linalg.norm(displacements, axis=1).max()), float(np.linalg.norm(u))

    def _split(self, x: Vector) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self.cell == "fixed":
            return x.reshape(-1, 3), np.zeros((3, 3))
        u = x[-9:].reshape(3, 3) / self.scale
        return x[:-9].reshape(-1, 3), (u + u.T) / 2.0

    def _stretch(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.cell == "isotropic":
            return np.eye(3) * np.exp(u[0, 0])
        eigenvalues, Q = np.linalg.eigh(u)
        return (Q * np.exp(eigenvalues)) @ Q.T
