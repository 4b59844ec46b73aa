"""Draw the images on which the first detector performed worst, for the report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..drawing.keypoints import draw_keypoints
from ..drawing.matches import draw_matches
from ..io.writing import write_inside
from ..matching import nearest as matching
from ..views import metrics
from .measure import counted
from .settings import Settings
from .store import PICTURES_FOLDER
from .summary import per_image
from .work import AT_DEFAULTS, Record, Task, TaskRunner

MAX_IMAGES = 20
"""Number of images that are drawn: those with the lowest repeatability."""
MAX_SIDE_PX = 640
"""Longest side of a picture, which keeps the report small."""
GAP_PX = 8
"""Room for the gap between two views."""
JUDGED = ("correct", "wrong")
"""What matches are called where the truth is known."""
WEBP_QUALITY = 80
RANKED_BY = "repeatability_05px"


def draw_pictures(
    planned: Sequence[Task], rows: Sequence[Record], settings: Settings, folder: Path
) -> list[dict[str, Any]]:
    """Draw the worst images: the reference with its keypoints, and the matches of the worst view.

    Parameters
    ----------
    planned
        The tasks of the run.
    rows
        The rows of its results.
    settings
        The settings of the run. Only the first detector is drawn.
    folder
        The folder of the run; the pictures are written to a subfolder.

    Returns
    -------
    list of dict
        For each image its name, the sweep and value that are drawn, the names of the files, and the
        numbers of keypoints and matches.
    """
    own = [r for r in rows if r["detector"] == settings.detectors[0] and r["budget"] == AT_DEFAULTS]
    if not own:
        return []
    first_sweep = [row for row in own if row["sweep"] == own[0]["sweep"]]
    (folder / PICTURES_FOLDER).mkdir(exist_ok=True)
    worker, jobs = TaskRunner(settings), {job.key: job for job in planned}
    drawn = []
    for number, name in enumerate(worst_images(first_sweep)):
        row = worst_row([r for r in first_sweep if r["image"] == name])
        job = jobs[name, row["sweep"], row["value"]]
        drawn.append({"image": name, **_draw(job, worker, folder, f"{PICTURES_FOLDER}/{number:03d}")})
    return drawn


def worst_images(rows: Sequence[Record]) -> list[str]:
    """Names of the images with the lowest mean repeatability, worst first."""
    means = per_image(rows, RANKED_BY)
    return sorted(means, key=lambda name: (means[name], name))[:MAX_IMAGES]


def worst_row(rows: Sequence[Record]) -> Record:
    """The row with the lowest matching score; on a tie, the one with the lowest value."""
    return min(rows, key=lambda row: (row["matching_score"], row["value"]))


def _draw(job: Task, worker: TaskRunner, folder: Path, stem: str) -> dict[str, Any]:
    """Draw the keypoints and the matches of one pair of views."""
    pair, reference, view = worker.detect_pair(job, worker.settings.detectors[0])
    f = counted(reference, pair.reference_region, pair.view_region, pair.matrix, pair)
    g = counted(view, pair.view_region, pair.reference_region, np.linalg.inv(pair.matrix), pair)
    matches = matching.match(f, g, ratio=worker.settings.ratio, mutual=True, threads=1)
    correct = metrics.match_distances(f, g, matches, pair.matrix) <= metrics.CORRECT_MATCH_PX
    files = {"keypoints": f"{stem}-keypoints.webp", "matches": f"{stem}-matches.webp"}
    drawn = draw_matches(
        _grey(pair.reference),
        _grey(pair.view),
        f,
        g,
        matches,
        correct,
        names=JUDGED,
        max_width=MAX_SIDE_PX - GAP_PX,
    )
    circles = draw_keypoints(pair.reference, reference, max_circles=None, legend=False)
    _save(circles, folder / files["keypoints"])
    _save(drawn, folder / files["matches"])
    return {
        "sweep": job.transform.sweep,
        "value": job.transform.value,
        "label": job.transform.label,
        "n_keypoints": len(reference),
        "n_correct": int(correct.sum()),
        "n_wrong": int(len(correct) - correct.sum()),
        **files,
    }


def _grey(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return picture.astype(np.float32) / np.float32(255)


def _save(picture: NDArray[np.uint8], path: Path) -> None:
    image = Image.fromarray(picture)
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    image.save(encoded, "WEBP", quality=WEBP_QUALITY)
    write_inside(path, encoded.getvalue(), overwrite=True)
