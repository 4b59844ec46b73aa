"""The result of matching two images as text: the verdict, labels with values, the model as a matrix."""

from __future__ import annotations

from typing import Any

from ..matching.verification import MODEL_NAMES
from .match_request import POINT_MAPS

ROTATION_ONLY = "unknown: the rotation alone explains the matches"

_ROWS = (
    ("n_features_a", "features of A", "{}"),
    ("n_features_b", "features of B", "{}"),
    ("n_matches", "matches", "{}"),
    ("n_inliers", "inliers", "{}"),
    ("focal_px", "focal lengths", "{0[0]:.1f}, {0[1]:.1f} px"),
    ("pose_angle_deg", "rotation from A to B", "{:.3f}°"),
    ("pose_axis", "  about (right, down, forward)", "{0[0]:z.4f}, {0[1]:z.4f}, {0[2]:z.4f}"),
    ("pose_direction", "direction of translation", "{0[0]:z.4f}, {0[1]:z.4f}, {0[2]:z.4f}"),
    ("pose_note", "direction of translation", "{}"),
    ("rotation_asked_deg", "rotation asked", "{:g}°"),
    ("rotation_recovered_deg", "rotation recovered", "{:z.4f}°"),
    ("rotation_error_deg", "  error", "{:+z.4f}°"),
    ("rotation_relative_deg", "  less what was asked", "{:+z.4f}°"),
    ("scale_asked", "scale asked", "{:g}"),
    ("scale_recovered", "scale recovered", "{:.6f}"),
    ("n_correct", "correct matches (2 px)", "{}"),
    ("precision", "precision", "{:.4f}"),
    ("repeatability", "repeatability (1.5 px)", "{:.4f}"),
)
"""Keys of the summary shown as text, with labels and formats."""


def verdict(summary: dict[str, Any]) -> str:
    """One line: whether the images were verified to show the same, or why not."""
    n, n_inliers, model = summary["n_matches"], summary.get("n_inliers"), str(summary.get("model", "model"))
    if n_inliers is None:
        return f"not checked: {n} matches, no model was asked for"
    if summary.get("is_verified", summary.get("model_matrix") is not None):
        return f"verified: {n_inliers} of {n} matches agree with a {MODEL_NAMES.get(model, model)}"
    reason = str(summary.get("reason") or f"{n_inliers} of {n} matches agree")
    return reason if reason.startswith("not verified") else f"not verified: {reason}"


def direction(model: str) -> str:
    """What the matrix of a model does."""
    return "A -> B" if model in POINT_MAPS else "x_B^T F x_A = 0"


def matrix_lines(summary: dict[str, Any]) -> list[str]:
    """The model as three aligned rows below a line that tells its direction; none without a model."""
    matrix = summary.get("model_matrix")
    if matrix is None:
        return []
    model = str(summary["model"])
    name = MODEL_NAMES.get(model, model)
    what = f"{name}, A -> B" if model in POINT_MAPS else f"{name}, {direction(model)}"
    cells = [[f"{value:.9g}" for value in row] for row in matrix]
    width = max(len(cell) for row in cells for cell in row)
    return [f"{what}:", *("  " + "  ".join(cell.rjust(width) for cell in row) for row in cells)]


def corner_line(summary: dict[str, Any]) -> str:
    """The corners of A in B, clockwise from the top left; why there are none otherwise."""
    corners = summary.get("corners")
    if corners is None:
        return "corners of A in B: none, A reaches beyond the horizon of its plane"
    return "corners of A in B: " + ", ".join(f"({x:.1f}, {y:.1f})" for x, y in corners)


def match_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Labels and formatted values, with units, of the known entries of a result in plain types."""
    known = {name: value for name, value in summary.items() if value not in (None, "")}
    if (known.get("rotation_asked_deg", 0), known.get("scale_asked", 1)) == (0, 1):
        for name in ("rotation_asked_deg", "scale_asked", "rotation_relative_deg", "rotation_error_deg"):
            known.pop(name, None)
    return [(label, form.format(known[name])) for name, label, form in _ROWS if name in known]
