"""A drop-in replacement for OpenCV's SIFT.

>>> import cv2
>>> from siftcli.compat import SIFT_create
>>> image = cv2.imread("sample_images/camera.png", cv2.IMREAD_GRAYSCALE)
>>> sift = SIFT_create(nfeatures=500)
>>> keypoints, descriptors = sift.detectAndCompute(image, None)
>>> len(keypoints), descriptors.shape
(500, (500, 128))

Images are BGR or grey, as returned by ``cv2.imread``. Keypoints are ``cv2.KeyPoint``. Descriptors are
(N, 128) float32 (or uint8) arrays in OpenCV's order. There are two differences: keypoints are sorted
by response, strongest first, and their positions are unbiased, whether or not
``enable_precise_upscale`` is set.
"""

# ruff: noqa: N802 - the names are OpenCV's

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import api
from ._cv2 import SIZE_IN_SIGMAS, import_cv2, key_points, packed_octaves, unpacked_octaves
from .errors import InputError, ParameterError
from .features import DESCRIPTOR_LENGTH, UNKNOWN_SIZE, Features
from .params import SiftParams

CV_8U, CV_32F = 0, 5
NORM_L2 = 4
_DTYPES: dict[int, type[np.generic]] = {CV_8U: np.uint8, CV_32F: np.float32}

Image = NDArray[Any]


def SIFT_create(
    nfeatures: int = 0,
    nOctaveLayers: int = 3,
    contrastThreshold: float = 0.04,
    edgeThreshold: float = 10,
    sigma: float = 1.6,
    enable_precise_upscale: bool = False,
    *,
    descriptorType: int = CV_32F,
) -> SIFT:
    """Create a detector with the parameters and defaults of ``cv2.SIFT_create``.

    Parameters
    ----------
    nfeatures
        Number of the strongest features to keep; 0 for all.
    nOctaveLayers, contrastThreshold, edgeThreshold, sigma
        ``levels_per_octave``, ``contrast_threshold``, ``edge_threshold`` and ``sigma`` of
        :class:`~siftcli.params.SiftParams`, in the same units.
    enable_precise_upscale
        Ignored; positions are always precise.
    descriptorType
        ``cv2.CV_32F`` or ``cv2.CV_8U``.

    Raises
    ------
    ParameterError
        If a value is out of range.

    Examples
    --------
    >>> import cv2
    >>> from siftcli.compat import SIFT_create
    >>> image = cv2.imread("sample_images/camera.png", cv2.IMREAD_GRAYSCALE)
    >>> keypoints = SIFT_create(nfeatures=500).detect(image, None)
    >>> len(keypoints)
    500
    """
    return SIFT(nfeatures, nOctaveLayers, contrastThreshold, edgeThreshold, sigma, descriptorType)


