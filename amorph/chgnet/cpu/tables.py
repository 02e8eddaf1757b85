"""Functions of one scalar, tabulated as polynomials of degree 5.

Bonds longer than 3 Å never change their features, so everything the model derives from them is a function of their
length; the first atom convolution is a function of two elements and a length; the first angle features are functions
of the angle. Each interval between two knots stores the coefficients of the polynomial that matches value, slope and
curvature at both ends: differencing float32 values instead would lose the slope.

Below 1.25 Å messages change within hundredths of an angstrom (hidden layers reach −300 there), so their tables, and
only those, have four times as many knots.

A table is (knots · 6 · channels): for interval k the coefficients c0 … c5 of all channels, with
f = c0 + t (c1 + t (c2 + …)) and t from 0 to 1 across the interval.
"""

import itertools
import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from amorph.chgnet.cpu.atom_convolution import COARSENING, REFINED, REFINEMENT
from amorph.chgnet.folding import NORM_EPSILON, WIDTH, Array, Double, Folded, first_layer, norms, packed, second_layer
from amorph.machine.wide_vectors import aligned
from amorph.structure import MINIMUM_DISTANCE

Curve = tuple[Double, Double]
"""Values and slopes of many functions at many places."""

RADIAL_START = MINIMUM_DISTANCE
RADIAL_INTERVALS = 2640
"""A multiple of 11, so that the bond graph's cutoff of 3 Å falls on a knot as the atom graph's 6 Å does."""
ANGULAR_INTERVALS = 200
KEPT_BYTES = 600_000_000
"""Tables of messages are kept up to this size, the last ones used: six elements take 206 MB, three take 51 MB."""


def angular_step() -> float:
    """Angle between two knots [rad]."""
    return float(np.pi) / ANGULAR_INTERVALS


