"""The values of the presets, and the names and values of parameters in earlier versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEFAULT_PRESET = "default"
PRESETS = (DEFAULT_PRESET, "classic", "dense")
"""The names of ``SiftParams.preset``."""

CLASSIC: Mapping[str, Any] = {
    "sigma": 1.6,
    "doubling": "linear",
    "assumed_variance": 0.25,  # a camera blur of 0.5 px
    "contrast_threshold": 0.04,
    "clean_contrast": 1.0,
    "candidate_fraction": 0.5,
    "nearest_only": False,
    "edge_threshold": 10.0,
    "refinement": "lowe",
    "merge_distance": 0.2,
    "stability_threshold": 0.0,
    "stability_excess": False,
    "stability_power": 0.0,
    "stability_roundness": 0.0,
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
"""Lowe's values (and OpenCV's), where they differ from the defaults."""

DENSE: Mapping[str, Any] = {
    "contrast_threshold": 0.006,
    "clean_contrast": 1.0,
    "stability_threshold": 0.75,
    "stability_power": 1.8,
    "ranking_power": 2.0,
    "ranking_roundness": 1.25,
    "selection": "strongest",
}
"""For reconstruction, which needs thousands of features of a photograph and sorts out the weak ones."""

NOW_FIXED = {"min_octave_side": 12, "max_offset": 0.6, "max_moves": 5, "min_sigma": 0.0, "dsp_ratio": 1.7}
"""Parameters of earlier versions, and the value that each has now."""

RENAMED = {
    "response_threshold": "stability_threshold",
    "response_excess": "stability_excess",
    "response_power": "stability_power",
    "roundness_power": "stability_roundness",
}
"""Names of parameters in earlier versions, where the stability was the response too."""

PRESET_VALUES = {"classic": CLASSIC, "dense": DENSE}
"""Name of a preset -> its values."""