class SIFT:
    """Has the methods of ``cv2.SIFT``; created by :func:`SIFT_create`."""

    def __init__(
        self,
        nfeatures: int,
        nOctaveLayers: int,
        contrastThreshold: float,
        edgeThreshold: float,
        sigma: float,
        descriptorType: int,
    ) -> None:
        if descriptorType not in _DTYPES:
            raise ParameterError(
                f"descriptorType must be CV_32F ({CV_32F}) or CV_8U ({CV_8U}); got {descriptorType!r}"
            )
        self._descriptor_type = descriptorType
        self._params = SiftParams.classic(
            max_features=nfeatures or None,
            levels_per_octave=nOctaveLayers,
            contrast_threshold=contrastThreshold,
            edge_threshold=edgeThreshold,
            sigma=sigma,
        )

    def detect(self, image: Image | Sequence[Image], mask: Any = None) -> tuple[Any, ...]:
        """Detect keypoints; for a list of images (and masks), returns a tuple for each image.

        Images are uint8, (H, W) or (H, W, 3); in a mask (H, W), 0 excludes a pixel.
        """
        if isinstance(image, np.ndarray):
            return self._keypoints(self._detected(image, mask, with_descriptors=False))
        masks = [None] * len(image) if mask is None else mask
        return tuple(self.detect(one, its) for one, its in zip(image, masks, strict=True))

    def compute(self, image: Image, keypoints: Sequence[Any]) -> tuple[tuple[Any, ...], Image | None]:
        """Compute the descriptors (N, 128) of given keypoints.

        Without keypoints, the descriptors are those of :meth:`detectAndCompute`.
        """
        if not keypoints:
            return (), self._no_descriptors()
        frames = from_cv2(keypoints, image_size=(image.shape[1], image.shape[0]))
        described = api.describe(_rgb_or_grey(image), frames, self._params)
        return tuple(keypoints), self._descriptors(described)

    def detectAndCompute(
        self, image: Image, mask: Image | None, descriptors: Any = None, useProvidedKeypoints: bool = False
    ) -> tuple[tuple[Any, ...], Image | None]:
        """Detect keypoints and compute their descriptors, (N, 128).

        Without keypoints, the descriptors are those of the installed OpenCV: ``None``, or from OpenCV 5.1
        on an array (0, 128). The last two parameters have no effect, as in OpenCV's Python interface.
        """
        features = self._detected(image, mask)
        return self._keypoints(features), self._descriptors(features)

    def descriptorSize(self) -> int:
        """Return the length of a descriptor."""
        return DESCRIPTOR_LENGTH

    def descriptorType(self) -> int:
        """Return ``cv2.CV_32F`` or ``cv2.CV_8U``."""
        return self._descriptor_type

    def defaultNorm(self) -> int:
        """Return ``cv2.NORM_L2``."""
        return NORM_L2

    def getDefaultName(self) -> str:
        """Return OpenCV's name for the algorithm."""
        return "Feature2D.SIFT"

    def empty(self) -> bool:
        """Return True, like OpenCV's SIFT, because nothing is trained."""
        return True

    def clear(self) -> None:
        """Do nothing, because there is no state."""

    def getNFeatures(self) -> int:
        """Return the maximum number of features; 0 for all."""
        return self._params.max_features or 0

    def setNFeatures(self, maxFeatures: int) -> None:
        """Set the maximum number of features; 0 for all."""
        self._params = self._params.override(max_features=maxFeatures or None)

    def getNOctaveLayers(self) -> int:
        """Return the number of scales per octave."""
        return self._params.levels_per_octave

    def setNOctaveLayers(self, nOctaveLayers: int) -> None:
        """Set the number of scales per octave."""
        self._params = self._params.override(levels_per_octave=nOctaveLayers)

    def getContrastThreshold(self) -> float:
        """Return the contrast threshold; it is divided by the number of scales per octave."""
        return self._params.contrast_threshold

    def setContrastThreshold(self, contrastThreshold: float) -> None:
        """Set the contrast threshold; it is divided by the number of scales per octave."""
        self._params = self._params.override(contrast_threshold=contrastThreshold)

    def getEdgeThreshold(self) -> float:
        """Return the largest ratio of principal curvatures."""
        return self._params.edge_threshold

    def setEdgeThreshold(self, edgeThreshold: float) -> None:
        """Set the largest ratio of principal curvatures."""
        self._params = self._params.override(edge_threshold=edgeThreshold)

    def getSigma(self) -> float:
        """Return the blur σ of the first level of an octave."""
        return self._params.sigma

    def setSigma(self, sigma: float) -> None:
        """Set the blur σ of the first level of an octave."""
        self._params = self._params.override(sigma=sigma)

    def _detected(self, image: Image, mask: Image | None, *, with_descriptors: bool = True) -> Features:
        return api.detect(_rgb_or_grey(image), self._params, mask=mask, with_descriptors=with_descriptors)

    def _descriptors(self, features: Features) -> Image | None:
        if not len(features):
            return self._no_descriptors()
        return features.descriptors.astype(_DTYPES[self._descriptor_type])

    def _no_descriptors(self) -> Image | None:
        none = _opencvs_no_descriptors()
        return None if none is None else none.astype(_DTYPES[self._descriptor_type])

    def _keypoints(self, features: Features) -> tuple[Any, ...]:
        levels, sigma = self._params.levels_per_octave, self._params.sigma
        packed = packed_octaves(features.octave, features.scale, levels, sigma)
        return key_points(features.xy, features.scale, features.orientation, features.response, packed)


