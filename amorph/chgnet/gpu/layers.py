"""The layers of CHGNet in torch: each equation forward; autograd takes the way back.

Bases of lengths and angles are computed in float64 and rounded once; features have the dtype of the weights. First
layers are split and norms centered as in `folding`, here in float64 before the rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import silu
from torch.utils.checkpoint import checkpoint

from amorph.chgnet.cpu.graph import COSINE_SCALE
from amorph.chgnet.folding import GATED, NORM_EPSILON, WIDTH, Folded, first_layer, mix_matrix, norms, second_layer
from amorph.chgnet.gpu.graph import Graph
from amorph.chgnet.gpu.sums import collect, spread

CONSTANT = float(1 / np.sqrt(np.float32(2)))
"""The first Fourier function before its norm; the chgnet package rounds it to float32 in any precision."""


@dataclass(frozen=True, eq=False)
class Output:
    """The second layer of a gated MLP and its norms; core first, then gate."""

    weights: Tensor
    """(2, 64, 64)"""
    bias: Tensor
    """(2, 1, 64)"""
    scale: Tensor
    """(2, 1, 64)"""
    shift: Tensor
    """(2, 1, 64)"""


@dataclass(frozen=True, eq=False)
class AtomConvolution:
    """a_i += L Σ_j φ(a_i, e_ij, a_j) · w_ij."""

    center: Tensor
    """(64, 128) first layer for the center."""
    neighbor: Tensor
    """(64, 128)"""
    bond: Tensor
    """(64, 128) for a bond's features."""
    basis: Tensor
    """(radial functions, 128) for a bond whose features are still the embedding of its length."""
    bias: Tensor
    """(128,)"""
    output: Output
    mix: Tensor
    """(64, 64) the matrix L."""


@dataclass(frozen=True, eq=False)
class AngleLayer:
    """First layer of what acts on (e_ij, e_ik, α_jik, a_i)."""

    first: Tensor
    """(64, 128)"""
    second: Tensor
    """(64, 128)"""
    angle: Tensor
    """(64, 128)"""
    center: Tensor
    """(64, 128)"""
    bias: Tensor
    """(128,)"""


@dataclass(frozen=True, eq=False)
class BondConvolution:
    """e_ij += L Σ_k φ(e_ij, e_ik, α_jik, a_i) · w_ij w_ik."""

    layer: AngleLayer
    output: Output
    mix: Tensor
    """(64, 64)"""


@dataclass(frozen=True, eq=False)
class AngleUpdate:
    """α_jik += ψ(e_ij, e_ik, α_jik, a_i)."""

    layer: AngleLayer
    scale: Tensor
    """(2, 64)"""
    shift: Tensor
    """(2, 64)"""


@dataclass(frozen=True, eq=False)
class Weights:
    """One model on one device."""

    embedding: Tensor
    """(94, 64)"""
    atom_frequencies: Tensor
    """(radial functions,) float64, as all frequencies."""
    bond_frequencies: Tensor
    angular_frequencies: Tensor
    bond_embedding: Tensor
    """(radial functions, 64)"""
    atom_weight: Tensor
    """(radial functions, 64) weight of a bond in the atom graph."""
    bond_weight: Tensor
    """(radial functions, 64) weight of a bond in the bond graph."""
    angle_embedding: Tensor
    """(angular functions, 64)"""
    atom_convolutions: tuple[AtomConvolution, ...]
    bond_convolutions: tuple[BondConvolution, ...]
    angle_updates: tuple[AngleUpdate, ...]
    readout: tuple[tuple[Tensor, Tensor], ...]
    """Matrix and bias of each layer, float64."""
    readout_norm: tuple[Tensor, Tensor]
    """Scale and shift, float64."""
    site: Tensor
    """(64,) float64."""
    site_bias: float
    atom_cutoff: float
    bond_cutoff: float
    exponent: Tensor
    """() power of the envelope, float64; as a number it would be a symbol to the compiler, which cannot take it."""


