"""The types :class:`Features` and :class:`Matches`, and their conventions.

All of siftcli uses the same conventions:

* x points right and y down; (0, 0) is the centre of the top-left pixel.
* ``scale`` is σ in input pixels, at the interpolated scale. It is the blur of the lower of the two
  levels whose difference is taken (Lowe, section 3).
* ``orientation`` is θ in radians in [0, 2π), from +x towards +y, which is clockwise on the
  screen.
* A descriptor is indexed [y][x][k] in the keypoint's rotated frame, with y slowest. Bin k holds
  gradients in the direction θ − 45°·k (the order of Lowe and OpenCV).

Only ``formats/``, ``detectors/``, ``compat.py`` and ``_cv2.py`` convert from and to the conventions of
other systems.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from . import _cv2
from ._rows import Rows, checked_rows
from .errors import MissingDependencyError, ParameterError
from .words import counted

if TYPE_CHECKING:
    import pandas as pd

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

    Examples
    --------
    >>> import siftcli
    >>> features = siftcli.detect("sample_images/camera.png", max_features=500)
    >>> len(features), features.xy.shape, features.descriptors.shape
    (500, (500, 2), (500, 128))
    >>> features[:20]
    <Features: 20 keypoints of 'camera.png', 512 x 512 px, sigma ... px, rootsift>
    >>> large = features[features.scale > 10]
    >>> table = features.to_pandas()
    >>> keypoints, descriptors = features.to_cv2()
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

    def select(self, rows: Rows) -> Self:
        """Select rows by numbers, a boolean mask or a slice, in that order; ``features[rows]`` is the same.

        Raises
        ------
        ParameterError
            If a mask has another length, or a row does not exist.
        """
        rows = checked_rows(rows, len(self))
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in array_fields()})

    def __getitem__(self, rows: Rows) -> Self:
        return self.select(rows)

    def __repr__(self) -> str:
        return f"<Features: {self._summary()}>"

    def _summary(self) -> str:
        of = f" of {self.image_name!r}" if self.image_name else ""
        parts = [f"{counted(len(self), 'keypoint')}{of}"]
        if tuple(self.image_size) != UNKNOWN_SIZE:
            parts.append(f"{self.image_size[0]} x {self.image_size[1]} px")
        if len(self):
            parts.append(f"sigma {self.scale.min():.3g} to {self.scale.max():.3g} px")
        return ", ".join([*parts, self.descriptor_kind])

    def _repr_html_(self) -> str:
        """The strongest keypoints on a plain ground, for notebooks."""
        from ._notebook import keypoints_html

        return keypoints_html(
            self._summary(), self.xy, self.scale, self.orientation, self.sign, self.image_size
        )

    def to_pandas(self, *, descriptors: bool = False) -> pd.DataFrame:
        """A table with a row for each feature.

        Parameters
        ----------
        descriptors
            Whether to add 128 columns ``d0`` to ``d127``.

        Returns
        -------
        pandas.DataFrame
            ``x``, ``y``, ``scale``, ``orientation``, ``response``, ``sign`` and ``octave``, as in a csv file.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        pandas = _import_pandas("Features.to_pandas()")
        columns: dict[str, NDArray[Any]] = {"x": self.xy[:, 0], "y": self.xy[:, 1]}
        columns |= {
            name: getattr(self, name) for name in ("scale", "orientation", "response", "sign", "octave")
        }
        if descriptors:
            columns |= {f"d{i}": self.descriptors[:, i] for i in range(DESCRIPTOR_LENGTH)}
        return pandas.DataFrame(columns)

    def to_cv2(self) -> tuple[tuple[Any, ...], NDArray[np.float32]]:
        """OpenCV's keypoints and descriptors, as ``detectAndCompute`` returns them.

        :func:`siftcli.compat.from_cv2` is the way back.

        Returns
        -------
        keypoints, descriptors
            N ``cv2.KeyPoint``, whose size is 2σ and angle in degrees; (N, 128) float32.

        Raises
        ------
        MissingDependencyError
            If OpenCV cannot be imported.
        """
        from .params import SiftParams

        params = self.params or SiftParams()
        packed = _cv2.packed_octaves(self.octave, self.scale, params.levels_per_octave, params.sigma)
        keypoints = _cv2.key_points(self.xy, self.scale, self.orientation, self.response, packed)
        return keypoints, self.descriptors.astype(np.float32)


