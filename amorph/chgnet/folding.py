"""The weights of CHGNet, arranged for the kernels.

What holds for every gated MLP  silu(LN(core)) · σ(LN(gate))  of the model:

- core and gate share their input, so their matrices stand side by side: 128 columns, the core's first.
- The matrix of the first layer acts on a concatenation (center, bond, neighbor) or (bond i, bond j, angle, center); its
  rows are split into one block per member, and each product is computed once per atom, bond or angle.
- The mean that a LayerNorm subtracts is linear in its input: it is taken out of the matrix and bias before, which
  leaves a division by the root mean square.

Matrices are stored as (inputs, outputs), contiguous, in float32 or float64.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from amorph.chgnet.weights import Checkpoint
from amorph.machine.wide_vectors import aligned

WIDTH = 64
"""Features of an atom, a bond and an angle."""
GATED = 2 * WIDTH
"""Core and gate side by side."""
NORM_EPSILON = 1e-5

Array = NDArray[Any]
"""What kernels read, in the precision of the engine."""
Double = NDArray[np.float64]
Pack = Callable[[Any], Array]
"""Copies an array to that precision."""


class GatedOutput(NamedTuple):
    """The second layer of a gated MLP and its norms."""

    weights: Array
    """(2 · 64 · 64,) centered matrices of core and gate, (inputs, outputs)."""
    transposed: Array
    """(2 · 64 · 64,) the same as (outputs, inputs), for the backward pass."""
    vectors: Array
    """(3 · 128,) centered bias, scale and shift of the norms."""


@dataclass(frozen=True, eq=False)
class AtomConvolution:
    """Equation of the atom convolution: a_i += L Σ_j φ(a_i, e_ij, a_j) · w_ij."""

    atom: Array
    """(64, 256) first layer for the atom as center (128 columns) and as neighbor (128)."""
    atom_bias: Array
    """(256,) bias of the first layer in the center's columns, zero in the neighbor's."""
    bond: Array
    """(64, 128) first layer for the bond."""
    output: GatedOutput
    mix: Array
    """(64, 64) the matrix L."""


@dataclass(frozen=True, eq=False)
class BondConvolution:
    """Equation of the bond convolution: e_ij += L Σ_k φ(e_ij, e_ik, α_jik, a_i) · w_ij w_ik."""

    bonds: Array
    """(64, 256) first layer for bond i (128 columns) and bond j (128)."""
    angle: Array
    """(64, 128)"""
    atom: Array
    """(64, 128)"""
    atom_bias: Array
    """(128,)"""
    output: GatedOutput
    mix: Array
    """(64, 64) the matrix L."""


@dataclass(frozen=True, eq=False)
class AngleUpdate:
    """Equation of the angle update: α_jik += φ(e_ij, e_ik, α_jik, a_i), a gated MLP of one layer."""

    bonds: Array
    """(64, 256)"""
    angle: Array
    """(64, 128)"""
    atom: Array
    """(64, 128)"""
    atom_bias: Array
    """(128,)"""
    norms: Array
    """(2 · 128,) scale and shift of the norms."""


class Readout(NamedTuple):
    """Norm, three hidden layers and the energy of an atom."""

    norm: Array
    """(2 · 64,) scale and shift."""
    weights: Array
    """(3 · 64 · 64,) hidden layers, (inputs, outputs)."""
    transposed: Array
    """(3 · 64 · 64,)"""
    biases: Array
    """(3 · 64,)"""
    last: Array
    """(64,)"""
    last_bias: float


@dataclass(frozen=True, eq=False)
class Folded:
    """A whole model."""

    embedding: Array
    """(94, 64) features of each element."""
    reference: Double
    """(94,) energy of each element that the composition model adds [eV]."""
    atom_convolutions: tuple[AtomConvolution, ...]
    bond_convolutions: tuple[BondConvolution, ...]
    angle_updates: tuple[AngleUpdate, ...]
    readout: Readout
    site: Array
    """(64,) projection on the magnetic moment."""
    site_bias: float
    atom_cutoff: float
    """Longest bond of the atom graph [Å]."""
    bond_cutoff: float
    """Longest bond of the bond graph [Å]."""
    exponent: float
    """Power of the envelope polynomial."""
    arrays: dict[str, Double]
    """Every array by its name in the file."""


def unsupported(checkpoint: Checkpoint) -> str | None:
    """Say why a model does not hold the assumptions of the fast engine, or return None."""
    arguments, arrays = checkpoint.arguments, checkpoint.arrays
    wanted = {
        "atom_fea_dim": WIDTH,
        "bond_fea_dim": WIDTH,
        "angle_fea_dim": WIDTH,
        "atom_conv_hidden_dim": WIDTH,
        "bond_conv_hidden_dim": WIDTH,
        "angle_layer_hidden_dim": 0,
        "n_conv": 4,
        "non_linearity": "silu",
        "gMLP_norm": "layer",
        "readout_norm": "layer",
        "mlp_first": True,
        "is_intensive": True,
        "update_bond": True,
        "update_angle": True,
    }
    defaults = {"conv_norm": None, "final_mlp": "MLP"}
    for name, value in (wanted | defaults).items():
        found = arguments.get(name, value if name in defaults or name == "is_intensive" else None)
        if found != value:
            return f"{name} = {found!r} (the fast engine needs {value!r})"
    if list(arguments.get("mlp_hidden_dims", ())) != [WIDTH] * 3:
        return f"mlp_hidden_dims = {arguments.get('mlp_hidden_dims')!r} (the fast engine needs three of {WIDTH})"
    if biased := sorted(name for name in arrays if "mlp_out" in name and name.endswith("bias")):
        return f"{biased[0]}: a biased output does not vanish at the cutoff"
    if not float(arguments.get("cutoff_coeff", 8)) >= 2:
        return f"cutoff_coeff = {arguments['cutoff_coeff']!r}: the envelope does not vanish smoothly at the cutoff"
    needed = ("composition_model.fc.weight", "site_wise.weight", "readout_norm.weight")
    return next((f"{name} is missing" for name in needed if name not in arrays), None)


def fold(checkpoint: Checkpoint, dtype: Any = np.float32) -> Folded:
    """Arrange the weights of a model that the engine supports, in one precision."""
    pack = functools.partial(packed, dtype=dtype)
    arrays = {name: np.asarray(array, dtype=np.float64) for name, array in checkpoint.arrays.items()}
    layers = range(4)
    return Folded(
        embedding=pack(arrays["atom_embedding.embedding.weight"]),
        reference=arrays["composition_model.fc.weight"].ravel(),
        atom_convolutions=tuple(_atom_convolution(arrays, f"atom_conv_layers.{layer}", pack) for layer in layers),
        bond_convolutions=tuple(_bond_convolution(arrays, f"bond_conv_layers.{layer}", pack) for layer in layers[:3]),
        # The third angle update changes angles that nothing reads.
        angle_updates=tuple(_angle_update(arrays, f"angle_layers.{layer}", pack) for layer in layers[:2]),
        readout=_readout(arrays, pack),
        site=pack(arrays["site_wise.weight"].ravel()),
        site_bias=float(arrays["site_wise.bias"][0]),
        atom_cutoff=float(checkpoint.arguments["atom_graph_cutoff"]),
        bond_cutoff=float(checkpoint.arguments["bond_graph_cutoff"]),
        exponent=float(checkpoint.arguments["cutoff_coeff"]),
        arrays=arrays,
    )


def first_layer(arrays: dict[str, Double], name: str, *, centered: bool) -> tuple[Double, Double]:
    """Return the matrix (inputs, 128) and bias (128,) that a gated MLP applies to its input."""
    first = "layers.0" if f"{name}.mlp_core.layers.0.weight" in arrays else "layers.1"
    layers = [f"{name}.mlp_{side}.{first}" for side in ("core", "gate")]
    parts = [(arrays[f"{layer}.weight"].T, arrays[f"{layer}.bias"]) for layer in layers]
    if centered:
        parts = [(w - w.mean(axis=1, keepdims=True), b - b.mean()) for w, b in parts]
    return np.concatenate([w for w, _ in parts], axis=1), np.concatenate([b for _, b in parts])


def second_layer(arrays: dict[str, Double], name: str) -> tuple[Double, Double]:
    """Return the centered matrices (2, 64 inputs, 64 outputs) and bias (128,) of the second layer of a gated MLP."""
    weights = [arrays[f"{name}.mlp_{side}.layers.3.weight"].T for side in ("core", "gate")]
    biases = [arrays[f"{name}.mlp_{side}.layers.3.bias"] for side in ("core", "gate")]
    return (
        np.stack([w - w.mean(axis=1, keepdims=True) for w in weights]),
        np.concatenate([b - b.mean() for b in biases]),
    )


def norms(arrays: dict[str, Double], name: str) -> Double:
    """Return scale (128,) and shift (128,) of the norms of core and gate."""
    return np.concatenate([arrays[f"{name}.bn{side}.{kind}"] for kind in ("weight", "bias") for side in (1, 2)])


def mix_matrix(arrays: dict[str, Double], layer: str) -> Double:
    """Return the output matrix (inputs, outputs) of a convolution."""
    return arrays[f"{layer}.mlp_out.layers.1.weight"].T


def _atom_convolution(arrays: dict[str, Double], layer: str, pack: Pack) -> AtomConvolution:
    name = f"{layer}.twoBody_atom"
    matrix, bias = first_layer(arrays, name, centered=False)
    center, bond, neighbor = np.split(matrix, 3)
    return AtomConvolution(
        atom=pack(np.concatenate([center, neighbor], axis=1)),
        atom_bias=pack(np.concatenate([bias, np.zeros(GATED)])),
        bond=pack(bond),
        output=_gated_output(arrays, name, pack),
        mix=pack(mix_matrix(arrays, layer)),
    )


def _bond_convolution(arrays: dict[str, Double], layer: str, pack: Pack) -> BondConvolution:
    name = f"{layer}.twoBody_bond"
    first = _angle_layer(arrays, name, pack, centered=False)
    return BondConvolution(*first, output=_gated_output(arrays, name, pack), mix=pack(mix_matrix(arrays, layer)))


def _angle_update(arrays: dict[str, Double], layer: str, pack: Pack) -> AngleUpdate:
    name = f"{layer}.twoBody_bond"
    return AngleUpdate(*_angle_layer(arrays, name, pack, centered=True), norms=pack(norms(arrays, name)))


def _angle_layer(
    arrays: dict[str, Double], name: str, pack: Pack, *, centered: bool
) -> tuple[Array, Array, Array, Array]:
    """Part the first layer of what acts on angles: for the bonds, the angle, the center, and its bias."""
    matrix, bias = first_layer(arrays, name, centered=centered)
    bond_i, bond_j, angle, center = np.split(matrix, 4)
    return pack(np.concatenate([bond_i, bond_j], axis=1)), pack(angle), pack(center), pack(bias)


def _gated_output(arrays: dict[str, Double], name: str, pack: Pack) -> GatedOutput:
    weights, bias = second_layer(arrays, name)
    return GatedOutput(
        weights=pack(weights).ravel(),
        transposed=pack(weights.transpose(0, 2, 1)).ravel(),
        vectors=pack(np.concatenate([bias, norms(arrays, name)])),
    )


def _readout(arrays: dict[str, Double], pack: Pack) -> Readout:
    names = sorted(
        (name for name in arrays if name.startswith("mlp.layers.") and name.endswith("weight")),
        key=lambda name: int(name.split(".")[2]),
    )
    hidden = np.stack([arrays[name].T for name in names[:3]])
    biases = [arrays[name.replace("weight", "bias")] for name in names]
    return Readout(
        norm=pack(np.concatenate([arrays["readout_norm.weight"], arrays["readout_norm.bias"]])),
        weights=pack(hidden).ravel(),
        transposed=pack(hidden.transpose(0, 2, 1)).ravel(),
        biases=pack(np.concatenate(biases[:3])),
        last=pack(arrays[names[3]].ravel()),
        last_bias=float(biases[3][0]),
    )


def packed(array: Any, dtype: Any) -> Array:
    """Copy an array to one precision, contiguous and from a cache line on."""
    copy = aligned(np.shape(array), dtype)
    copy[...] = array
    return copy