def load(model: Folded, device: torch.device, dtype: torch.dtype) -> Weights:
    """Arrange the weights of a model; the folding is done in float64."""
    arrays = model.arrays

    def tensor(array: NDArray[np.float64] | float, kind: torch.dtype = dtype) -> Tensor:
        # The compiler takes the shapes of parameters for constants, and those of other tensors for symbols.
        return torch.nn.Parameter(torch.tensor(array, dtype=kind, device=device), requires_grad=False)

    def double(name: str) -> Tensor:
        return tensor(arrays[name], torch.float64)

    def output(name: str) -> Output:
        matrices, bias = second_layer(arrays, name)
        scale, shift = np.split(norms(arrays, name), 2)
        vectors = [tensor(vector.reshape(2, 1, WIDTH)) for vector in (bias, scale, shift)]
        return Output(tensor(matrices), *vectors)

    def angle_layer(name: str, *, centered: bool) -> AngleLayer:
        matrix, bias = first_layer(arrays, name, centered=centered)
        first, second, angle, center = (tensor(block) for block in np.split(matrix, 4))
        return AngleLayer(first, second, angle, center, tensor(bias))

    def atom_convolution_of(layer: str) -> AtomConvolution:
        matrix, bias = first_layer(arrays, f"{layer}.twoBody_atom", centered=False)
        center, bond, neighbor = np.split(matrix, 3)
        basis = arrays["bond_embedding.weight"].T @ bond
        return AtomConvolution(
            center=tensor(center),
            neighbor=tensor(neighbor),
            bond=tensor(bond),
            basis=tensor(basis),
            bias=tensor(bias),
            output=output(f"{layer}.twoBody_atom"),
            mix=tensor(mix_matrix(arrays, layer)),
        )

    def bond_convolution_of(layer: str) -> BondConvolution:
        name = f"{layer}.twoBody_bond"
        return BondConvolution(angle_layer(name, centered=False), output(name), tensor(mix_matrix(arrays, layer)))

    def angle_update_of(layer: str) -> AngleUpdate:
        name = f"{layer}.twoBody_bond"
        scale, shift = (tensor(vector.reshape(2, WIDTH)) for vector in np.split(norms(arrays, name), 2))
        return AngleUpdate(angle_layer(name, centered=True), scale, shift)

    readout = sorted(
        (name.removesuffix(".weight") for name in arrays if name.startswith("mlp.layers.") and name.endswith("weight")),
        key=lambda name: int(name.split(".")[2]),
    )
    return Weights(
        embedding=tensor(arrays["atom_embedding.embedding.weight"]),
        atom_frequencies=double("bond_basis_expansion.rbf_expansion_ag.frequencies"),
        bond_frequencies=double("bond_basis_expansion.rbf_expansion_bg.frequencies"),
        angular_frequencies=double("angle_basis_expansion.fourier_expansion.frequencies"),
        bond_embedding=tensor(arrays["bond_embedding.weight"].T),
        atom_weight=tensor(arrays["bond_weights_ag.weight"].T),
        bond_weight=tensor(arrays["bond_weights_bg.weight"].T),
        angle_embedding=tensor(arrays["angle_embedding.weight"].T),
        atom_convolutions=tuple(atom_convolution_of(f"atom_conv_layers.{layer}") for layer in range(4)),
        bond_convolutions=tuple(bond_convolution_of(f"bond_conv_layers.{layer}") for layer in range(3)),
        # The third angle update changes angles that nothing reads.
        angle_updates=tuple(angle_update_of(f"angle_layers.{layer}") for layer in range(2)),
        readout=tuple((double(f"{name}.weight").T, double(f"{name}.bias")) for name in readout),
        readout_norm=(double("readout_norm.weight"), double("readout_norm.bias")),
        site=double("site_wise.weight").ravel(),
        site_bias=model.site_bias,
        atom_cutoff=model.atom_cutoff,
        bond_cutoff=model.bond_cutoff,
        exponent=tensor(float(model.exponent), torch.float64),
    )


def network(w: Weights, g: Graph, vector: Tensor, species: Tensor, recompute: bool) -> tuple[Tensor, Tensor]:
    """Compute the energy of each atom without its reference [eV] and its magnetic moment [μB], both float64.

    Parameters
    ----------
    vector
        (bonds, 3) the bonds of the graph [Å]; the energy's gradient to them gives forces and stress.
    species
        (atoms,) atomic numbers.
    recompute
        Keep only the features between layers and compute the layers again on the way back.
    """

    def layer(function: Callable[..., Tensor], *inputs: Any) -> Tensor:
        if not recompute:
            return function(*inputs)
        result: Tensor = checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
        return result

    dtype = w.embedding.dtype
    shorts = len(g.short_bond.ends) if g.short_bond.ends is not None else 0
    d = (vector**2).sum(dim=1).sqrt()
    basis = radial_basis(d, w.atom_frequencies, w.atom_cutoff, w.exponent).to(dtype)
    short_basis = radial_basis(d[:shorts], w.bond_frequencies, w.bond_cutoff, w.exponent).to(dtype)
    weight, short_weight = basis @ w.atom_weight, short_basis @ w.bond_weight
    a = w.embedding[species - 1]
    e = basis[:shorts] @ w.bond_embedding
    alpha = layer(_angle_features, w, g, vector[:shorts] / d[:shorts, None])
    a = layer(atom_convolution, w.atom_convolutions[0], g, a, None, basis, weight)
    for step in range(3):
        e = layer(bond_convolution, w.bond_convolutions[step], g, a, e, alpha, short_weight)
        if step < len(w.angle_updates):
            alpha = layer(angle_update, w.angle_updates[step], g, a, e, alpha)
        moments = a
        a = layer(atom_convolution, w.atom_convolutions[step + 1], g, a, e, basis, weight)
    return readout(w, a.double()), (moments.double() @ w.site + w.site_bias).abs()


