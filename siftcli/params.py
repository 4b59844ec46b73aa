"""Every parameter of the detector and the descriptor, with its default, unit and source.

There is one frozen dataclass a stage; :class:`SiftParams` is all of them together, so a stage asks for its
own group and any field can be given by its name. A group has no instances of its own. Default values stand
here and nowhere else: the command line and the API read them.

A field's ``doc`` is the help of its option, where it has one: it says what the parameter does and when to
change it, not its default, which depends on the preset.

References: Lowe, *Distinctive Image Features from Scale-Invariant Keypoints*,
IJCV 2004; Rey-Otero and Delbracio, *Anatomy of the SIFT Method*, IPOL 2014.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self

from .errors import ParameterError
from .presets import DEFAULT_PRESET, NOW_FIXED, PRESET_VALUES, PRESETS, RENAMED

SIFT_OPTIONS = (
    "max_features",
    "selection",
    "levels_per_octave",
    "sigma",
    "contrast_threshold",
    "edge_threshold",
    "first_octave",
    "orientation",
    "orientation_weights",
    "upright",
    "max_orientations",
    "rootsift",
    "dsp",
    "views",
)
"""Parameters that have an option of their own, in the order of the help."""


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


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class ScaleSpaceParams:
    """The Gaussian pyramid (Lowe, section 3; Rey-Otero and Delbracio, section 2)."""

    levels_per_octave: int = _param(
        3,
        "scales per octave (Lowe, section 3.2); more find more keypoints, which are less stable, and take "
        "longer",
        low=1,
        high=16,
    )
    sigma: float = _param(
        1.4,
        "blur of the first level of an octave, in its samples (Lowe, section 3.3); a larger one finds fewer "
        "but more stable keypoints",
        low=0.8,
        high=10,
    )
    first_octave: int = _param(
        -1,
        "octave to begin with: -1 doubles the image first, 0 does not, each further one halves it; a later "
        "one is faster and leaves out the smallest keypoints",
        low=-1,
        high=8,
    )
    doubling: Literal["linear", "direct"] = _param(
        "direct",
        "how the image is doubled: by linear interpolation (Lowe, section 3.3), or directly, by evaluating "
        "the Gaussian on the doubled grid",
        choices=("linear", "direct"),
    )
    assumed_variance: float = _param(
        -0.18,
        "variance of the blur that the image is assumed to have, in square pixels; below 0 it is smoothed "
        "first",
        low=-4,
        high=0.6,
    )


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class KeypointParams:
    """Extrema, their refinement and what rejects them (Lowe, sections 3.1, 4 and 4.1)."""

    contrast_threshold: float = _param(
        0.013,
        "least contrast of a keypoint: |DoG| times the levels per octave, grey values in [0, 1] (Lowe, "
        "section 4); lower it to find more keypoints in dim or smooth images, raise it against noise",
        low=0,
        high=1,
    )
    clean_contrast: float = _param(
        0.4,
        "share of contrast_threshold that is enough in an image without noise; it rises with the noise, to 1 "
        "at a standard deviation of one grey level in 255; 1 for the same threshold in every image",
        low=0,
        high=1,
    )
    candidate_fraction: float = _param(
        1.0,
        "a sample is refined when its |DoG| reaches this share of what a keypoint of its scale needs",
        low=0,
        high=1,
    )
    nearest_only: bool = _param(
        True,
        "compare a candidate with the 8 neighbours of its level and, nearly, the 2 beside it in scale, "
        "not with all 26 neighbours (Lowe, section 3.1)",
    )
    edge_threshold: float = _param(
        16.0,
        "largest ratio of the two principal curvatures of a keypoint (Lowe, section 4.1); raise it to keep "
        "more keypoints on edges, which are less stable",
        low=1,
    )
    refinement: Literal["lowe", "least-squares"] = _param(
        "least-squares",
        "how a keypoint is placed between the samples: by a quadratic through neighbouring samples (Lowe, "
        "section 4), or by quadratics fitted to more samples, which noise moves less",
        choices=("lowe", "least-squares"),
    )
    fit_window: float = _param(
        0.4,
        "least-squares refinement: standard deviation of the Gaussian weights of the fit, in units of σ",
        low=0.1,
        high=2,
    )
    fit_tolerance: float = _param(
        0.02,
        "least-squares refinement: the fit is repeated until it moves by no more than this, in samples and "
        "levels, and then made once more through the nearest five planes; a keypoint that has not settled "
        "after twelve fits is dropped; 0 repeats none, and drops what moves by more than a sample",
        low=0,
        high=2,
    )
    merge_distance: float = _param(
        1.0,
        "candidates that refine to within this distance of each other (samples, levels) are one keypoint",
        low=0,
        high=2,
    )
    stability_threshold: float = _param(
        0.8,
        "least stability of a keypoint, in multiples of contrast_threshold / levels_per_octave; the "
        "stability is contrast · roundness^stability_roundness · σ^stability_power, and less near the border "
        "(border_reach)",
        low=0,
    )
    stability_excess: bool = _param(
        True, "the stability counts by how much |DoG| exceeds the contrast threshold, not all of it"
    )
    stability_power: float = _param(0.6, "power of σ (input pixels) in the stability", low=0, high=4)
    stability_roundness: float = _param(
        1.5,
        "power of the roundness in the stability: 4·determinant / trace² of the curvatures in x and y, 1 for "
        "a round structure; with least-squares refinement, times the share of the curvature in scale that "
        "remains when the position is free to follow the scale",
        low=0,
        high=2,
    )
    border_reach: float = _param(
        5.0,
        "range, in units of σ, in which the image's border lowers stability and response: at a distance of "
        "d·σ they are multiplied by 1 − exp(−(d / border_reach)²); 0 for no effect",
        low=0,
        high=20,
    )
    ranking_power: float = _param(
        -0.15,
        "power of σ in the response, by which keypoints are ranked: |DoG| · roundness^ranking_roundness · "
        "σ^ranking_power; below 0 it prefers small ones, whose positions are more exact, above 0 large ones, "
        "which are found again more often",
        low=-4,
        high=4,
    )
    ranking_roundness: float = _param(0.6, "power of the roundness in the response", low=0, high=2)


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class OrientationParams:
    """Orientations, from a histogram (Lowe, section 5) or from the network of ``siftcli.learned``."""

    orientation: Literal["histogram", "learned"] = _param(
        "histogram",
        "how orientations are found: from a histogram of gradients (Lowe, section 5), or by a small neural "
        "network",
        choices=("histogram", "learned"),
    )
    orientation_weights: str = _param(
        "",
        "weights of the learned orientation, a file that train-orientation has written; siftcli's own when "
        "not given",
    )
    upright: bool = _param(
        False,
        "assign orientation 0 to every keypoint; for images that are not rotated against each other",
    )
    isotropic_gradients: bool = _param(
        True,
        "take gradients over three rows, weighted 1 4 1, which are equally exact in every direction, not by "
        "central differences (Lowe)",
    )
    orientation_bins: int = _param(72, "bins of the histogram", low=8, high=360)
    orientation_window: float = _param(
        2.7, "standard deviation of the histogram's Gaussian window, in units of σ", low=0.5, high=6
    )
    orientation_radius: float = _param(
        2.1, "radius at which that window is cut, in units of its standard deviation", low=1, high=4
    )
    orientation_smoothing: int = _param(20, "passes of circular three-bin averaging", low=0, high=64)
    peak_ratio: float = _param(
        0.8,
        "a peak of the histogram gives an orientation when it reaches this share of the largest",
        low=0.1,
        high=1,
    )
    max_orientations: int = _param(
        36,
        "keep so many orientations of a keypoint at most, the strongest; each makes a feature, so 1 gives "
        "the fewest features",
        low=1,
        high=36,
    )


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class DescriptorParams:
    """The 4 × 4 × 8 descriptor (Lowe, section 6.1)."""

    cell_width: float = _param(3.5, "side of one of the 4 × 4 cells, in units of σ", low=1, high=12)
    descriptor_clip: float = _param(
        0.2, "largest component of the unit vector before it is normalised again", low=0.05, high=1
    )
    rootsift: bool = _param(
        True,
        "make RootSIFT descriptors: L1 normalisation and square root (Arandjelović and Zisserman 2012); turn "
        "it off for programs that expect Lowe's",
    )
    dsp: bool = _param(
        False,
        "pool each descriptor over three sizes of the neighbourhood (domain-size pooling, Dong and Soatto "
        "2015); more matches in blurred and noisy images, for a third to a half more time",
    )


@dataclass(frozen=True, kw_only=True)
class SiftParams(ScaleSpaceParams, KeypointParams, OrientationParams, DescriptorParams):
    """All parameters of ``detect`` and ``describe``; frozen, and checked when made.

    Raises
    ------
    ParameterError
        If a value is of the wrong type or out of its range.

    Examples
    --------
    >>> from siftcli import SiftParams
    >>> SiftParams(max_features=2000)
    SiftParams(max_features=2000)
    >>> SiftParams.preset("dense", max_features=8192).contrast_threshold
    0.006
    >>> SiftParams().override(max_feature=2000)
    Traceback (most recent call last):
    siftcli.errors.ParameterError: unknown parameter 'max_feature'; did you mean 'max_features'?
    """

    max_features: int | None = _param(None, "keep at most this many features; all when not given", low=1)
    selection: Literal["spread", "strongest", "even"] = _param(
        "spread",
        "which features come first, and are kept when their number is limited: the strongest; those farthest "
        "from clearly stronger ones (even, Brown et al. 2005); or both, by the response times a power of "
        "that distance (spread)",
        choices=("spread", "strongest", "even"),
    )

    views: int = _param(
        0,
        "also detect in simulated views, tilted by √2, 2, 2√2, ... up to this many factors (Morel and Yu "
        "2009); for changes of viewpoint beyond 50 degrees; each factor takes five to seven times as long as "
        "the image",
        low=0,
        high=6,
    )

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if (checked := _checked(f, value)) is not value:
                object.__setattr__(self, f.name, checked)
        if self.views and self.upright:
            raise ParameterError("views must be 0 with upright, as views are turned; drop one of them")

    def __repr__(self) -> str:
        """The fields that differ from the default preset."""
        changed = [f for f in fields(self) if getattr(self, f.name) != f.default]
        return f"SiftParams({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in changed)})"

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
        cls._require_known(options)
        return cls(**{**PRESET_VALUES.get(name, {}), **options})

    def override(self, **options: Any) -> Self:
        """A copy with some fields replaced; an unknown name is an error that suggests the nearest."""
        if not options:
            return self  # checked when it was made
        self._require_known(options)
        return replace(self, **options)

    @classmethod
    def _require_known(cls, names: Iterable[str]) -> None:
        known = [f.name for f in fields(cls)]
        for name in names:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else f"; expected one of {', '.join(known)}"
                raise ParameterError(f"unknown parameter {name!r}{hint}")

    def to_dict(self) -> dict[str, Any]:
        """Plain names and values, for JSON."""
        return {f.name: getattr(self, f.name) for f in fields(self)}  # asdict would copy, which takes longer

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The parameters that :meth:`to_dict` gave, in this or in an earlier version.

        Raises
        ------
        ParameterError
            If a name is unknown, a value is out of range, or a parameter that no longer exists had another
            value than the one that is now fixed.
        """
        values = {RENAMED.get(name, name): value for name, value in record.items()}
        for name, fixed in NOW_FIXED.items():
            value = values.pop(name, fixed)
            if value != fixed:
                raise ParameterError(f"{name} is now always {fixed}; got {value!r}, of an earlier version")
        if "refinement" not in values and values.get("fit_window") == 0:  # as earlier versions said it
            values |= {"refinement": "lowe", "fit_window": cls.fit_window}
        return cls().override(**values)


def _checked(f: Any, value: Any) -> Any:
    """The value in its field's own type, if it is acceptable."""
    if value is f.default:
        return value
    choices, low, high = f.metadata["choices"], f.metadata["low"], f.metadata["high"]
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


_KIND_NAMES = {int: "a whole number", float: "a number", bool: "True or False", str: "a text"}


def _range_text(low: float | None, high: float | None) -> str:
    return f"at least {low}" if high is None else f"between {low} and {high}"
