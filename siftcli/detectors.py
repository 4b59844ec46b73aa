"""The comparison set behind one call: siftcli, OpenCV, scikit-image, and what else is installed.

A detector takes a grey image (H, W), float32 in [0, 1], and returns
:class:`~siftcli.features.Features` in the project's conventions, whatever its own are.
Each runs at its own defaults. Adding one is one class with ``@register``.

Images that come from 8-bit files or were quantised to 8 bits reach every peer unchanged: those
that take bytes get ``rint(255 * grey)``.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ._cv2 import import_cv2
from ._version import __version__
from .errors import MissingDependencyError, ParameterError
from .features import DESCRIPTOR_LENGTH, Features
from .params import DEFAULT_PRESET, SiftParams

Grey = NDArray[np.float32]

COUNT_TOLERANCE = 0.02
"""How near, relatively, a threshold search must come to the number of features asked for."""
FIRST_THRESHOLD = 0.1
"""First threshold tried for a detector whose default is 0 (VLFeat; in grey levels)."""
MAX_THRESHOLD_STEPS = 12
"""Detections that a threshold search may cost after the first."""

REVERSED_BINS = np.arange(0, -8, -1) % 8
"""Orientation bins of a descriptor whose bins step the other way round."""


class Detector(ABC):
    """One SIFT implementation at its own defaults.

    Parameters
    ----------
    threads
        Threads inside an image where the implementation can be told; its own choice when not given.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    """Distribution whose version is reported."""
    module: ClassVar[str]
    """Module that must be importable."""
    extra: ClassVar[str] = ""
    """Extra of siftcli that installs it; empty when it is always there."""
    ranked: ClassVar[bool] = True
    """Whether its features carry a response by which the strongest can be told."""

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads
        if not self.installed():
            raise MissingDependencyError(
                f"detector {self.name!r} needs the Python package {self.package}, which is not installed; "
                f"install it with: pip install 'siftcli[{self.extra}]'"
            )

    @classmethod
    def installed(cls) -> bool:
        """Whether its package is there (it is not imported to find out)."""
        return find_spec(cls.module) is not None

    @property
    def version(self) -> str:
        """Version of the implementation."""
        return metadata.version(self.package)

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, Any]:
        """The settings it runs with, as plain values under the implementation's own names."""

    @abstractmethod
    def detect(self, grey: Grey) -> Features:
        """All features of a grey image (H, W) in [0, 1], in the project's conventions; possibly none."""

    def limited(self, n: int, grey: Grey) -> Detector:
        """The same detector, keeping ``n`` features an image.

        The strongest ``n`` of each image; a detector without a response overrides this to adjust
        its threshold until about ``n`` remain in ``grey``.
        """
        return _Strongest(self, n)


class _Strongest(Detector):
    """Another detector's ``n`` strongest features."""

    name = "strongest"

    def __init__(self, whole: Detector, n: int) -> None:
        self.whole, self.n, self.threads = whole, n, whole.threads

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {**self.whole.parameters, "strongest": self.n}

    def detect(self, grey: Grey) -> Features:
        return self.whole.detect(grey).select(slice(self.n))


class _Thresholded(Detector):
    """A detector without a response: equal counts come from its contrast threshold."""

    ranked = False
    default_threshold: ClassVar[float]

    def __init__(self, threads: int | None = None, threshold: float | None = None) -> None:
        super().__init__(threads)
        self.threshold = self.default_threshold if threshold is None else threshold

    def count(self, grey: Grey) -> int:
        """The number of features, as cheaply as the implementation allows."""
        return len(self.detect(grey))

    def limited(self, n: int, grey: Grey) -> Detector:
        def count(threshold: float) -> int:
            return type(self)(self.threads, threshold).count(grey)

        return type(self)(self.threads, threshold_for_count(count, n, self.threshold))


