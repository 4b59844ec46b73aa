"""The records that flow through the house, and the conventions they follow.

There is one convention inside the project:

* ``x`` runs right, ``y`` down; (0, 0) is the centre of the top-left pixel.
* ``scale`` is σ in input pixels: the blur of the lower of the two levels whose
  difference is taken, at the interpolated scale (Lowe, section 3).
* ``orientation`` is θ in radians in [0, 2π), from +x towards +y: clockwise on the screen.
* A descriptor is indexed [y][x][k] in the keypoint's turned frame, y slowest; bin k holds
  gradients whose direction is θ − 45°·k (Lowe's and OpenCV's order).

Other systems' conventions are converted in ``formats/`` and ``compat.py`` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from .errors import ParameterError

if TYPE_CHECKING:
    from .params import SiftParams

DESCRIPTOR_LENGTH = 128
DESCRIPTOR_KINDS = ("sift", "rootsift")


def _array(dtype: Any, *shape: int) -> Any:
    """A field that holds a contiguous (N, *shape) array of this dtype."""
    return field(metadata={"dtype": dtype, "shape": shape})


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """The features of one image: N frames with their descriptors, strongest first.

    Rows are in descending order of ``response``; ties by ``scale``, then y, then x.
    Arrays are read-only and of equal length.

    Raises
    ------
    ParameterError
        If the arrays disagree in length or have another shape than stated.
    """

    xy: NDArray[np.float32] = _array(np.float32, 2)
    """(N, 2) positions in input pixels."""
    scale: NDArray[np.float32] = _array(np.float32)
    """(N,) σ in input pixels."""
    orientation: NDArray[np.float32] = _array(np.float32)
    """(N,) radians in [0, 2π), from +x towards +y."""
    response: NDArray[np.float32] = _array(np.float32)
    """(N,) ranking score: |DoG| · roundness^``ranking_roundness`` · σ^``ranking_power``, less near the border
    (``border_reach``). In a spread selection it is multiplied by (r / R)²: r is the distance to the nearest
    keypoint that is clearly stronger, R, its limit, a quarter of the image's diagonal. |DoG| is interpolated,
    image in [0, 1]; the roundness is 4·determinant / trace² of its curvatures in x and y, with ``fit_window``
    in scale too; σ is in input pixels."""
    sign: NDArray[np.int8] = _array(np.int8)
    """(N,) +1 or -1: dark or bright structure (the sign of the DoG value)."""
    octave: NDArray[np.int16] = _array(np.int16)
    """(N,) -1 is the doubled image."""
    descriptors: NDArray[np.uint8] = _array(np.uint8, DESCRIPTOR_LENGTH)
    """(N, 128) Lowe/OpenCV order."""
    image_size: tuple[int, int]
    """(width, height) of the image the coordinates refer to; (0, 0) if a foreign file did not say."""
    descriptor_kind: str = "sift"
    """"sift" or "rootsift"."""
    image_name: str = ""
    """Name of the image file; empty for an array."""
    exif_orientation: int = 1
    """EXIF orientation that was applied to reach this frame; 1 for none."""
    params: SiftParams | None = None
    """What the features were made with, when known."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """"candidates", and how many of them each filter removed, in pipeline order; empty if unknown."""

    def __post_init__(self) -> None:
        for f in array_fields():
            array = np.array(getattr(self, f.name), dtype=f.metadata["dtype"], order="C", copy=True)
            expected = (len(self.xy), *f.metadata["shape"])
            if array.shape != expected:
                raise ParameterError(f"Features.{f.name} must have shape {expected}; got {array.shape}")
            array.flags.writeable = False
            object.__setattr__(self, f.name, array)
        if self.descriptor_kind not in DESCRIPTOR_KINDS:
            raise ParameterError(
                f"descriptor_kind must be one of {', '.join(DESCRIPTOR_KINDS)}; got {self.descriptor_kind!r}"
            )
        object.__setattr__(self, "removed", MappingProxyType(dict(self.removed)))

    def __len__(self) -> int:
        return len(self.xy)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes by the constructor: a read-only mapping cannot be pickled."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return partial(type(self), **{**values, "removed": dict(self.removed)}), ()

    def select(self, rows: NDArray[Any] | slice) -> Self:
        """The features of these rows (indices, a boolean mask or a slice), in that order."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in array_fields()})


def array_fields() -> list[Any]:
    """The dataclass fields of :class:`Features` that hold one row a feature."""
    return [f for f in fields(Features) if "dtype" in f.metadata]


@dataclass(frozen=True, kw_only=True, eq=False)
class Matches:
    """M pairs of features of two images."""

    pairs: NDArray[np.int32]
    """(M, 2) rows of the first and of the second image's features."""
    distance: NDArray[np.float32]
    """(M,) L2 distance of the descriptors."""
    ratio: NDArray[np.float32]
    """(M,) distance over that of the second neighbour at another location; 0 without one."""

    def __len__(self) -> int:
        return len(self.pairs)
