"""The vocabulary of a collection: a projection of descriptors, and the words they are assigned to.

Descriptors are RootSIFT, projected on their principal components and whitened: each component has the same
variance. Words are the centres of k-means (Arandjelović and Zisserman, All about
VLAD, 2013, section 2).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, MissingDependencyError
from ..features import DESCRIPTOR_LENGTH, Features

LAYOUT = 1
"""Raised when the same numbers would give other vectors."""
N_WORDS = 128
N_COMPONENTS = 64
SEED = 0
SAMPLED_IMAGES = 512
SAMPLED_DESCRIPTORS = 1 << 17
"""Descriptors of the training sample, at most."""
_POINTS_PER_WORD = 8
"""Fewest sampled descriptors for each word; a smaller sample has fewer words."""
_ITERATIONS = 20

_LARGEST_WEIGHT = 511
"""255 · 511 · 128 < 2²⁴: products of descriptors and weights are summed exactly in float32."""
_LARGEST_VALUE = 255
"""Likewise 3 · 255² · 64 < 2²⁴, for squared distances from words."""
_SPREAD = 6
"""Values from minus to plus three standard deviations fit below the largest one, roughly."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Whole numbers, held as float32."""

    weights: NDArray[np.float32]
    """(128, C) projection."""
    offset: NDArray[np.float32]
    """(C,) projection of the mean descriptor."""
    shift: NDArray[np.float32]
    """(1,) power of two that projected values are divided by."""
    words: NDArray[np.float32]
    """(W, C) centres."""

    def project(self, descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project (N, 128) RootSIFT descriptors to (N, C) whole numbers of at most 255."""
        values = np.floor((descriptors @ self.weights - self.offset) / self.shift)
        bounded: NDArray[np.float32] = np.clip(values, -_LARGEST_VALUE, _LARGEST_VALUE)
        return bounded

    def assign(self, values: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return the nearest word of each of (N, C) projected descriptors."""
        nearness = 2 * (values @ self.words.T) - (self.words**2).sum(axis=1)
        nearest: NDArray[np.intp] = np.argmax(nearness, axis=1)
        return nearest

    def to_bytes(self) -> dict[str, tuple[int, int, bytes]]:
        """Rows, columns and little-endian values of each array."""
        arrays = {f.name: np.atleast_2d(getattr(self, f.name)) for f in fields(self)}
        return {name: (*array.shape, array.astype("<f4").tobytes()) for name, array in arrays.items()}

    @classmethod
    def from_bytes(cls, stored: dict[str, tuple[int, int, bytes]]) -> Vocabulary:
        """Restore what :meth:`to_bytes` returned.

        Raises
        ------
        KeyError, ValueError, TypeError
            If it is damaged.
        """
        arrays = {}
        for name in (f.name for f in fields(cls)):
            rows, columns, data = stored[name]
            array = np.frombuffer(data, "<f4").reshape(rows, columns)
            arrays[name] = array if name in ("weights", "words") else array[0]
        n_words, n_components = arrays["words"].shape
        shapes = {"weights": (DESCRIPTOR_LENGTH, n_components), "offset": (n_components,), "shift": (1,)}
        if any(arrays[name].shape != shape for name, shape in shapes.items()) or not n_words:
            raise ValueError("arrays of other shapes")
        return cls(**arrays)


def rootsift(features: Features) -> NDArray[np.float32]:
    """(N, 128) RootSIFT descriptors, 0 to 255 (Arandjelović and Zisserman 2012, section 2)."""
    descriptors = features.descriptors.astype(np.float32)
    if features.descriptor_kind == "rootsift":
        return descriptors
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), 1)
    rooted: NDArray[np.float32] = np.minimum(np.rint(512 * np.sqrt(descriptors / total)), 255)
    return rooted


def train(sample: NDArray[np.float32]) -> Vocabulary:
    """Train a vocabulary on (N, 128) RootSIFT descriptors.

    Raises
    ------
    InputError
        If there are none.
    MissingDependencyError
        If faiss is not installed.
    """
    if not len(sample):
        raise InputError("expected images with features, found none; detect features first")
    weights, offset = _projection(sample)
    projected = sample @ weights - offset
    spread = _SPREAD * float(projected.std()) / (2 * _LARGEST_VALUE)
    shift = 2.0 ** np.ceil(np.log2(max(1.0, spread)))  # division by a power of two is exact
    unfinished = Vocabulary(weights, offset, np.array([shift], np.float32), np.empty((0, 0), np.float32))
    words = _centres(unfinished.project(sample))
    return Vocabulary(weights, offset, unfinished.shift, words)


def _projection(sample: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    exact = sample.astype(np.float64)
    mean = exact.mean(axis=0)
    variances, axes = np.linalg.eigh(exact.T @ exact / len(exact) - np.outer(mean, mean))
    variances, axes = variances[::-1][:N_COMPONENTS], axes[:, ::-1][:, :N_COMPONENTS]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    axes = axes / np.maximum(variances, max(variances[0], 1.0) * 1e-4) ** 0.5
    weights = np.rint(axes * (_LARGEST_WEIGHT / np.abs(axes).max()))
    return weights.astype(np.float32), np.rint(mean @ weights).astype(np.float32)


def _centres(values: NDArray[np.float32]) -> NDArray[np.float32]:
    faiss = load_faiss()
    n_words = max(1, min(N_WORDS, len(values) // _POINTS_PER_WORD))
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # the order of its sums, and so the last bit, depends on threads
    try:
        kmeans = faiss.Kmeans(
            values.shape[1],
            n_words,
            niter=_ITERATIONS,
            seed=SEED,
            min_points_per_centroid=1,
            max_points_per_centroid=len(values),
        )
        kmeans.train(values)
    finally:
        faiss.omp_set_num_threads(threads)
    centres: NDArray[np.float32] = np.rint(kmeans.centroids)
    return centres


def settings() -> dict[str, int]:
    """Describe what vectors depend on besides the collection."""
    return {
        "layout": LAYOUT,
        "words": N_WORDS,
        "components": N_COMPONENTS,
        "seed": SEED,
        "sampled_images": SAMPLED_IMAGES,
        "sampled_descriptors": SAMPLED_DESCRIPTORS,
    }


def load_faiss() -> Any:
    """Import faiss.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise MissingDependencyError.of_extra("--pairs similar", "faiss-cpu", "retrieval") from error
    return faiss