def _import_pandas(what: str) -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError.of_extra(what, "pandas", "pandas") from error
    return pd


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
    """M matches between the features of two images.

    Examples
    --------
    >>> import siftcli
    >>> features = siftcli.detect("sample_images/camera.png", max_features=500)
    >>> matches = siftcli.match(features, features)
    >>> len(matches), matches.pairs.shape
    (500, (500, 2))
    >>> matches[matches.distance < 1]
    <Matches: 500 pairs, distance 0 to 0, ratio 0.00 to 0.00>
    """

    pairs: NDArray[np.int32]
    """(M, 2) row indices of the features of the first and of the second image."""
    distance: NDArray[np.float32]
    """(M,) L2 distance of the descriptors."""
    ratio: NDArray[np.float32]
    """(M,) distance divided by that of the nearest neighbour at another location; 0 if there is none."""

    def __len__(self) -> int:
        return len(self.pairs)

    def select(self, rows: Rows) -> Self:
        """Select matches by numbers, a boolean mask (such as ``inliers``) or a slice; ``matches[rows]`` too.

        Raises
        ------
        ParameterError
            If a mask has another length, or a row does not exist.
        """
        rows = checked_rows(rows, len(self))
        return replace(self, pairs=self.pairs[rows], distance=self.distance[rows], ratio=self.ratio[rows])

    def __getitem__(self, rows: Rows) -> Self:
        return self.select(rows)

    def __repr__(self) -> str:
        return f"<Matches: {self._summary()}>"

    def _summary(self) -> str:
        parts = [counted(len(self), "pair")]
        if len(self):
            parts.append(f"distance {self.distance.min():.3g} to {self.distance.max():.3g}")
            parts.append(f"ratio {self.ratio.min():.2f} to {self.ratio.max():.2f}")
        return ", ".join(parts)

    def _repr_html_(self) -> str:
        """A histogram of the ratios, for notebooks."""
        from ._notebook import histogram_html

        return histogram_html(self._summary(), self.ratio, 0, 1, "ratio")

    def to_pandas(self, f: Features | None = None, g: Features | None = None) -> pd.DataFrame:
        """A table with a row for each match.

        Parameters
        ----------
        f, g
            The features that were matched, to add their positions.

        Returns
        -------
        pandas.DataFrame
            ``row_a``, ``row_b``, ``distance``, ``ratio``; with features ``x_a``, ``y_a``, ``x_b``, ``y_b``.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        ParameterError
            If the matches are not of these features.
        """
        pandas = _import_pandas("Matches.to_pandas()")
        rows_a, rows_b = self.pairs.T
        columns: dict[str, NDArray[Any]]
        columns = {"row_a": rows_a, "row_b": rows_b, "distance": self.distance, "ratio": self.ratio}
        for features, rows, side in ((f, rows_a, "a"), (g, rows_b, "b")):
            if features is not None:
                xy = features.xy[checked_rows(rows, len(features))]
                columns |= {f"x_{side}": xy[:, 0], f"y_{side}": xy[:, 1]}
        return pandas.DataFrame(columns)

    def to_cv2(self) -> tuple[Any, ...]:
        """M ``cv2.DMatch``, for ``cv2.drawMatches`` and programs written against OpenCV.

        Raises
        ------
        MissingDependencyError
            If OpenCV cannot be imported.
        """
        match = _cv2.import_cv2().DMatch
        rows = zip(*self.pairs.T.tolist(), self.distance.tolist(), strict=True)
        return tuple(match(a, b, distance) for a, b, distance in rows)
