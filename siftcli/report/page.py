"""Arrange the parts of the page and render them as HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..evaluation.poses.summary import METRICS as POSE_METRICS
from ..evaluation.poses.summary import RECONSTRUCTION_METRICS
from ..evaluation.store import PICTURES_FOLDER
from ..evaluation.summary import METRICS, Difference, Metric, differences
from ..io.limits import MAX_IMAGE_BYTES
from ..io.reading import read_bytes
from . import tables
from .embedding import data_url
from .head import facts, place_and_day, sentence, subject
from .poses import pose_sections
from .rendering import rendered
from .runs import Run, compared_rows, pairs_of
from .sections import Section, compared_section, sweep_section
from .tables import ImageEntry

MAX_PICTURE_BYTES = 12_000_000
"""Maximum total size of the pictures; those of the best images are omitted first."""


@dataclass(frozen=True)
class Page:
    """Everything that the template renders."""

    title: str
    sentence: str
    """The means that matter most."""
    subject: str
    """What was evaluated, where and when."""
    facts: Sequence[tuple[str, str]]
    """Under which circumstances."""
    runs: Sequence[Run]
    failures: Sequence[tuple[str, Mapping[str, Any]]]
    sections: Sequence[Section]
    """Poses first."""
    images: Sequence[ImageEntry]
    n_images: int
    ranked_by: str
    definitions: Sequence[Metric]
    """Of rotations and other changes; none without them."""
    pose_definitions: Sequence[Metric]
    """Of poses; none without them."""
    settings: Sequence[tuple[str, str]]
    source_px: tuple[float, float] | None
    """Smallest and largest size of a pixel of the rendered rotations, in source pixels."""
    n_left_out: int
    """Number of rows that occur in only one of two compared runs."""

    @property
    def charts(self) -> dict[str, Mapping[str, Any]]:
        """Chart key -> Plotly figure."""
        drawn = [chart for section in self.sections for chart in section.all_charts]
        return {chart.key: chart.figure for chart in drawn}


def render(runs: Sequence[Run]) -> str:
    """The HTML page of one run, or of two compared runs."""
    return rendered("page.html.j2", make_page(runs), scripts=("charts.js",))


def make_page(runs: Sequence[Run]) -> Page:
    """Arrange the rows of the runs into the parts of the page."""
    posed = [run for run in runs if run.is_of_poses]
    swept = [run for run in runs if not run.is_of_poses]
    rows, n_left_out = compared_rows(swept)
    pose_rows, n_poses_left_out = compared_rows(posed)
    by_sweep = tables.groups(rows)
    found = differences(rows, pairs_of(swept), swept[0].results["settings"]["seed"]) if swept else []
    all_first = [row for own in next(iter(by_sweep.values()), {}).values() for row in own]
    detectors = [name for run in swept for name in run.detectors]
    n_images = len({row["image"] for row in all_first})
    return Page(
        title=f"siftcli: {runs[0].label} and {runs[1].label}" if runs[0].label else "siftcli evaluation",
        sentence=sentence(rows, pose_rows),
        subject="; ".join(filter(None, (subject(pose_rows, rows), place_and_day(runs)))),
        facts=facts(runs),
        runs=runs,
        failures=[(run.label, failure) for run in runs for failure in run.results["failures"]],
        sections=[
            *_pose_sections(posed, pose_rows),
            *_sweep_sections(swept, by_sweep, found, detectors),
        ],
        images=tables.images(all_first, detectors[0], _pictures(swept)) if swept else [],
        n_images=n_images,
        ranked_by=detectors[0] if swept else "",
        definitions=METRICS if swept else (),
        pose_definitions=_pose_definitions(posed),
        settings=_settings(runs),
        source_px=_source_px(rows),
        n_left_out=n_left_out + n_poses_left_out,
    )


def _sweep_sections(
    runs: Sequence[Run],
    by_sweep: Mapping[str, Mapping[str, list[Any]]],
    found: Sequence[Difference],
    detectors: Sequence[str],
) -> list[Section]:
    if len(runs) < 2:
        return [
            sweep_section(sweep, budgets, found, detectors, costs=number == 0)
            for number, (sweep, budgets) in enumerate(by_sweep.items())
        ]
    pairs = pairs_of(runs)
    return [
        compared_section(sweep, budgets, found, pairs, detectors, costs=number == 0)
        for number, (sweep, budgets) in enumerate(by_sweep.items())
    ]


def _pose_sections(runs: Sequence[Run], rows: Sequence[Mapping[str, Any]]) -> list[Section]:
    if not runs:
        return []
    reconstructed = [row for run in runs for row in run.reconstructions]
    detectors = [name for run in runs for name in run.detectors]
    return pose_sections(rows, reconstructed, detectors, pairs_of(runs))


def _pose_definitions(runs: Sequence[Run]) -> Sequence[Metric]:
    if not runs:
        return ()
    return (*POSE_METRICS, *(RECONSTRUCTION_METRICS if any(run.reconstructions for run in runs) else ()))


def _pictures(runs: Sequence[Run]) -> dict[str, list[dict[str, Any]]]:
    """Image name -> embedded pictures, up to ``MAX_PICTURE_BYTES``."""
    found: dict[str, list[dict[str, Any]]] = {}
    left = MAX_PICTURE_BYTES
    for run in runs:
        for picture in run.results["pictures"]:
            files = {kind: _embedded(run.folder, picture[kind]) for kind in ("keypoints", "matches")}
            left -= sum(map(len, files.values()))
            if left >= 0 and all(files.values()):
                found.setdefault(picture["image"], []).append({**picture, **files, "run": run.label})
    return found


def _embedded(folder: Path, name: str) -> str:
    """A picture as a data URL; empty if the file is missing or not a WebP picture in that folder.

    The name comes from ``results.json``, which may be foreign: it must not pull other files into the page.
    """
    path = folder / PICTURES_FOLDER / Path(name).name
    try:
        content = read_bytes(path, MAX_IMAGE_BYTES) if path.is_file() and not path.is_symlink() else b""
    except (OSError, InputError):
        return ""
    if content[:4] != b"RIFF":
        return ""
    return data_url(content, "image/webp")


def _settings(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """The names and values of everything that the results depend on."""
    entries = []
    for run in runs:
        name = run.label or ("poses" if run.is_of_poses and len(runs) > 1 else "")
        prefix = f"{name}: " if name else ""
        results = run.results
        for name, detector in results["settings"]["detectors"].items():
            entries.append((f"{prefix}{name} {detector['version']}", _compact(detector["parameters"])))
        for name, value in results["settings"].items():
            if name != "detectors":
                entries.append((f"{prefix}{name.replace('_', ' ')}", _compact(value)))
        entries.append((f"{prefix}siftcli", results["siftcli"]))
        entries.append((f"{prefix}versions", _compact(results["versions"])))
        entries.append((f"{prefix}machine", _compact(results["machine"])))
    return entries


def _compact(value: Any) -> str:
    """A value as readable text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_compact(item)}" for key, item in value.items()) or "defaults"
    if isinstance(value, list):
        return "[" + ", ".join(map(_compact, value)) + "]" if value else "none"
    return f"{value:g}" if isinstance(value, float) else json.dumps(value).strip('"')


def _source_px(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    scales = [row["source_px"] for row in rows if row["sweep"] == "rotation"]
    return (min(scales), max(scales)) if scales else None
