"""Compiled kernels: the saddles of the distance to the nearest atom, and the ways up from them to its maxima.

Where a sphere of radius t touches the atoms of a set, its center is x(t) = p + α + β t + w s(t), with p the first atom,
α + β t in the span of the others seen from it, w a unit vector across that span and s² = q2 t² + q1 t + q0. So the
next atom that a growing sphere touches is the root of a quadratic: nothing here is iterated. Atoms of unlike radii are
no more trouble than points.
"""

import math

import numpy as np
from numba import njit

from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()

_LATER = 1e-11
"""By how much a sphere must have grown to touch an atom anew [Å]; atoms in general position differ by far more."""
_SAME = 1e-4
"""Nearer than this two atoms are one [Å²]; a structure has none within 0.5 Å."""
_TURNS = 16
"""A sphere that has not grown through so many atoms is at its largest."""
_MOST_STEPS = 1000
"""Atoms touched on one way up; a dozen is many."""


@njit(cache=True, nogil=True, error_model="numpy")
def _dot(u, v):  # type: ignore[no-untyped-def]
    return u[0] * v[0] + u[1] * v[1] + u[2] * v[2]


@njit(cache=True, nogil=True, error_model="numpy")
def _path(points, radii, m, alpha, beta, across):  # type: ignore[no-untyped-def]
    """Write α, β and, for three atoms, w of the centers of the spheres that touch m of them; returns q2, q1, q0."""
    alpha[:] = 0.0
    beta[:] = 0.0
    if m == 2:
        e = points[1] - points[0]
        square = _dot(e, e)
        k = 0.5 * (square + radii[0] ** 2 - radii[1] ** 2) / square
        a = (radii[0] - radii[1]) / square
        for i in range(3):
            alpha[i] = e[i] * k
            beta[i] = e[i] * a
    elif m == 3:
        e = points[1] - points[0]
        f = points[2] - points[0]
        ee = _dot(e, e)
        ef = _dot(e, f)
        ff = _dot(f, f)
        determinant = ee * ff - ef * ef
        k = 0.5 * (ee + radii[0] ** 2 - radii[1] ** 2)
        h = 0.5 * (ff + radii[0] ** 2 - radii[2] ** 2)
        a = radii[0] - radii[1]
        b = radii[0] - radii[2]
        for i in range(3):
            alpha[i] = (e[i] * (k * ff - h * ef) + f[i] * (h * ee - k * ef)) / determinant
            beta[i] = (e[i] * (a * ff - b * ef) + f[i] * (b * ee - a * ef)) / determinant
        across[0] = e[1] * f[2] - e[2] * f[1]
        across[1] = e[2] * f[0] - e[0] * f[2]
        across[2] = e[0] * f[1] - e[1] * f[0]
        length = math.sqrt(_dot(across, across))
        for i in range(3):
            across[i] /= length
    return 1.0 - _dot(beta, beta), 2.0 * (radii[0] - _dot(alpha, beta)), radii[0] ** 2 - _dot(alpha, alpha)


@njit(cache=True, nogil=True, error_model="numpy")
def _roots(a, b, c):  # type: ignore[no-untyped-def]
    """Give the real roots of a t² + b t + c, the smaller first; NaN where there are none."""
    if abs(a) < 1e-14 * (abs(b) + abs(c)):
        return (-c / b, -c / b) if b != 0.0 else (np.nan, np.nan)
    square = b * b - 4.0 * a * c
    if square < 0.0:
        return np.nan, np.nan
    q = -0.5 * (b + math.copysign(math.sqrt(square), b))
    first = q / a
    second = c / q if q != 0.0 else first
    return min(first, second), max(first, second)


@njit(cache=True, nogil=True, error_model="numpy")
def _is_inside(x, p, q, r, normal):  # type: ignore[no-untyped-def]
    """Tell whether a point in the plane of a triangle is inside it."""
    signs = 0
    for a, b in ((p, q), (q, r), (r, p)):
        e = b - a
        f = x - a
        side = (
            (e[1] * f[2] - e[2] * f[1]) * normal[0]
            + (e[2] * f[0] - e[0] * f[2]) * normal[1]
            + (e[0] * f[1] - e[1] * f[0]) * normal[2]
        )
        signs += 1 if side > 0.0 else -1
    return abs(signs) == 3


@njit(cache=True, nogil=True, error_model="numpy")
def _is_empty(x, t, first, last, offsets, radii):  # type: ignore[no-untyped-def]
    """Tell whether a sphere around a point touches no neighbor of an atom, but may come as near as rounding."""
    for n in range(first, last):
        reach = t + radii[n] - 1e-10
        dx = offsets[n, 0] - x[0]
        dy = offsets[n, 1] - x[1]
        dz = offsets[n, 2] - x[2]
        if reach > 0.0 and dx * dx + dy * dy + dz * dz < reach * reach:
            return False
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _may_lead(first, last, j, r, offsets, radii):  # type: ignore[no-untyped-def]
    """Tell whether an atom and its neighbor j can be the two that a saddle sees the farthest apart.

    It sees them at 120° or more, so it is near their middle, and no atom comes near that.
    """
    length = math.sqrt(_dot(offsets[j], offsets[j]))
    least = 0.5 * (length - r - radii[j])
    a = least + r
    b = least + radii[j]
    nearest = least - 0.5 * math.sqrt(max(a * a + b * b - a * b, 0.0))
    return nearest <= 0.0 or _is_empty(0.5 * offsets[j], nearest, first, last, offsets, radii)


