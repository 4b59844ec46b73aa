"""A slow, obviously correct twin of each kernel: plain loops that follow the formulas."""

from __future__ import annotations

import math

import numpy as np
from numpy.polynomial import polynomial


def mirrored(i: int, n: int) -> int:
    """Index of sample i in a row of n samples, padded by mirroring without repeating the ends."""
    while not 0 <= i < n:
        i = -i if i < 0 else 2 * (n - 1) - i
        if n == 1:
            return 0
    return i


def blur_1d(row, positions, taps_at_integers, taps_at_halves):
    """Values at integer or half-integer positions of a row, with the taps of that phase."""
    values = []
    for position in positions:
        half = int(2 * position) % 2
        taps = taps_at_halves if half else taps_at_integers
        left = math.floor(position)
        values.append(
            sum(
                float(k)
                * (float(row[mirrored(left - i, len(row))]) + float(row[mirrored(left + half + i, len(row))]))
                for i, k in enumerate(taps)
            )
        )
    return values


def positions(n: int, change: str) -> list[float]:
    """Positions in the source of the samples of a doubled, unchanged or halved row."""
    if change == "double":
        return [i / 2 for i in range(2 * n - 1)]
    if change == "keep":
        return [float(i) for i in range(n)]
    return [2.0 * i for i in range((n + 1) // 2)] if n % 2 else [2 * i + 0.5 for i in range(n // 2)]


def blur(image, change, kernel):
    """The separable blur on the doubled, unchanged or halved grid, in double precision."""
    image = np.asarray(image, float)
    columns = [blur_1d(column, positions(len(column), change), *kernel) for column in image.T]
    rows = [blur_1d(row, positions(len(row), change), *kernel) for row in np.array(columns).T]
    return np.array(rows)


def extrema(levels, threshold, nearest_only=False, least_roundness=0.0):
    """All (DoG index, row, column) of extrema among 26 neighbours.

    With ``nearest_only``, they are compared with 8 neighbours and with 97 % of the two nearest in scale.

    With a least roundness, only those that have it, computed by central differences.
    """
    dog = levels[1:] - levels[:-1]
    found = []
    for s in range(1, len(dog) - 1):
        for y in range(1, dog.shape[1] - 1):
            for x in range(1, dog.shape[2] - 1):
                d, block = dog[s, y, x], dog[s - 1 : s + 2, y - 1 : y + 2, x - 1 : x + 2]
                if nearest_only:
                    block = np.append(block[1], np.float32(0.97) * dog[[s - 1, s + 1], y, x])
                is_extremum = (d > 0 and d == block.max()) or (d < 0 and d == block.min())
                b = dog[s, y - 1 : y + 2, x - 1 : x + 2].astype(float)
                xx, yy = b[1, 0] + b[1, 2] - 2 * b[1, 1], b[0, 1] + b[2, 1] - 2 * b[1, 1]
                xy = (b[0, 0] + b[2, 2] - b[0, 2] - b[2, 0]) / 4
                is_round = not least_roundness or 4 * (xx * yy - xy**2) >= least_roundness * (xx + yy) ** 2
                if is_extremum and is_round and abs(d) >= threshold:
                    found.append((s, y, x))
    return found


def refine(
    levels, candidate, max_offset, max_moves, contrast, edge_threshold, spread=0.0, tolerance=math.inf
):
    """(x, y, level, value, roundness) of a candidate, or the name of the filter that removes it."""
    dog = np.diff(levels.astype(float), axis=0)
    least_roundness = 4 * edge_threshold / (edge_threshold + 1) ** 2
    if spread:
        place = settle(dog, candidate, max_offset, max_moves, least_roundness, tolerance, spread)
    else:
        place = interpolate(dog, candidate, max_offset, max_moves)
    if isinstance(place, str):
        return place
    if abs(place[3]) < contrast:
        return "low_contrast"
    return "edge" if place[4] <= least_roundness else place


def interpolate(dog, candidate, max_offset, max_moves):
    """(x, y, level, value, roundness) by Lowe's quadratic, or "unstable"."""
    s, y, x = candidate
    for _ in range(max_moves + 1):
        b = dog[s - 1 : s + 2, y - 1 : y + 2, x - 1 : x + 2]
        gradient = np.array([b[1, 1, 2] - b[1, 1, 0], b[1, 2, 1] - b[1, 0, 1], b[2, 1, 1] - b[0, 1, 1]]) / 2
        dxx, dyy, dss = (
            b[1, 1, 2] + b[1, 1, 0] - 2 * b[1, 1, 1],
            b[1, 2, 1] + b[1, 0, 1] - 2 * b[1, 1, 1],
            b[2, 1, 1] + b[0, 1, 1] - 2 * b[1, 1, 1],
        )
        dxy = (b[1, 2, 2] + b[1, 0, 0] - b[1, 2, 0] - b[1, 0, 2]) / 4
        dxs = (b[2, 1, 2] + b[0, 1, 0] - b[2, 1, 0] - b[0, 1, 2]) / 4
        dys = (b[2, 2, 1] + b[0, 0, 1] - b[2, 0, 1] - b[0, 2, 1]) / 4
        offset = -np.linalg.solve([[dxx, dxy, dxs], [dxy, dyy, dys], [dxs, dys, dss]], gradient)
        if np.all(np.abs(offset) <= max_offset):
            # Refit the position at the refined scale: a parabola along scale, then a quadratic in x and y.
            o = offset[2]
            plane = b[1] + o * (b[2] - b[0]) / 2 + o**2 * (b[2] + b[0] - 2 * b[1]) / 2
            slope = np.array([plane[1, 2] - plane[1, 0], plane[2, 1] - plane[0, 1]]) / 2
            mixed = (plane[2, 2] + plane[0, 0] - plane[2, 0] - plane[0, 2]) / 4
            bend_x = plane[1, 2] + plane[1, 0] - 2 * plane[1, 1]
            bend_y = plane[2, 1] + plane[0, 1] - 2 * plane[1, 1]
            refit = -np.linalg.solve([[bend_x, mixed], [mixed, bend_y]], slope)
            if bend_x * bend_y - mixed**2 > 0 and np.all(np.abs(refit) <= 1):
                offset[:2] = refit
            value = b[1, 1, 1] + gradient @ offset / 2
            roundness = 4 * (dxx * dyy - dxy**2) / (dxx + dyy) ** 2
            return x + offset[0], y + offset[1], s + offset[2], value, roundness
        dx, dy, ds = (int(np.sign(o)) if abs(o) > max_offset else 0 for o in offset)
        x, y, s = x + dx, y + dy, s + ds
        if not is_inside(dog, x, y, s):
            return "unstable"
    return "unstable"


def settle(dog, sample, max_offset, max_moves, least_roundness, tolerance, spread, n_rounds=12):
    """(x, y, level, value, roundness) where the least-squares fits converge, or the name of the filter."""
    s, y, x = sample
    offset = np.zeros(3)
    for _ in range(n_rounds):
        here = spread * 2 ** ((s + offset[2]) / (len(dog) - 2))
        value, roundness, step = newton_step(*least_squares_fit(dog, s, y, x, offset, here, 3))
        if roundness <= least_roundness:
            return "edge" if roundness > 0 else "unstable"
        length = np.abs(step).max()
        if length <= tolerance:
            all_planes = least_squares_fit(dog, s, y, x, offset, here, min(5, len(dog)))
            value, roundness, step = newton_step(*all_planes)
            if roundness <= 0 or np.abs(step).max() > 1:
                return "unstable"
            place = *(np.array([x, y, s]) + offset + step), value, roundness
            return place if 0.5 <= place[2] < len(dog) - 1.5 else "unstable"
        offset = offset + step / max(1, length)
        move = np.where(np.abs(offset) > max_offset, np.sign(offset), 0).astype(int)
        x, y, s = np.array([x, y, s]) + move
        offset = offset - move
        max_moves -= move.any()
        if max_moves < 0 or not is_inside(dog, x, y, s):
            return "unstable"
    return "unstable"


def newton_step(value, gradient, hessian):
    """Value and roundness of a quadratic's extremum, and the step to it; roundness 0 where it has none."""
    if np.any(np.linalg.eigvalsh(-np.sign(value) * hessian) <= 0):
        return value, 0.0, None
    step = -np.linalg.solve(hessian, gradient)
    roundness = 4 * np.linalg.det(hessian) / (np.trace(hessian[:2, :2]) ** 2 * hessian[2, 2])
    return value + gradient @ step / 2, roundness, step


def is_inside(dog, x, y, s):
    return 1 <= x < dog.shape[2] - 1 and 1 <= y < dog.shape[1] - 1 and 1 <= s < len(dog) - 1


def least_squares_quadratic(plane, x, y, spread):
    """Value, gradient (x, y) and second derivatives (xx, yy, xy) at (x, y), an offset from the middle
    of the plane (7, 7), of the quadratic that fits it best under Gaussian weights about (x, y)."""
    v, u = (k - 3 - p for k, p in zip(np.mgrid[:7, :7], (y, x), strict=True))
    weights = np.exp(-(u**2 + v**2) / (2 * spread**2)).ravel()
    terms = np.stack([np.ones_like(u), u, v, u**2 / 2, v**2 / 2, u * v], axis=-1).reshape(49, 6)
    root = np.sqrt(weights)[:, None]
    return np.linalg.lstsq(root * terms, root[:, 0] * plane.ravel(), rcond=None)[0]


def least_squares_fit(dog, s, y, x, offset, spread, n_planes):
    """Value, gradient and Hessian (x, y, scale) at an offset from a sample: quadratics in x and y, fitted to
    a polynomial along scale through the nearest planes."""
    rows = np.clip(np.arange(y - 3, y + 4), 0, dog.shape[1] - 1)
    columns = np.clip(np.arange(x - 3, x + 4), 0, dog.shape[2] - 1)
    lowest = min(max(s - n_planes // 2, 0), len(dog) - n_planes)
    planes = dog[lowest : lowest + n_planes][:, rows][:, :, columns]
    coefficients = np.linalg.solve(
        np.vander(np.arange(n_planes), increasing=True), planes.reshape(n_planes, -1)
    )
    along_scale = [
        polynomial.polyval(s + offset[2] - lowest, polynomial.polyder(coefficients, k)).reshape(7, 7)
        for k in range(3)
    ]
    (value, gx, gy, xx, yy, xy), (gs, xs, ys, *_), (ss, *_) = (
        least_squares_quadratic(plane, *offset[:2], spread) for plane in along_scale
    )
    return value, np.array([gx, gy, gs]), np.array([[xx, xy, xs], [xy, yy, ys], [xs, ys, ss]])


def merge_same_places(refined, distance):
    """Means of groups that are connected by neighbours within the distance, of equal sign and one octave."""
    groups: list[list[int]] = []
    for i, a in enumerate(refined):
        near = [
            g
            for g in groups
            if any(
                np.all(np.abs(refined[j][:3] - a[:3]) <= distance)
                and refined[j][3] * a[3] > 0
                and np.array_equal(refined[j][5:], a[5:])
                for j in g
            )
        ]
        groups = [g for g in groups if g not in near] + [[i, *(j for g in near for j in g)]]
    return np.array([refined[g].mean(axis=0) for g in groups])


def gradient(level, y, x):
    return float(level[y, x + 1]) - float(level[y, x - 1]), float(level[y + 1, x]) - float(level[y - 1, x])


def isotropic_gradient(level, y, x):
    """Differences of the weighted sums of three samples on either side, with weights 1, 4, 1."""
    near, weights = np.array(level[y - 1 : y + 2, x - 1 : x + 2], float), np.array([1, 4, 1])
    return weights @ (near[:, 2] - near[:, 0]), weights @ (near[2] - near[0])


def orientation_histogram(level, x, y, window, radius, n_bins, gradient=gradient):
    """Gradient directions in a disc, weighted by magnitude and Gaussian, linearly shared between bins."""
    histogram = np.zeros(n_bins)
    for row in range(1, level.shape[0] - 1):
        for column in range(1, level.shape[1] - 1):
            distance_2 = (column - x) ** 2 + (row - y) ** 2
            if distance_2 > radius**2:
                continue
            gx, gy = gradient(level, row, column)
            position = math.atan2(gy, gx) % (2 * math.pi) * n_bins / (2 * math.pi)
            share = math.hypot(gx, gy) * math.exp(-distance_2 / (2 * window**2))
            lower = math.floor(position)
            histogram[lower % n_bins] += share * (1 - (position - lower))
            histogram[(lower + 1) % n_bins] += share * (position - lower)
    return histogram


def smooth(histogram, n_passes):
    for _ in range(n_passes):
        histogram = (np.roll(histogram, 1) + histogram + np.roll(histogram, -1)) / 3
    return histogram


def peaks(histogram, peak_ratio):
    """Directions of the peaks in radians, highest first."""
    n, found = len(histogram), []
    for i, here in enumerate(histogram):
        before, after = histogram[i - 1], histogram[(i + 1) % n]
        if here >= peak_ratio * histogram.max() and here > before and here >= after:
            offset = 0.5 * (before - after) / (before - 2 * here + after)
            found.append((-here, (i + offset) * 2 * math.pi / n % (2 * math.pi)))
    return [angle for _, angle in sorted(found, key=lambda peak: peak[0])] or [0.0]


def bilinear(level, x, y):
    """Grey value between samples, or None outside the grid."""
    height, width = level.shape
    if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
        return None
    left, top = min(int(x), width - 2), min(int(y), height - 2)
    fx, fy = x - left, y - top
    a, b, c, d = (float(level[top + j, left + i]) for j in (0, 1) for i in (0, 1))
    return (a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy


def descriptor(level, x, y, sigma, orientation, cell_width, clip, rootsift):
    """The 4 × 4 × 8 descriptor from gradients on a rotated grid, before rounding to bytes."""
    return normalised(cells_of(level, x, y, sigma, orientation, cell_width), clip, rootsift)


def cells_of(level, x, y, sigma, orientation, cell_width, samples_per_cell=6):
    """The 4 × 4 × 8 sums of gradients on a rotated grid."""
    spacing, n = cell_width / samples_per_cell * sigma, 5 * samples_per_cell
    c, s = math.cos(orientation), math.sin(orientation)

    def grey(u, v):
        return bilinear(level, x + u * c - v * s, y + u * s + v * c)

    cells = np.zeros((4, 4, 8))
    for row in range(n):
        for column in range(n):
            u, v = ((i - (n - 1) / 2) * spacing for i in (column, row))
            around = grey(u + spacing, v), grey(u - spacing, v), grey(u, v + spacing), grey(u, v - spacing)
            if None in around:
                continue
            gu, gv = around[0] - around[1], around[2] - around[3]
            in_cells = [(i + 0.5) / samples_per_cell - 2.5 for i in (row, column)]
            weight = math.hypot(gu, gv) * math.exp(-(in_cells[0] ** 2 + in_cells[1] ** 2) / 8)
            k = -math.atan2(gv, gu) % (2 * math.pi) * 8 / (2 * math.pi)
            for i in range(4):
                for j in range(4):
                    for b in range(8):
                        away = abs(k - b)
                        near = [
                            abs(in_cells[0] - (i - 1.5)),
                            abs(in_cells[1] - (j - 1.5)),
                            min(away, 8 - away),
                        ]
                        cells[i, j, b] += weight * math.prod(max(0.0, 1 - d) for d in near)
    return cells


def normalised(cells, clip, rootsift):
    """Cells to a descriptor, before rounding to bytes."""
    vector = cells.ravel()
    if not vector.any():
        return vector
    vector = np.minimum(vector / np.linalg.norm(vector), clip)
    vector = np.sqrt(vector / vector.sum()) if rootsift else vector / np.linalg.norm(vector)
    return np.minimum(512 * vector, 255)


def suppression_radii(xy, response, robustness):
    """Distance of each keypoint to the nearest that is stronger by more than the robustness, or infinity."""
    return [
        min(
            (
                math.dist(map(float, a), map(float, b))
                for b, other in zip(xy, response, strict=True)
                if float(own) < robustness * float(other)
            ),
            default=math.inf,
        )
        for a, own in zip(xy, response, strict=True)
    ]
