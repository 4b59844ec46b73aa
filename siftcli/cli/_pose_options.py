"""Options of ``siftcli evaluate --dataset poses``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from ..errors import ParameterError
from ..evaluation.poses.options import (
    AT_DEFAULTS,
    BUDGETS,
    DEGRADATION_NAMES,
    MAX_ANGLE_DEG,
    MAX_SIDE_PX,
    parse_budgets,
)
from ._options import names_callback

_OPTIONS = (
    click.option(
        "--budgets",
        metavar="LIST",
        help="Poses: features an image, separated by commas; 'default' is each detector's own number.  "
        f"[default: {','.join(map(str, BUDGETS))},{AT_DEFAULTS}]",
    ),
    click.option(
        "--degrade",
        "degradations",
        default=DEGRADATION_NAMES[0],
        show_default=True,
        callback=names_callback,
        metavar="NAMES",
        help=f"Poses: what is done to the second view of a pair: {', '.join(DEGRADATION_NAMES)}.",
    ),
    click.option(
        "--view-angles",
        type=(click.FloatRange(0, 180), click.FloatRange(0, 180)),
        default=(0, MAX_ANGLE_DEG),
        show_default=True,
        metavar="MIN MAX",
        help="Poses: degrees between the directions of view of a pair.",
    ),
    click.option(
        "--max-side",
        type=click.IntRange(min=64),
        default=MAX_SIDE_PX,
        show_default=True,
        metavar="PX",
        help="Poses: larger photographs are reduced to this longer side.",
    ),
)
_NAMES = ("budgets", "degradations", "view_angles", "max_side")


def pose_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_pose_options(options: dict[str, Any]) -> dict[str, Any]:
    """Move the values of these options out of a command's."""
    return {name: options.pop(name) for name in _NAMES}


def run_poses(
    inputs: Sequence[str],
    output: str,
    options: dict[str, Any],
    jobs: int,
    overwrite: bool,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Measure poses; what ``results.json`` holds."""
    budgets = options.pop("budgets")
    low, high = options.pop("view_angles")
    values = {**options, "max_side_px": options["max_side"], "min_angle_deg": low, "max_angle_deg": high}
    del values["max_side"]
    if budgets is not None:
        values["budgets"] = parse_budgets(budgets)

    from ..evaluation.poses.runner import evaluate_poses, plan_pairs
    from ..evaluation.poses.scenes import read_scenes
    from ..evaluation.poses.work import PoseSettings

    settings = PoseSettings(**values)
    scenes = [scene for path in inputs for scene in read_scenes(Path(path))]
    names = [scene.name for scene in scenes]
    if len(set(names)) < len(names):
        raise ParameterError(f"expected scenes of different names; got {', '.join(names)}")
    planned = plan_pairs(scenes, settings)
    return evaluate_poses(planned, settings, output, jobs=jobs, overwrite=overwrite, progress=progress)