def threshold_for_count(count: Callable[[float], int], n: int, start: float) -> float:
    """The threshold, at least ``start``, at which about ``n`` features remain.

    ``count`` falls as the threshold rises. The search doubles until fewer than ``n`` remain, then
    bisects; the threshold whose count came nearest to ``n`` is returned.
    """
    low, tried = start, {start: count(start)}
    high = float("inf")
    while len(tried) <= MAX_THRESHOLD_STEPS and tried[low] > n:
        threshold = (2 * low or FIRST_THRESHOLD) if high == float("inf") else (low + high) / 2
        tried[threshold] = count(threshold)
        if abs(tried[threshold] - n) <= COUNT_TOLERANCE * n:
            return threshold
        if tried[threshold] > n:
            low = threshold
        else:
            high = threshold
    return min(tried, key=lambda t: (abs(tried[t] - n), t))


REGISTRY: dict[str, type[Detector]] = {}
"""Every known detector by its name, installed or not, in the order of the tables."""


def register(cls: type[Detector]) -> type[Detector]:
    """Enter a detector into the registry under its name."""
    REGISTRY[cls.name] = cls
    return cls


def installed_detectors() -> list[str]:
    """Names of the detectors that can be used here."""
    return [name for name, cls in REGISTRY.items() if cls.installed()]


def create(name: str, threads: int | None = None) -> Detector:
    """The detector of this name.

    Raises
    ------
    ParameterError
        If the name is unknown.
    MissingDependencyError
        If its package is not installed; the message names the extra.
    """
    if name not in REGISTRY:
        raise ParameterError(f"unknown detector {name!r}; expected one of {', '.join(REGISTRY)}")
    return REGISTRY[name](threads)


@register
class Siftcli(Detector):
    """siftcli's SIFT at its default preset."""

    name = "siftcli"
    package = "siftcli"
    module = "siftcli"
    preset: ClassVar[str] = DEFAULT_PRESET

    @property
    def version(self) -> str:
        """The version of siftcli."""
        return __version__

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The preset and every parameter."""
        return {"preset": self.preset, **SiftParams.preset(self.preset).to_dict()}

    def detect(self, grey: Grey) -> Features:
        """Run the pipeline."""
        from .sift import pipeline

        return pipeline.detect(grey, SiftParams.preset(self.preset), threads=self.threads)


@register
class SiftcliClassic(Siftcli):
    """siftcli's SIFT as Lowe describes it, comparable with OpenCV keypoint by keypoint."""

    name = "siftcli-classic"
    preset = "classic"


@register
class OpenCV(Detector):
    """``cv2.SIFT_create()`` as it comes."""

    name = "opencv"
    package = "opencv-contrib-python"
    module = "cv2"
    options: ClassVar[Mapping[str, Any]] = {}

    @property
    def version(self) -> str:
        """OpenCV's version, of whichever of its packages is installed."""
        return str(import_cv2().__version__)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What ``SIFT_create`` was given; nothing for its defaults."""
        return dict(self.options)

    def detect(self, grey: Grey) -> Features:
        """Run ``detectAndCompute`` on the 8-bit image."""
        sift = import_cv2().SIFT_create(**self.options)
        keypoints, descriptors = sift.detectAndCompute(_as_bytes(grey), None)
        columns = [(*k.pt, k.size, k.angle, k.response, k.octave) for k in keypoints]
        x, y, size, angle, response, packed = np.array(columns, dtype=np.float64).reshape(-1, 6).T
        return _features(
            grey,
            xy=np.column_stack([x, y]),
            scale=size / 2,
            orientation=np.deg2rad(angle),
            response=response,
            octave=_unpacked_octave(packed),
            descriptors=np.zeros((0, DESCRIPTOR_LENGTH)) if descriptors is None else descriptors,
        )


@register
class OpenCVPrecise(OpenCV):
    """OpenCV with the doubled image where it belongs; its default is 0.25 px off."""

    name = "opencv-precise"
    options: ClassVar[Mapping[str, Any]] = {"enable_precise_upscale": True}


@register
class ScikitImage(_Thresholded):
    """``skimage.feature.SIFT()`` as it comes."""

    name = "scikit-image"
    package = "scikit-image"
    module = "skimage"
    default_threshold = 0.04 / 3  # c_dog of skimage.feature.SIFT

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The contrast threshold; the rest is the class's default."""
        return {"c_dog": self.threshold}

    def count(self, grey: Grey) -> int:
        """The number of features without their descriptors."""
        return len(self._run(grey, "detect").get("keypoints", ()))

    def detect(self, grey: Grey) -> Features:
        """Run ``detect_and_extract``; finding nothing, which it raises as an error, is no features."""
        found = self._run(grey, "detect_and_extract")
        if not found:
            return _no_features(grey)
        descriptors = found["descriptors"].reshape(-1, 4, 4, 8)[:, :, ::-1].swapaxes(1, 2)
        return _features(
            grey,
            xy=found["positions"][:, ::-1],
            scale=found["sigmas"],
            orientation=np.pi / 2 - found["orientations"],
            octave=found["octaves"] - 1,  # its octave 0 is the doubled image
            descriptors=descriptors.reshape(-1, DESCRIPTOR_LENGTH),
        )

    def _run(self, grey: Grey, method: str) -> dict[str, Any]:
        """Attributes of a new SIFT object after calling its method; empty where it finds nothing.

        A new object each time: a small image permanently lowers the object's number of octaves.
        """
        from skimage.feature import SIFT

        if min(grey.shape) < MIN_SIDE_SCIKIT_IMAGE:
            return {}
        sift = SIFT(c_dog=self.threshold)
        try:
            getattr(sift, method)(grey)
        except RuntimeError as error:
            if "found no features" not in str(error):
                raise
            return {}
        return dict(vars(sift))


