"""How often the strongest orientation is right, on examples with known answers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..views.metrics import angle_difference
from . import layers, network
from .network import N_CLASSES
from .samples import Examples, targets

ACCURATE_DEG = 10.0


def judge(parameters: network.Parameters, examples: Sequence[Examples]) -> tuple[float, float]:
    """Mean loss over examples, and the share whose strongest orientation is within 10° of the answer."""
    losses, hits, counts = [], [], []
    for example in (e for e in examples if len(e.patches)):
        scores, _ = network.forward(parameters, example.patches)
        losses.append(layers.softmax_cross_entropy(scores, targets(example.angles))[0] * len(scores))
        hits.append(n_accurate(strongest(scores), example))
        counts.append(len(scores))
    return float(sum(losses) / sum(counts)), sum(hits) / sum(counts)


def histogram_accuracy(examples: Sequence[Examples]) -> float:
    """The share that the histogram gets right of the same perturbed patches."""
    hits = sum(n_accurate(example.histogram, example) for example in examples)
    return hits / sum(len(example.histogram) for example in examples)


def n_accurate(angles: NDArray[np.floating], example: Examples) -> int:
    """How many angles (M,) in radians are within 10° of the strongest answer."""
    error = angle_difference(angles, example.angles[:, 0])
    return int(np.sum(np.rad2deg(error) <= ACCURATE_DEG))


def strongest(scores: layers.Array) -> NDArray[np.float64]:
    """Angles (M,) of the highest scores (M, N_CLASSES), by a parabola through three of them."""
    best = scores.argmax(axis=1)
    before, here, after = (
        np.take_along_axis(scores, ((best + shift) % N_CLASSES)[:, None], axis=1)[:, 0].astype(np.float64)
        for shift in (-1, 0, 1)
    )
    offset = 0.5 * (before - after) / np.minimum(before - 2 * here + after, -np.finfo(float).tiny)
    return np.asarray((best + offset) * 2 * math.pi / N_CLASSES % (2 * math.pi))
