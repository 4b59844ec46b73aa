"""The choices and defaults of a benchmark of poses; does not import NumPy."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import ParameterError

DATASET_NAME = "poses"
BUDGETS = (500, 1000, 2000, 4000, 8000)
"""Features per image, besides each detector's own number."""
AT_DEFAULTS = "default"
"""The budget of each detector's own number of features."""
CLEAN = "clean"
DEGRADATION_NAMES = (CLEAN, "motion", "defocus", "noise", "jpeg", "plain", "upside-down", "turn")
"""What can be done to the second view of a pair."""
DEGRADATION_TITLES = {
    "motion": "motion blur",
    "jpeg": "JPEG",
    "plain": "plain background",
    "turn": "turned by 45°",
}
"""Those whose name does not say enough in a heading."""
GEOMETRIES = ("essential", "fundamental")
"""What is estimated: with known intrinsics, and without."""
MAX_ANGLE_DEG = 70.0
"""Largest angle between the directions of view of a pair."""
MAX_SIDE_PX = 1024
"""Longer side to which photographs are reduced."""
N_SEEDS = 5
AUC_LIMITS_DEG = (1, 3, 5, 10)


def parse_budgets(text: str) -> tuple[str, ...]:
    """Parse a list such as ``500,2000,default``.

    Raises
    ------
    ParameterError
        If an entry is neither a number of at least 1 nor ``default``, or occurs twice.
    """
    budgets = tuple(part.strip() for part in text.split(","))
    good = all(b == AT_DEFAULTS or (b.isascii() and b.isdecimal() and int(b) > 0) for b in budgets)
    if not good or len(set(budgets)) < len(budgets):
        raise ParameterError(f"expected budgets such as 500,2000,default, each once; got {text!r}")
    return budgets


def check_names(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Check a list of names.

    Raises
    ------
    ParameterError
        If it is empty, or a name is unknown or occurs twice.
    """
    if not names or len(set(names)) != len(names) or not set(names) <= set(known):
        raise ParameterError(
            f"expected {what} among {', '.join(known)}, each once; got {', '.join(names) or 'none'}"
        )


def check_range(what: str, low: float, high: float, limit: float) -> None:
    """Check a lower and an upper limit.

    Raises
    ------
    ParameterError
        If they do not rise from 0 to ``limit``.
    """
    if not 0 <= low <= high <= limit:
        raise ParameterError(f"expected {what} that rise within 0 to {limit:g}; got {low:g} to {high:g}")
