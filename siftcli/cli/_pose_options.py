"""Options of ``siftcli evaluate --dataset poses``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..evaluation.poses.options import (
    AT_DEFAULTS,
    BUDGETS,
    DEGRADATION_NAMES,
    GEOMETRIES,
    MAX_ANGLE_DEG,
    MAX_SIDE_PX,
    N_SEEDS,
    parse_budgets,
)
from ._options import names_callback
from ._types import WholeNumber

if TYPE_CHECKING:
    from ..evaluation.poses.settings import PoseSettings

_OPTIONS = (
    click.option(
        "--budgets",
        metavar="LIST",
        help="Features per image, separated by commas; 'default' is each detector's own number.  "
        f"[default: {','.join(map(str, BUDGETS))},{AT_DEFAULTS}]",
    ),
    click.option(
        "--degrade",
        "degradations",
        default=DEGRADATION_NAMES[0],
        show_default=True,
        callback=names_callback,
        metavar="NAMES",
        help="What is done to the second view of every pair, separated by commas: "
        f"{', '.join(DEGRADATION_NAMES)}.",
    ),
    click.option(
        "--geometry",
        "geometries",
        default=GEOMETRIES[0],
        show_default=True,
        callback=names_callback,
        metavar="NAMES",
        help="What the pose is found by: 'essential', with the known intrinsics, 'fundamental', "
        "without, or both, separated by a comma.",
    ),
    click.option(
        "--view-angles",
        type=(float, float),
        default=(0, MAX_ANGLE_DEG),
        show_default=True,
        metavar="MIN MAX",
        help="Degrees between the directions of view of a pair.",
    ),
    click.option(
        "--overlap",
        type=(float, float),
        default=(0, 1),
        show_default=True,
        metavar="MIN MAX",
        help="Points that both views of a pair show, as a share of those of the view with fewer; "
        "needs a COLMAP model with points.",
    ),
    click.option(
        "--max-side",
        "max_side_px",
        type=WholeNumber(64),
        default=MAX_SIDE_PX,
        show_default=True,
        help="Larger photographs are reduced to this longer side, in pixels.",
    ),
    click.option(
        "--reconstruct",
        is_flag=True,
        help="Also reconstruct every scene with COLMAP's mapper, from each detector's features, and "
        "compare the cameras with the known ones; needs the extra colmap.",
    ),
    click.option(
        "--seeds",
        "n_seeds",
        type=WholeNumber(),
        default=N_SEEDS,
        show_default=True,
        help="Number of estimates of each pose, and of reconstructions, with seeds from --seed on.",
    ),
)
NAMES = (
    "budgets",
    "degradations",
    "geometries",
    "view_angles",
    "overlap",
    "max_side_px",
    "reconstruct",
    "n_seeds",
)


def pose_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_pose_options(options: dict[str, Any]) -> dict[str, Any]:
    """Move the values of these options out of a command's."""
    return {name: options.pop(name) for name in NAMES}


def run_poses(
    inputs: Sequence[str],
    output: str,
    options: dict[str, Any],
    *,
    jobs: int,
    overwrite: bool,
    progress: Callable[[int, int], None] | None,
    command: str,
) -> dict[str, Any]:
    """Measure poses; returns the content of ``results.json``."""
    settings = _settings(options)

    from ..evaluation.poses.runner import evaluate_poses, read_all

    return evaluate_poses(
        read_all(inputs),
        settings,
        output,
        jobs=jobs,
        overwrite=overwrite,
        progress=progress,
        command=command,
    )


def _settings(options: dict[str, Any]) -> PoseSettings:
    values = dict(options)
    budgets, angles, overlap = (values.pop(name) for name in ("budgets", "view_angles", "overlap"))
    if budgets is not None:
        values["budgets"] = parse_budgets(budgets)

    from ..evaluation.poses.settings import PoseSettings

    return PoseSettings(
        min_angle_deg=angles[0], max_angle_deg=angles[1],
        min_overlap=overlap[0], max_overlap=overlap[1], **values,
    )  # fmt: skip
