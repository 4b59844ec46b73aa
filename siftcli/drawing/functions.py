"""``siftcli.draw_keypoints`` and ``siftcli.draw_matches``: from images and features to a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..features import UNKNOWN_SIZE, Features, Matches
from ..image import ImageSource, Picture, page_index, read_image
from ..image.stretch import NO_STRETCH
from . import keypoints
from . import matches as pairs


def draw_keypoints(
    image: ImageSource,
    features: Features,
    *,
    max_circles: int | None = keypoints.MAX_CIRCLES,
    legend: bool = True,
    page: int = 1,
    stretch: str = NO_STRETCH,
) -> NDArray[np.uint8]:
    """Draw keypoints as circles of radius 3σ, with a line that shows the orientation.

    Dark structures are yellow, bright ones blue, and those of unknown sign white. Of more than
    ``max_circles`` keypoints the strongest are drawn, and the picture is tinted by the density of the others.

    Parameters
    ----------
    image
        As for :func:`siftcli.detect`. It is shown in grey, an array (H, W, 3) in colour. Images below about
        1,000 pixels are enlarged by a whole number.
    features
        Keypoints of that image.
    max_circles
        Largest number of circles; ``None`` for all.
    legend
        Whether a strip below the picture tells what it shows.
    page, stretch
        As for :func:`siftcli.detect`.

    Returns
    -------
    ndarray
        (H, W, 3) uint8, RGB.

    Raises
    ------
    InputError
        If the image cannot be read, or its size is not that of the features.
    ParameterError
        If ``max_circles`` is negative.

    Examples
    --------
    >>> import siftcli
    >>> features = siftcli.detect("sample_images/camera.png", max_features=500)
    >>> picture = siftcli.draw_keypoints("sample_images/camera.png", features, legend=False)
    >>> picture.shape, picture.dtype
    ((1536, 1536, 3), dtype('uint8'))

    >>> from PIL import Image
    >>> Image.fromarray(picture).save("keypoints.png")
    """
    if max_circles is not None and max_circles < 0:
        raise ParameterError(f"max_circles must be at least 0, or None for all; got {max_circles}")
    picture = _picture(image, features, page, stretch)
    shown: NDArray[Any] = picture.grey
    if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3 and stretch == NO_STRETCH:
        shown = image if image.dtype != np.uint16 else (image >> 8).astype(np.uint8)
    return keypoints.draw_keypoints(shown, features, max_circles=max_circles, legend=legend)


def draw_matches(
    image_a: ImageSource,
    image_b: ImageSource,
    f: Features,
    g: Features,
    matches: Matches,
    inliers: NDArray[np.bool_] | None = None,
    *,
    caption: str = "",
    max_lines: int = pairs.MAX_LINES,
    page: int = 1,
    stretch: str = NO_STRETCH,
) -> NDArray[np.uint8]:
    """Draw two images side by side, in grey, with lines between matching features.

    Inliers are blue and outliers orange; without ``inliers`` all matches are blue. Every matched feature
    has a dot. The lines are spread evenly over the first image. A legend is drawn below.

    Parameters
    ----------
    image_a, image_b
        As for :func:`siftcli.detect`.
    f, g
        Features of these images.
    matches
        M matches between them, of :func:`siftcli.match`.
    inliers
        (M,) bool: which fit a model; that of :func:`siftcli.verify`.
    caption
        Lines of text above the legend.
    max_lines
        Approximate largest number of lines.
    page, stretch
        As for :func:`siftcli.detect`.

    Returns
    -------
    ndarray
        (H, W, 3) uint8, RGB.

    Raises
    ------
    InputError
        If an image cannot be read, or its size is not that of its features.
    ParameterError
        If the matches are not of these features, the inliers not of these matches, or ``max_lines`` is
        below 1.

    Examples
    --------
    >>> import siftcli
    >>> image = "sample_images/camera.png"
    >>> f = siftcli.detect(image, max_features=500)
    >>> g = siftcli.detect(image, preset="classic", rootsift=True)
    >>> matches = siftcli.match(f, g)
    >>> verified = siftcli.verify(f, g, matches)
    >>> picture = siftcli.draw_matches(image, image, f, g, matches, verified.inliers)
    >>> picture.ndim, picture.dtype
    (3, dtype('uint8'))
    """
    if max_lines < 1:
        raise ParameterError(f"max_lines must be at least 1; got {max_lines}")
    _require_rows(matches, len(f), len(g))
    if inliers is not None and np.shape(inliers) != (len(matches),):
        raise ParameterError(f"inliers must have shape ({len(matches)},); got {np.shape(inliers)}")
    inliers = None if inliers is None else np.asarray(inliers, bool)
    grey_a, grey_b = (_picture(*shown, page, stretch).grey for shown in ((image_a, f), (image_b, g)))
    return pairs.draw_matches(grey_a, grey_b, f, g, matches, inliers, caption, max_lines=max_lines)


def _picture(image: ImageSource, features: Features, page: int, stretch: str) -> Picture:
    """The image in the frame of the features."""
    exif_orientation = "apply" if features.exif_orientation != 1 else "ignore"
    picture = read_image(image, exif_orientation=exif_orientation, page=page_index(page), stretch=stretch)
    if tuple(features.image_size) != UNKNOWN_SIZE:
        picture.require_size(features.image_size)
    return picture


def _require_rows(matches: Matches, n_f: int, n_g: int) -> None:
    for n, rows, which in zip((n_f, n_g), matches.pairs.T, ("first", "second"), strict=True):
        wrong = rows[(rows < 0) | (rows >= n)]
        if len(wrong):
            raise ParameterError(
                f"the matches refer to row {wrong[0]} of the {which} image's features, which are {n}; "
                "pass the features that were matched"
            )