class Tables:
    """All tables of one model."""

    def __init__(self, model: Folded) -> None:
        self._model = model
        self._dtype = model.embedding.dtype
        self.step = (model.atom_cutoff - RADIAL_START) / RADIAL_INTERVALS
        """Distance between two knots [Å]."""
        self.coarse_step = self.step * COARSENING
        self._knots = RADIAL_START + self.step * np.arange(RADIAL_INTERVALS + 1, dtype=np.float64)
        self.convolution = tuple(self._bond_in_atom_convolution(layer) for layer in (1, 2, 3))
        """For atom convolutions 1, 2, 3: first layer of the bond (128 channels) and bond weight (64)."""
        near = self._knots[: int(np.ceil((model.bond_cutoff - RADIAL_START) / self.step)) + 2]
        self.short = quintics(*self._short(_extended(near, self.step)), self.step, self._dtype)
        """For bonds of the bond graph: bond features (64 channels) and bond weight (64)."""
        angles = angular_step() * np.arange(ANGULAR_INTERVALS + 1, dtype=np.float64)
        in_bond = np.asarray(model.bond_convolutions[0].angle, dtype=np.float64)
        in_angle = np.asarray(model.angle_updates[0].angle, dtype=np.float64)
        features = self._angle(_extended(angles, angular_step()))
        self.angle_in_bond = quintics(*_map(features, in_bond), angular_step(), self._dtype)
        """First layer of the first bond convolution for the angle (128 channels)."""
        self.angle_in_angle = quintics(*_join(features, _map(features, in_angle)), angular_step(), self._dtype)
        """Angle features (64 channels) and first layer of the first angle update for the angle (128)."""
        self._first: Array | None = None
        self._messages: OrderedDict[tuple[int, ...], Array] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def first_convolution(self) -> Array:
        """The table of atom convolution 0 in the form of the others, for structures of many elements."""
        if self._first is None:
            self._first = self._bond_in_atom_convolution(0)
        return self._first

    def messages(self, elements: NDArray[np.int64]) -> Array:
        """Tabulate the first atom convolution's message to element z from element y at distance d.

        Returns
        -------
        (elements · elements · knots · 6 · 64,) array
            One table per ordered pair of the atomic numbers `elements`.
        """
        key = tuple(map(int, elements))
        with self._lock:  # the engines of a batch share the tables
            if key not in self._messages:
                self._messages[key] = self._pairs(key)
            self._messages.move_to_end(key)
            while sum(table.nbytes for table in self._messages.values()) > KEPT_BYTES and len(self._messages) > 1:
                self._messages.popitem(last=False)
            return self._messages[key]

    def _known(self, center: int, neighbor: int) -> Array | None:
        """Find the messages of a pair in the tables of other sets."""
        for elements, table in self._messages.items():
            if center in elements and neighbor in elements:
                size = table.size // len(elements) ** 2
                place = elements.index(center) * len(elements) + elements.index(neighbor)
                return table[place * size : (place + 1) * size]
        return None

    def _pairs(self, elements: tuple[int, ...]) -> Array:
        # What all pairs share is computed once.
        fine = self.step / REFINEMENT
        zones = []
        for knots, step in (
            (RADIAL_START + fine * np.arange(REFINED * REFINEMENT + 1, dtype=np.float64), fine),
            (self._knots[REFINED:], self.step),
        ):
            places = _extended(knots, step)
            zones.append((self._map_first_layer(places), self._weight(places), step))
        intervals = sum(len(hidden[0]) - 3 for hidden, _, _ in zones)
        size = intervals * 6 * WIDTH
        table = aligned(len(elements) ** 2 * size, self._dtype)
        for place, (center, neighbor) in enumerate(itertools.product(elements, repeat=2)):
            known = self._known(center, neighbor)
            if known is None:
                messages = ((*self._message(center, neighbor, *curves), step) for *curves, step in zones)
                known = np.concatenate([quintics(*curve, self._dtype) for curve in messages])
            table[place * size : (place + 1) * size] = known
        return table

    def _bond_in_atom_convolution(self, layer: int) -> Array:
        block = np.asarray(self._model.atom_convolutions[layer].bond, dtype=np.float64)
        d = _extended(self._knots[::COARSENING], self.coarse_step)
        return quintics(*_join(_map(self._bond(d), block), self._weight(d)), self.coarse_step, self._dtype)

    def _bond(self, d: Double) -> Curve:
        """Bond features of the atom graph."""
        model = self._model
        basis = _radial_basis(model.arrays, "ag", d, model.atom_cutoff, model.exponent)
        return _map(basis, model.arrays["bond_embedding.weight"].T)

    def _weight(self, d: Double) -> Curve:
        """Bond weights of the atom graph."""
        model = self._model
        basis = _radial_basis(model.arrays, "ag", d, model.atom_cutoff, model.exponent)
        return _map(basis, model.arrays["bond_weights_ag.weight"].T)

    def _short(self, d: Double) -> Curve:
        """Bond features, and bond weights of the bond graph."""
        model = self._model
        basis = _radial_basis(model.arrays, "bg", d, model.bond_cutoff, model.exponent)
        return _join(self._bond(d), _map(basis, model.arrays["bond_weights_bg.weight"].T))

    def _angle(self, theta: Double) -> Curve:
        """Angle features."""
        return _map(_angular_basis(self._model.arrays, theta), self._model.arrays["angle_embedding.weight"].T)

    def _first_layer(self) -> tuple[list[Double], Double]:
        """First layer of atom convolution 0: for center, bond and neighbor, and its bias."""
        matrix, bias = first_layer(self._model.arrays, "atom_conv_layers.0.twoBody_atom", centered=False)
        return np.split(matrix, 3), bias

    def _map_first_layer(self, d: Double) -> Curve:
        """The bond's part of the first layer of atom convolution 0."""
        return _map(self._bond(d), self._first_layer()[0][1])

    def _message(self, center: int, neighbor: int, in_bond: Curve, weight: Curve) -> Curve:
        arrays = self._model.arrays
        (in_center, _, in_neighbor), bias = self._first_layer()
        embedding = arrays["atom_embedding.embedding.weight"]
        hidden = in_bond[0] + embedding[center - 1] @ in_center + embedding[neighbor - 1] @ in_neighbor + bias
        value, slope = _gated_mlp(arrays, "atom_conv_layers.0.twoBody_atom", hidden, in_bond[1])
        return value * weight[0], slope * weight[0] + value * weight[1]


def _extended(knots: Double, step: float) -> Double:
    """Add a place before the first knot and one after the last."""
    return np.concatenate([[knots[0] - step], knots, [knots[-1] + step]])


