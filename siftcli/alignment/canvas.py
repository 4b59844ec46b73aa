"""The canvas that pictures are warped onto: that of the reference, or all or the common part of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .models import Floats, Matrix, mapped

MAX_SIDE = 1 << 20
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
            f"the union would have {width} x {height} pixels, more than {LARGEST_GROWTH:g} times the reference; "
            "pass --canvas reference, or a --model with fewer parameters"
        )
    return Canvas((width, height), (int(low[0]), int(low[1])))


def _intersection(outlines: list[Floats]) -> Canvas:
    """The largest rectangle found by moving the sides inwards, least loss first, until it is in all outlines."""
    left, top = (max(float(o[:, k].min()) for o in outlines) for k in (0, 1))
    right, bottom = (min(float(o[:, k].max()) for o in outlines) for k in (0, 1))
    box = [
        math.ceil(left - 1e-6 + 0.5),
        math.ceil(top - 1e-6 + 0.5),
        math.floor(right + 1e-6 - 0.5),
        math.floor(bottom + 1e-6 - 0.5),
    ]
    while box[0] <= box[2] and box[1] <= box[3]:
        outside = _outside(box, outlines)
        if not any(outside):
            return Canvas((box[2] - box[0] + 1, box[3] - box[1] + 1), (box[0], box[1]))
        side = _cheapest(box, outlines)
        box[side] += 1 if side < 2 else -1
    raise InputError(
        "the aligned pictures have no rectangle in common; pass --canvas reference or union, or leave some out"
    )


def _outside(box: list[int], outlines: list[Floats]) -> list[bool]:
    """Whether each corner of the box, as the centre of a pixel, is outside an outline."""
    corners = np.array([[box[i], box[j]] for i in (0, 2) for j in (1, 3)], dtype=np.float64)
    found = np.zeros(4, bool)
    for outline in outlines:
        start, side = outline, np.roll(outline, -1, axis=0) - outline
        offset = corners[:, None] - start
        cross = side[:, 0] * offset[..., 1] - side[:, 1] * offset[..., 0]
        found |= (cross < -1e-6 * np.hypot(*side.T)).any(axis=1)
    return [bool(v) for v in found]


def _cheapest(box: list[int], outlines: list[Floats]) -> int:
    """The side whose move inwards brings most corners inside; of equal ones the one that costs least."""
    width, height = box[2] - box[0] + 1, box[3] - box[1] + 1
    best, chosen = (math.inf, math.inf), 0
    for side, cost in ((0, height), (1, width), (2, height), (3, width)):
        moved = list(box)
        moved[side] += (1 if side < 2 else -1) * max(1, (width if side % 2 == 0 else height) // 64)
        rank = (sum(_outside(moved, outlines)), cost)
        if rank < best:
            best, chosen = rank, side
    return chosen
