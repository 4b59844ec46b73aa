"""Draw the images on which the first detector performed worst, for the report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..drawing.keypoints import draw_keypoints
from ..features import Features, Matches
from ..io.writing import write_inside
from ..matching import nearest as matching
from ..views import metrics
from ..views.pairs import Pair
from .measure import counted
from .settings import Settings
from .store import PICTURES_FOLDER
from .summary import per_image
from .work import AT_DEFAULTS, Record, Task, TaskRunner

MAX_IMAGES = 20
"""Number of images that are drawn: those with the lowest repeatability."""
MAX_SIDE_PX = 640
"""Longest side of a picture, which keeps the report small."""
MAX_LINES = 120
"""Maximum number of lines for the correct matches, and for the wrong ones."""
GAP_PX = 8
WEBP_QUALITY = 80
RANKED_BY = "repeatability_05px"
CORRECT_COLOUR, WRONG_COLOUR = (64, 196, 255), (255, 112, 32)


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
    _save(draw_keypoints(pair.reference, reference), folder / files["keypoints"])
    _save(draw_judged_matches(pair, f, g, matches, correct), folder / files["matches"])
    return {
        "sweep": job.transform.sweep,
        "value": job.transform.value,
        "label": job.transform.label,
        "n_keypoints": len(reference),
        "n_correct": int(correct.sum()),
        "n_wrong": int(len(correct) - correct.sum()),
        **files,
    }


def draw_judged_matches(
    pair: Pair, f: Features, g: Features, matches: Matches, correct: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Draw both views side by side, with blue lines for correct matches and orange ones for wrong matches.

    Wrong matches are drawn on top. Returns an (H, W, 3) uint8 RGB image.
    """
    (height_a, width_a), (height_b, width_b) = pair.reference.shape, pair.view.shape
    zoom = max(1, MAX_SIDE_PX // (width_a + width_b + GAP_PX))
    size = (zoom * (width_a + GAP_PX + width_b), zoom * max(height_a, height_b))
    canvas = Image.new("RGB", size, (255, 255, 255))
    second = np.array([width_a + GAP_PX, 0])
    for picture, at in ((pair.reference, 0), (pair.view, width_a + GAP_PX)):
        enlarged = np.kron(picture // 2 + 32, np.ones((zoom, zoom), np.uint8))
        canvas.paste(Image.fromarray(enlarged), (zoom * at, 0))
    pen = ImageDraw.Draw(canvas)
    for rows, colour in ((np.flatnonzero(correct), CORRECT_COLOUR), (np.flatnonzero(~correct), WRONG_COLOUR)):
        for i, j in matches.pairs[_thinned(rows)]:
            ends = np.array([f.xy[i], g.xy[j] + second]) + 0.5
            pen.line([tuple(zoom * end) for end in ends], fill=colour)
    return np.asarray(canvas)


def _thinned(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """At most ``MAX_LINES`` of the rows, evenly spaced."""
    if len(rows) <= MAX_LINES:
        return rows
    return np.asarray(rows[np.linspace(0, len(rows) - 1, MAX_LINES).astype(np.intp)])


def _save(picture: NDArray[np.uint8], path: Path) -> None:
    image = Image.fromarray(picture)
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    image.save(encoded, "WEBP", quality=WEBP_QUALITY)
    write_inside(path, encoded.getvalue(), overwrite=True)