@njit(cache=True, nogil=True, error_model="numpy")
def saddles(starts, offsets, atoms, radii, own, largest):  # type: ignore[no-untyped-def]
    """Find every point, touched by three atoms around it in one plane, that no atom comes nearer to.

    The neighbors of atom i are starts[i] to starts[i + 1], nearest first: `offsets` (m, 3) from it, `atoms` (m,),
    `radii` (m,); `own` (n,) are the radii of the atoms, `largest` bounds the sphere. Returns the atom i, its two
    neighbors, and the saddle's offset from it and radius.
    """
    triples = np.empty((256, 3), np.int64)
    where = np.empty((256, 4))
    count = 0
    points = np.zeros((3, 3))
    sizes = np.empty(3)
    alpha = np.empty(3)
    beta = np.empty(3)
    normal = np.empty(3)
    for i in range(starts.size - 1):
        first = starts[i]
        last = starts[i + 1]
        sizes[0] = own[i]
        for j in range(first, last):
            other = atoms[j]
            if other < i or (other == i and _is_first_half(offsets[j])):
                continue
            if not _may_lead(first, last, j, own[i], offsets, radii):
                continue
            points[1] = offsets[j]
            sizes[1] = radii[j]
            for k in range(first, last):
                e = offsets[k] - offsets[j]
                if k == j or _dot(e, e) > (2.0 * largest + radii[j] + radii[k]) ** 2:
                    continue
                points[2] = offsets[k]
                sizes[2] = radii[k]
                q2, q1, q0 = _path(points, sizes, 3, alpha, beta, normal)
                for t in _roots(q2, q1, q0):
                    if not (t <= largest and t + sizes.min() > 0.0):
                        continue
                    x = alpha + beta * t
                    if not _is_inside(x, points[0], points[1], points[2], normal):
                        continue
                    if not _is_widest(x, points, sizes, t):
                        continue
                    if not _is_empty(x, t, first, last, offsets, radii):
                        continue
                    if count == triples.shape[0]:
                        triples = np.concatenate((triples, np.empty_like(triples)))
                        where = np.concatenate((where, np.empty_like(where)))
                    triples[count] = i, j, k
                    where[count, :3] = x
                    where[count, 3] = t
                    count += 1
    return triples[:count], where[:count]


@njit(cache=True, nogil=True, error_model="numpy")
def _is_first_half(v):  # type: ignore[no-untyped-def]
    for k in range(3):
        if v[k] != 0.0:
            return v[k] < 0.0
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def _is_widest(x, points, sizes, t):  # type: ignore[no-untyped-def]
    """Tell whether the first two of three touched atoms are seen the farthest apart."""
    u = (points[0] - x) / (t + sizes[0])
    v = (points[1] - x) / (t + sizes[1])
    w = (points[2] - x) / (t + sizes[2])
    return _dot(u, v) < _dot(u, w) and _dot(u, v) < _dot(v, w)


@njit(cache=True, nogil=True, error_model="numpy")
def _tangent(points, sizes, m, x, t, alpha, beta, across):  # type: ignore[no-untyped-def]
    """Write w for the place x of a path; returns q2, q1, q0 and s, 0 or more."""
    q2, q1, q0 = _path(points, sizes, m, alpha, beta, across)
    rest = x - points[0] - alpha - beta * t
    if m == 3:
        s = _dot(rest, across)
        if s < 0.0:
            across *= -1.0
        s = abs(s)
    else:
        s = math.sqrt(_dot(rest, rest))
        across[:] = rest / s
    return q2, q1, q0, s


