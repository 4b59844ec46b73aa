"""Two images' features -> putative matches: nearest neighbours that pass the ratio test.

The search is exact and exhaustive. Descriptors are bytes, so a squared distance is a whole number of at most
128 · 255² < 2²³, the same that float64 gives. It is computed with 16-bit differences and 32-bit sums, for
which processors have one instruction; unlike a matrix product of the linear-algebra library, this uses only
the threads it is given. So the result depends neither on the threads nor on the blocks, and equal distances
are exactly equal; the lowest index wins.

Blocks of squared distances are reduced at once to what the tests need (the nearest neighbour of each row and
of each column, and each row's second neighbour at another location), so memory does not grow with the product
of the sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..features import DESCRIPTOR_LENGTH, Features, Matches
from ..kernels.decorators import kernel
from ..kernels.threads import Threads
from .options import DEFAULT_RATIO, MODELS, check_ratio

ROWS_PER_BLOCK = 256
COLUMNS_PER_BLOCK = 1024
"""A block of 256 × 1024 int32 (1 MB) is still in the second-level cache when it is reduced."""

CHUNK = 64
"""Columns whose minimum is taken first; most chunks hold no new neighbour and are skipped."""

FAR = 1 << 30
"""A squared distance above all real ones: no neighbour."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Guide:
    """A known geometry that candidate pairs must agree with.

    Raises
    ------
    ParameterError
        If the model is not a finite (3, 3) matrix, the kind is unknown or the tolerance is not above 0.
    """

    model: NDArray[np.float64]
    """(3, 3): a point map from the first image to the second, or a fundamental matrix with
    x₂ᵀ F x₁ = 0; pixels, (0, 0) the centre of the top-left pixel."""
    kind: str = "homography"
    """"similarity" or "homography" (point maps), or "fundamental"."""
    tolerance_px: float = 10.0
    """Largest distance in the second image from the mapped point; for a fundamental matrix
    the largest distance from the epipolar line, in both images."""

    def __post_init__(self) -> None:
        model = np.array(self.model, dtype=np.float64)
        if model.shape != (3, 3) or not np.isfinite(model).all():
            raise ParameterError(f"a guiding model must be a finite (3, 3) matrix; got shape {model.shape}")
        if self.kind not in MODELS:
            raise ParameterError(f"a guide's kind must be one of {', '.join(MODELS)}; got {self.kind!r}")
        if not self.tolerance_px > 0:
            raise ParameterError(f"a guide's tolerance_px must be above 0; got {self.tolerance_px}")
        object.__setattr__(self, "model", model)


def match(
    f: Features,
    g: Features,
    *,
    ratio: float | None = DEFAULT_RATIO,
    mutual: bool = True,
    guide: Guide | None = None,
    threads: int | None = None,
) -> Matches:
    """Match the features of two images by their descriptors.

    A feature of ``f`` is matched to its nearest neighbour in ``g`` (exact, L2; the
    Hellinger distance of the original vectors when the descriptors are RootSIFT) if

    * that is closer than ``ratio`` times the nearest neighbour at another *location*:
      the several orientations of one keypoint do not compete with each other;
    * and, with ``mutual``, the feature is the neighbour's nearest in ``f``.

    The result is one-to-one: of several features with the same neighbour, as there may be without
    ``mutual``, the closest is kept. Of equal distances the lowest row wins.

    Parameters
    ----------
    f, g
        Features of the first (N rows) and the second image (K rows).
    ratio
        In (0, 1]; ``None`` leaves the ratio test out.
    mutual
        Keep only pairs that are each other's nearest neighbours.
    guide
        Only pairs that agree with this geometry are considered, as neighbours and as second neighbours.
    threads
        All cores when not given. The result does not depend on it.

    Returns
    -------
    Matches
        In ascending order of the rows of ``f``; possibly none.

    Raises
    ------
    ParameterError
        If the descriptors are of different kinds, or ``ratio`` is out of range.
    """
    if f.descriptor_kind != g.descriptor_kind:
        raise ParameterError(
            f"descriptors of different kinds cannot be matched: {f.descriptor_kind} and {g.descriptor_kind}; "
            "detect both with the same --rootsift setting"
        )
    check_ratio(ratio)
    nearest = _nearest_neighbours(f, g, guide, threads)
    passed = nearest.distance < FAR
    if ratio is not None:
        passed &= nearest.distance < float(ratio) ** 2 * _squared_seconds(nearest)
    if mutual:
        passed &= nearest.of_column[nearest.column] == np.arange(len(f))
    rows = np.flatnonzero(passed)
    return _matches(nearest, rows if mutual else _one_to_one(nearest, rows))


_Found = tuple[NDArray[np.int32], NDArray[np.int32]]
"""For each descriptor the nearest neighbour found so far and its squared distance."""


class _Nearest(NamedTuple):
    """What the search returns, with squared distances as whole numbers."""

    column: NDArray[np.int32]  # (N,) nearest neighbour of each row
    distance: NDArray[np.int32]  # (N,) its squared distance; FAR without a neighbour
    second: NDArray[np.int32]  # (N,) squared distance of the second neighbour; FAR without one
    of_column: NDArray[np.int32]  # (max(K, 1),) nearest row of each column


