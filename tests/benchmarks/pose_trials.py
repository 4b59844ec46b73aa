"""Compare settings of the detector by relative pose: ``python tests/benchmarks/pose_trials.py SCENES``.

SCENES is what ``siftcli evaluate --dataset poses`` takes, and settings are those of ``trials.py``.
Photographs are reduced to several sizes, since a cell of one size scatters by some 0.05: a row is the mean
over sizes. Printed are, for each number of features and setting: the area under the curve of the pose error
up to 1° of every scene, its mean and that up to 5°, and means of features, matches, true matches and their
median distance to the true epipolar line.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from trials import SETTINGS, detector_of

from siftcli._cv2 import import_cv2
from siftcli.evaluation.poses import options
from siftcli.evaluation.poses.detection import Photograph, read_view
from siftcli.evaluation.poses.measure import PoseRow, as_rootsift, measure
from siftcli.evaluation.poses.scenes import Limits, Scene, read_scenes
from siftcli.features import Features
from siftcli.views.rendering import grey_of

COLUMNS = (
    ("auc_1deg", ".4f"),
    ("auc_5deg", ".4f"),
    ("n_first", ".0f"),
    ("n_putative", ".0f"),
    ("n_true", ".0f"),
    ("true_median_px", ".4f"),
)
"""What is averaged over scenes, with its format."""


class Task(NamedTuple):
    """A setting on all pairs of a scene."""

    path: Path
    scene: str
    size: int
    setting: str
    budget: str
    n_seeds: int


@cache
def _scenes(path: Path) -> dict[str, Scene]:
    return {scene.name: scene for scene in read_scenes(path)}


@cache
def _photographs(path: Path, scene: str, size: int) -> list[Photograph]:
    return [read_view(view, size) for view in _scenes(path)[scene].views]


def run(task: Task) -> list[PoseRow]:
    """The rows of every pair."""
    import_cv2().setNumThreads(1)
    photographs = _photographs(task.path, task.scene, task.size)
    found = [features_of(photograph, task.setting, task.budget) for photograph in photographs]
    scene, seeds = _scenes(task.path)[task.scene], range(task.n_seeds)
    views, limits = scene.views, Limits(0, options.MAX_ANGLE_DEG)
    rows = []
    for i, j in scene.pairs(limits):
        cameras = photographs[i].camera, photographs[j].camera
        rows += measure(found[i], found[j], cameras, views[i].pose_of(views[j]), seeds)
    return rows


def features_of(photograph: Photograph, setting: str, budget: str) -> Features:
    """All features with a setting, or as many as the budget says."""
    detector, grey = detector_of(SETTINGS[setting]), grey_of(photograph.picture)
    if budget != options.AT_DEFAULTS:
        detector = detector.limited(int(budget), grey)
    return as_rootsift(detector.detect(grey))


def table(rows: Sequence[tuple[Task, list[PoseRow]]], budget: str) -> str:
    """A Markdown table with a row for each setting."""
    scenes = list(dict.fromkeys(task.scene for task, _ in rows))
    lines = [
        f"| {budget} | " + " | ".join(scenes) + " | mean | 5° | features | matches | true | px |",
        "|---" * (7 + len(scenes)) + "|",
    ]
    for setting in dict.fromkeys(task.setting for task, _ in rows):
        own = [(task, of_task) for task, of_task in rows if (task.setting, task.budget) == (setting, budget)]
        by_scene = [[r for task, of_task in own if task.scene == scene for r in of_task] for scene in scenes]
        cells = [f"{_mean(of_scene, 'auc_1deg'):.3f}" for of_scene in by_scene]
        means = [
            format(float(np.mean([_mean(of_scene, column) for of_scene in by_scene])), form)
            for column, form in COLUMNS
        ]
        lines.append("| " + " | ".join([setting, *cells, *means]) + " |")
    return "\n".join(lines)


def _mean(rows: Sequence[PoseRow], column: str) -> float:
    return float(np.nanmean([getattr(row, column) for row in rows]))


def main(arguments: Sequence[str]) -> None:
    """Run the settings and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenes", type=Path, metavar="SCENES")
    parser.add_argument("--only", nargs="+", choices=list(SETTINGS), metavar="SETTING", required=True)
    parser.add_argument("--budgets", nargs="+", default=["2000", options.AT_DEFAULTS], metavar="N")
    parser.add_argument("--sizes", nargs="+", type=int, default=[880, 1024, 1200], metavar="PX")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args(arguments)
    tasks = [
        Task(given.scenes, scene, size, setting, budget, given.seeds)
        for scene, size, setting, budget in product(
            _scenes(given.scenes), given.sizes, given.only, given.budgets
        )
    ]
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        rows = list(zip(tasks, pool.map(run, tasks), strict=True))
    for budget in given.budgets:
        print(table(rows, budget), end="\n\n")


if __name__ == "__main__":
    main(sys.argv[1:])
