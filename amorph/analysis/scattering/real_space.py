"""From S(q) to the pair function of real space, as an experiment does it."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import numpy as np
from annotated_types import Gt
from numpy.typing import ArrayLike, NDArray

from amorph.analysis.scattering.partials import InverseLength
from amorph.figures import Plottable, Result
from amorph.parameters import Length, Unit, checked

Window = Literal["lorch", "none"]

REAL_SPACE_CONVENTION: Final = (
    "G(r) = 4πrρ(g − 1) = (2/π) ∫ q (S − 1) sin qr dq, divided by (Σ c w)² as S is; T(r) = G + 4πrρ. The D(r) of "
    "neutron papers is (Σ c b)² G"
)
"""What the functions are, as it is printed."""


@dataclass(frozen=True, eq=False)
class PairFunction(Result, Plottable):
    """G(r) by sine transform of S(q), with the resolution that its end and its window leave."""

    _derived = ("t_r",)

    r_pdf_A: NDArray[np.float64]
    """(n,) distance [Å]."""
    g_pdf: NDArray[np.float64]
    """(n,) G(r) = 4πrρ(g − 1) [1/Å²]."""
    number_density_per_A3: float
    """Atoms per volume [1/Å³]."""
    q_max_per_A: float
    """Where the transform ends [1/Å]."""
    window: Window
    """Lorch's window, or none."""
    g_pdf_convention: str = REAL_SPACE_CONVENTION
    """What the functions are, as it is printed."""

    @property
    def t_r(self) -> NDArray[np.float64]:
        """(n,) T(r) = 4πrρ g [1/Å²]."""
        return self.g_pdf + 4.0 * np.pi * self.number_density_per_A3 * self.r_pdf_A

    @property
    def g_r(self) -> NDArray[np.float64]:
        """(n,) g(r) = 1 + G/(4πrρ)."""
        return 1.0 + self.g_pdf / (4.0 * np.pi * self.number_density_per_A3 * self.r_pdf_A)

    def table(self) -> list[dict[str, Any]]:
        """Give one row for each distance."""
        columns = zip(self.r_pdf_A.tolist(), self.g_pdf.tolist(), self.t_r.tolist(), strict=True)
        return [{"r_A": r, "g_pdf_per_A2": g, "t_r_per_A2": t} for r, g, t in columns]


@checked
def pair_function(
    q: ArrayLike,
    s: ArrayLike,
    *,
    intervals: ArrayLike | None = None,
    number_density: Annotated[float, Gt(0), Unit("1/Å³")],
    q_max: InverseLength | None = None,
    window: Window = "lorch",
    r_max: Length = 10.0,
    r_step: Length = 0.02,
) -> PairFunction:
    r"""Transform S(q), computed or measured, to G(r).

    Parameters
    ----------
    q, s
        (n,) S(q) in Faber–Ziman's convention, q rising [1/Å].
    intervals
        (n,) stretch of q that each point stands for, ``made.intervals`` of a :class:`StructureFactor` [1/Å]: the
        transform is then the Fourier sum over the vectors of the cell, exact however few they are at small q, but for
        the vector 0, 4πr/V. By default trapezoids.
    number_density
        Atoms per volume [1/Å³].
    q_max
        Where to end [1/Å]; by default at the last q.
    window
        "lorch": times :math:`\sin(\pi q/q_{max})/(\pi q/q_{max})`, which takes the ripples of the end away and widens
        every peak (Lorch, J. Phys. C 2, 229 (1969), unverified); or "none".
    r_max, r_step
        Distances r_step, 2 r_step … r_max [Å].

    Notes
    -----
    :math:`G(r) = \frac{2}{\pi}\int_0^{q_{max}} q\,[S(q) - 1]\,M(q)\sin(qr)\,dq`; trapezoids begin at 0, where the
    integrand is 0. Peaks have a width of about 3.8/q_max without window, 5.4/q_max with.

    Examples
    --------
    A Gaussian hole of correlation has a pair known in closed form:

    >>> q = np.linspace(0.01, 20.0, 2000)
    >>> made = pair_function(q, 1.0 - np.exp(-(q**2) / 4), number_density=0.1, window="none", r_max=2.0)
    >>> r = made.r_pdf_A
    >>> bool(np.allclose(made.g_pdf, -2.0 / np.sqrt(np.pi) * 2.0 * r * np.exp(-(r**2)), atol=1e-9))
    True
    """
    x, y = _curve(q, s, "S(q)")
    end = float(x[-1]) if q_max is None else q_max
    if end > x[-1] + 2.0 * (x[-1] - x[-2]):  # the last shell has its mean below its end
        raise ValueError(f"q_max = {end:g} 1/Å lies beyond S(q), which ends at {x[-1]:g} 1/Å; lower it")
    keep = x <= end * (1.0 + 1e-9)
    steps = None if intervals is None else np.asarray(intervals, dtype=np.float64)[keep]
    x, y = x[keep], x[keep] * (y[keep] - 1.0)
    if window == "lorch":
        y = y * np.sinc(x / end)
    r = np.asarray(r_step * np.arange(1, round(r_max / r_step) + 1), np.float64)
    if steps is None:
        steps = np.diff(np.concatenate(([0.0], x, x[-1:])))
        steps = 0.5 * (steps[1:] + steps[:-1])
    transformed = np.array([np.sin(x * distance) @ (steps * y) for distance in r])
    return PairFunction(r, 2.0 / np.pi * transformed, number_density, end, window)


def _curve(x: ArrayLike, y: ArrayLike, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or x.size < 2:
        raise ValueError(f"{name} has the shapes {x.shape} and {y.shape}; give two columns of equal length")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(f"{name} is not finite everywhere; leave such points out")
    if x[0] < 0.0 or (np.diff(x) <= 0.0).any():
        raise ValueError(f"{name} must go up from 0; sort its rows and leave repeated ones out")
    return x, y
