"""Run a benchmark of poses and write its results; an interrupted run is resumed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from ..._version import __version__
from ...errors import InputError, ParameterError
from ...io.csv_text import csv_text
from ...io.writing import write_inside
from ...parallel.processes import LocalPool
from ...parallel.sharing import most_processes
from ..pool import LOST, one_thread, set_opencv_threads
from ..runner import SCHEMA, VERSIONED, circumstances, machine
from ..store import Key, Store, digest_of, plain, write_json
from ..work import Record
from .detection import ViewDetector
from .options import DATASET_NAME
from .reconstruct import ReconstructionTask, Reconstructor, plan_reconstructions
from .scenes import Scene, View, read_scenes
from .settings import PoseSettings
from .summary import summarise_reconstructions, to_tables
from .tables import csv_rows, reconstruction_csv
from .work import PoseTask, PoseTaskRunner, plan_tasks

AnyTask = PoseTask | ReconstructionTask

Progress = Callable[[int, int], None]
"""Called with the number of finished tasks and the total."""


def read_all(paths: Sequence[str]) -> list[Scene]:
    """Read every scene of some folders and CSV files.

    Raises
    ------
    ParameterError
        If two scenes have the same name.
    InputError, MissingDependencyError
        As :func:`read_scenes`.
    """
    for path in paths:
        if not os.path.lexists(path):
            raise InputError(f"{path}: no such file or folder; check the path")
    scenes = [scene for path in paths for scene in read_scenes(Path(path))]
    names = [scene.name for scene in scenes]
    if len(set(names)) < len(names):
        raise ParameterError(f"expected scenes of different names; got {', '.join(names)}")
    return scenes


def evaluate_poses(
    scenes: Sequence[Scene],
    settings: PoseSettings,
    folder: str | os.PathLike[str],
    *,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Measure every detector on every pair of every scene.

    Parameters
    ----------
    scenes
        From :func:`read_all`.
    settings
        What is measured.
    folder
        Folder for the results. If it holds an unfinished run of the same scenes, that run is resumed.
    jobs
        Number of processes; it does not change the results.
    overwrite
        Discard any evaluation in the folder and start over.
    progress
        Called whenever a task finishes.
    command
        The command that asked for it, which the report shows.

    Returns
    -------
    dict
        The content of ``results.json``.

    Raises
    ------
    InputError
        If a scene has no pair within the limits.
    OutputError
        If the folder cannot be written, or holds other files or another evaluation.
    """
    planned: list[AnyTask] = [task for scene in scenes for task in plan_tasks(scene, settings)]
    planned += [task for scene in scenes for task in plan_reconstructions(scene, settings)]
    identity = _identify(scenes, planned, settings)
    store = Store(Path(folder), identity, overwrite=overwrite)
    finished = _finish(planned, settings, store, jobs, progress)
    results = _results([r for task in planned for r in finished[task.key]], identity, settings, jobs)
    results |= circumstances(command)
    write_json(store.folder / "results.json", results)
    tables = {"summary.csv": csv_rows(results["summary"])}
    if settings.reconstruct:
        tables["reconstruction.csv"] = reconstruction_csv(results["reconstructions"])
    for name, lines in tables.items():
        write_inside(store.folder / name, csv_text(lines).encode(), overwrite=True)
    return results


def _finish(
    planned: Sequence[AnyTask],
    settings: PoseSettings,
    store: Store,
    jobs: int,
    progress: Progress | None,
) -> dict[Key, list[Record]]:
    """The rows of every task, stored earlier or computed now."""
    stored = store.finished()
    finished = {task.key: stored[task.key] for task in planned if task.key in stored}
    todo = [task for task in planned if task.key not in finished]
    if progress:
        progress(len(finished), len(planned))
    processes = min(jobs, most_processes(len(todo)))
    with one_thread(processes):
        for task, records in LocalPool(_Work(settings), _lost, processes).run(todo, lambda: False):
            store.add(task, records)
            finished[task.key] = plain(records)
            if progress:
                progress(len(finished), len(planned))
    return finished


def _identify(scenes: Sequence[Scene], planned: Sequence[AnyTask], settings: PoseSettings) -> dict[str, Any]:
    """Everything that the results depend on, as plain values for JSON."""
    views = {f"{scene.name}/{view.name}": view for scene in scenes for view in scene.views}
    return {
        "schema": SCHEMA,
        "dataset": DATASET_NAME,
        "siftcli": __version__,
        "judges": {name: v for name, v in _versions(settings).items() if name in ("poselib", "pycolmap")},
        "images": {name: digest_of(str(view.path)) for name, view in views.items()},
        "cameras": {name: _numbers(view) for name, view in views.items()},
        "n_pairs": {scene.name: len(scene.pairs(settings.limits)) for scene in scenes},
        "n_jobs": len(planned),
        "settings": settings.to_dict(),
    }


def _numbers(view: View) -> list[float]:
    """Everything that is known of a view's camera."""
    return [*vars(view.camera).values(), *view.rotation.ravel().tolist(), *view.translation.tolist()]


def _results(
    records: Sequence[Record], identity: dict[str, Any], settings: PoseSettings, jobs: int
) -> dict[str, Any]:
    rows = [record for record in records if "error" not in record]
    reconstructed = [row for row in rows if row.get("kind") == "reconstruction"]
    measured = [row for row in rows if "kind" not in row]
    return {
        **identity,
        "versions": _versions(settings),
        "machine": {**machine(), "jobs": jobs, "threads_per_job": 1},
        "rows": measured,
        "reconstruction_rows": reconstructed,
        "failures": _failures(records),
        **to_tables(measured, settings.detectors),
        "reconstructions": summarise_reconstructions(reconstructed),
    }


def _versions(settings: PoseSettings) -> dict[str, str]:
    names = (*VERSIONED, "poselib", *(("pycolmap",) if settings.reconstruct else ()))
    return {name: metadata.version(name) for name in names}


def _failures(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The failures, grouped by scene, detector and reason, with the number of rows of each."""
    counts: dict[tuple[str, str, str], int] = {}
    for record in records:
        if "error" in record:
            key = (record["scene"], record["detector"], record["error"])
            counts[key] = counts.get(key, 0) + 1
    return [{"scene": s, "detector": d, "error": e, "n_rows": n} for (s, d, e), n in counts.items()]


@dataclass(frozen=True)
class _Work:
    """Run tasks with runners that each process creates for itself."""

    settings: PoseSettings

    @cached_property
    def _runners(self) -> tuple[PoseTaskRunner, Reconstructor]:
        set_opencv_threads(1)
        detector = ViewDetector(self.settings)
        return PoseTaskRunner(self.settings, detector), Reconstructor(self.settings, detector)

    def __call__(self, task: AnyTask) -> list[Record]:
        pairs, scenes = self._runners
        return pairs.run(task) if isinstance(task, PoseTask) else scenes.run(task)


def _lost(task: AnyTask) -> list[Record]:
    return [{**task.where, "error": LOST}]
