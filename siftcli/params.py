"""Every parameter of the detector and the descriptor, with its default, unit and source.

One frozen dataclass per stage; :class:`SiftParams` is all of them together, so a
stage asks for its own group and any field can be given by its name. This module
is the only home of a default value: the command line and the API read them here.

References: Lowe, *Distinctive Image Features from Scale-Invariant Keypoints*,
IJCV 2004; Rey-Otero and Delbracio, *Anatomy of the SIFT Method*, IPOL 2014.
"""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, Self

from .errors import ParameterError

DEFAULT_PRESET = "default"
PRESETS = (DEFAULT_PRESET, "classic", "dense")
"""The names of ``SiftParams.preset``."""


def _param(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field with its documentation and its permitted closed range or choices."""
    return field(default=default, metadata={"doc": doc, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True, kw_only=True)
class ScaleSpaceParams:
    """The Gaussian pyramid (Lowe, section 3; Rey-Otero and Delbracio, section 2)."""

    levels_per_octave: int = _param(3, "scales per octave S (Lowe, section 3.2)", low=1, high=16)
    sigma: float = _param(
        1.7, "blur σ₀ of the first level of an octave, in its samples (Lowe, section 3.3)", low=0.8, high=10
    )
    first_octave: int = _param(-1, "first octave; -1 starts from the doubled image", low=-1, high=8)
    min_octave_side: int = _param(12, "no octave is made whose smaller side has fewer samples", low=3)
    doubling: Literal["linear", "direct"] = _param(
        "direct",
        "interpolation of the doubled image: linear (Lowe, section 3.3), or none, "
        "the Gaussian being evaluated on the doubled grid",
        choices=("linear", "direct"),
    )
    assumed_variance: float = _param(
        -0.15,
        "blur that the input is assumed to have, variance in square pixels; below 0 it is smoothed first",
        low=-4,
        high=0.6,
    )


@dataclass(frozen=True, kw_only=True)
class KeypointParams:
    """Extrema, their refinement and what rejects them (Lowe, sections 3.1, 4 and 4.1)."""

    contrast_threshold: float = _param(
        0.015,
        "smallest |DoG| of a keypoint, times levels_per_octave, image in [0, 1] (Lowe, section 4); "
        "small ones need more (response_threshold), and those of a clean image less (clean_contrast)",
        low=0,
        high=1,
    )
    clean_contrast: float = _param(
        0.4,
        "share of contrast_threshold that is enough in an image without noise; it rises with the noise, to 1 "
        "at one grey level of 255. 1: the threshold is the same for every image",
        low=0,
        high=1,
    )
    candidate_fraction: float = _param(
        1.0,
        "share of what a keypoint of its scale needs that a sample must reach to be refined",
        low=0,
        high=1,
    )
    nearest_only: bool = _param(
        True,
        "a candidate need be extreme only among the 8 neighbours of its level and, nearly, the 2 beside it "
        "in scale, not among all 26 (Lowe, section 3.1)",
    )
    edge_threshold: float = _param(
        16.0,
        "largest ratio of the principal curvatures (Lowe, section 4.1), as a bound on the roundness (see "
        "roundness_power): 4·ratio / (ratio + 1)²",
        low=1,
    )
    max_offset: float = _param(
        0.6, "offset, in samples, above which refinement moves on (IPOL, algorithm 6)", low=0.5, high=1
    )
    max_moves: int = _param(5, "moves of the refinement before a candidate is dropped", low=0, high=5)
    fit_window: float = _param(
        0.4,
        "Gaussian weights of the least-squares fits that place a keypoint, in units of σ; 0 for Lowe's "
        "interpolation instead",
        low=0,
        high=2,
    )
    fit_tolerance: float = _param(
        0.02,
        "that fit is repeated until it moves by no more than this, in samples and levels, and then made "
        "once more by the nearest five planes; what has not settled after twelve rounds is dropped; 0 "
        "repeats none, and drops what is farther than a sample",
        low=0,
        high=2,
    )
    merge_distance: float = _param(
        1.0,
        "candidates that refine to within this distance (samples, levels) are one keypoint",
        low=0,
        high=2,
    )
    min_sigma: float = _param(0.0, "keypoints of a smaller σ, in input pixels, are dropped", low=0)
    response_threshold: float = _param(
        0.8,
        "smallest stability of a keypoint (response_power), in multiples of "
        "contrast_threshold / levels_per_octave",
        low=0,
    )
    response_excess: bool = _param(
        True, "the stability counts what |DoG| has beyond the contrast threshold, not all of it"
    )
    response_power: float = _param(
        1.2,
        "power of σ, in input pixels, in the stability that a keypoint needs, which is contrast · "
        "roundness^roundness_power · σ^response_power, less near the border (border_reach)",
        low=0,
        high=4,
    )
    roundness_power: float = _param(
        1.25,
        "power of the roundness in the stability: 4·determinant / trace² of the curvatures in x and y, 1 for "
        "a round structure; with fit_window, times the part of the curvature in scale that is left when the "
        "position follows the scale",
        low=0,
        high=2,
    )
    border_reach: float = _param(
        5.0,
        "how far from the image's border it lowers stability and response, in units of σ: at a distance of "
        "d·σ they are multiplied by 1 − exp(−(d / border_reach)²); 0 for nowhere",
        low=0,
        high=20,
    )
    ranking_power: float = _param(
        -0.5,
        "power of σ in the response, by which keypoints are ranked: |DoG| · roundness^ranking_roundness · "
        "σ^ranking_power. Below 0 small ones come first, which are placed more exactly; above 0 large ones, "
        "which are found again more often",
        low=-4,
        high=4,
    )
    ranking_roundness: float = _param(0.6, "power of the roundness in the response", low=0, high=2)


@dataclass(frozen=True, kw_only=True)
class OrientationParams:
    """The orientation histogram (Lowe, section 5), or the network of ``siftcli.learned``."""

    orientation: Literal["histogram", "learned"] = _param(
        "histogram",
        "how orientations are found: from a histogram of gradients (Lowe, section 5), or by a small network",
        choices=("histogram", "learned"),
    )
    orientation_weights: str = _param(
        "", "weights file of the learned orientation, as train-orientation writes it; empty for siftcli's own"
    )
    upright: bool = _param(False, "assign orientation 0 to every keypoint")
    isotropic_gradients: bool = _param(
        True,
        "gradients by differences over three rows, weights 1 4 1, equally exact in every direction; "
        "otherwise by central differences (Lowe)",
    )
    orientation_bins: int = _param(72, "bins of the histogram", low=8, high=360)
    orientation_window: float = _param(
        2.2, "Gaussian window of the histogram, in units of σ", low=0.5, high=6
    )
    orientation_radius: float = _param(
        2.0, "radius at which it is cut, in units of the window", low=1, high=4
    )
    orientation_smoothing: int = _param(20, "passes of circular three-bin averaging", low=0, high=64)
    peak_ratio: float = _param(
        0.8, "smallest peak, relative to the largest, with an orientation", low=0.1, high=1
    )
    max_orientations: int = _param(36, "most orientations of one keypoint, strongest first", low=1, high=36)


@dataclass(frozen=True, kw_only=True)
class DescriptorParams:
    """The 4 × 4 × 8 descriptor (Lowe, section 6.1)."""

    cell_width: float = _param(3.5, "side of one of the 4 × 4 cells, in units of σ", low=1, high=12)
    descriptor_clip: float = _param(
        0.2, "largest component before the second normalisation", low=0.05, high=1
    )
    rootsift: bool = _param(
        True, "RootSIFT: L1 normalisation and square root (Arandjelović and Zisserman 2012)"
    )
    dsp: bool = _param(
        False, "domain-size pooling: sum the histograms of three sizes of the cells (Dong and Soatto 2015)"
    )
    dsp_ratio: float = _param(1.7, "ratio r of those sizes: 1/r, 1 and r", low=1, high=3)


@dataclass(frozen=True, kw_only=True)
class SiftParams(ScaleSpaceParams, KeypointParams, OrientationParams, DescriptorParams):
    """All parameters of ``detect`` and ``describe``; frozen, and checked when made.

    Raises
    ------
    ParameterError
        If a value is of the wrong type or out of its range.
    """

    max_features: int | None = _param(None, "keep N features, after masking; all when not given", low=1)
    selection: Literal["spread", "strongest", "even"] = _param(
        "spread",
        "which N, and in which order: the strongest; those farthest from clearly stronger ones (even, Brown "
        "et al. 2005); or by both, the response times the square of that distance (spread)",
        choices=("spread", "strongest", "even"),
    )

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, _checked(f, getattr(self, f.name)))

    @classmethod
    def classic(cls, **options: Any) -> Self:
        """Lowe's SIFT, comparable with OpenCV keypoint by keypoint; fields may be overridden."""
        return cls.preset("classic", **options)

    @classmethod
    def preset(cls, name: str = DEFAULT_PRESET, **options: Any) -> Self:
        """The named preset, with fields overridden by ``options``.

        Raises
        ------
        ParameterError
            If the preset or an option is unknown, or a value is out of range.
        """
        if name not in PRESETS:
            raise ParameterError(f"unknown preset {name!r}; expected one of {', '.join(PRESETS)}")
        return cls(**_PRESETS.get(name, {})).override(**options)

    def override(self, **options: Any) -> Self:
        """A copy with some fields replaced; an unknown name is an error that suggests the nearest."""
        if not options:
            return self  # checked when it was made
        names = [f.name for f in fields(self)]
        for name in options:
            if name not in names:
                close = difflib.get_close_matches(name, names, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else f"; expected one of {', '.join(names)}"
                raise ParameterError(f"unknown parameter {name!r}{hint}")
        return replace(self, **options)

    def to_dict(self) -> dict[str, Any]:
        """Plain names and values, for JSON."""
        return asdict(self)


def _checked(f: Any, value: Any) -> Any:
    """The value in its field's own type, if it is acceptable."""
    if value is None and f.default is None:
        return None
    choices, low, high = (f.metadata[key] for key in ("choices", "low", "high"))
    if choices:
        if value not in choices:
            raise ParameterError(f"{f.name} must be one of {', '.join(choices)}; got {value!r}")
        return value
    kind = int if f.default is None else type(f.default)
    try:
        converted = kind(value)
        exact = bool(converted == value) and not (kind is not bool and isinstance(value, bool))
    except (TypeError, ValueError, OverflowError):
        exact = False
    if not exact:
        raise ParameterError(f"{f.name} must be {_KIND_NAMES[kind]}; got {value!r}")
    if (low is not None and converted < low) or (high is not None and converted > high):
        raise ParameterError(f"{f.name} must be {_range_text(low, high)}; got {value!r}")
    return converted


_CLASSIC: dict[str, Any] = {
    "sigma": 1.6,
    "doubling": "linear",
    "assumed_variance": 0.25,  # a camera blur of 0.5 px
    "contrast_threshold": 0.04,
    "clean_contrast": 1.0,
    "candidate_fraction": 0.5,
    "nearest_only": False,
    "edge_threshold": 10.0,
    "fit_window": 0.0,
    "merge_distance": 0.2,
    "response_threshold": 0.0,
    "response_excess": False,
    "response_power": 0.0,
    "roundness_power": 0.0,
    "border_reach": 0.0,
    "ranking_power": 0.0,
    "ranking_roundness": 0.0,
    "selection": "strongest",
    "isotropic_gradients": False,
    "orientation_bins": 36,
    "orientation_window": 1.5,
    "orientation_radius": 3.0,
    "orientation_smoothing": 2,
    "cell_width": 3.0,
    "rootsift": False,
}
"""Where Lowe's values (and OpenCV's) differ from the defaults."""

_DENSE: dict[str, Any] = {
    "contrast_threshold": 0.006,
    "clean_contrast": 1.0,
    "response_threshold": 0.75,
    "response_power": 1.8,
}
"""For reconstruction, which wants thousands of features of a photograph and sorts out the weak ones."""

_PRESETS = {"classic": _CLASSIC, "dense": _DENSE}

_KIND_NAMES = {int: "a whole number", float: "a number", bool: "True or False", str: "a text"}


def _range_text(low: float | None, high: float | None) -> str:
    if high is None:
        return f"at least {low}"
    return f"between {low} and {high}"
