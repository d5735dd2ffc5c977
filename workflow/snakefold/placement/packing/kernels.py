"""Solving one region: spheres that overlap are pushed apart until none overlaps.

All spheres that may move are treated alike, wherever their region ends: each is pushed from where it starts, half of
each overlap. To put those that overlap in free places nearby would be less work and make fewer contacts, but the free
places that are found depend on which spheres are final already: neighbours would show the regions (by 2 % at a packing
factor of 0.3, by 9 % at 0.45).

Positions are float32 numbers in float64 variables, at all times, so that a test for overlap is one of the numbers that
are stored. Random numbers are counter based (splitmix64; Steele, Lea & Flood 2014, Fast splittable pseudorandom number
generators). No fastmath: the same numbers on every machine.

Importing this module imports numba: only jobs that pack do so.
"""

import numpy as np
from numba import njit

from snakefold.placement.packing import cache

# With NumPy's error model no division is asked whether it is by zero: none is, and asking takes a fifth of the time.
compiled = njit(cache=cache.enable(), error_model="numpy")

SWEEPS = 3000  # of pushing, before a region is given up
STUCK = 799  # sweeps after which spheres that still overlap go to the best of other places, though it be worse
HOPELESS = 500  # sweeps after which a region is given up if more than a few of its spheres still overlap
STEP = 0.25  # in diameters: how far a Metropolis sweep moves a sphere along an axis at most
JUMPS = 200  # places in its region that a sphere tries which pushing did not free
OWN, GHOST, FIXED = 0, 1, 2

_GOLDEN, _MIX1, _MIX2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@compiled
def mixed(z):
    """Return 64 bits that depend on all bits of `z`."""
    z = (z ^ (z >> _S30)) * _MIX1
    z = (z ^ (z >> _S27)) * _MIX2
    return z ^ (z >> _S31)


@compiled
def keyed(key, purpose):
    """Return the key of one purpose."""
    return mixed(key ^ mixed(np.uint64(purpose) + _GOLDEN))


@compiled
def uniform(key, i):
    """Return the i-th number of a key, in [0, 1)."""
    return (mixed(key + np.uint64(i + 1) * _GOLDEN) >> _S11) * 2.0**-53


@compiled
def _located(edges, x):
    """Return i with edges[i] <= x < edges[i + 1]; -1 or the number of intervals where there is none."""
    low, high = 0, len(edges)
    while low < high:
        middle = (low + high) // 2
        if edges[middle] <= x:
            low = middle + 1
        else:
            high = middle
    return low - 1


@compiled
def is_inside(p, edges, mask):
    """Return whether a point is in the domain: three arrays of edges, and which boxes between them are filled."""
    i, j, k = _located(edges[0], p[0]), _located(edges[1], p[1]), _located(edges[2], p[2])
    if i < 0 or j < 0 or k < 0 or i >= mask.shape[0] or j >= mask.shape[1] or k >= mask.shape[2]:
        return False
    return mask[i, j, k]


@compiled
def slide(p, target, edges, below, mask, at):
    """Move a point of the domain towards a target, axis by axis, up to the first face that leads out of the domain.

    below : for each edge the largest float32 number under it, since a box does not hold its upper faces
    at : (3,) int64, scratch
    """
    for axis in range(3):
        at[axis] = _located(edges[axis], p[axis])
    for axis in range(3):
        e, t = edges[axis], target[axis]
        while True:
            if t >= e[at[axis] + 1]:
                step = 1
            elif t < e[at[axis]]:
                step = -1
            else:
                p[axis] = t
                break
            at[axis] += step
            if at[axis] < 0 or at[axis] >= mask.shape[axis] or not mask[at[0], at[1], at[2]]:
                at[axis] -= step
                p[axis] = below[axis][at[axis] + 1] if step > 0 else e[at[axis]]
                break


@compiled
def _cell(p, origin, h, shape):
    i, j, k = int((p[0] - origin[0]) / h), int((p[1] - origin[1]) / h), int((p[2] - origin[2]) / h)
    return (min(i, shape[0] - 1) * shape[1] + min(j, shape[1] - 1)) * shape[2] + min(k, shape[2] - 1)


@compiled
def _put(i, p, origin, h, shape, head, after, cell):
    c = _cell(p, origin, h, shape)
    cell[i], after[i] = c, head[c]
    head[c] = i


