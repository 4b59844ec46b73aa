"""Run an evaluation and write ``results.json`` and ``summary.csv``; an interrupted run is resumed."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from .._version import __version__
from ..io.csv_text import cell, csv_text
from ..io.work_list import ImageFile
from ..io.writing import write_inside
from ..parallel.sharing import most_processes
from ..system.cores import processor_name, usable_cores
from .pictures import draw_pictures
from .pool import run_tasks
from .settings import Settings
from .store import Key, Store, digest_of, plain, write_json
from .summary import METRICS, Summary, summarise_rows, to_tables
from .work import Record, Task

SCHEMA = 1
"""Version of the schema of ``results.json``."""
VERSIONED = ("numpy", "numba", "scipy", "opencv-contrib-python", "scikit-image", "pillow")

Progress = Callable[[int, int], None]
"""Called with the number of finished tasks and the total."""


def plan_sweeps(images: Sequence[ImageFile], settings: Settings) -> list[Task]:
    """Tasks for every transform of every image, image by image."""
    return [Task(image, transform) for image in images for transform in settings.transforms()]


def evaluate(
    planned: Sequence[Task],
    settings: Settings,
    folder: str | os.PathLike[str],
    *,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Measure every detector on every image and transform.

    Parameters
    ----------
    planned
        The tasks, from :func:`plan_sweeps` or a dataset.
    settings
        Detectors, seed and ratio. Its sweeps are recorded, but do not change the tasks.
    folder
        Folder for the results. If it holds an unfinished run of the same tasks, that run is resumed.
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
    OutputError
        If the folder cannot be written, or holds other files or another evaluation.
    """
    identity = identify(planned, settings)
    store = Store(Path(folder), identity, overwrite=overwrite)
    finished = _finish(planned, settings, store, jobs, progress)
    records = [record for job in planned for record in finished[job.key]]
    results = {**_results(records, identity, settings, jobs), **circumstances(command)}
    results["pictures"] = draw_pictures(planned, results["rows"], settings, store.folder)
    write_json(store.folder / "results.json", results)
    write_csv(store.folder / "summary.csv", results)
    return results


def identify(planned: Sequence[Task], settings: Settings) -> dict[str, Any]:
    """Everything that the results depend on, as plain values for JSON."""
    files = {job.image.name: job.image.path for job in planned}
    files |= {path: path for job in planned for path in job.transform.files}
    return {
        "schema": SCHEMA,
        "siftcli": __version__,
        "images": {name: digest_of(path) for name, path in files.items()},
        "n_jobs": len(planned),
        "settings": settings.to_dict(),
    }


def _finish(
    planned: Sequence[Task], settings: Settings, store: Store, jobs: int, progress: Progress | None
) -> dict[Key, list[Record]]:
    """The rows of every task, stored earlier or computed now."""
    finished = store.finished()
    finished = {job.key: finished[job.key] for job in planned if job.key in finished}
    todo = [job for job in planned if job.key not in finished]
    if progress:
        progress(len(finished), len(planned))
    for job, records in run_tasks(todo, settings, min(jobs, most_processes(len(todo)))):
        store.add(job, records)
        finished[job.key] = plain(records)
        if progress:
            progress(len(finished), len(planned))
    return finished


def _results(
    records: Sequence[Record], identity: dict[str, Any], settings: Settings, jobs: int
) -> dict[str, Any]:
    rows = [record for record in records if "error" not in record]
    return {
        **identity,
        "versions": {name: metadata.version(name) for name in VERSIONED},
        "machine": {**machine(), "jobs": jobs, "threads_per_job": 1},
        "rows": rows,
        "failures": failures(records),
        **to_tables(rows, settings.detectors, settings.seed),
    }


def circumstances(command: str) -> dict[str, str]:
    """When the results were finished, and by which command."""
    return {"date": datetime.now().astimezone().isoformat(timespec="minutes"), "command": command}


def failures(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The failures, grouped by image, detector and reason, with the number of tasks of each."""
    counts: dict[tuple[str, str | None, str], int] = {}
    for record in records:
        if "error" in record:
            key = (record["image"], record["detector"], record["error"])
            counts[key] = counts.get(key, 0) + 1
    return [{"image": i, "detector": d, "error": e, "n_jobs": n} for (i, d, e), n in counts.items()]


def machine() -> dict[str, Any]:
    """The processor and the operating system, which timings depend on."""
    return {
        "cpu": processor_name(),
        "cores": usable_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def write_csv(path: Path, results: dict[str, Any]) -> None:
    """Write the summary as CSV, one row for each sweep, budget and detector."""
    names = [metric.name for metric in METRICS]
    rows = [["sweep", "budget", "detector", "n_images", "n_rows", *names]]
    for s in results["summary"]:
        keys = [cell(s["sweep"]), cell(s["budget"]), cell(s["detector"]), s["n_images"], s["n_rows"]]
        rows.append([*keys, *(f"{s['means'][name]:.6g}" for name in names)])
    write_inside(path, csv_text(rows).encode(), overwrite=True)


def summaries_of(results: dict[str, Any]) -> list[Summary]:
    """The summaries of a run, computed from its rows."""
    return summarise_rows(results["rows"])