MIN_SIDE_SCIKIT_IMAGE = 6
"""Sides below this leave scikit-image without an octave (12 samples of the doubled image)."""


@register
class Colmap(_Thresholded):
    """COLMAP's SIFT (VLFeat inside) through pycolmap, on the CPU."""

    name = "colmap"
    package = "pycolmap"
    module = "pycolmap"
    extra = "peers"
    default_threshold = 0.02 / 3  # peak_threshold of SiftExtractionOptions

    def _options(self) -> Any:
        import pycolmap

        options = pycolmap.FeatureExtractionOptions()
        options.use_gpu = False
        options.num_threads = -1 if self.threads is None else self.threads
        options.sift.peak_threshold = self.threshold
        return options

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Every field of ``SiftExtractionOptions``."""
        sift = self._options().sift.todict()
        return {key: value if isinstance(value, int | float) else str(value) for key, value in sift.items()}

    def detect(self, grey: Grey) -> Features:
        """Run COLMAP's CPU extractor."""
        import pycolmap

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # its successor takes files, not arrays
            sift = pycolmap.Sift(self._options(), device=pycolmap.Device.cpu)
        frames, descriptors = sift.extract(np.ascontiguousarray(grey))
        return _features(
            grey,
            xy=frames[:, :2] - 0.5,  # the centre of its top-left pixel is (0.5, 0.5)
            scale=frames[:, 2],
            orientation=frames[:, 3],
            descriptors=np.rint(512 * descriptors).clip(0, 255),
            descriptor_kind="rootsift",
        )


