"""The network: two convolutions along the ring, each followed by a maximum, and a fully connected layer.

It consists of the four layers of ``layers.py``. A ring has no ends, so its first columns are repeated after
its last before a convolution, which then needs no padding. The fully connected layer is applied to the ring
as seen from each of the 36 directions; its one output is the score of that direction. So whatever the
weights, an image rotated by 10° has the same scores, shifted by one class: the network learns what an
orientation looks like once, not once for every direction.

The maximum over two neighbouring kernels (Goodfellow et al. 2013, *Maxout networks*) is the only
nonlinearity. It is max pooling once the kernels are laid out as rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import layers
from .layers import Array
from .patches import N_ANGLES, N_PARTS, N_RINGS

N_CLASSES = 36
"""Directions, every 10°, the first towards +x."""
STRIDE = N_ANGLES // N_CLASSES
"""Of the first convolution, so that it has one column a class."""
PAIR = (2, 1)
"""The window and the stride of a maximum over two rows."""

Parameters = Mapping[str, NDArray[np.floating]]
"""Weights and biases by their name."""

SHAPES: Mapping[str, tuple[int, ...]] = {
    "weights1": (24, N_PARTS, 1, 4),
    "bias1": (24,),
    "weights2": (24, 12 * N_RINGS, 1, 2),
    "bias2": (24,),
    "weights3": (1, 12 * N_CLASSES),
    "bias3": (1,),
}
"""Of each parameter. The first kernels see 20° of one ring, the second 20° of all rings."""


def initial_parameters(rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Random weights of variance 2/inputs (He et al. 2015, equation 10), biases 0."""
    return {
        name: np.zeros(shape, np.float32)
        if name.startswith("bias")
        else rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
        for name, shape in SHAPES.items()
    }


@dataclass(frozen=True, eq=False)
class Trace:
    """What the backward pass needs of a forward pass of N patches."""

    ring: Array
    """(N, N_PARTS, N_RINGS, N_ANGLES + …) the closed patch."""
    first_winner: NDArray[np.intp]
    first: Array
    """(N, 12 · N_RINGS, 1, N_CLASSES + …) maxima of the first kernels, closed."""
    second_winner: NDArray[np.intp]
    looks: Array
    """(N · N_CLASSES, 12 · N_CLASSES) maxima of the second kernels, seen from each direction."""


def forward(parameters: Parameters, patches: Array) -> tuple[Array, Trace]:
    """The scores of the classes.

    Parameters
    ----------
    parameters
        Of the shapes in ``SHAPES``.
    patches
        (N, N_PARTS, N_RINGS, N_ANGLES), as ``patches.sample_patches`` makes them.

    Returns
    -------
    scores
        (N, N_CLASSES); softmax makes them probabilities.
    trace
        What :func:`backward` needs.
    """
    w1, w2 = parameters["weights1"], parameters["weights2"]
    ring = close_ring(patches, w1.shape[3] - STRIDE)
    y1 = layers.convolve(ring, w1, parameters["bias1"], (1, STRIDE))
    first, first_winner = layers.max_pool(_exchanged(y1), PAIR, PAIR)
    first = close_ring(_as_channels(first), w2.shape[3] - 1)
    y2 = layers.convolve(first, w2, parameters["bias2"])
    second, second_winner = layers.max_pool(_exchanged(y2), PAIR, PAIR)
    looks = _looks(second)
    scores = layers.fully_connected(looks, parameters["weights3"], parameters["bias3"])
    return scores.reshape(-1, N_CLASSES), Trace(ring, first_winner, first, second_winner, looks)


def backward(parameters: Parameters, trace: Trace, dscores: Array) -> dict[str, Array]:
    """The derivatives of the loss with respect to the parameters.

    Parameters
    ----------
    parameters, trace
        Of the forward pass.
    dscores
        (N, N_CLASSES), the derivative with respect to the scores.

    Returns
    -------
    dict
        An array for each parameter, of its shape.
    """
    w1, w2, w3 = (parameters[f"weights{i}"] for i in (1, 2, 3))
    dlooks, dw3, db3 = layers.fully_connected_backward(dscores.reshape(-1, 1), trace.looks, w3)
    dsecond = _looks_backward(dlooks)
    dy2 = _max_backward(dsecond, trace.second_winner)
    dfirst, dw2, db2 = layers.convolve_backward(dy2, trace.first, w2)
    dfirst = close_ring_backward(dfirst, N_CLASSES)
    dy1 = _max_backward(dfirst.reshape(trace.first_winner.shape), trace.first_winner)
    dw1, db1 = layers.convolve_parameters_backward(dy1, trace.ring, w1, (1, STRIDE))
    return dict(zip(SHAPES, (dw1, db1, dw2, db2, dw3, db3), strict=True))


def close_ring(x: Array, n: int) -> Array:
    """(…, W) to (…, W + n): the first columns repeated behind the last."""
    return np.asarray(np.take(x, np.arange(x.shape[-1] + n) % x.shape[-1], axis=-1))


def close_ring_backward(dx: Array, n_columns: int) -> Array:
    """The derivative with respect to the n columns of the ring: what the repeated ones got is theirs."""
    opened = dx[..., :n_columns].copy()
    opened[..., : dx.shape[-1] - n_columns] += dx[..., n_columns:]
    return opened


def _exchanged(y: Array) -> Array:
    """(N, K, H, W) to (N, H, K, W): kernels as rows, neighbours in the sense of pooling; and back."""
    return y.transpose(0, 2, 1, 3)


def _as_channels(y: Array) -> Array:
    """(N, H, K, W) to (N, H·K, 1, W): every row a channel of its own."""
    return y.reshape(len(y), y.shape[1] * y.shape[2], 1, y.shape[3])


def _max_backward(dy: Array, winner: NDArray[np.intp]) -> Array:
    """Back through the maximum over pairs, and from rows to kernels."""
    shape = (*dy.shape[:2], PAIR[0] * dy.shape[2], dy.shape[3])
    return _exchanged(layers.max_pool_backward(dy, winner, shape, PAIR, PAIR))


def _looks(second: Array) -> Array:
    """(N, 1, F, C) to (N·C, F·C): the ring as it is seen from each direction, that column first."""
    closed = close_ring(second[:, 0], N_CLASSES - 1)
    views = np.lib.stride_tricks.sliding_window_view(closed, N_CLASSES, axis=2)  # (N, F, C, C)
    return views.transpose(0, 2, 1, 3).reshape(len(second) * N_CLASSES, second.shape[2] * N_CLASSES)


def _looks_backward(dlooks: Array) -> Array:
    """(N·C, F·C) to (N, 1, F, C): a sample's derivative is the sum over the directions it was seen from."""
    shape = (N_CLASSES, dlooks.shape[1] // N_CLASSES, N_CLASSES)
    look, row, column = np.indices(shape)
    place = np.ravel_multi_index((look, row, (column - look) % N_CLASSES), shape).ravel()
    turned = np.take(dlooks.reshape(-1, place.size), place, axis=1).reshape(-1, *shape)
    return np.asarray(turned.sum(axis=1)[:, None])
