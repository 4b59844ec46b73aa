"""Resample a picture by a transform, in its own type of samples.

Cubic interpolation is scikit-image's (Keys, 1981, a = -1/2), which does not round coordinates; OpenCV
rounds them to 1/32 px. The other kinds are OpenCV's. At the rim samples are repeated, and pixels whose
centre lies outside the picture get the fill value, so that no fill is mixed into the picture. Where the
picture shrinks it is blurred first. Colours are weighted by alpha.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._cv2 import import_cv2
from ..errors import InputError, ParameterError
from .models import Matrix, grid
from .options import WarpOptions

TILE_PX = 2048
"""Side of the tiles that a large picture is warped by; OpenCV's limit is 32,767."""
MARGIN_PX = 8
"""Pixels around the source of a tile, for the widest interpolation (Lanczos, 4) and rounding."""
BLUR = 0.5
"""The standard deviation of the blur before shrinking by s is 0.5 √(s² - 1) source pixels: that of a pixel
of the result, less that of a source pixel."""
SMALLEST_BLUR_PX = 0.2
BLUR_REACH = 4.0
"""Radius of the blur in standard deviations."""
SMALLEST_DETERMINANT = 1e-9
"""Of a map with the last element 1: it would shrink areas by this factor."""

Samples = NDArray[Any]
"""(H, W, S): S samples per pixel."""
Box = tuple[int, int, int, int]
"""Left, top, right and bottom; the last two are exclusive."""


def warp_samples(
    samples: Samples,
    matrix: Matrix,
    size: tuple[int, int],
    options: WarpOptions,
    *,
    alpha: str = "",
    origin: tuple[float, float] = (0.0, 0.0),
) -> tuple[Samples, NDArray[np.bool_]]:
    """Warp a picture onto a canvas.

    Parameters
    ----------
    samples
        (H, W, S) of any integer or float type.
    matrix
        (3, 3) map from its pixels to those of the reference.
    size
        (width, height) of the canvas.
    options
        How to resample.
    alpha
        ``"straight"`` or ``"premultiplied"`` if the last sample is alpha, else empty.
    origin
        Position of the canvas's first pixel in the reference.

    Returns
    -------
    samples, valid
        (h, w, S) in the type of ``samples``, and (h, w) where the picture has a value.

    Raises
    ------
    ParameterError
        If the type cannot hold the fill value.
    InputError
        If the matrix is singular, or samples are neither integers nor floats.
    """
    check_fill(samples.dtype, options)
    inverse = source_map(matrix, origin)
    soft = blurred(samples, blur_px(inverse, size), options)
    result = np.empty((size[1], size[0], samples.shape[2]), samples.dtype)
    valid = np.empty((size[1], size[0]), bool)
    whole = samples.shape[1::-1]
    for box in tiles(size, TILE_PX):
        left, top, right, bottom = box
        there = (0, 0, *whole) if options.fill == "mirror" else source_box(inverse, box, whole)
        x0, y0, x1, y1 = there or (0, 0, 1, 1)
        part = soft[y0:y1, x0:x1]
        tile = warp_tile(part, inverse, box, whole, (x0, y0), options, alpha=alpha, dtype=samples.dtype)
        result[top:bottom, left:right], valid[top:bottom, left:right] = tile
    return result, valid


def placed(
    samples: Samples, size: tuple[int, int], origin: tuple[int, int], options: WarpOptions
) -> tuple[Samples, NDArray[np.bool_]]:
    """Move a picture (H, W, S) onto a canvas of (width, height) pixels, whose first pixel is ``origin``."""
    height, width = samples.shape[:2]
    columns, rows = (np.arange(n) + o for n, o in zip(size, origin, strict=True))
    inside_x, inside_y = (columns >= 0) & (columns < width), (rows >= 0) & (rows < height)
    valid = inside_y[:, None] & inside_x
    if options.fill == "mirror":
        columns, rows = _mirrored(columns, width), _mirrored(rows, height)
    columns, rows = columns.clip(0, width - 1), rows.clip(0, height - 1)
    result = samples[rows][:, columns]
    if options.fill != "mirror":
        result[~valid] = np.nan if options.fill == "nan" else options.fill
    return result, valid


def check_fill(dtype: np.dtype[Any], options: WarpOptions) -> None:
    """Check that samples of a type can be resampled, and can hold the fill value.

    Raises
    ------
    InputError, ParameterError
        If not.
    """
    if dtype.kind not in "uif":
        raise InputError(f"expected integer or float samples, got {dtype}; convert them first")
    if dtype.kind != "f" and dtype.itemsize > 4 and options.interpolation != "nearest":
        raise InputError(
            f"{dtype} samples cannot be interpolated exactly; pass --interpolation nearest, or convert them "
            "to 32 bits or float64"
        )
    if not isinstance(options.fill, float):
        if options.fill == "nan" and dtype.kind != "f":
            raise ParameterError(f"fill must be a number or mirror for {dtype} samples; got nan")
        return
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        if not limits.min <= options.fill <= limits.max or options.fill != int(options.fill):
            raise ParameterError(
                f"fill must be a whole number from {limits.min} to {limits.max} for {dtype} samples; "
                f"got {options.fill:g}"
            )


