"""The most similar images of each, by an exact search with faiss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pairs.listing import Keys, Listed
from .vocabulary import load_faiss

BLOCK_BYTES = 1 << 29
"""Vectors that are searched at a time, as float32."""
QUERY_BYTES = 1 << 26
_CANDIDATES = 3
"""Candidates of each image, in multiples of K."""


def similar_images(vectors: NDArray[np.int8], k: int) -> Listed:
    """Pair each image with its ``k`` most similar ones, and with more until each has brought in ``k`` pairs.

    Pairs are taken in the order of their similarity, as long as one of their images has brought in fewer
    than ``k``. These are at most n · k pairs; each image's ``k`` nearest are among them.

    Parameters
    ----------
    vectors
        (N, D), from :func:`siftcli.retrieval.vlad.image_vector`. An image of zeros is paired with none.
    k
        Pairs for each image.

    Raises
    ------
    MissingDependencyError
        If faiss is not installed.
    """
    n = len(vectors)
    near, similarity = _candidates(vectors, min(_CANDIDATES * k, max(n - 1, 0)))
    first = np.repeat(np.arange(n), near.shape[1])
    second, score = near.ravel().astype(np.int64), similarity.ravel()
    has_words = np.any(vectors, axis=1)
    chosen = np.isfinite(score) & has_words[first] & has_words[second]
    first, second, score = first[chosen], second[chosen], score[chosen]
    keys, places = np.unique(np.minimum(first, second) * n + np.maximum(first, second), return_index=True)
    order = np.argsort(-score[places], kind="stable")  # equal ones in the order of their names
    return Listed(n, np.sort(_shared_out(keys[order], n, k)))


def _shared_out(keys: Keys, n: int, k: int) -> Keys:
    """Take pairs in order while one of their images has brought in fewer than ``k``."""
    left = [k] * n
    taken = []
    for key in keys.tolist():
        first, second = divmod(key, n)
        one = first if left[first] >= left[second] else second
        if left[one]:
            left[one] -= 1
            taken.append(key)
    return np.array(taken, np.int64)


def _candidates(vectors: NDArray[np.int8], m: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the (N, m) most similar other images of each, and their similarities."""
    faiss = load_faiss()
    n, width = vectors.shape
    near, score = np.empty((n, 0), np.int32), np.empty((n, 0), np.float32)
    rows, query_rows = (max(1, size // (4 * max(width, 1))) for size in (BLOCK_BYTES, QUERY_BYTES))
    for start in range(0, n if m else 0, rows):
        index = faiss.IndexFlatIP(width)
        index.add(vectors[start : start + rows].astype(np.float32))
        found = [
            _merged(index, vectors, slice(low, min(low + query_rows, n)), start, m, near, score)
            for low in range(0, n, query_rows)
        ]
        near, score = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return near, score


def _merged(
    index: Any,
    vectors: NDArray[np.int8],
    chosen: slice,
    start: int,
    m: int,
    near: NDArray[np.int32],
    score: NDArray[np.float32],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The best ``m`` of those known and those of one more block, for the chosen images."""
    queries = np.arange(chosen.start, chosen.stop)
    values, rows = index.search(vectors[chosen].astype(np.float32), min(m + 1, index.ntotal))
    rows = rows.astype(np.int32) + start
    values[rows == queries[:, None]] = -np.inf  # the image itself
    rows, values = np.hstack([near[chosen], rows]), np.hstack([score[chosen], values])
    order = np.lexsort((rows, -values), axis=1)[:, :m]
    return np.take_along_axis(rows, order, 1), np.take_along_axis(values, order, 1)
