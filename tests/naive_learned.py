"""Slow, obviously correct twins of the layers (one sample at a time) and of the learned stage."""

from __future__ import annotations

import math

import numpy as np


def convolve(x, weights, bias, stride):
    """y(k,i,j) = Σ_t Σ_m Σ_n x(t, i·s+m, j·s+n) W_k(t,m,n) + b_k, for x (T, H, W)."""
    n_kernels, n_channels, height, width = weights.shape
    rows, columns = (x.shape[1] - height) // stride[0] + 1, (x.shape[2] - width) // stride[1] + 1
    y = np.zeros((n_kernels, rows, columns))
    for k in range(n_kernels):
        for i in range(rows):
            for j in range(columns):
                y[k, i, j] = bias[k]
                for t in range(n_channels):
                    for m in range(height):
                        for n in range(width):
                            y[k, i, j] += x[t, i * stride[0] + m, j * stride[1] + n] * weights[k, t, m, n]
    return y


def convolve_backward(dy, x, weights, stride):
    """Every product of the forward pass propagates ∂L/∂y to its two factors."""
    dx, dweights, dbias = np.zeros(x.shape), np.zeros(weights.shape), np.zeros(len(weights))
    for k, i, j in np.ndindex(dy.shape):
        dbias[k] += dy[k, i, j]
        for t, m, n in np.ndindex(weights.shape[1:]):
            row, column = i * stride[0] + m, j * stride[1] + n
            dx[t, row, column] += dy[k, i, j] * weights[k, t, m, n]
            dweights[k, t, m, n] += dy[k, i, j] * x[t, row, column]
    return dx, dweights, dbias


def max_pool(x, window, stride):
    """The maximum of each window of x (T, H, W), and where it first occurs in row order: (t, row, column)."""
    rows, columns = (x.shape[1] - window[0]) // stride[0] + 1, (x.shape[2] - window[1]) // stride[1] + 1
    y, where = np.empty((len(x), rows, columns)), {}
    for t, i, j in np.ndindex(y.shape):
        best = -math.inf
        for m in range(window[0]):
            for n in range(window[1]):
                value = x[t, i * stride[0] + m, j * stride[1] + n]
                if value > best:
                    best, where[t, i, j] = value, (t, i * stride[0] + m, j * stride[1] + n)
        y[t, i, j] = best
    return y, where


def max_pool_backward(dy, where, shape):
    dx = np.zeros(shape)
    for place, source in where.items():
        dx[source] += dy[place]
    return dx


def cross_entropy(y, target):
    """−Σ t_i log p_i of one sample, by the definition."""
    p = [math.exp(v) for v in y]
    return -sum(t * math.log(v / sum(p)) for t, v in zip(target, p, strict=True))


def grey(level, x, y):
    """Bilinear interpolation of a level (H, W), extended by its edge values."""
    height, width = level.shape
    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    j, i = min(int(x), width - 2), min(int(y), height - 2)
    fx, fy = x - j, y - i
    upper = (1 - fx) * level[i, j] + fx * level[i, j + 1]
    lower = (1 - fx) * level[i + 1, j] + fx * level[i + 1, j + 1]
    return (1 - fy) * upper + fy * lower


def patch(level, x, y, sigma, n_rings, n_angles, spacing):
    """Central differences (2, rings, angles) outwards and along rings around (x, y), of mean square 1."""

    def at(ring, a):
        angle = 2 * math.pi * a / n_angles
        radius = ring * spacing * sigma
        return grey(level, x + radius * math.cos(angle), y + radius * math.sin(angle))

    found = np.empty((2, n_rings, n_angles))
    for r in range(n_rings):
        for a in range(n_angles):
            arc = 2 * math.pi * (r + 1) / n_angles  # in ring spacings
            found[0, r, a] = at(r + 2, a) - at(r, a)
            found[1, r, a] = (at(r + 1, a + 1) - at(r + 1, a - 1)) / arc
    return found / max(np.sqrt(np.mean(found**2)), 1e-12)


def peaks(scores, peak_ratio, max_orientations):
    """Angles of the classes whose probability is a maximum and at least ``peak_ratio`` of the largest."""
    n, found = len(scores), []
    p = np.exp(scores - scores.max())
    for i in range(n):
        before, here, after = scores[i - 1], scores[i], scores[(i + 1) % n]
        if p[i] >= peak_ratio * p.max() and here > before and here >= after:
            offset = 0.5 * (before - after) / (before - 2 * here + after)
            found.append((here, (i + offset) * 2 * math.pi / n % (2 * math.pi)))
    found.sort(key=lambda peak: -peak[0])
    return [angle for _, angle in found[:max_orientations]] or [0.0]