def from_cv2(
    keypoints: Sequence[Any],
    descriptors: NDArray[Any] | None = None,
    image_size: tuple[int, int] = UNKNOWN_SIZE,
    descriptor_kind: str = "sift",
) -> Features:
    """Features from what OpenCV's ``detectAndCompute`` returns; :meth:`Features.to_cv2` is the way back.

    Parameters
    ----------
    keypoints
        N ``cv2.KeyPoint``. An undefined angle (-1) becomes 0; OpenCV does not tell the sign.
    descriptors
        (N, 128) whole numbers from 0 to 255, of any dtype; zeros when not given.
    image_size
        (width, height) of the image.
    descriptor_kind
        ``"sift"``, or ``"rootsift"`` if they were made so.

    Raises
    ------
    ParameterError
        If the descriptors have another shape, or other values.

    Examples
    --------
    >>> import cv2
    >>> import siftcli
    >>> image = cv2.imread("sample_images/camera.png", cv2.IMREAD_GRAYSCALE)
    >>> keypoints, descriptors = cv2.SIFT_create(500).detectAndCompute(image, None)
    >>> siftcli.compat.from_cv2(keypoints, descriptors, (512, 512))
    <Features: ... keypoints, 512 x 512 px, sigma ... px, sift>
    """
    n = len(keypoints)
    angle = np.array([k.angle for k in keypoints])
    return Features(
        xy=np.array([k.pt for k in keypoints]).reshape(n, 2),
        scale=(np.array([k.size for k in keypoints]) / SIZE_IN_SIGMAS).astype(np.float32),
        orientation=np.deg2rad(np.where(angle < 0, 0, angle) % 360).astype(np.float32),
        response=np.array([k.response for k in keypoints]),
        sign=np.zeros(n, np.int8),
        octave=unpacked_octaves([k.octave for k in keypoints]).astype(np.int16),
        descriptors=_bytes(descriptors, n),
        image_size=image_size,
        descriptor_kind=descriptor_kind,
    )


def _bytes(descriptors: NDArray[Any] | None, n: int) -> NDArray[np.uint8]:
    """The descriptors (N, 128) of n keypoints; zeros for none."""
    if descriptors is None:
        return np.zeros((n, DESCRIPTOR_LENGTH), np.uint8)
    array = np.asarray(descriptors)
    if array.shape != (n, DESCRIPTOR_LENGTH):
        raise ParameterError(f"descriptors must have shape {(n, DESCRIPTOR_LENGTH)}; got {array.shape}")
    with np.errstate(invalid="ignore"):
        found = array.astype(np.uint8)
    if not np.array_equal(found, array):
        raise ParameterError(
            "descriptors must be whole numbers from 0 to 255, as OpenCV's SIFT makes them; for others "
            "multiply by 512 and round, if they have unit length"
        )
    return found


def _rgb_or_grey(image: Any) -> Image:
    """Convert OpenCV's BGR to RGB; alpha is ignored, as in OpenCV."""
    array = np.asarray(image)
    if array.ndim not in (2, 3) or array.size == 0:
        raise InputError(
            f"expected an image (H, W) or (H, W, channels) as cv2.imread returns it; got {array.shape}"
        )
    return array[:, :, 2::-1] if array.ndim == 3 and array.shape[2] >= 3 else array


@cache
def _opencvs_no_descriptors() -> Image | None:
    """The descriptors that the installed OpenCV returns if there are no keypoints."""
    flat = np.zeros((16, 16), np.uint8)
    return import_cv2().SIFT_create().compute(flat, [])[1]  # type: ignore[no-any-return]
