"""siftcli as a feature extractor of hloc, the toolbox for visual localisation.

:func:`register` makes hloc find the extractor under the name ``siftcli``::

    import siftcli.integrations.hloc as adapter
    from hloc import extract_features

    adapter.register()
    extract_features.main(adapter.CONF, images, outputs)

hloc reads the images (the stored pixels, whatever the EXIF orientation says), reduces them, and hands
over grey tensors; ``siftcli detect -o features.h5`` does all that without torch, reads more kinds of
images, and resumes. The adapter is for pipelines that are written in hloc.

torch and hloc are needed by :func:`register` only, and imported there.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import fields
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import detect
from ..errors import InputError, MissingDependencyError, ParameterError
from ..features import Features
from ..formats._conventions import unit_length
from ..params import SiftParams

NAME = "siftcli"
"""Name of the extractor among hloc's."""
DEFAULTS: dict[str, Any] = {"preset": "default", "rootsift": True, "threads": None}
"""``preset``, ``threads``, and any field of :class:`siftcli.SiftParams`."""
CONF: dict[str, Any] = {
    "output": "feats-siftcli",
    "model": {"name": NAME},
    "preprocessing": {"grayscale": True, "resize_max": 1600},
}
"""A configuration as in ``hloc.extract_features.confs``; the reduction is that of hloc's own SIFT."""
_LIKE_HLOC = 1e-6
"""How far hloc's grey values may leave [0, 1]."""


def params_of(conf: dict[str, Any]) -> tuple[SiftParams, int | None]:
    """Parameters and number of threads of a model's configuration.

    Raises
    ------
    ParameterError
        If a name is unknown, or a value out of range.
    """
    known = {f.name for f in fields(SiftParams)}
    values = {**DEFAULTS, **conf}
    values.pop("name", None)
    preset, threads = values.pop("preset"), values.pop("threads")
    if unknown := sorted(values.keys() - known):
        names = ", ".join(["preset", "threads", *sorted(known)])
        raise ParameterError(f"conf of siftcli must have names among {names}; got {unknown[0]!r}")
    return SiftParams.preset(preset, **values), threads


def grey_of(image: NDArray[Any]) -> NDArray[np.float32]:
    """(H, W) grey values in [0, 1] of a batch as hloc makes them, (1, 1, H, W).

    Raises
    ------
    InputError
        If it is of another shape, or out of range.
    """
    if image.ndim != 4 or image.shape[:2] != (1, 1):
        raise InputError(
            f"expected a grey image of shape (1, 1, H, W), got {image.shape}; set grayscale in preprocessing"
        )
    if image.size and not (image.min() >= -_LIKE_HLOC and image.max() <= 1 + _LIKE_HLOC):
        raise InputError(f"expected grey values in [0, 1], got {image.min():g} to {image.max():g}")
    return np.clip(np.ascontiguousarray(image[0, 0], np.float32), 0, 1)


def arrays_of(features: Features) -> dict[str, NDArray[Any]]:
    """What hloc stores of an image, each with an axis of length 1 for the batch.

    ``keypoints`` (1, N, 2) with (0, 0) the centre of the top-left pixel; ``descriptors`` (1, 128, N) of
    unit length; ``scores``, ``scales`` (σ) and ``oris`` (degrees), (1, N). Positions are float64: hloc
    reduces float32 to float16 unless it is called with ``as_half=False``, which would round positions
    beyond 512 to half a pixel, and leaves float64 as it is.
    """
    arrays: dict[str, NDArray[Any]] = {
        "keypoints": features.xy.astype(np.float64),
        "scores": features.response.copy(),
        "descriptors": np.ascontiguousarray(unit_length(features.descriptors).T),
        "scales": features.scale.copy(),
        "oris": np.rad2deg(features.orientation.astype(np.float64)).astype(np.float32),
    }
    return {name: array[np.newaxis] for name, array in arrays.items()}


def extractor(base: type, torch: Any) -> type:
    """Make the class of the extractor.

    Parameters
    ----------
    base
        hloc's ``BaseModel``.
    torch
        The module ``torch``.

    Returns
    -------
    type
        A subclass of ``base`` with ``default_conf``, ``required_inputs``, ``_init`` and ``_forward``.
    """

    class Siftcli(base):  # type: ignore[misc]
        """SIFT features by siftcli."""

        default_conf = DEFAULTS
        required_inputs = ("image",)
        detection_noise = 1.0  # of hloc's own SIFT

        def _init(self, conf: dict[str, Any]) -> None:
            self.sift_params, self.threads = params_of(conf)

        def _forward(self, data: dict[str, Any]) -> dict[str, Any]:
            grey = grey_of(data["image"].cpu().numpy())
            found = arrays_of(detect(grey, self.sift_params, threads=self.threads))
            return {name: torch.from_numpy(array) for name, array in found.items()}

    return Siftcli


def register() -> type:
    """Add the extractor to hloc's, as ``hloc.extractors.siftcli``; return its class.

    Raises
    ------
    MissingDependencyError
        If torch or hloc is not installed.
    """
    extractors = _needed("hloc.extractors")
    made = extractor(_needed("hloc.utils.base_model").BaseModel, _needed("torch"))
    module = ModuleType(f"{extractors.__name__}.{NAME}", made.__doc__)
    made.__module__ = module.__name__  # hloc takes classes that say they are of the module
    module.__dict__[made.__name__] = made
    sys.modules[module.__name__] = module
    setattr(extractors, NAME, module)
    return made


def _needed(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise MissingDependencyError(
            f"the extractor for hloc needs the Python package {package} ({error}); install it as its "
            "documentation says"
        ) from error
