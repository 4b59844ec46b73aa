"""The vector of an image: residuals of its descriptors, summed for each word (VLAD).

Jégou, Douze, Schmid and Pérez, Aggregating local descriptors into a compact image representation, 2010;
intra-normalisation: Arandjelović and Zisserman, All about VLAD, 2013, section 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..features import Features
from .vocabulary import Vocabulary, rootsift

LENGTH = 1000
"""Length of a vector before it is rounded. Products of two are below 2²⁴, and so exact in float32."""


def image_vector(features: Features, vocabulary: Vocabulary) -> NDArray[np.int8]:
    """Return the (W · C,) vector of an image; zeros if it has no features.

    The sum of each word has length 1 before the whole is scaled, so that a texture that repeats counts as
    much as any other (intra-normalisation).
    """
    values = vocabulary.project(rootsift(features))
    words = vocabulary.assign(values)
    sums = np.zeros(vocabulary.words.shape, np.int64)
    order = np.argsort(words, kind="stable")
    present, starts, counts = np.unique(words[order], return_index=True, return_counts=True)
    if len(present):
        totals = np.add.reduceat(values[order].astype(np.int64), starts, axis=0)
        sums[present] = totals - counts[:, None] * vocabulary.words[present].astype(np.int64)
    lengths = np.sqrt((sums**2).sum(axis=1, keepdims=True, dtype=np.float64))
    unit = sums / np.maximum(lengths, 1) / np.sqrt(max(1, int(np.count_nonzero(lengths))))
    vector: NDArray[np.int8] = np.clip(np.rint(LENGTH * unit), -127, 127).astype(np.int8).ravel()
    return vector
