"""The types :class:`Features` and :class:`Matches`, and their conventions.

All of siftcli uses the same conventions:

* x points right and y down; (0, 0) is the centre of the top-left pixel.
* ``scale`` is σ in input pixels, at the interpolated scale. It is the blur of the lower of the two
  levels whose difference is taken (Lowe, section 3).
* ``orientation`` is θ in radians in [0, 2π), from +x towards +y, which is clockwise on the
  screen.
* A descriptor is indexed [y][x][k] in the keypoint's rotated frame, with y slowest. Bin k holds
  gradients in the direction θ − 45°·k (the order of Lowe and OpenCV).

Only ``formats/``, ``detectors/`` and ``compat.py`` convert from and to the conventions of other systems.
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
UNKNOWN_SIZE = (0, 0)
"""``image_size`` of features whose file does not tell it."""


def _array(dtype: Any, *shape: int) -> Any:
    """A field for a contiguous (N, *shape) array of this dtype."""
    return field(metadata={"dtype": dtype, "shape": shape})


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """The features of one image: N keypoints with orientation and descriptor, strongest first.

    Rows are sorted by descending ``response``, then by ``scale``, y and x. All arrays are read-only and
    have N rows.

    Raises
    ------
    ParameterError
        If the lengths of the arrays differ, an array has the wrong shape, or the kind of descriptor is
        unknown.
    """

    xy: NDArray[np.float32] = _array(np.float32, 2)
    """(N, 2) positions in input pixels."""
    scale: NDArray[np.float32] = _array(np.float32)
    """(N,) σ in input pixels."""
    orientation: NDArray[np.float32] = _array(np.float32)
    """(N,) radians in [0, 2π), from +x towards +y."""
    response: NDArray[np.float32] = _array(np.float32)
    """(N,) ranking score: |DoG| · roundness^``ranking_roundness`` · σ^``ranking_power``, reduced near the
    border (``border_reach``). With ``selection`` spread it is multiplied by (r / R)⁴: r is the distance to
    the nearest keypoint that is clearly stronger, R, its limit, a quarter of the image's diagonal. |DoG| is
    interpolated, for grey values in [0, 1]. The roundness is 4·determinant / trace² of the curvatures in x
    and y; least-squares refinement includes the curvature in scale. σ is in input pixels."""
    sign: NDArray[np.int8] = _array(np.int8)
    """(N,) sign of the DoG value: +1 for a dark structure, -1 for a bright one; 0 if unknown."""
    octave: NDArray[np.int16] = _array(np.int16)
    """(N,) octave number; -1 is the doubled image."""
    descriptors: NDArray[np.uint8] = _array(np.uint8, DESCRIPTOR_LENGTH)
    """(N, 128) descriptors in the order of Lowe and OpenCV."""
    image_size: tuple[int, int]
    """(width, height) of the image in pixels; (0, 0) if it is unknown."""
    descriptor_kind: str = "sift"
    """"sift" or "rootsift"."""
    image_name: str = ""
    """Name of the image file; empty for an array."""
    exif_orientation: int = 1
    """EXIF orientation that was applied to the image; 1 for none."""
    params: SiftParams | None = None
    """The parameters of the detection, if known."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """Number of "candidates", and how many of them each filter removed, in pipeline order; empty if
    unknown."""

    def __post_init__(self) -> None:
        for f in array_fields():
            array = _frozen(getattr(self, f.name), f.metadata["dtype"])
            expected = (len(self.xy), *f.metadata["shape"])
            if array.shape != expected:
                raise ParameterError(f"Features.{f.name} must have shape {expected}; got {array.shape}")
            object.__setattr__(self, f.name, array)
        if self.descriptor_kind not in DESCRIPTOR_KINDS:
            raise ParameterError(
                f"descriptor_kind must be one of {', '.join(DESCRIPTOR_KINDS)}; got {self.descriptor_kind!r}"
            )
        object.__setattr__(self, "removed", MappingProxyType(dict(self.removed)))

    def __len__(self) -> int:
        return len(self.xy)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle through the constructor, because a read-only mapping cannot be pickled."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return partial(type(self), **{**values, "removed": dict(self.removed)}), ()

    def select(self, rows: NDArray[Any] | slice) -> Self:
        """Select rows by indices, a boolean mask or a slice, in that order."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in array_fields()})


def _frozen(values: Any, dtype: Any) -> NDArray[Any]:
    """A read-only C-contiguous array of this dtype; copies the values unless they are one already."""
    if type(values) is np.ndarray and values.dtype == dtype and values.flags.c_contiguous:
        owner: Any = values
        while isinstance(owner, np.ndarray) and not owner.flags.writeable:
            owner = owner.base
        if owner is None:
            return values
    array = np.array(values, dtype=dtype, order="C", copy=True)
    array.flags.writeable = False
    return array


def array_fields() -> list[Any]:
    """The dataclass fields of :class:`Features` that hold one row per feature."""
    return [f for f in fields(Features) if "dtype" in f.metadata]


@dataclass(frozen=True, kw_only=True, eq=False)
class Matches:
    """M matches between the features of two images."""

    pairs: NDArray[np.int32]
    """(M, 2) row indices of the features of the first and of the second image."""
    distance: NDArray[np.float32]
    """(M,) L2 distance of the descriptors."""
    ratio: NDArray[np.float32]
    """(M,) distance divided by that of the nearest neighbour at another location; 0 if there is none."""

    def __len__(self) -> int:
        return len(self.pairs)