@compiled
def _take(i, head, after, cell):
    c = cell[i]
    if head[c] == i:
        head[c] = after[i]
        return
    j = head[c]
    while after[j] != i:
        j = after[j]
    after[j] = after[i]


@compiled
def _span(p, axis, origin, h, shape):
    c = min(int((p[axis] - origin[axis]) / h), shape[axis] - 1)
    return max(c - 1, 0), min(c + 2, shape[axis])


@compiled
def is_free(p, r, skip, pos, rad, head, after, origin, h, shape):
    """Return whether a sphere overlaps none of a cell list but `skip`."""
    a0, a1 = _span(p, 0, origin, h, shape)
    b0, b1 = _span(p, 1, origin, h, shape)
    c0, c1 = _span(p, 2, origin, h, shape)
    for a in range(a0, a1):
        for b in range(b0, b1):
            for c in range(c0, c1):
                j = head[(a * shape[1] + b) * shape[2] + c]
                while j >= 0:
                    if j != skip:
                        x, y, z = p[0] - pos[j, 0], p[1] - pos[j, 1], p[2] - pos[j, 2]
                        s = r + rad[j]
                        if x * x + y * y + z * z < s * s:
                            return False
                    j = after[j]
    return True


@compiled
def cleared(start, rad, key, lower, upper, obstacles, obstacle_rad, edges, mask, wide, h):
    """Return where spheres start, (n, 3): those that overlap obstacles at free places nearby, if any is found.

    Parameters
    ----------
    start, rad, key : (n, 3) float32 numbers, (n,) and (n,)
    lower, upper : box that they stay in
    obstacles, obstacle_rad : (k, 3) and (k,)
    edges, mask : the domain
    wide : how far a place may be along an axis
    h : edge of a cell of the cell list, above the largest distance at which a sphere touches an obstacle
    """
    origin, shape = lower - h, np.empty(3, np.int64)
    for axis in range(3):
        shape[axis] = int((upper[axis] - lower[axis]) / h) + 3
    head = np.full(shape[0] * shape[1] * shape[2], -1, np.int32)
    after, cell = np.full(len(obstacles), -1, np.int32), np.empty(len(obstacles), np.int64)
    for j in range(len(obstacles)):
        _put(j, obstacles[j], origin, h, shape, head, after, cell)
    pos, p = start.copy(), np.empty(3)
    for i in range(len(start)):
        if is_free(start[i], rad[i], -1, obstacles, obstacle_rad, head, after, origin, h, shape):
            continue
        for t in range(JUMPS):
            for axis in range(3):
                low, high = max(lower[axis], start[i, axis] - wide), min(upper[axis], start[i, axis] + wide)
                p[axis] = np.float64(np.float32(low + (high - low) * uniform(key[i], 3 * t + axis)))
            if is_inside(p, edges, mask) and is_free(
                p, rad[i], -1, obstacles, obstacle_rad, head, after, origin, h, shape
            ):
                pos[i] = p
                break
    return pos


@compiled
def touched(p, r, skip, pos, rad, kind, head, after, origin, h, shape):
    """Return of which kinds the spheres are that a sphere overlaps: the sum of 1 << kind over them."""
    found = 0
    a0, a1 = _span(p, 0, origin, h, shape)
    b0, b1 = _span(p, 1, origin, h, shape)
    c0, c1 = _span(p, 2, origin, h, shape)
    for a in range(a0, a1):
        for b in range(b0, b1):
            for c in range(c0, c1):
                j = head[(a * shape[1] + b) * shape[2] + c]
                while j >= 0:
                    if j != skip:
                        x, y, z = p[0] - pos[j, 0], p[1] - pos[j, 1], p[2] - pos[j, 2]
                        s = r + rad[j]
                        if x * x + y * y + z * z < s * s:
                            found |= 1 << kind[j]
                    j = after[j]
    return found


@compiled
def crowding(p, r, skip, pos, rad, kind, head, after, origin, h, shape, grown, most):
    """Return how much a sphere would overlap others: the sum of (1 - distance / s)^2, fixed ones thrice.

    s is `grown` times the sum of the radii. A sum above `most` may be cut short.
    """
    found = 0.0
    a0, a1 = _span(p, 0, origin, h, shape)
    b0, b1 = _span(p, 1, origin, h, shape)
    c0, c1 = _span(p, 2, origin, h, shape)
    for a in range(a0, a1):
        for b in range(b0, b1):
            for c in range(c0, c1):
                j = head[(a * shape[1] + b) * shape[2] + c]
                while j >= 0:
                    if j != skip:
                        x, y, z = p[0] - pos[j, 0], p[1] - pos[j, 1], p[2] - pos[j, 2]
                        s = (r + rad[j]) * grown
                        square = x * x + y * y + z * z
                        if square < s * s:
                            found += (3.0 if kind[j] == FIXED else 1.0) * (1 - np.sqrt(square) / s) ** 2
                            if found > most:
                                return found
                    j = after[j]
    return found