@njit(cache=True, nogil=True, error_model="numpy")
def _choose(points, sizes, m, x, t, chosen, work):  # type: ignore[no-untyped-def]
    """Choose which of the m ≤ 4 atoms that a sphere touches it keeps while it grows; returns how many, 0 at a maximum.

    Where a vertex is no maximum, one of its edges goes up; where the top of an edge is none, one of its faces does.
    """
    subset = np.empty((3, 3))
    radii = np.empty(3)
    alpha, beta, across = work
    for size in range(min(m, 3), 0, -1):
        best = 1e-9
        kept = 0
        for bits in range(1, 1 << m):
            n = 0
            for i in range(m):
                if bits >> i & 1:
                    if n < size:
                        subset[n] = points[i]
                        radii[n] = sizes[i]
                    n += 1
            if n != size:
                continue
            q2, q1, _, s = _tangent(subset, radii, size, x, t, alpha, beta, across)
            step = beta * s + across * (q2 * t + 0.5 * q1)
            length = math.sqrt(_dot(step, step))
            rate = s / length
            if not rate > best:
                continue
            leaves = True
            for i in range(m):
                if not bits >> i & 1:
                    away = _dot(x - points[i], step) / (t + sizes[i]) / length
                    leaves = leaves and away > rate
            if leaves:
                best = rate
                kept = bits
        if kept:
            n = 0
            for i in range(m):
                if kept >> i & 1:
                    chosen[n] = i
                    n += 1
            return n
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def _first_touch(points, sizes, m, path, t, home, lists, old):  # type: ignore[no-untyped-def]
    """Find the neighbor of the path's first atom that the growing sphere touches first; returns its row and t."""
    alpha, beta, across, q2, q1, q0 = path
    starts, offsets, _, radii = lists
    nearest = np.inf
    found = -1
    size = sizes[0]
    for n in range(starts[home], starts[home + 1]):
        f = offsets[n]
        was_touched = False
        is_member = False
        for i in range(len(old)):
            gap = points[0] + f - old[i]
            was_touched = was_touched or _dot(gap, gap) < _SAME
        for i in range(1, m):
            gap = points[0] + f - points[i]
            is_member = is_member or _dot(gap, gap) < _SAME
        if is_member:
            continue
        a = 0.5 * (_dot(f, f) + size * size - radii[n] ** 2) - _dot(f, alpha)
        b = size - radii[n] - _dot(f, beta)
        c = _dot(f, across)
        least = t + _LATER if was_touched else t - _LATER
        for root in _roots(c * c * q2 - b * b, c * c * q1 - 2.0 * a * b, c * c * q0 - a * a):
            if least < root < nearest and c * (a + b * root) >= 0.0 and root + radii[n] >= 0.0:
                nearest = root
                found = n
    return found, nearest


@njit(cache=True, nogil=True, error_model="numpy")
def _climb(points, sizes, homes, m, x, t, side, lists, work):  # type: ignore[no-untyped-def]
    """Let the sphere at a saddle grow to one side until it is locked in; returns its radius.

    `x` becomes its center. The radius is NaN where the way is lost, which exact arithmetic rules out.
    """
    _, offsets, atoms, radii = lists
    alpha, beta, across = work
    chosen = np.arange(4)
    old = np.empty((4, 3))
    kept = m
    is_saddle = True
    earlier = -np.inf
    for step in range(_MOST_STEPS):
        if step % _TURNS == _TURNS - 1:
            # among eight corners of a cube or so, the maxima of four differ by less than rounding: any is the top
            if t - earlier < _LATER:
                return t
            earlier = t
        if not is_saddle:
            kept = _choose(points, sizes, m, x, t, chosen, work)
            if kept == 0:
                return t
        old_m = m
        old[:m] = points[:m]
        for n in range(kept):
            points[n] = points[chosen[n]]
            sizes[n] = sizes[chosen[n]]
            homes[n] = homes[chosen[n]]
        m = kept
        if is_saddle:
            q2, q1, q0 = _path(points, sizes, 3, alpha, beta, across)
            across *= side
            is_saddle = False
        else:
            q2, q1, q0, _ = _tangent(points, sizes, m, x, t, alpha, beta, across)
        path = (alpha, beta, across, q2, q1, q0)
        found, reached = _first_touch(points, sizes, m, path, t, homes[0], lists, old[:old_m])
        # three atoms of unlike sizes can leave a closed curve between them: its top
        top = _roots(q2, q1, q0)[1] if m == 3 and q2 < 0.0 else np.inf
        if top < reached:
            t = top
            found = -1
        elif found < 0:
            return np.nan
        else:
            t = max(t, reached)
        s = math.sqrt(max(q2 * t * t + q1 * t + q0, 0.0))
        x[:] = points[0] + alpha + beta * t + across * s
        if found >= 0:
            points[m] = points[0] + offsets[found]
            sizes[m] = radii[found]
            homes[m] = atoms[found]
            m += 1
    return np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def climb_all(triples, where, starts, offsets, atoms, radii, own):  # type: ignore[no-untyped-def]
    """Climb from every saddle to both sides.

    Returns (n, 2, 4): the offset of the maximum from the saddle's first atom, and its radius.
    """
    ends = np.empty((len(triples), 2, 4))
    points = np.empty((4, 3))
    sizes = np.empty(4)
    homes = np.empty(4, np.int64)
    x = np.empty(3)
    work = (np.empty(3), np.empty(3), np.empty(3))
    lists = (starts, offsets, atoms, radii)
    for n in range(len(triples)):
        i, j, k = triples[n]
        for side in range(2):
            points[0] = 0.0
            points[1] = offsets[j]
            points[2] = offsets[k]
            sizes[0] = own[i]
            sizes[1] = radii[j]
            sizes[2] = radii[k]
            homes[0] = i
            homes[1] = atoms[j]
            homes[2] = atoms[k]
            x[:] = where[n, :3]
            sign = 1.0 if side == 0 else -1.0
            t = _climb(points, sizes, homes, 3, x, where[n, 3], sign, lists, work)
            ends[n, side, :3] = x
            ends[n, side, 3] = t
    return ends
