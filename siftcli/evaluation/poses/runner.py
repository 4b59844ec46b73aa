"""Scenes and detectors -> ``results.json`` and ``summary.csv``, resumably."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from ..._version import __version__
from ...errors import InputError
from ...io.csv_text import csv_text
from ...io.writing import write_inside
from ...parallel.processes import LocalPool
from ..pool import one_thread
from ..runner import VERSIONED, machine
from ..store import Store, digest_of, plain, write_json
from ..work import Record
from .options import DATASET_NAME
from .scenes import Scene
from .summary import csv_rows, to_tables
from .work import PoseSettings, PoseTask, PoseTaskRunner

SCHEMA = "poses-1"
"""Version of the layout of ``results.json``."""

Progress = Callable[[int, int], None]
"""Called with the number of finished tasks and of all."""


def plan_pairs(scenes: Sequence[Scene], settings: PoseSettings) -> list[PoseTask]:
    """Every pair of every scene within the limits of the angle, at every degradation.

    Raises
    ------
    InputError
        If a scene has none.
    """
    tasks = []
    for scene in scenes:
        pairs = scene.pairs(settings.min_angle_deg, settings.max_angle_deg)
        if not pairs:
            raise InputError(
                f"scene {scene.name}: no two of its {len(scene.views)} views look in directions "
                f"{settings.min_angle_deg:g}° to {settings.max_angle_deg:g}° apart; "
                "widen --view-angles or leave it out"
            )
        tasks += [PoseTask(scene.name, *pair, kind) for kind in settings.degradations for pair in pairs]
    return tasks


def evaluate_poses(
    planned: Sequence[PoseTask],
    settings: PoseSettings,
    folder: str,
    *,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure every detector on every pair.

    Parameters
    ----------
    planned
        From :func:`plan_pairs`.
    settings
        Those it was planned with.
    folder
        Where the results go; a folder that holds the same run unfinished is continued.
    jobs
        Processes; the results do not depend on it.
    overwrite
        Begin anew whatever the folder holds of an evaluation.
    progress
        Called as tasks finish.

    Returns
    -------
    dict
        What ``results.json`` holds.

    Raises
    ------
    OutputError
        If the folder cannot be used.
    """
    identity = _identify(planned, settings)
    store = Store(Path(folder), identity, overwrite=overwrite)
    finished = store.finished()
    todo = [task for task in planned if task.key not in finished]
    with one_thread(jobs):
        pool = LocalPool(_Work(settings), _lost, min(jobs, max(len(todo), 1)))
        for task, records in pool.run(todo, lambda: False):
            store.add(task, records)
            finished[task.key] = plain(records)
            if progress:
                progress(len(finished), len(planned))
    results = _results([r for task in planned for r in finished[task.key]], identity, settings, jobs)
    write_json(store.folder / "results.json", results)
    write_inside(
        store.folder / "summary.csv", csv_text(csv_rows(results["summary"])).encode(), overwrite=True
    )
    return results


def _identify(planned: Sequence[PoseTask], settings: PoseSettings) -> dict[str, Any]:
    """Everything that the results depend on, as plain values."""
    views = {f"{task.scene}/{view.name}": view for task in planned for view in (task.first, task.second)}
    return {
        "schema": SCHEMA,
        "dataset": DATASET_NAME,
        "siftcli": __version__,
        "poselib": metadata.version("poselib"),
        "images": {name: digest_of(str(view.path)) for name, view in views.items()},
        "cameras": {
            name: [*vars(view.camera).values(), *view.rotation.flat, *view.translation]
            for name, view in views.items()
        },
        "n_jobs": len(planned),
        "settings": settings.to_dict(),
    }


def _results(
    records: Sequence[Record], identity: dict[str, Any], settings: PoseSettings, jobs: int
) -> dict[str, Any]:
    rows = [record for record in records if "error" not in record]
    return {
        **identity,
        "versions": {name: metadata.version(name) for name in VERSIONED},
        "machine": {**machine(), "jobs": jobs, "threads_per_job": 1},
        "rows": rows,
        "failures": [record for record in records if "error" in record],
        **to_tables(rows, settings.detectors, settings.seed),
    }


@dataclass(frozen=True)
class _Work:
    """Does tasks with a runner that each process makes for itself."""

    settings: PoseSettings

    @cached_property
    def _runner(self) -> PoseTaskRunner:
        return PoseTaskRunner(self.settings)

    def __call__(self, task: PoseTask) -> list[Record]:
        return self._runner.run(task)


def _lost(task: PoseTask) -> list[Record]:
    scene, pair, degradation = task.key
    reason = "the process that worked on it died; a detector crashed or memory ran out"
    return [{"scene": scene, "pair": pair, "degradation": degradation, "detector": None, "error": reason}]