@compiled
def push(p, r, i, pos, rad, kind, head, after, origin, h, shape, grown, key, awake, out):
    """Set `out` to how the spheres of a cell list push the i-th one away: half of each overlap, or all.

    Parameters
    ----------
    grown : what radii are multiplied with
    key : of the direction in which a sphere goes that lies on another
    awake : set for those that push it and may move

    Returns
    -------
    the sum of 1 << kind over those that it overlaps; 8 more where it is pushed
    """
    out[:] = 0.0
    found = 0
    a0, a1 = _span(p, 0, origin, h, shape)
    b0, b1 = _span(p, 1, origin, h, shape)
    c0, c1 = _span(p, 2, origin, h, shape)
    for a in range(a0, a1):
        for b in range(b0, b1):
            for c in range(c0, c1):
                j = head[(a * shape[1] + b) * shape[2] + c]
                while j >= 0:
                    if j != i:
                        x, y, z = p[0] - pos[j, 0], p[1] - pos[j, 1], p[2] - pos[j, 2]
                        touching = r + rad[j]
                        s = touching * grown
                        square = x * x + y * y + z * z
                        if square < s * s:
                            found |= 8
                            if kind[j] != FIXED:
                                awake[j] = True
                            if square < touching * touching:
                                found |= 1 << kind[j]
                            distance = np.sqrt(square)
                            by = 1.0 if kind[j] == FIXED else 0.5
                            if distance < 1e-6 * s:
                                mine = keyed(key, min(i, j))
                                sign = 1.0 if i < j else -1.0
                                x, y, z = uniform(mine, 0) - 0.5, uniform(mine, 1) - 0.5, uniform(mine, 2) - 0.5
                                x, y, z = sign * x, sign * y, sign * z
                                by *= s / (np.sqrt(x * x + y * y + z * z) + 1e-9)
                            else:
                                by *= (s - distance) / distance
                            out[0] += x * by
                            out[1] += y * by
                            out[2] += z * by
                    j = after[j]
    return found


@compiled
def _confined(p, i, kind, start, lower, upper, drift, rim):
    """Bring a point back to where its sphere may be: an own one near its region's box, a ghost near its start.

    Return whether it was moved.
    """
    square = 0.0
    for axis in range(3):
        near = min(max(p[axis], lower[axis]), upper[axis]) if kind[i] == OWN else start[i, axis]
        square += (p[axis] - near) ** 2
    most = drift if kind[i] == OWN else rim
    if square <= most * most:
        return False
    share = most / np.sqrt(square)
    for axis in range(3):
        near = min(max(p[axis], lower[axis]), upper[axis]) if kind[i] == OWN else start[i, axis]
        p[axis] = np.float64(np.float32(near + (p[axis] - near) * share))
    return True


