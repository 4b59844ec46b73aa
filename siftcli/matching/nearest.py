"""Two images' features -> putative matches: nearest neighbours that pass the ratio test.

The search is exact and exhaustive. Descriptors are bytes, so a squared distance is a whole number of at most
128 · 255² < 2²³, the same that float64 gives. It is |a|² + |b|² − 2 a·b, by products of bytes (``tiles.py``);
unlike a matrix product of the linear-algebra library, this uses only the threads it is given. So the result
depends neither on the threads nor on the processor, and equal distances are exactly equal; the lowest index
wins.

Tiles of products are reduced at once to what the tests need (the nearest neighbour of each row and of each
column, and each row's second neighbour at another location), so memory does not grow with the product of the
sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..features import Features, Matches
from ..kernels.buffers import borrowed
from ..kernels.lanes import DESCRIPTOR_WORDS, TILE_COLUMNS, TILE_ROWS
from ..kernels.threads import Threads
from .options import DEFAULT_RATIO, MODELS, check_ratio
from .tiles import COLUMN_LINES, DISTANCE, FAR, NEAREST, ROW_LINES, SECOND, pack, search

MAX_FEATURES = 1 << 24
"""Features of an image that can be matched: float32 holds their numbers exactly."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Guide:
    """A known geometry that candidate pairs must agree with.

    Raises
    ------
    ParameterError
        If the model is not a finite (3, 3) matrix, the kind is unknown or the tolerance is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> import siftcli
    >>> f = siftcli.detect("sample_images/camera.png", max_features=500)
    >>> nearby = siftcli.Guide(model=np.eye(3), tolerance_px=5)
    >>> nearby
    <Guide: homography, within 5 px>
    >>> len(siftcli.match(f, f, guide=nearby))
    500
    """

    model: NDArray[np.float64]
    """(3, 3): a point map from the first image to the second, or a fundamental matrix with
    x₂ᵀ F x₁ = 0; pixels, (0, 0) the centre of the top-left pixel."""
    kind: str = "homography"
    """"similarity" or "homography" (point maps), or "fundamental"."""
    tolerance_px: float = 10.0
    """Largest distance in the second image from the mapped point; for a fundamental matrix
    the largest distance from the epipolar line, in both images."""

    def __repr__(self) -> str:
        return f"<Guide: {self.kind}, within {self.tolerance_px:g} px>"

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
        If the descriptors are of different kinds, ``ratio`` is out of range, or there are more than 2²⁴
        features.

    Examples
    --------
    >>> import numpy as np
    >>> import siftcli
    >>> from PIL import Image
    >>> image = Image.open("sample_images/camera.png")
    >>> f = siftcli.detect("sample_images/camera.png", max_features=500)
    >>> g = siftcli.detect(np.asarray(image.rotate(90)), max_features=500)
    >>> matches = siftcli.match(f, g)
    >>> matches
    <Matches: ... pairs, distance ... to ..., ratio ... to ...>
    >>> xy_f, xy_g = f.xy[matches.pairs[:, 0]], g.xy[matches.pairs[:, 1]]
    """
    if f.descriptor_kind != g.descriptor_kind:
        raise ParameterError(
            f"descriptors of different kinds cannot be matched: {f.descriptor_kind} and {g.descriptor_kind}; "
            "detect both with the same --rootsift setting"
        )
    if max(len(f), len(g)) > MAX_FEATURES:
        raise ParameterError(
            f"expected at most {MAX_FEATURES:,} features an image, got {max(len(f), len(g)):,}; "
            "detect fewer with --max-features"
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
    if n == 0 or k == 0:
        far = np.full(n, FAR, np.int32)
        return _Nearest(np.full(n, -1, np.int32), far, far, np.full(max(k, 1), -1, np.int32))
    place = _locations(g)
    of_rows, of_columns = _compared(guide, f, g)
    tolerance = 0.0 if guide is None else float(guide.tolerance_px)
    found = np.empty((3, n), np.int32)
    n_tiles = -(-k // TILE_COLUMNS)

    with borrowed(n_tiles, DESCRIPTOR_WORDS, TILE_COLUMNS) as memory, Threads(threads) as pool:
        packed, not_found = memory.view(np.uint32), np.empty((COLUMN_LINES, n_tiles * TILE_COLUMNS), np.int32)
        b = g.descriptors.copy()  # kernels take no read-only arrays
        pack(b.view(np.uint32), b, packed, not_found)

        def search_rows(start: int, stop: int) -> NDArray[np.int32]:
            """Fill these rows' results; return what the columns found among these rows."""
            chosen, n_strips = slice(start, stop), -(-(stop - start) // TILE_ROWS)
            rows, columns = np.empty((ROW_LINES, n_strips * TILE_ROWS), np.int32), not_found.copy()
            tile = np.empty((TILE_ROWS, TILE_COLUMNS), np.int32)
            search(
                f.descriptors[chosen].copy(), packed, place, of_rows[chosen], of_columns, tolerance, start,
                tile, rows, columns,
            )  # fmt: skip
            found[:, chosen] = rows[[NEAREST, DISTANCE, SECOND], : stop - start]
            return columns

        shares = pool.over_rows(n, n * k, search_rows)
    return _Nearest(found[0], found[1], found[2], _merged(shares)[:k])


def _merged(shares: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    """Find the nearest row of each column over all shares; the first share wins a tie."""
    rows, distances = np.stack(shares, axis=1)[[NEAREST, DISTANCE]]
    return np.asarray(np.take_along_axis(rows, distances.argmin(axis=0)[None], axis=0)[0])


def _locations(g: Features) -> NDArray[np.int32]:
    """(K,) a number for each distinct position."""
    both = (g.xy + np.float32(0)).view(np.int64)  # x and y as one number; -0 + 0 is 0
    _, number = np.unique(both, return_inverse=True)
    return np.asarray(number.reshape(-1).astype(np.int32))


def _compared(guide: Guide | None, f: Features, g: Features) -> tuple[Any, Any]:
    """What the search compares for a guide, of each row and each column; see ``tiles.search``."""
    if guide is None:
        return np.empty((len(f), 0)), np.empty((len(g), 0))
    xy_f, xy_g = f.xy.astype(np.float64), g.xy.astype(np.float64)
    if guide.kind == "fundamental":
        lines_f, lines_g = _unit_lines(xy_g, guide.model.T), _unit_lines(xy_f, guide.model)
        return np.hstack([xy_f, lines_g]), np.hstack([xy_g, lines_f])
    return _mapped(xy_f, guide.model), np.ascontiguousarray(xy_g)


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
