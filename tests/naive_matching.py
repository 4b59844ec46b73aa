"""A slow, obviously correct twin of the matcher: all distances in float64, one row at a time."""

import numpy as np


def brute_force_match(f, g, ratio=0.8, mutual=True, allowed=None):
    """The (M, 2) pairs of ``siftcli.match`` by definition; ``allowed`` (N, K) marks the candidates."""
    if len(f) == 0 or len(g) == 0:
        return np.empty((0, 2), int)
    a, b = f.descriptors.astype(float), g.descriptors.astype(float)
    distances = np.array([((row - b) ** 2).sum(axis=1) for row in a])  # squared
    if allowed is not None:
        distances[~allowed] = np.inf
    pairs = []
    for i, row in enumerate(distances):
        j = int(row.argmin())  # the first of equal minima
        elsewhere = (g.xy != g.xy[j]).any(axis=1)
        second = row[elsewhere].min(initial=np.inf)
        if not np.isfinite(row[j]):
            continue
        if ratio is not None and not row[j] < ratio**2 * second:
            continue
        if mutual and int(distances[:, j].argmin()) != i:
            continue
        pairs.append((i, j, row[j]))
    if not mutual:
        best = {}
        for i, j, d in pairs:
            if j not in best or d < best[j][1]:
                best[j] = (i, d)
        pairs = sorted((i, j, d) for j, (i, d) in best.items())
    return np.array([(i, j) for i, j, _ in pairs], int).reshape(-1, 2)


def pairs_near_homography(f, g, model, tolerance):
    """(N, K) whether |H x₁ - x₂| is within the tolerance."""
    mapped = [model @ [x, y, 1.0] for x, y in f.xy.astype(float)]
    return np.array(
        [[np.hypot(*(m[:2] / m[2] - x)) <= tolerance for x in g.xy.astype(float)] for m in mapped]
    )


def pairs_near_epipolar_lines(f, g, model, tolerance):
    """(N, K) whether both points are within the tolerance of their epipolar lines."""

    def off(line, x):
        return abs(line[0] * x[0] + line[1] * x[1] + line[2]) / np.hypot(line[0], line[1])

    result = np.zeros((len(f), len(g)), bool)
    for i, p in enumerate(f.xy.astype(float)):
        for j, q in enumerate(g.xy.astype(float)):
            in_g, in_f = off(model @ [*p, 1.0], q), off(model.T @ [*q, 1.0], p)
            result[i, j] = in_g <= tolerance and in_f <= tolerance
    return result
