"""Arrange the parts of the page and render them as HTML."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..evaluation.store import PICTURES_FOLDER
from ..evaluation.summary import METRICS, Metric
from ..io.limits import MAX_IMAGE_BYTES
from ..io.reading import read_bytes
from . import charts, tables
from .charts import Chart
from .runs import Run, compared_rows
from .tables import ImageEntry, Table

MAX_PICTURE_BYTES = 12_000_000
"""Maximum total size of the pictures; those of the best images are omitted first."""


@dataclass(frozen=True)
class Section:
    """The tables and charts of one sweep or dataset."""

    title: str
    tables: Sequence[Table]
    charts: Sequence[Chart]


@dataclass(frozen=True)
class Page:
    """Everything that the template renders."""

    title: str
    runs: Sequence[Run]
    failures: Sequence[tuple[str, Mapping[str, Any]]]
    sections: Sequence[Section]
    images: Sequence[ImageEntry]
    n_images: int
    ranked_by: str
    definitions: Sequence[Metric]
    settings: Sequence[tuple[str, str]]
    source_px: tuple[float, float] | None
    """Smallest and largest size of a pixel of the rendered rotations, in source pixels."""
    n_left_out: int
    """Number of rows that occur in only one of two compared runs."""

    @property
    def charts(self) -> dict[str, Mapping[str, Any]]:
        """Chart key -> Plotly figure."""
        return {chart.key: chart.figure for section in self.sections for chart in section.charts}


def render(runs: Sequence[Run]) -> str:
    """The HTML page of one run, or of two compared runs."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("siftcli.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("page.html.j2").render(
        page=make_page(runs),
        css=template_text("page.css"),
        script=template_text("page.js"),
        plotly=plotly_script(),
    )


def make_page(runs: Sequence[Run]) -> Page:
    """Arrange the rows of the runs into the parts of the page."""
    rows, n_left_out = compared_rows(runs)
    detectors = [name for run in runs for name in run.detectors]
    by_sweep = tables.groups(rows)
    first = next(iter(by_sweep.values()), {})
    all_first = [row for found in first.values() for row in found]
    sections = [
        _section(sweep, budgets, runs, detectors, costs=number == 0)
        for number, (sweep, budgets) in enumerate(by_sweep.items())
    ]
    return Page(
        title="siftcli evaluation" if len(runs) == 1 else f"siftcli: {runs[0].label} and {runs[1].label}",
        runs=runs,
        failures=[(run.label, failure) for run in runs for failure in run.results["failures"]],
        sections=sections,
        images=tables.images(all_first, detectors[0], _pictures(runs)),
        n_images=len({row["image"] for row in all_first}),
        ranked_by=detectors[0],
        definitions=METRICS,
        settings=_settings(runs),
        source_px=_source_px(rows),
        n_left_out=n_left_out,
    )


def _section(
    sweep: str,
    budgets: Mapping[str, list[Any]],
    runs: Sequence[Run],
    detectors: Sequence[str],
    *,
    costs: bool,
) -> Section:
    found = []
    for budget, rows in budgets.items():
        found.append(tables.headline(sweep, budget, rows))
        compared = tables.lead(sweep, budget, rows, _pairs(runs), runs[0].results["settings"]["seed"])
        if compared:
            found.append(compared)
    every = [row for rows in budgets.values() for row in rows]
    drawn = charts.sweep_charts(sweep, every, detectors)
    if costs:
        drawn += charts.distribution_charts(every, detectors) + charts.cost_charts(every, detectors)
    return Section(tables.sweep_title(sweep), found, drawn)


def _pairs(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """The pairs of detectors to subtract: the first and each other or, in a comparison, after and before."""
    if len(runs) == 1:
        first, *others = runs[0].detectors
        return [(first, other) for other in others]
    before, after = runs
    return [(after.named(name), before.named(name)) for name in after.results["settings"]["detectors"]]


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
    return "data:image/webp;base64," + base64.b64encode(content).decode()


def _settings(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """The names and values of everything that the results depend on."""
    entries = []
    for run in runs:
        prefix = f"{run.label}: " if run.label else ""
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


def template_text(name: str) -> str:
    """A file beside the templates."""
    return resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def plotly_script() -> str:
    """Plotly's JavaScript; a closing tag in it would end the script element."""
    text = resources.files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    return text.replace("</script", "<\\/script")
