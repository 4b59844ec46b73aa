"""``siftcli.align`` and ``siftcli.warp``: two pictures in memory or in files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import asked_for, detect_in_picture
from ..errors import InputError, ParameterError
from ..features import Features
from ..image import ImageSource, Picture, page_index, read_image
from ..image.decoding import decode
from ..image.stretch import NO_STRETCH
from ..params import SiftParams
from ..words import fixed, pair_text
from .canvas import make_canvas
from .estimation import Estimate, estimate
from .models import Matrix, Motion
from .options import (
    CANVASES,
    DEFAULT_INTERPOLATION,
    DEFAULT_MAX_FEATURES,
    DEFAULT_MODEL,
    DEFAULT_REFINEMENT,
    LARGE_FRAME_PX,
    AlignOptions,
    WarpOptions,
    check_choice,
)
from .warping import warp_samples

DEFAULT_STRETCH = "percentile"
"""How the grey of frames is stretched: microscopes and telescopes use part of the range of their samples."""


_THUMBNAIL_PX = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment:
    """A picture aligned with a reference.

    Examples
    --------
    >>> import siftcli
    >>> picture = "sample_images/camera.png"
    >>> siftcli.align(picture, picture, max_features=500, refine="none")
    <Alignment: 512 x 512 px at (0, 0), 500 of 500 matches, residual 0.000 px, shift ... px, ...>
    """

    matrix: Matrix | None
    """(3, 3) float64 map from pixels of the moving picture to those of the reference, (0, 0) being the
    centre of the first pixel; None if no transform could be verified."""
    image: NDArray[Any] | None
    """The moving picture, warped, in its own type of samples; None without a transform."""
    valid: NDArray[np.bool_] | None
    """(H, W) where ``image`` shows the moving picture."""
    origin: tuple[int, int]
    """Position (x, y) of the first pixel of ``image`` in the reference."""
    n_matches: int
    n_inliers: int
    residual_px: float | None
    """Root mean square error of the inliers, in pixels of the reference."""
    motion: Motion | None
    """Shift, rotation and scale at the centre of the moving picture."""
    reason: str = ""
    """Why there is no transform, or why it was not refined."""

    def __repr__(self) -> str:
        if self.image is None or self.motion is None or self.residual_px is None:
            return f"<Alignment: no transform, {self.reason}>"
        height, width = self.image.shape[:2]
        note = f", {self.reason}" if self.reason else ""
        return (
            f"<Alignment: {width} x {height} px at {self.origin}, "
            f"{self.n_inliers} of {self.n_matches} matches, "
            f"residual {self.residual_px:.3f} px, shift {pair_text(self.motion.shift)} px, "
            f"rotation {fixed(self.motion.rotation_deg, 3)} deg, scale {self.motion.scale:.5f}{note}>"
        )

    def _repr_html_(self) -> str:
        """The aligned picture, small, for notebooks."""
        from .._notebook import image_html
        from ..drawing.encoding import png

        return image_html(repr(self)[1:-1], None if self.image is None else png(_thumbnail(self.image)))


def _thumbnail(image: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W, 3), the longest side at most 256 pixels, stretched to its range unless it has 8 bits."""
    step = -(-max(image.shape[:2]) // _THUMBNAIL_PX)
    small = image[::step, ::step]
    small = small[:, :, None] if small.ndim == 2 else small
    colours = np.repeat(small[:, :, :1], 3, axis=2) if small.shape[2] < 3 else small[:, :, :3]
    if colours.dtype == np.uint8:
        return np.ascontiguousarray(colours)
    values = colours.astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    grey = np.nan_to_num((values - low) / ((high - low) or 1.0), nan=0.0, posinf=1.0, neginf=0.0)
    return np.rint(255 * grey).astype(np.uint8)


def align(  # noqa: PLR0913  what the command asks for, by keyword
    reference: ImageSource,
    moving: ImageSource,
    model: str = DEFAULT_MODEL,
    *,
    refine: str = DEFAULT_REFINEMENT,
    interpolation: str = DEFAULT_INTERPOLATION,
    fill: float | str = 0.0,
    canvas: str = "reference",
    max_error: float | None = None,
    stretch: str | None = None,
    page: int = 1,
    threads: int | None = None,
    params: SiftParams | None = None,
    preset: str | None = None,
    **options: Any,
) -> Alignment:
    """Align a picture with a reference.

    Parameters
    ----------
    reference, moving
        Path of an image file, or an array (H, W) or (H, W, C), as for :func:`siftcli.detect`.
    model
        ``"translation"``, ``"rigid"``, ``"similarity"``, ``"affine"`` or ``"homography"``.
    refine
        ``"ecc"`` goes on with the intensities, ``"none"`` ends with the features.
    interpolation, fill
        As for :func:`warp`.
    canvas
        ``"reference"``: the result has its size; ``"union"`` or ``"intersection"`` of both pictures.
    max_error
        Largest error of an inlier in pixels; 3 when not given.
    stretch
        As for :func:`siftcli.detect`, before features are found; the result keeps its values. When not
        given, ``"percentile"``, for 8-bit samples ``"none"``.
    page
        Page of files with several.
    threads, params, preset, **options
        As for :func:`siftcli.detect`. When not given, ``max_features`` is 2000.

    Returns
    -------
    Alignment
        Finding no transform is a result, not an error.

    Raises
    ------
    InputError
        If a picture cannot be read.
    ParameterError
        If an option is out of range.

    Examples
    --------
    >>> import siftcli
    >>> reference = "sample_images/camera.png"
    >>> moving = siftcli.warp(reference, [[1, 0, 12], [0, 1, -5], [0, 0, 1]])
    >>> aligned = siftcli.align(reference, moving, "translation")
    >>> aligned.matrix.round(1)
    array([[  1.,   0., -12.],
           [  0.,   1.,   5.],
           [  0.,   0.,   1.]])
    >>> aligned.image.shape
    (512, 512)
    """
    check_choice("canvas", canvas, CANVASES)
    how = AlignOptions(model=model, refine=refine, **({} if max_error is None else {"max_error": max_error}))
    resample = WarpOptions(interpolation=interpolation, fill=fill)
    stored = [_samples(image, page) for image in (reference, moving)]
    pictures = [
        read_image(image, stretch=stretch or default_stretch(samples.dtype), page=page_index(page))
        for image, samples in zip((reference, moving), stored, strict=True)
    ]
    sift = asked_for(params, preset, options)
    features = [features_of(picture, sift, threads) for picture in pictures]
    found = estimate(features[1], features[0], how, threads)
    found = refined_by(found, how, pictures[1], pictures[0])
    if found.matrix is None:
        return _alignment(found, features[1])
    sizes = [picture.input_size for picture in pictures]
    place = make_canvas(canvas, sizes[0], [(found.matrix, sizes[1])])
    image, valid = _warped(stored[1], found.matrix, place.size, place.origin, resample)
    return replace(_alignment(found, features[1]), image=image, valid=valid, origin=place.origin)


def _alignment(found: Estimate, moving: Features) -> Alignment:
    return Alignment(
        matrix=found.matrix,
        image=None,
        valid=None,
        origin=(0, 0),
        n_matches=found.n_matches,
        n_inliers=found.n_inliers,
        residual_px=found.residual_px,
        motion=found.motion(moving.image_size),
        reason=found.reason or found.refinement,
    )


def default_stretch(dtype: np.dtype[Any]) -> str:
    """The stretch for detection in samples of a type: none for 8 bits, which mostly use their range."""
    return NO_STRETCH if dtype == np.uint8 else DEFAULT_STRETCH


def features_of(picture: Picture, params: SiftParams, threads: int | None = None) -> Features:
    """The features that a picture is aligned by; as many as are of use, unless ``params`` says otherwise."""
    return detect_in_picture(picture, working_params(params, picture.grey.shape), threads=threads)


def working_params(params: SiftParams, shape: tuple[int, ...]) -> SiftParams:
    """The parameters for a frame of shape (H, W): those left at their default are chosen by its size."""
    chosen: dict[str, Any] = {}
    if params.max_features is None:
        chosen["max_features"] = DEFAULT_MAX_FEATURES
    if params.first_octave == SiftParams().first_octave and shape[0] * shape[1] >= LARGE_FRAME_PX:
        chosen["first_octave"] = 0
    return params.override(**chosen)


def refined_by(found: Estimate, options: AlignOptions, moving: Picture, reference: Picture) -> Estimate:
    """Go on with the intensities of two pictures, where it is asked for and helps."""
    if options.refine != "ecc" or found.matrix is None:
        return found
    from .intensities import refined

    assert found.control is not None and found.uncertainty_px is not None
    better, reason = refined(
        options.model, found.matrix, moving, reference, found.control, found.uncertainty_px
    )
    if better is None:
        return replace(found, refinement=reason)
    return replace(found, matrix=better.matrix, uncertainty_px=better.uncertainty_px)


def warp(
    image: ImageSource,
    matrix: Any,
    size: tuple[int, int] | None = None,
    *,
    origin: tuple[float, float] = (0.0, 0.0),
    interpolation: str = DEFAULT_INTERPOLATION,
    fill: float | str = 0.0,
    page: int = 1,
) -> NDArray[Any]:
    """Warp a picture by a transform.

    Parameters
    ----------
    image
        Path of an image file, or an array (H, W) or (H, W, C) of integers or floats. The fourth
        sample of four, and the second of two, is alpha.
    matrix
        (3, 3) map from its pixels to those of the result, (0, 0) being the centre of the first pixel.
    size
        (width, height) of the result; that of the picture when not given.
    origin
        Position of the first pixel of the result in the frame of ``matrix``.
    interpolation
        ``"nearest"``, ``"linear"``, ``"cubic"`` or ``"lanczos"``.
    fill
        Value of pixels that the picture does not reach; ``"nan"`` for float samples; ``"mirror"``.
    page
        Page of a file with several.

    Returns
    -------
    ndarray
        (height, width) or (height, width, C) in the picture's type of samples.

    Raises
    ------
    InputError
        If the picture cannot be read, or the matrix is singular.
    ParameterError
        If an option is out of range.

    Examples
    --------
    >>> import siftcli
    >>> half = siftcli.warp("sample_images/camera.png", [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 1]], (256, 256))
    >>> half.shape, half.dtype
    ((256, 256), dtype('uint8'))
    """
    array = np.asarray(matrix, dtype=np.float64)
    if array.shape != (3, 3):
        raise ParameterError(f"matrix must have shape (3, 3); got {array.shape}")
    samples = _samples(image, page)
    wanted = samples.shape[1::-1] if size is None else size
    if len(wanted) != 2 or min(wanted) < 1:
        raise ParameterError(f"size must be (width, height), at least 1 x 1; got {size}")
    options = WarpOptions(interpolation=interpolation, fill=fill)
    return _warped(samples, array, (int(wanted[0]), int(wanted[1])), origin, options)[0]


def _samples(image: ImageSource, page: int) -> NDArray[Any]:
    """(H, W) or (H, W, C) samples as stored, upright."""
    if isinstance(image, np.ndarray):
        if image.ndim not in (2, 3) or image.size == 0:
            raise InputError(f"an image array must have shape (H, W) or (H, W, C); got {image.shape}")
        return image
    from ..image import upright

    found = decode(image, page_index(page))
    samples = upright(found.samples, found.exif_orientation)
    return samples[:, :, 0] if samples.shape[2] == 1 else samples


def _warped(
    samples: NDArray[Any],
    matrix: Matrix,
    size: tuple[int, int],
    origin: tuple[float, float],
    options: WarpOptions,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    whole = samples[:, :, None] if samples.ndim == 2 else samples
    alpha = "straight" if samples.ndim == 3 and samples.shape[2] in (2, 4) else ""
    result, valid = warp_samples(whole, matrix, size, options, alpha=alpha, origin=origin)
    return (result[:, :, 0] if samples.ndim == 2 else result), valid