def _squared_seconds(nearest: _Nearest) -> NDArray[np.float64]:
    """Second squared distances; infinite where nothing competes."""
    return np.where(nearest.second < FAR, nearest.second.astype(np.float64), np.inf)


def _one_to_one(nearest: _Nearest, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Of the rows with the same nearest column, the closest; of equal ones the lowest."""
    order = rows[np.lexsort((rows, nearest.distance[rows]))]
    _, first = np.unique(nearest.column[order], return_index=True)
    return np.sort(order[first])


def _matches(nearest: _Nearest, rows: NDArray[np.intp]) -> Matches:
    distance = np.sqrt(nearest.distance[rows].astype(np.float64))
    second = np.sqrt(_squared_seconds(nearest)[rows])
    ratio = np.divide(distance, second, out=np.ones_like(distance), where=second > 0)
    return Matches(
        pairs=np.column_stack([rows, nearest.column[rows]]).astype(np.int32),
        distance=distance.astype(np.float32),
        ratio=ratio.astype(np.float32),
    )


def _nearest_neighbours(f: Features, g: Features, guide: Guide | None, threads: int | None) -> _Nearest:
    """Search all pairs; threads share the rows, and their results are merged in the order of the rows."""
    n, k = len(f), len(g)
    rows_found = _nothing_found(n), np.full(n, FAR, np.int32), np.full(n, -1, np.int32)
    if n == 0 or k == 0:
        return _Nearest(*rows_found[0], rows_found[1], np.full(max(k, 1), -1, np.int32))
    a, b = f.descriptors.astype(np.int16), g.descriptors.astype(np.int16)
    forbid = _forbidder(guide, f, g)
    place = _locations(g)
    (column, distance), second, nearest_place = rows_found

    def search(start: int, stop: int) -> _Found:
        """Fill these rows' results; return what the columns found among these rows."""
        row, column_distance = _nothing_found(k)
        block = np.empty((ROWS_PER_BLOCK, COLUMNS_PER_BLOCK), np.int32)
        for i in _blocks(start, stop, ROWS_PER_BLOCK):
            for j in _blocks(0, k, COLUMNS_PER_BLOCK):
                _squared_distances(a[i], b[j], block)
                forbid(block, i, j)
                _reduce_rows(block, j.start, place[j], column[i], distance[i], second[i], nearest_place[i])
                _reduce_columns(block, i.start, len(a[i]), row[j], column_distance[j])
        return row, column_distance

    with Threads(threads) as pool:
        shares = pool.over_rows(n, n * k, search)
    return _Nearest(column, distance, second, _merged(shares))


def _nothing_found(n: int) -> _Found:
    """For n descriptors: no neighbour, at a far distance."""
    return np.full(n, -1, np.int32), np.full(n, FAR, np.int32)


def _merged(shares: list[_Found]) -> NDArray[np.int32]:
    """Find the nearest row of each column over all shares; the first share wins a tie."""
    rows, distances = (np.stack(parts) for parts in zip(*shares, strict=True))
    return np.asarray(np.take_along_axis(rows, distances.argmin(axis=0)[None], axis=0)[0])


def _blocks(start: int, stop: int, step: int) -> list[slice]:
    return [slice(i, min(i + step, stop)) for i in range(start, stop, step)]


def _locations(g: Features) -> NDArray[np.int32]:
    """(K,) a number for each distinct position."""
    _, number = np.unique(g.xy, axis=0, return_inverse=True)
    return np.asarray(number.reshape(-1).astype(np.int32))


def _forbidder(guide: Guide | None, f: Features, g: Features) -> Callable[[Any, slice, slice], None]:
    """A function that sets the distances of a block's pairs outside the guide's tolerance to ``FAR``."""
    if guide is None:
        return lambda block, i, j: None
    xy_f, xy_g = f.xy.astype(np.float64), g.xy.astype(np.float64)
    tolerance = guide.tolerance_px
    if guide.kind == "fundamental":
        lines_f, lines_g = _unit_lines(xy_g, guide.model.T), _unit_lines(xy_f, guide.model)
        return lambda block, i, j: _forbid_off_line(
            block, xy_f[i], lines_g[i], xy_g[j], lines_f[j], tolerance
        )
    mapped = _mapped(xy_f, guide.model)
    return lambda block, i, j: _forbid_off_point(block, mapped[i], xy_g[j], tolerance)


def _mapped(xy: NDArray[np.float64], model: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2) points under a (3, 3) map; NaN where they go to infinity."""
    mapped = xy @ model[:, :2].T + model[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        xy_mapped = mapped[:, :2] / mapped[:, 2:]
    return np.ascontiguousarray(np.where(np.isfinite(xy_mapped), xy_mapped, np.nan))


def _unit_lines(xy: NDArray[np.float64], model: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) epipolar lines F x of unit normal; NaN at the epipole."""
    lines = xy @ model[:, :2].T + model[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.ascontiguousarray(lines / np.hypot(lines[:, 0], lines[:, 1])[:, None])


@kernel("void(int16[:,::1], int16[:,::1], int32[:,::1])")
def _squared_distances(a: Any, b: Any, block: Any) -> None:
    """Fill the top left of a block with |aᵢ − bⱼ|²; the difference of two bytes fits 16 bits.

    Parameters
    ----------
    a, b
        (N, 128) and (K, 128) int16, values of bytes.
    block
        (256, 1024) int32, its first N rows and K columns filled.
    """
    for i in range(a.shape[0]):
        for j in range(b.shape[0]):
            total = np.int32(0)
            for k in range(DESCRIPTOR_LENGTH):
                difference = np.int16(a[i, k] - b[j, k])
                total += np.int32(difference) * np.int32(difference)
            block[i, j] = total


@kernel("void(int32[:,::1], int64, int32[::1], int32[::1], int32[::1], int32[::1], int32[::1])")
def _reduce_rows(
    block: Any, first_column: int, place: Any, column: Any, distance: Any, second: Any, nearest_place: Any
) -> None:
    """Update each row's nearest neighbour, and its distance to the nearest at another location.

    Columns come in ascending order and only a smaller distance replaces one, so of equal distances the lowest
    index is kept. The first loop over a chunk has no branch, so that it is vectorised.

    Parameters
    ----------
    block
        (256, 1024) int32 squared distances; its first N rows and K columns count.
    first_column
        Index of the block's first column.
    place
        (K,) int32, a number for the location of each column.
    column, distance
        (N,) int32, updated: the nearest column so far and its squared distance.
    second
        (N,) int32, updated: the squared distance of the nearest at another location.
    nearest_place
        (N,) int32, updated: the location of the nearest column.
    """
    n_columns = place.shape[0]
    for i in range(column.shape[0]):
        for start in range(0, n_columns, CHUNK):
            stop = min(start + CHUNK, n_columns)
            smallest = np.int32(FAR)
            for j in range(start, stop):
                smallest = min(smallest, block[i, j])
            if smallest >= second[i]:
                continue
            for j in range(start, stop):
                d = block[i, j]
                if d < distance[i]:
                    if place[j] != nearest_place[i]:
                        second[i] = distance[i]
                    column[i], distance[i], nearest_place[i] = first_column + j, d, place[j]
                elif d < second[i] and place[j] != nearest_place[i]:
                    second[i] = d


@kernel("void(int32[:,::1], int64, int64, int32[::1], int32[::1])")
def _reduce_columns(block: Any, first_row: int, n_rows: int, row: Any, distance: Any) -> None:
    """Update each column's nearest row; rows come in ascending order.

    Parameters
    ----------
    block
        (256, 1024) int32 squared distances.
    first_row, n_rows
        Index of the block's first row, and how many count.
    row, distance
        (K,) int32, updated: the nearest row so far and its squared distance.
    """
    for i in range(n_rows):
        this_row = np.int32(first_row + i)
        for j in range(row.shape[0]):
            nearer = block[i, j] < distance[j]
            row[j] = this_row if nearer else row[j]
            distance[j] = block[i, j] if nearer else distance[j]


@kernel("void(int32[:,::1], float64[:,::1], float64[:,::1], float64)")
def _forbid_off_point(block: Any, mapped: Any, xy_g: Any, tolerance: float) -> None:
    """Set the distance of pairs with |H x₁ − x₂| above the tolerance, or undefined, to ``FAR``.

    Parameters
    ----------
    block
        (256, 1024) int32 squared distances, changed.
    mapped, xy_g
        (N, 2) and (K, 2) float64 points of the second image, in pixels.
    tolerance
        In pixels.
    """
    for i in range(mapped.shape[0]):
        for j in range(xy_g.shape[0]):
            dx, dy = mapped[i, 0] - xy_g[j, 0], mapped[i, 1] - xy_g[j, 1]
            if not dx * dx + dy * dy <= tolerance * tolerance:
                block[i, j] = FAR


@kernel("void(int32[:,::1], float64[:,::1], float64[:,::1], float64[:,::1], float64[:,::1], float64)")
def _forbid_off_line(block: Any, xy_f: Any, lines_g: Any, xy_g: Any, lines_f: Any, tolerance: float) -> None:
    """Set the distance of pairs with a point further than the tolerance from its epipolar line to ``FAR``.

    Parameters
    ----------
    block
        (256, 1024) int32 squared distances, changed.
    xy_f, xy_g
        (N, 2) and (K, 2) float64 points of the two images, in pixels.
    lines_g, lines_f
        (N, 3) and (K, 3) float64: the epipolar lines of the first's points in the second image, and of the
        second's in the first, with unit normals.
    tolerance
        In pixels.
    """
    for i in range(xy_f.shape[0]):
        for j in range(xy_g.shape[0]):
            in_g = lines_g[i, 0] * xy_g[j, 0] + lines_g[i, 1] * xy_g[j, 1] + lines_g[i, 2]
            in_f = lines_f[j, 0] * xy_f[i, 0] + lines_f[j, 1] * xy_f[i, 1] + lines_f[j, 2]
            if not (abs(in_g) <= tolerance and abs(in_f) <= tolerance):
                block[i, j] = FAR
