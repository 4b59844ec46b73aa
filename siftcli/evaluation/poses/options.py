"""What a benchmark of poses can be asked for: names and defaults, without NumPy."""

from __future__ import annotations

from ...errors import ParameterError

DATASET_NAME = "poses"
BUDGETS = (500, 1000, 2000, 4000, 8000)
"""Features an image, beside each detector's own number."""
AT_DEFAULTS = "default"
"""The budget of each detector's own number of features."""
DEGRADATION_NAMES = ("clean", "motion", "defocus", "noise", "jpeg", "upside-down", "turn")
MAX_ANGLE_DEG = 70.0
"""Largest angle between the directions of view of a pair."""
MAX_SIDE_PX = 1024
"""Longer side to which photographs are reduced."""
N_SEEDS = 5
AUC_LIMITS_DEG = (1, 3, 5, 10)


def parse_budgets(text: str) -> tuple[str, ...]:
    """Read a list such as ``500,2000,default``.

    Raises
    ------
    ParameterError
        If an entry is neither a number from 1 nor ``default``, or occurs twice.
    """
    budgets = tuple(part.strip() for part in text.split(","))
    good = all(b == AT_DEFAULTS or (b.isascii() and b.isdecimal() and int(b) > 0) for b in budgets)
    if not good or len(set(budgets)) < len(budgets):
        raise ParameterError(f"expected budgets such as 500,2000,default, each once; got {text!r}")
    return budgets


def check_degradations(names: tuple[str, ...]) -> None:
    """Check names of degradations.

    Raises
    ------
    ParameterError
        If one is unknown.
    """
    for name in names:
        if name not in DEGRADATION_NAMES:
            raise ParameterError(
                f"unknown degradation {name!r}; expected some of {', '.join(DEGRADATION_NAMES)}"
            )