def radial_basis(d: Tensor, frequencies: Tensor, cutoff: float, exponent: Tensor) -> Tensor:
    """Radial Bessel functions under their envelope, which vanishes at the cutoff with its first two slopes."""
    x = d / cutoff
    p = exponent
    a, b, c = -(p + 1) * (p + 2) / 2, p * (p + 2), -p * (p + 1) / 2
    envelope = torch.where(x < 1, 1 + x**p * (a + x * (b + x * c)), 0.0)
    return (2 / cutoff) ** 0.5 * torch.sin(x[:, None] * frequencies) * (envelope / d)[:, None]


def angular_basis(theta: Tensor, frequencies: Tensor) -> Tensor:
    """Fourier functions of an angle."""
    phase = theta[:, None] * frequencies
    constant = torch.full_like(theta, CONSTANT)[:, None]
    return torch.cat([constant, torch.sin(phase), torch.cos(phase)], dim=1) / torch.pi**0.5


def _angle_features(w: Weights, g: Graph, unit: Tensor) -> Tensor:
    """Embed the angles; `unit` holds the directions of the short bonds."""
    away = spread(unit, g.short_bond) * g.short_sign
    cosine = (spread(away, g.first) * spread(away, g.second)).sum(dim=1)
    theta = torch.acos(cosine * COSINE_SCALE)
    return angular_basis(theta, w.angular_frequencies).to(w.embedding.dtype) @ w.angle_embedding


def atom_convolution(
    w: AtomConvolution, g: Graph, a: Tensor, e: Tensor | None, basis: Tensor, weight: Tensor
) -> Tensor:
    """Update the atoms; `e` are the features of the short bonds, None while they are those of the length alone."""
    bonds = basis @ w.basis if e is None else torch.cat([e @ w.bond, basis[len(e) :] @ w.basis])
    hidden = spread(a @ w.center + w.bias, g.center) + spread(a @ w.neighbor, g.neighbor) + spread(bonds, g.bond)
    message = gated_output(hidden, w.output) * spread(weight, g.bond)
    return a + collect(message, g.center) @ w.mix


def bond_convolution(w: BondConvolution, g: Graph, a: Tensor, e: Tensor, alpha: Tensor, weight: Tensor) -> Tensor:
    """Update the short bonds; the weight of the first bond is common to the sum over the second."""
    along = spread(weight, g.short_bond)
    message = gated_output(_angle_layer(w.layer, g, a, e, alpha), w.output) * spread(along, g.second)
    return e + collect(collect(message, g.first) * along, g.short_bond) @ w.mix


def angle_update(w: AngleUpdate, g: Graph, a: Tensor, e: Tensor, alpha: Tensor) -> Tensor:
    """Update the angles."""
    z = _angle_layer(w.layer, g, a, e, alpha).view(-1, 2, WIDTH)
    core, gate = (normalized(z) * w.scale + w.shift).unbind(dim=1)
    return alpha + silu(core) * torch.sigmoid(gate)


def _angle_layer(w: AngleLayer, g: Graph, a: Tensor, e: Tensor, alpha: Tensor) -> Tensor:
    """First layer on (first bond, second bond, angle, center); all but the angle's part is known per short edge."""
    first = spread(e @ w.first, g.short_bond) + spread(a @ w.center + w.bias, g.short_center)
    second = spread(e @ w.second, g.short_bond)
    return torch.addmm(spread(first, g.first) + spread(second, g.second), alpha, w.angle)


def gated_output(hidden: Tensor, w: Output) -> Tensor:
    """Second layer of a gated MLP: silu(norm(core)) · σ(norm(gate)) of u = silu(h)."""
    u = silu(hidden).view(-1, 2, GATED // 2).transpose(0, 1)
    core, gate = (normalized(torch.baddbmm(w.bias, u, w.weights)) * w.scale + w.shift).unbind(dim=0)
    return silu(core) * torch.sigmoid(gate)


def normalized(z: Tensor) -> Tensor:
    """Divide by the root mean square: a LayerNorm of weights that have lost their mean."""
    return z * torch.rsqrt((z * z).mean(dim=-1, keepdim=True) + NORM_EPSILON)


def readout(w: Weights, a: Tensor) -> Tensor:
    """Energy of each atom [eV]."""
    scale, shift = w.readout_norm
    x = torch.nn.functional.layer_norm(a, (WIDTH,), scale, shift, NORM_EPSILON)
    for matrix, bias in w.readout[:-1]:
        x = silu(x @ matrix + bias)
    matrix, bias = w.readout[-1]
    return (x @ matrix + bias)[:, 0]
