"""From the transforms of pairs of frames to that of each frame, and what is said of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..alignment.adjustment import Pair, adjusted, chained
from ..alignment.canvas import Canvas, make_canvas
from ..alignment.models import Frame as Coordinates
from ..alignment.models import motion, rms_distance
from ..alignment.options import AlignOptions
from ..formats.transforms import FrameTransform, Transforms
from .align_plan import Frame, Plan
from .align_work import FrameFound
from .summary import SCHEMA

REFERENCE, ALIGNED, FAILED = "reference", "aligned", "failed"
Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameResult:
    """What became of a frame."""

    index: int
    frame: Frame
    status: str
    """"reference", "aligned" or "failed"."""
    matrix: Matrix | None = None
    """(3, 3) map to the reference; None if it failed."""
    n_matches: int = 0
    n_inliers: int = 0
    """Of its match with the reference, or else of the one with most."""
    residual_px: float | None = None
    n_pairs: int = 0
    """Verified pairs that the frame is part of."""
    drift_px: float | None = None
    """How far the chain of transforms from frame to frame is from the adjusted transform, over the frame."""
    reason: str = ""
    """Why it failed, or was not refined."""
    output: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Describe it in plain types, for JSON; the keys are listed in docs/json.md."""
        moved = None if self.matrix is None else motion(self.matrix, self.frame.size)
        return {
            "schema": SCHEMA,
            "image": self.frame.label,
            "status": self.status,
            "image_size": list(self.frame.size),
            "n_matches": self.n_matches,
            "n_inliers": self.n_inliers,
            "n_pairs": self.n_pairs,
            "residual_px": self.residual_px,
            "shift": None if moved is None else list(moved.shift),
            "rotation_deg": None if moved is None else moved.rotation_deg,
            "scale": None if moved is None else moved.scale,
            "drift_px": self.drift_px,
            "model_matrix": None if self.matrix is None else self.matrix.tolist(),
            "reason": self.reason,
            "output": self.output,
        }


def solve(plan: Plan, options: AlignOptions, found: Mapping[int, FrameFound]) -> list[FrameResult]:
    """The transform of each frame to the reference, by its own match or by the adjustment of all.

    Parameters
    ----------
    plan
        The frames.
    options
        The model.
    found
        What was found of each frame but the reference.
    """
    pairs = [pair for i in sorted(found) for pair in found[i].pairs]
    coordinates = Coordinates.of(plan.frames[plan.reference].size)
    matrices = chained(_backbone(plan, pairs), plan.reference)
    chain = dict(matrices)
    if plan.neighbours:
        start = chained(pairs, plan.reference)
        chain = _chain_of_steps(pairs, plan.reference)
        matrices = adjusted(options.model, pairs, plan.reference, start, coordinates)
    else:
        chain = {}
    return [_result(plan, i, matrices.get(i), chain.get(i), found, pairs) for i in range(len(plan.frames))]


def _backbone(plan: Plan, pairs: list[Pair]) -> list[Pair]:
    """The pairs that determine the transforms without an adjustment."""
    if plan.is_chained:
        return pairs
    return [pair for pair in pairs if pair.reference == plan.reference]


def _chain_of_steps(pairs: list[Pair], reference: int) -> dict[int, Matrix]:
    """The transforms as a chain of steps from each frame to the nearest one before it, for comparison."""
    steps: dict[int, Pair] = {}
    for pair in pairs:
        if abs(pair.moving - pair.reference) < abs(
            pair.moving - steps[pair.moving].reference if pair.moving in steps else 1 << 30
        ) and (pair.reference != reference or abs(pair.moving - reference) == 1):
            steps[pair.moving] = pair
    return chained(list(steps.values()), reference)


def _result(
    plan: Plan,
    i: int,
    matrix: Matrix | None,
    chain: Matrix | None,
    found: Mapping[int, FrameFound],
    pairs: list[Pair],
) -> FrameResult:
    frame = plan.frames[i]
    if i == plan.reference:
        return FrameResult(index=i, frame=frame, status=REFERENCE, matrix=np.eye(3))
    own = found.get(i, FrameFound(reason="it was not processed"))
    common: dict[str, Any] = {"index": i, "frame": frame, "n_matches": own.n_matches}
    if matrix is None:
        reason = own.reason or "no chain of matches leads from it to the reference"
        return FrameResult(status=FAILED, reason=reason, **common)
    mine = [pair for pair in pairs if i in (pair.moving, pair.reference)]
    best = max(mine, key=lambda pair: (plan.reference in (pair.moving, pair.reference), pair.n_inliers))
    return FrameResult(
        status=ALIGNED,
        matrix=matrix,
        n_inliers=best.n_inliers,
        residual_px=best.residual_px,
        n_pairs=len(mine),
        drift_px=None if chain is None else rms_distance(chain, matrix, frame.size),
        reason=own.note,
        **common,
    )


def canvas_of(plan: Plan, kind: str, results: list[FrameResult]) -> Canvas:
    """The canvas of all frames that are aligned."""
    pictures = [(r.matrix, r.frame.size) for r in results if r.matrix is not None]
    return make_canvas(kind, plan.frames[plan.reference].size, pictures)


def transforms_of(plan: Plan, model: str, results: list[FrameResult], canvas: Canvas) -> Transforms:
    """The transforms, to be saved."""
    frames = tuple(FrameTransform(r.frame.name, r.frame.size, r.matrix) for r in results)
    return Transforms(frames=frames, size=canvas.size, origin=canvas.origin, model=model)


def applied(plan: Plan, transforms: Transforms, path: str) -> tuple[list[FrameResult], Canvas]:
    """The frames of a plan with transforms of a file, and the canvas that it names.

    Raises
    ------
    InputError
        If the transforms are those of another stack.
    """
    from ..errors import InputError

    if len(transforms.frames) != len(plan.frames):
        raise InputError(
            f"{path}: expected the transforms of {len(plan.frames)} frames, got {len(transforms.frames)}; "
            "give the same frames in the same order"
        )
    results, place = [], plan.reference
    for i, (frame, saved) in enumerate(zip(plan.frames, transforms.frames, strict=True)):
        if saved.size is not None and saved.size != frame.size:
            raise InputError(
                f"{path}: expected {saved.size[0]} x {saved.size[1]} pixels for {saved.name}, "
                f"got {frame.size[0]} x {frame.size[1]} in {frame.label}; give those frames, or --scale"
            )
        is_fixed = saved.matrix is not None and np.array_equal(saved.matrix, np.eye(3))
        place = i if is_fixed else place
        status = FAILED if saved.matrix is None else REFERENCE if is_fixed else ALIGNED
        reason = "" if saved.matrix is not None else f"{path} has no transform of it"
        results.append(FrameResult(index=i, frame=frame, status=status, matrix=saved.matrix, reason=reason))
    size = transforms.size or plan.frames[place].size
    return results, Canvas(size, transforms.origin)


def with_output(result: FrameResult, output: str | None) -> FrameResult:
    """The result with the file that it was written to."""
    return replace(result, output=output)
