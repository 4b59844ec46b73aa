"""Records of the stages: keypoints, and the stage that assigns orientations to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels.threads import Threads
from ..params import OrientationParams
from .octave import Strip
from .strips import Strips


@dataclass(frozen=True)
class Keypoints:
    """N refined extrema."""

    octave: NDArray[np.int16]
    """(N,) number of the octave."""
    xy: NDArray[np.float64]
    """(N, 2) positions in input pixels."""
    sigma: NDArray[np.float64]
    """(N,) σ in input pixels."""
    value: NDArray[np.float64]
    """(N,) interpolated DoG value."""
    response: NDArray[np.float32]
    """(N,) ranking score; see :class:`siftcli.Features`."""

    def __len__(self) -> int:
        return len(self.xy)

    @classmethod
    def concatenate(cls, parts: Sequence[Keypoints]) -> Keypoints:
        """All keypoints of the parts, in order."""
        if len(parts) == 1:
            return parts[0]
        parts = [_NONE, *parts]
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Keypoints:
        """The keypoints of these rows, in that order."""
        numbers = row_numbers(rows)
        return Keypoints(  # take is faster than an index
            self.octave.take(numbers),
            self.xy.take(numbers, 0),
            self.sigma.take(numbers),
            self.value.take(numbers),
            self.response.take(numbers),
        )


def row_numbers(rows: NDArray[np.bool_] | NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows that are given by a flag each, or already by their numbers, by their numbers."""
    return np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.intp, copy=False)


_NONE = Keypoints(
    octave=np.empty(0, np.int16),
    xy=np.empty((0, 2)),
    sigma=np.empty(0),
    value=np.empty(0),
    response=np.empty(0, np.float32),
)

AssignOrientations = Callable[
    [Strip | Strips, Keypoints, OrientationParams, Threads], tuple[NDArray[np.intp], NDArray[np.float64]]
]
"""From keypoints of strips to the keypoint (M,) and the angle (M,) in radians of each frame."""


class OrientationStage(NamedTuple):
    """A way to assign orientations, which the caller of the pipeline chooses."""

    assign: AssignOrientations
    radius: float
    """Radius of the samples that an orientation depends on, in units of σ, and one sample more."""