@compiled
def solve(start, rad, kind, lower, upper, edges, below, mask, key, d, drift, rim, reach, h, mc_sweeps):
    """Solve one region.

    Parameters
    ----------
    start : (n, 3) where the spheres start, float32 numbers; first the m that move, in random order, which start
        in the domain, then fixed ones
    rad, kind : (n,) radii; OWN, GHOST or FIXED
    lower, upper : box of the region
    edges, below, mask : the domain (see `slide`)
    d : largest diameter
    drift : how far an own sphere may go out of the box
    rim : how far a ghost may go from its start
    reach : how far from the box spheres that move can be at most
    h : edge of a cell of the cell list, above the largest distance at which two spheres touch
    mc_sweeps : Metropolis sweeps in the end, which make a fluid of spheres out of any packing

    Returns
    -------
    positions (n, 3), sweeps, and the number of own spheres that still overlap an own or a fixed one
    """
    n = len(start)
    origin, shape = np.empty(3), np.empty(3, np.int64)
    for axis in range(3):
        origin[axis] = lower[axis] - reach - h
        shape[axis] = max(int((upper[axis] + reach + h - origin[axis]) / h), 1) + 1
    head = np.full(shape[0] * shape[1] * shape[2], -1, np.int32)
    after, cell = np.full(n, -1, np.int32), np.empty(n, np.int64)
    pos = start.copy()
    m = 0
    for j in range(n):
        if kind[j] != FIXED:
            m = j + 1
        held = True
        for axis in range(3):
            x = (pos[j, axis] - origin[axis]) / h
            held = held and x >= 0 and x < shape[axis]
        if held:
            _put(j, pos[j], origin, h, shape, head, after, cell)
    p, target, force, at = np.empty(3), np.empty(3), np.empty(3), np.empty(3, np.int64)

    # What nothing pushes sleeps until one that is awake meets it: whatever moves stays awake until it meets nothing.
    awake = np.ones(m, np.bool_)
    sweep, bad = 0, 1
    while bad and sweep < SWEEPS:
        grown = 1.01 if sweep < 400 else 1.004  # a bit apart, or it would never end; where there is room for it
        own_bad, ghost_bad = 0, 0
        turn = keyed(key, 2 * sweep + 1)
        for i in range(m):
            if not awake[i]:
                continue
            p[:] = pos[i]
            found = push(p, rad[i], i, pos, rad, kind, head, after, origin, h, shape, grown, turn, awake, force)
            if not found:
                awake[i] = False
                continue
            if kind[i] == OWN and found & (1 << OWN | 1 << FIXED):
                own_bad += 1
            elif found & 7:
                ghost_bad += 1
            by = 0.6 + 0.5 * uniform(turn, i)  # keyed, or two spheres may swing for ever
            length = np.sqrt(force[0] ** 2 + force[1] ** 2 + force[2] ** 2) * by
            if length > 0.3 * rad[i]:
                by *= 0.3 * rad[i] / length
            for axis in range(3):
                target[axis] = np.float64(np.float32(p[axis] + force[axis] * by))
            slide(p, target, edges, below, mask, at)
            if _confined(p, i, kind, start, lower, upper, drift, rim) and not is_inside(p, edges, mask):
                continue
            if p[0] == pos[i, 0] and p[1] == pos[i, 1] and p[2] == pos[i, 2]:
                continue
            _take(i, head, after, cell)
            pos[i] = p
            _put(i, p, origin, h, shape, head, after, cell)
            awake[i] = True
        bad = max(own_bad, 1)
        if own_bad <= 4 and (ghost_bad == 0 or sweep >= 100):
            bad = 0
            for i in range(m):
                if kind[i] == OWN and awake[i]:
                    p[:] = pos[i]
                    found = touched(p, rad[i], i, pos, rad, kind, head, after, origin, h, shape)
                    bad += (found & (1 << OWN | 1 << FIXED)) != 0
        if sweep == HOPELESS and own_bad > 20 + m // 50:
            break
        if bad and (sweep == 24 or sweep == 49 or sweep % 100 == 99):
            for i in range(m):
                if kind[i] != OWN or not awake[i]:
                    continue
                p[:] = pos[i]
                found = touched(p, rad[i], i, pos, rad, kind, head, after, origin, h, shape)
                if not found & (1 << OWN | 1 << FIXED):
                    continue
                best = np.inf  # in a pocket between fixed spheres, or stuck for long: it must go, wherever to
                if not ((found & 1 << FIXED and sweep >= 49) or (sweep >= STUCK and sweep % 200 == 199)):
                    best = crowding(p, rad[i], i, pos, rad, kind, head, after, origin, h, shape, grown, best)
                mine = keyed(turn, i)
                goes = False
                wide = 2.0 * d * (1 + sweep / 25)  # nearby at first: density must not be evened out over the region
                for t in range(JUMPS):
                    for axis in range(3):
                        low, high = max(lower[axis], pos[i, axis] - wide), min(upper[axis], pos[i, axis] + wide)
                        p[axis] = np.float64(np.float32(low + (high - low) * uniform(mine, 3 * t + axis)))
                    if not is_inside(p, edges, mask):
                        continue
                    costs = crowding(p, rad[i], i, pos, rad, kind, head, after, origin, h, shape, grown, best)
                    if costs < best:
                        best, goes = costs, True
                        target[:] = p
                        if best == 0.0:
                            break
                if goes:
                    _take(i, head, after, cell)
                    pos[i] = target
                    _put(i, target, origin, h, shape, head, after, cell)
                    awake[i] = True
        sweep += 1
    for s in range(mc_sweeps if bad == 0 else 0):
        turn = keyed(key, 2 * (SWEEPS + s) + 1)
        for i in range(m):
            inner = True
            for axis in range(3):
                x = pos[i, axis] + STEP * d * (2 * uniform(turn, 3 * i + axis) - 1)
                p[axis] = np.float64(np.float32(x))
                if kind[i] == GHOST:  # the outermost stay, or the others would leak out
                    inner = inner and start[i, axis] > lower[axis] - reach + rim + d
                    inner = inner and start[i, axis] < upper[axis] + reach - rim - d
            if not inner or not is_inside(p, edges, mask):
                continue
            if _confined(p, i, kind, start, lower, upper, drift, rim):
                continue
            if is_free(p, rad[i], i, pos, rad, head, after, origin, h, shape):
                _take(i, head, after, cell)
                pos[i] = p
                _put(i, p, origin, h, shape, head, after, cell)
    return pos, sweep, bad