def is_singular(matrix: Matrix) -> bool:
    """Whether a map cannot be inverted, or holds NaN or infinity; a shift, however far, can be."""
    if not np.isfinite(matrix).all():
        return True
    last = matrix[2, 2] if matrix[2, 2] != 0 else 1.0
    return abs(float(np.linalg.det(matrix / last))) < SMALLEST_DETERMINANT


def source_map(matrix: Matrix, origin: tuple[float, float] = (0.0, 0.0)) -> Matrix:
    """(3, 3) map from pixels of a canvas at ``origin`` to pixels of the moving picture.

    Raises
    ------
    InputError
        If the matrix cannot be inverted.
    """
    if is_singular(matrix):
        raise InputError(
            "expected a transform that can be inverted, got a singular matrix; estimate it again"
        )
    shift = np.array([[1, 0, origin[0]], [0, 1, origin[1]], [0, 0, 1.0]])
    inverse = np.linalg.inv(matrix) @ shift
    return np.asarray(inverse / inverse[2, 2] if inverse[2, 2] > 0 else inverse)


def blur_px(inverse: Matrix, size: tuple[int, int]) -> float:
    """Standard deviation of the blur before shrinking, in source pixels; 0 for none.

    It is that of the mean scale over a canvas of (width, height) pixels.
    """
    points = grid(size, 3)
    w = points @ inverse[2, :2] + inverse[2, 2]
    if (w <= 0).any():
        return 0.0
    source = (points @ inverse[:2, :2].T + inverse[:2, 2]) / w[:, None]
    linear = (inverse[None, :2, :2] - source[:, :, None] * inverse[None, 2:, :2]) / w[:, None, None]
    shrinking = float(np.mean(np.sqrt(np.abs(np.linalg.det(linear)))))
    sigma = BLUR * np.sqrt(max(shrinking**2 - 1, 0.0))
    return float(sigma) if sigma >= SMALLEST_BLUR_PX else 0.0


def blur_reach(sigma: float) -> int:
    """Radius of the blur in pixels."""
    return int(BLUR_REACH * sigma + 0.5)


def blurred(samples: Samples, sigma: float, options: WarpOptions) -> Samples:
    """Samples (H, W, S) blurred before shrinking, in float; as they are without a blur."""
    if sigma == 0 or options.interpolation == "nearest":
        return samples
    from scipy.ndimage import gaussian_filter

    working = samples.astype(_working_type(samples.dtype))
    return np.asarray(gaussian_filter(working, (sigma, sigma, 0), mode="nearest", truncate=BLUR_REACH))


def tiles(size: tuple[int, int], side: int) -> Iterator[Box]:
    """The tiles of a canvas of (width, height) pixels, row by row."""
    for top in range(0, size[1], side):
        for left in range(0, size[0], side):
            yield left, top, min(left + side, size[0]), min(top + side, size[1])


def source_box(inverse: Matrix, box: Box, size: tuple[int, int], margin: int = MARGIN_PX) -> Box | None:
    """The part of a source of (width, height) pixels that a tile is made from; None if there is none."""
    left, top, right, bottom = box
    corners = np.array([[x, y, 1.0] for x in (left, right - 1) for y in (top, bottom - 1)])
    q = corners @ inverse.T
    if (q[:, 2] <= 0).any():
        return 0, 0, size[0], size[1]
    xy = q[:, :2] / q[:, 2:]
    low = np.floor(xy.min(axis=0)) - margin
    high = np.ceil(xy.max(axis=0)) + margin + 1
    x0, y0 = (int(np.clip(v, 0, n)) for v, n in zip(low, size, strict=True))
    x1, y1 = (int(np.clip(v, 0, n)) for v, n in zip(high, size, strict=True))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def warp_tile(
    source: Samples,
    inverse: Matrix,
    box: Box,
    size: tuple[int, int],
    offset: tuple[int, int],
    options: WarpOptions,
    *,
    alpha: str = "",
    dtype: np.dtype[Any],
) -> tuple[Samples, NDArray[np.bool_]]:
    """Warp one tile of a canvas.

    Parameters
    ----------
    source
        (H, W, S) part of the moving picture, in its type of samples or in float.
    inverse
        (3, 3) map from the canvas to the moving picture.
    box
        The tile on the canvas.
    size, offset
        (width, height) of the moving picture, and (x, y) of the first pixel of ``source`` in it.
    options, alpha
        As for :func:`warp_samples`.
    dtype
        Type of the samples of the result.
    """
    left, top, right, bottom = box
    valid = valid_pixels(inverse, box, size)
    if options.fill == "mirror" or valid.any():
        place = inverse @ np.array([[1, 0, left], [0, 1, top], [0, 0, 1.0]])
        place = np.array([[1, 0, -offset[0]], [0, 1, -offset[1]], [0, 0, 1.0]]) @ place
        result = _resampled(source, place, (right - left, bottom - top), options, alpha, dtype)
    else:
        result = np.zeros((bottom - top, right - left, source.shape[2]), dtype)
    if options.fill != "mirror":
        result[~valid] = np.nan if options.fill == "nan" else options.fill
    return result, valid