@register
class VLFeat(_Thresholded):
    """VLFeat through vlsift, at that package's defaults; the image in [0, 255] as VLFeat takes it."""

    name = "vlfeat"
    package = "vlsift"
    module = "vlsift"
    extra = "peers"
    default_threshold = 0.0

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The peak threshold and the first octave."""
        return {"peak_thresh": self.threshold, "first_octave": 0}

    def detect(self, grey: Grey) -> Features:
        """Run vlsift with descriptors."""
        from vlsift.sift.sift import sift

        frames, descriptors = sift(255 * grey, peak_thresh=self.threshold, compute_descriptor=True)
        return _features(
            grey,
            xy=frames[:, 1::-1],
            scale=frames[:, 2],
            orientation=frames[:, 3],
            descriptors=descriptors.reshape(-1, 4, 4, 8)[..., REVERSED_BINS].reshape(-1, DESCRIPTOR_LENGTH),
        )


@register
class Kornia(Detector):
    """kornia's ``SIFTFeatureScaleSpace``, on the CPU; without a contrast threshold it ranks 8000 features."""

    name = "kornia"
    package = "kornia"
    module = "kornia"
    extra = "kornia"
    frame_sigmas: ClassVar[float] = 6.0
    """Scale of its frames in units of the detection's σ."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The class; it runs with its defaults."""
        return {"class": "SIFTFeatureScaleSpace"}

    def detect(self, grey: Grey) -> Features:
        """Run detector and descriptor; angles of its frames grow counter-clockwise on the screen."""
        import torch
        from kornia import feature

        with _torch_threads(torch, self.threads), torch.inference_mode():
            frames, response, descriptors = feature.SIFTFeatureScaleSpace()(
                torch.from_numpy(grey)[None, None]
            )
            scale = feature.get_laf_scale(frames)[0, :, 0, 0].numpy() / self.frame_sigmas
            angle = -np.deg2rad(feature.get_laf_orientation(frames)[0, :, 0].numpy())
            xy = feature.get_laf_center(frames)[0].numpy()
        # Orientation is slowest, and its bins step the other way round.
        ordered = descriptors[0].numpy().reshape(-1, 8, 4, 4)[:, REVERSED_BINS].transpose(0, 2, 3, 1)
        found = response[0].numpy() > KORNIA_PADDING
        return _features(
            grey,
            xy=xy[found],
            scale=scale[found],
            orientation=angle[found],
            response=response[0].numpy()[found],
            descriptors=np.rint(512 * ordered.reshape(-1, DESCRIPTOR_LENGTH)[found]).clip(0, 255),
            descriptor_kind="rootsift",
        )


KORNIA_PADDING = 1e-6
"""Responses up to this are rounding errors or padding up to the number of features it ranks."""


@contextmanager
def _torch_threads(torch: Any, threads: int | None) -> Iterator[None]:
    """Let PyTorch use so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _as_bytes(grey: Grey) -> NDArray[np.uint8]:
    """The 8-bit image that OpenCV's SIFT takes."""
    return np.ascontiguousarray(np.rint(255 * grey).clip(0, 255), dtype=np.uint8)


def _unpacked_octave(packed: NDArray[np.float64]) -> NDArray[np.int64]:
    """The octave from OpenCV's packed integer: its lowest byte, signed."""
    octave = packed.astype(np.int64) & 255
    return np.asarray(np.where(octave < 128, octave, octave - 256))


def _octave_of(scale: NDArray[Any]) -> NDArray[np.int64]:
    """The octave in which a scale is found, for a detector that does not say (σ₀ = 1.6)."""
    return np.asarray(np.floor(np.log2(np.maximum(scale, 0.8) / 1.6)).astype(np.int64))


def _features(
    grey: Grey,
    *,
    xy: NDArray[Any],
    scale: NDArray[Any],
    orientation: NDArray[Any],
    descriptors: NDArray[Any],
    response: NDArray[Any] | None = None,
    octave: NDArray[Any] | None = None,
    descriptor_kind: str = "sift",
) -> Features:
    """The record of a peer's arrays, in its order; response and sign are 0 where it gives none."""
    strength: NDArray[Any] = np.zeros(len(xy)) if response is None else response
    level: NDArray[Any] = _octave_of(scale) if octave is None else octave
    order = np.lexsort((xy[:, 0], xy[:, 1], scale, -strength))
    turn = np.float32(2 * np.pi)
    angle = np.mod(orientation, 2 * np.pi).astype(np.float32)
    return Features(
        xy=xy[order],
        scale=scale[order],
        orientation=np.where(angle >= turn, 0, angle)[order],
        response=strength[order],
        sign=np.zeros(len(xy), dtype=np.int8),
        octave=level[order],
        descriptors=descriptors[order],
        descriptor_kind=descriptor_kind,
        image_size=(grey.shape[1], grey.shape[0]),
    )


def _no_features(grey: Grey) -> Features:
    """Zero features: a result, not an error."""
    empty = np.zeros(0)
    return _features(
        grey,
        xy=np.zeros((0, 2)),
        scale=empty,
        orientation=empty,
        descriptors=np.zeros((0, DESCRIPTOR_LENGTH)),
    )