@compiled
def solve_level(
    codes, first, lowers, uppers, x0, rad, point_key, around, own, fixed, fixed_rad, fixed_first, obstacles,
    obstacle_rad, edges, below, mask, seed, d, drift, margin, rim, h, mc_sweeps, final, sweeps, left,
):  # fmt: skip
    """Solve regions of one level.

    Parameters
    ----------
    codes, own : (n_regions,) Morton code of a region, and its index among those that have points
    first : points first[j]:first[j + 1] belong to the j-th of these
    x0, rad, point_key : (n, 3) and (n,); the key is of a point whoever looks at it
    around : (n_regions, k) indices of the regions whose points may be ghosts, -1 for none
    fixed, fixed_rad, fixed_first : final spheres: those of region i are fixed_first[i]:fixed_first[i + 1]
    margin : how far from a region's box ghosts start at most
    final : (n, 3) float32, written; sweeps, left : (n_regions,), written
    """
    for i in range(len(codes)):
        a, b = first[own[i]], first[own[i] + 1]
        lower, upper = lowers[i], uppers[i]
        count = b - a
        for j in around[i]:
            if j >= 0:
                count += first[j + 1] - first[j]
        index, kind = np.empty(count, np.int64), np.empty(count, np.int8)
        count = 0
        for q in range(a, b):
            index[count], kind[count] = q, OWN
            count += 1
        for j in around[i]:
            if j < 0:
                continue
            for q in range(first[j], first[j + 1]):
                held = True
                for axis in range(3):
                    held = held and lower[axis] - margin <= x0[q, axis] and x0[q, axis] <= upper[axis] + margin
                if held:
                    index[count], kind[count] = q, GHOST
                    count += 1
        index, kind = index[:count], kind[:count]
        # Random order; keys are 63 bits, and equal ones are in order of the points.
        order = np.argsort(point_key[index], kind="mergesort")
        index, kind = index[order], kind[order]
        f0, f1 = fixed_first[i], fixed_first[i + 1]
        reach = drift if count == b - a else max(drift, margin + rim)
        near = np.empty(len(obstacles), np.int64)
        n_near = 0
        for q in range(len(obstacles)):
            held = True
            for axis in range(3):
                x = obstacles[q, axis]
                held = held and lower[axis] - reach - h <= x and x <= upper[axis] + reach + h
            if held:
                near[n_near] = q
                n_near += 1
        total = count + f1 - f0 + n_near
        start, r, kinds = np.empty((total, 3)), np.empty(total), np.full(total, FIXED, np.int8)
        kinds[:count], r[:count] = kind, rad[index]
        r[count : count + f1 - f0], r[count + f1 - f0 :] = fixed_rad[f0:f1], obstacle_rad[near[:n_near]]
        for axis in range(3):
            for q in range(count):
                start[q, axis] = x0[index[q], axis]
            for q in range(f0, f1):
                start[count + q - f0, axis] = fixed[q, axis]
            for q in range(n_near):
                start[count + f1 - f0 + q, axis] = obstacles[near[q], axis]
        pos, sweeps[i], left[i] = solve(
            start, r, kinds, lower, upper, edges, below, mask, keyed(seed, codes[i]), d, drift, rim, reach, h, mc_sweeps
        )
        for q in range(count):
            if kind[q] == OWN:
                for axis in range(3):
                    final[index[q], axis] = np.float32(pos[q, axis])