def valid_pixels(inverse: Matrix, box: Box, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(h, w) pixels of a tile whose centre lies on a pixel of the moving picture.

    In each row they are an interval: every side of the picture, and infinity, is a half-plane of the canvas.
    """
    left, top, right, bottom = box
    x, y, w = inverse
    sides = (x + 0.5 * w, (size[0] - 0.5) * w - x, y + 0.5 * w, (size[1] - 0.5) * w - y, w)
    rows = np.arange(top, bottom, dtype=np.float64)
    low, high = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
    for a, b, c in sides:
        rest = b * rows + c
        if a > 0:
            low = np.maximum(low, -rest / a)
        elif a < 0:
            high = np.minimum(high, -rest / a)
        else:
            high = np.where(rest >= 0, high, -np.inf)
    columns = np.arange(left, right, dtype=np.float64)
    return np.asarray((columns >= low[:, None]) & (columns <= high[:, None]))


def _working_type(dtype: np.dtype[Any]) -> Any:
    """The float type that resampling is done in: single precision where it holds every sample."""
    return np.float32 if dtype.itemsize <= 2 or dtype == np.float32 else np.float64


def _resampled(
    source: Samples,
    place: Matrix,
    size: tuple[int, int],
    options: WarpOptions,
    alpha: str,
    dtype: np.dtype[Any],
) -> Samples:
    if options.interpolation == "nearest":
        return _nearest(source, place, size, options)
    working = source.astype(_working_type(source.dtype), copy=False)
    if alpha == "straight":
        working = np.concatenate([working[..., :-1] * working[..., -1:], working[..., -1:]], axis=2)
    planes = [
        _plane(np.ascontiguousarray(plane), place, size, options) for plane in np.moveaxis(working, 2, 0)
    ]
    result = np.stack(planes, axis=2)
    if alpha == "straight":
        opacity = result[..., -1:]
        result[..., :-1] /= np.where(opacity > 0, opacity, 1)
        result[..., :-1] *= opacity > 0
    return as_type(result, dtype)


def as_type(values: Samples, dtype: np.dtype[Any]) -> Samples:
    """Round and clip float values to an integer type; to a float type convert them."""
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    with np.errstate(invalid="ignore"):
        clipped = np.clip(np.rint(values), limits.min, float(limits.max))
    return clipped.astype(dtype)


def _plane(plane: Samples, place: Matrix, size: tuple[int, int], options: WarpOptions) -> Samples:
    if options.interpolation == "cubic":
        from skimage.transform import ProjectiveTransform, warp

        mode = "reflect" if options.fill == "mirror" else "edge"
        transform = ProjectiveTransform(place)
        shape = (size[1], size[0])
        return np.asarray(
            warp(plane, transform, output_shape=shape, order=3, mode=mode, clip=False, preserve_range=True)
        )
    cv2 = import_cv2()
    flag = cv2.INTER_LINEAR if options.interpolation == "linear" else cv2.INTER_LANCZOS4
    border = cv2.BORDER_REFLECT_101 if options.fill == "mirror" else cv2.BORDER_REPLICATE
    how = {"flags": flag | cv2.WARP_INVERSE_MAP, "borderMode": border}
    if place[2, 0] == 0 and place[2, 1] == 0:
        return np.asarray(cv2.warpAffine(plane, place[:2] / place[2, 2], size, **how))
    return np.asarray(cv2.warpPerspective(plane, place, size, **how))


def _positions(place: Matrix, size: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float64)
    (a, b, c), (d, e, f), (g, h, i) = place
    w = g * x + h * y + i
    w = np.where(w > 0, w, np.nan)
    positions = np.stack([(a * x + b * y + c) / w, (d * x + e * y + f) / w])
    return tuple(np.clip(np.nan_to_num(positions, nan=-1e6), -1e6, 1e6))


def _nearest(source: Samples, place: Matrix, size: tuple[int, int], options: WarpOptions) -> Samples:
    """Samples as they are, of any type."""
    height, width = source.shape[:2]
    x, y = (np.rint(p).astype(np.intp) for p in _positions(place, size))
    if options.fill == "mirror":
        x, y = _mirrored(x, width), _mirrored(y, height)
    return source[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]


def _mirrored(index: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    period = max(2 * (n - 1), 1)
    folded = np.abs(index) % period
    return np.asarray(np.minimum(folded, period - folded))
