"""The canvas that pictures are warped onto: that of the reference, or all or the common part of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .models import Floats, Matrix, mapped

MAX_SIDE = 1 << 20
ROUNDING = 1e-3
"""Positions are rounded to pixels with this tolerance, in pixels; solvers are not exact."""
LARGEST_GROWTH = 25.0
"""A union of more than this many times the reference's area is refused: its transforms are hardly right."""


@dataclass(frozen=True)
class Canvas:
    """A rectangle of pixels in the frame of the reference."""

    size: tuple[int, int]
    """(width, height)."""
    origin: tuple[int, int] = (0, 0)
    """Position of its first pixel in the reference."""


def make_canvas(
    kind: str,
    reference: tuple[int, int],
    pictures: Sequence[tuple[Matrix, tuple[int, int]]],
) -> Canvas:
    """Choose the canvas.

    Parameters
    ----------
    kind
        ``"reference"``, ``"union"`` or ``"intersection"``.
    reference
        (width, height) of the reference.
    pictures
        For each aligned picture its transform and its (width, height).

    Raises
    ------
    InputError
        If the pictures have no pixel in common, or a union would be huge.
    """
    if kind == "reference":
        return Canvas(reference)
    outlines = [_outline(np.eye(3), reference), *(_outline(matrix, size) for matrix, size in pictures)]
    if kind == "union":
        return _union(outlines, reference)
    return _intersection(outlines)


def _outline(matrix: Matrix, size: tuple[int, int]) -> Floats:
    """(4, 2) the outer corners of a picture in the reference, in order."""
    right, bottom = size[0] - 0.5, size[1] - 0.5
    corners = np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]])
    found = mapped(matrix, corners)
    if not np.isfinite(found).all():
        raise InputError(
            "expected transforms that keep every picture finite, got one that maps a corner to infinity; "
            "pass --canvas reference"
        )
    return found


def _union(outlines: list[Floats], reference: tuple[int, int]) -> Canvas:
    corners = np.concatenate(outlines)
    low, high = np.floor(corners.min(axis=0) + 0.5 + 1e-6), np.ceil(corners.max(axis=0) - 0.5 - 1e-6)
    width, height = (int(v) + 1 for v in high - low)
    if max(width, height) > MAX_SIDE or width * height > LARGEST_GROWTH * reference[0] * reference[1]:
        raise InputError(
            f"the union would have {width} x {height} pixels, over {LARGEST_GROWTH:g} times the reference's; "
            "pass --canvas reference, or a --model with fewer parameters"
        )
    return Canvas((width, height), (int(low[0]), int(low[1])))


def _intersection(outlines: list[Floats]) -> Canvas:
    """The largest rectangle of pixels in all outlines, which are convex.

    Its corners satisfy one linear inequality for each side of each outline, and the logarithm of its area
    is concave, so that any local maximum is the largest.
    """
    from scipy.optimize import linprog, minimize

    normals, offsets = _half_planes(outlines)
    # For a·x + b·y <= c the farthest corner counts: it has the right side where a > 0, else the left one.
    sides = np.stack(
        [
            np.minimum(normals[:, 0], 0),
            np.minimum(normals[:, 1], 0),
            np.maximum(normals[:, 0], 0),
            np.maximum(normals[:, 1], 0),
        ],
        axis=1,
    )
    widest = np.array([[1.0, 0, -1, 0, 1], [0, 1.0, 0, -1, 1]])
    bounds = np.vstack([np.column_stack([sides, np.zeros(len(sides))]), widest])
    square = linprog(
        [0, 0, 0, 0, -1], A_ub=bounds, b_ub=np.append(offsets, [0, 0]), bounds=[(None, None)] * 5
    )
    if square.status != 0 or square.x[4] < 0:
        raise _nothing_in_common()
    start = square.x[:4]
    if square.x[4] > 1:
        found = minimize(
            lambda v: -np.log(v[2] - v[0] + 1) - np.log(v[3] - v[1] + 1),
            start,
            jac=lambda v: np.array([1 / (v[2] - v[0] + 1), 1 / (v[3] - v[1] + 1)] * 2) * [1, 1, -1, -1],
            constraints=[{"type": "ineq", "fun": lambda v: offsets - sides @ v, "jac": lambda v: -sides}],
            method="SLSQP",
        )
        start = found.x if found.success else start
    return _inside(start, sides, offsets)


def _half_planes(outlines: list[Floats]) -> tuple[Floats, Floats]:
    """Unit normals (N, 2) and offsets (N,) of the sides: a·x + b·y <= c inside."""
    start = np.concatenate(outlines)
    side = np.concatenate([np.roll(o, -1, axis=0) - o for o in outlines])
    winding = np.repeat([np.sign(_area(o)) for o in outlines], 4)
    normals = np.stack([side[:, 1], -side[:, 0]], axis=1) / np.hypot(*side.T)[:, None] * winding[:, None]
    # A pixel whose centre is at the outermost half pixel still has a value.
    return normals, np.sum(normals * start, axis=1)


def _area(outline: Floats) -> float:
    x, y = outline.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def _inside(corners: Floats, sides: Floats, offsets: Floats) -> Canvas:
    """Whole pixels in a rectangle (left, top, right, bottom) of positions."""
    box = np.array([*np.ceil(corners[:2] - ROUNDING), *np.floor(corners[2:] + ROUNDING)])
    while (box[2:] >= box[:2]).all():
        if (sides @ box <= offsets + ROUNDING).all():
            left, top, right, bottom = (int(v) for v in box)
            return Canvas((right - left + 1, bottom - top + 1), (left, top))
        box += [1, 1, -1, -1]
    raise _nothing_in_common()


def _nothing_in_common() -> InputError:
    return InputError(
        "the aligned pictures have no rectangle in common; pass another --canvas, or leave some out"
    )
