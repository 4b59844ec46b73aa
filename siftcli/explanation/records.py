"""What an explanation consists of, in plain records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..params import SiftParams
from ..sift.candidates import STEP_COLUMNS
from ..words import pair_text

SCHEMA = 1


@dataclass(frozen=True)
class Verdict:
    """What a filter said."""

    filter: str
    measured: float | None
    relation: str
    """How what was measured must relate to the limit: ``>=``, ``<=``, or empty where there is no limit."""
    limit: float | None
    passed: bool
    note: str

    @property
    def sentence(self) -> str:
        """``edge: roundness 0.18, needed 0.22``."""
        if self.measured is None:
            return f"{self.filter}: {self.note}"
        bound = "" if self.limit is None else f", {_NEEDED[self.relation]} {self.limit:.4g}"
        return f"{self.filter}: {self.note} {self.measured:.4g}{bound}"


_NEEDED = {">=": "needed", "<=": "allowed", ">": "needed more than"}


@dataclass(frozen=True, eq=False)
class Candidate:
    """A sample of the difference of Gaussians."""

    octave: int
    level: int
    row: int
    column: int
    xy: tuple[float, float]
    """Of the sample, in pixels."""
    sigma: float
    """Of its level, in pixels."""
    value: float
    """The DoG there."""


@dataclass(frozen=True, eq=False)
class Place:
    """A refined candidate, merged with its duplicates."""

    xy: tuple[float, float]
    """Pixels."""
    sigma: float
    samples: tuple[float, float, float]
    """x, y and level in the octave."""
    value: float
    roundness: float
    response: float
    stability: float


@dataclass(frozen=True, eq=False)
class Histogram:
    """What the orientation comes from."""

    level: int
    raw: NDArray[np.float64]
    smoothed: NDArray[np.float32]
    peak_ratio: float
    field: NDArray[np.float32]
    """(rows, columns, 2): what each sample counts, and its direction in bins."""
    origin: tuple[int, int]
    """Column and row of the field's first sample in the octave."""
    reach: float
    """Radius of the disc in samples."""


@dataclass(frozen=True, eq=False)
class Description:
    """One frame of the keypoint: an orientation and its descriptor."""

    row: int | None
    """Of the output; None where it is not in it."""
    orientation: float
    level: int
    patch: NDArray[np.float32]
    """(32, 32) grey values on the turned grid, a line around it included."""
    magnitudes: NDArray[np.float32]
    """(30, 30)."""
    directions: NDArray[np.float32]
    """(30, 30) in steps of 45° from the orientation."""
    sums: NDArray[np.float32]
    unit: NDArray[np.float32]
    clipped: NDArray[np.float32]
    scaled: NDArray[np.float32]
    """(128,), before it is rounded."""
    stored: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The octave's levels around the candidate."""

    left: int
    top: int
    gaussians: NDArray[np.float32]
    """(S + 3, rows, columns)."""
    step: float
    origin: tuple[float, float]
    """Pixel of the octave's first sample."""

    @property
    def differences(self) -> NDArray[np.float32]:
        """(S + 2, rows, columns)."""
        return np.diff(self.gaussians, axis=0)


@dataclass(frozen=True, eq=False)
class View:
    """Everything about one candidate of one picture."""

    grey: NDArray[np.float32]
    params: SiftParams
    """Adapted to the picture's noise."""
    candidate: Candidate
    distance: float | None
    """From where it was asked for, in pixels."""
    steps: NDArray[np.float64]
    verdicts: Sequence[Verdict]
    place: Place | None
    n_merged: int
    histogram: Histogram | None
    descriptions: Sequence[Description]
    surroundings: Surroundings
    shown: int = 0
    """Which of the descriptions is shown first."""

    @property
    def xy(self) -> tuple[float, float]:
        """The keypoint, or else the candidate, in pixels."""
        return self.place.xy if self.place else self.candidate.xy

    @property
    def sigma(self) -> float:
        """Its σ in pixels."""
        return self.place.sigma if self.place else self.candidate.sigma

    @property
    def rejection(self) -> Verdict | None:
        """The filter that removed it; None for a keypoint of the output."""
        return next((verdict for verdict in self.verdicts if not verdict.passed), None)

    @property
    def description(self) -> Description | None:
        """The one that is shown first."""
        return self.descriptions[self.shown] if self.descriptions else None


@dataclass(frozen=True)
class Difference:
    """A stage in the picture and in the turned one."""

    stage: str
    what: str
    difference: float
    unit: str
    decimals: int = 4


@dataclass(frozen=True, eq=False)
class Explanation:
    """One keypoint, or rejected candidate, stage by stage; the result of :func:`siftcli.explain`.

    Examples
    --------
    >>> import siftcli
    >>> explained = siftcli.explain("sample_images/camera.png", keypoint=0)
    >>> explained.view.rejection is None
    True
    >>> sorted(explained.to_dict())[:3]
    ['candidate', 'descriptions', 'differences']
    """

    image: str
    view: View
    rotate_deg: float | None = None
    turned: View | None = None
    differences: Sequence[Difference] = field(default_factory=tuple)

    def __repr__(self) -> str:
        of = f" of {self.image!r}" if self.image else ""
        rejection = self.view.rejection
        what = "keypoint" if rejection is None else "rejected candidate"
        place = f"{what}{of} at {pair_text(self.view.xy)}, sigma {self.view.sigma:.2f} px"
        why = "" if rejection is None else f", {rejection.sentence}"
        turned = "" if self.rotate_deg is None else f", beside it rotated by {self.rotate_deg:g} deg"
        return f"<Explanation: {place}{why}{turned}>"

    @property
    def first_difference(self) -> Difference | None:
        """The first stage in which the turned picture differs; None where none does."""
        return next((d for d in self.differences if d.difference != 0), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain names and values, for JSON."""
        found: dict[str, Any] = {"schema": SCHEMA, "image": self.image, **_plain_view(self.view)}
        found["rotate_deg"] = self.rotate_deg
        found["turned"] = None if self.turned is None else _plain_view(self.turned)
        found["differences"] = [_plain(vars(d)) for d in self.differences]
        return found


def _plain_view(view: View) -> dict[str, Any]:
    rejection = view.rejection
    return {
        "image_size": list(view.grey.shape[::-1]),
        "candidate": _plain(vars(view.candidate)),
        "distance": view.distance,
        "is_kept": rejection is None,
        "reason": "" if rejection is None else rejection.sentence,
        "steps": [_plain(dict(zip(STEP_COLUMNS, step, strict=True))) for step in view.steps.tolist()],
        "filters": [_plain(vars(verdict)) for verdict in view.verdicts],
        "place": None if view.place is None else _plain(vars(view.place)),
        "n_merged": view.n_merged,
        "histogram": None if view.histogram is None else _plain(vars(view.histogram)),
        "descriptions": [_plain(vars(description)) for description in view.descriptions],
        "surroundings": _plain(vars(view.surroundings)),
        "params": view.params.to_dict(),
    }


def _plain(value: Any) -> Any:
    """Arrays as lists; NaN as None."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
