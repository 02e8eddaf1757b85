"""Compiled kernels of the sums over reciprocal vectors: phases by recurrence, and products gathered in shells."""

import math

import numpy as np
from numba import njit

from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()


@njit(cache=True, nogil=True, error_model="numpy")
def cosines_and_sines(fraction, last, cosines, sines):  # type: ignore[no-untyped-def]
    """Fill (last + 1, n) cosines and sines of 2π m x, m = 0 … last, for the fractional coordinates x of one axis."""
    n = fraction.size
    step = np.empty(n, np.complex128)
    for j in range(n):
        angle = 2.0 * math.pi * (fraction[j] - math.floor(fraction[j]))
        step[j] = complex(math.cos(angle), math.sin(angle))
        cosines[0, j] = 1.0
        sines[0, j] = 0.0
    for m in range(1, last + 1):
        for j in range(n):
            cosines[m, j] = cosines[m - 1, j] * step[j].real - sines[m - 1, j] * step[j].imag
            sines[m, j] = cosines[m - 1, j] * step[j].imag + sines[m - 1, j] * step[j].real


@njit(cache=True, nogil=True, error_model="numpy")
def phases(x, y, first, h, k_first, middles, cosines, sines, out):  # type: ignore[no-untyped-def]
    """Fill exp[2πi (h x + k y + l z)] of atoms for the rows k = k_first, …, each with its own l, the middle of its row.

    `cosines` and `sines` are those of 2π m z. The (2 n_k, n) result holds the real parts of all rows, then the
    imaginary ones, of the n atoms from `first` on.
    """
    rows = middles.size
    n = out.shape[1]
    current_re = np.empty(n)
    current_im = np.empty(n)
    step_re = np.empty(n)
    step_im = np.empty(n)
    for j in range(n):
        turns = h * x[first + j] + k_first * y[first + j]
        angle = 2.0 * math.pi * (turns - math.floor(turns))
        current_re[j] = math.cos(angle)
        current_im[j] = math.sin(angle)
        angle = 2.0 * math.pi * (y[first + j] - math.floor(y[first + j]))
        step_re[j] = math.cos(angle)
        step_im[j] = math.sin(angle)
    for row in range(rows):
        middle = abs(middles[row])
        sign = 1.0 if middles[row] > 0 else -1.0
        for j in range(n):
            re = current_re[j]
            im = current_im[j]
            c = cosines[middle, first + j]
            s = sign * sines[middle, first + j]
            out[row, j] = re * c - im * s
            out[rows + row, j] = re * s + im * c
            current_re[j] = re * step_re[j] - im * step_im[j]
            current_im[j] = re * step_im[j] + im * step_re[j]


@njit(cache=True, nogil=True, error_model="numpy")
def gather(h, k_first, middles, metric, largest, width, with_cosines, with_sines, counts, lengths, products):  # type: ignore[no-untyped-def]
    """Add Re ρ_a ρ_b* of all vectors h k l of one h to their shells; of a vector and its opposite only one is met.

    `with_cosines` (species, 2 n_k, m + 1) are the sums over atoms of the phases times cos 2π m z, `with_sines` times
    the sine, so that ρ at l = middle ± m is P·C ± i P·S. `metric` is b_i·b_j, `largest` the largest length. Filled:
    `counts` and `lengths` (shells,) and `products` (shells, pairs), pairs a ≤ b in order.
    """
    species, twice, columns = with_cosines.shape
    rows = twice // 2
    re = np.empty(species)
    im = np.empty(species)
    for row in range(rows):
        k = k_first + row
        for m in range(columns):
            for sign in (1, -1):
                l = middles[row] + sign * m  # noqa: E741
                if m == 0 and sign < 0:
                    continue
                if h == 0 and (k < 0 or (k == 0 and l <= 0)):
                    continue
                square = (
                    metric[0, 0] * h * h
                    + metric[1, 1] * k * k
                    + metric[2, 2] * l * l
                    + 2.0 * (metric[0, 1] * h * k + metric[0, 2] * h * l + metric[1, 2] * k * l)
                )
                length = math.sqrt(square)
                if length > largest:
                    continue
                shell = int(length / width + 1e-6)
                counts[shell] += 1
                lengths[shell] += length
                for a in range(species):
                    re[a] = with_cosines[a, row, m] - sign * with_sines[a, rows + row, m]
                    im[a] = with_cosines[a, rows + row, m] + sign * with_sines[a, row, m]
                pair = 0
                for a in range(species):
                    for b in range(a, species):
                        products[shell, pair] += re[a] * re[b] + im[a] * im[b]
                        pair += 1


@njit(cache=True, nogil=True, error_model="numpy")
def draw_profiles(positions, areas, widths, lorentzian, start, step, out):  # type: ignore[no-untyped-def]
    """Add pseudo-Voigt profiles of given area and full width at half maximum to a curve at start + n step.

    The Gaussian part is left out where it is below 1e-16 of its top.
    """
    for n in range(positions.size):
        width = widths[n]
        inverse = 4.0 * math.log(2.0) / (width * width)
        top = (1.0 - lorentzian) * areas[n] * math.sqrt(inverse / math.pi)
        reach = 3.7 * width
        first = max(0, math.ceil((positions[n] - reach - start) / step))
        last = min(out.size - 1, math.floor((positions[n] + reach - start) / step))
        for i in range(first, last + 1):
            away = start + i * step - positions[n]
            out[i] += top * math.exp(-inverse * away * away)
        if lorentzian > 0.0:
            half = 0.5 * width
            tail = lorentzian * areas[n] * half / math.pi
            for i in range(out.size):
                away = start + i * step - positions[n]
                out[i] += tail / (away * away + half * half)