def quintics(values: Double, slopes: Double, step: float, dtype: Any) -> Array:
    """Return the coefficients of the polynomials that match value, slope and curvature at equidistant knots.

    Values and slopes are those of :func:`_extended` knots.
    """
    # The curvature that values and slopes at both neighbors imply, with an error of fourth order in the step.
    curvature = 2 * (values[2:] - 2 * values[1:-1] + values[:-2]) / step**2 - (slopes[2:] - slopes[:-2]) / (2 * step)
    value, slope = values[1:-1], slopes[1:-1]
    f0, f1 = value[:-1], value[1:]
    s0, s1 = slope[:-1] * step, slope[1:] * step
    q0, q1 = curvature[:-1] * step**2 / 2, curvature[1:] * step**2 / 2
    # What the second end asks of t³, t⁴, t⁵ once the first end fixed c0, c1, c2.
    a, b, c = f1 - f0 - s0 - q0, s1 - s0 - 2 * q0, 2 * (q1 - q0)
    coefficients = np.stack(
        [f0, s0, q0, 10 * a - 4 * b + c / 2, -15 * a + 7 * b - c, 6 * a - 3 * b + c / 2],
        axis=1,
    )
    return packed(coefficients.ravel(), dtype)


def _map(curve: Curve, matrix: Double) -> Curve:
    return curve[0] @ matrix, curve[1] @ matrix


def _join(first: Curve, second: Curve) -> Curve:
    return np.concatenate([first[0], second[0]], axis=1), np.concatenate([first[1], second[1]], axis=1)


def _gated_mlp(arrays: dict[str, Double], name: str, hidden: Double, hidden_slope: Double) -> tuple[Double, Double]:
    """Apply the rest of a gated MLP to its first layer's output, and the chain rule to the slope."""
    weights, bias = second_layer(arrays, name)
    scale, shift = np.split(norms(arrays, name), 2)
    sigma = expit(hidden)
    active = hidden * sigma
    active_slope = hidden_slope * sigma * (1 + hidden * (1 - sigma))
    sides = []
    for side in range(2):
        columns = slice(side * WIDTH, (side + 1) * WIDTH)
        z = active[:, columns] @ weights[side] + bias[columns]
        z_slope = active_slope[:, columns] @ weights[side]
        inverse = 1 / np.sqrt((z**2).mean(axis=1, keepdims=True) + NORM_EPSILON)
        inverse_slope = -(inverse**3) * (z * z_slope).mean(axis=1, keepdims=True)
        y = z * inverse * scale[columns] + shift[columns]
        sides.append((y, (z_slope * inverse + z * inverse_slope) * scale[columns]))
    (core, core_slope), (gate, gate_slope) = sides
    s_core, s_gate = expit(core), expit(gate)
    value = core * s_core * s_gate
    slope = core_slope * s_core * (1 + core * (1 - s_core)) * s_gate + value * (1 - s_gate) * gate_slope
    return value, slope


def _radial_basis(
    arrays: dict[str, Double], graph: str, d: Double, cutoff: float, exponent: float
) -> tuple[Double, Double]:
    """Return the radial Bessel functions under their envelope, and their slopes."""
    frequencies = arrays[f"bond_basis_expansion.rbf_expansion_{graph}.frequencies"]
    x = d / cutoff
    p = exponent
    a, b, c = -(p + 1) * (p + 2) / 2, p * (p + 2), -p * (p + 1) / 2
    inside = x < 1
    envelope = np.where(inside, 1 + a * x**p + b * x ** (p + 1) + c * x ** (p + 2), 0.0)
    envelope_slope = (
        np.where(inside, a * p * x ** (p - 1) + b * (p + 1) * x**p + c * (p + 2) * x ** (p + 1), 0.0) / cutoff
    )
    phase = np.outer(x, frequencies)
    column = d[:, None]
    bessel = np.sqrt(2 / cutoff) * np.sin(phase) / column
    bessel_slope = np.sqrt(2 / cutoff) * np.cos(phase) * frequencies / cutoff / column - bessel / column
    return (
        bessel * envelope[:, None],
        bessel_slope * envelope[:, None] + bessel * envelope_slope[:, None],
    )


def _angular_basis(arrays: dict[str, Double], theta: Double) -> tuple[Double, Double]:
    """Return the Fourier functions of an angle, and their slopes."""
    frequencies = arrays["angle_basis_expansion.fourier_expansion.frequencies"]
    phase = np.outer(theta, frequencies)
    constant = np.full((theta.size, 1), 1 / np.sqrt(2))
    value = np.concatenate([constant, np.sin(phase), np.cos(phase)], axis=1) / np.sqrt(np.pi)
    slope = np.concatenate([0 * constant, np.cos(phase) * frequencies, -np.sin(phase) * frequencies], axis=1)
    return value, slope / np.sqrt(np.pi)
