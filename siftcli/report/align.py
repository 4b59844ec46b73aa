"""The page of an alignment: curves over the frames, and the worst of them before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._version import __version__
from ..alignment.options import AlignOptions
from ..io.writing import write_output
from ..workflows.align import AlignRun
from ..workflows.align_plan import Plan
from ..workflows.align_results import ALIGNED, FAILED, FrameResult
from .charts import COLOURS, Chart
from .embedding import data_url
from .rendering import rendered

MAX_ROWS = 400
"""Frames in the table; of more, those that failed and those with the largest residuals."""
COLUMNS = (
    "frame",
    "",
    "inliers",
    "residual px",
    "shift x px",
    "shift y px",
    "rotation °",
    "scale",
    "drift px",
)
_MARKS = 60
"""Up to so many frames are drawn as points too."""


@dataclass(frozen=True)
class Shown:
    """A frame that is shown with its pictures."""

    title: str
    caption: str
    pictures: Mapping[str, str]
    """Name -> data URL."""


@dataclass(frozen=True)
class AlignPage:
    """Everything that the template renders."""

    title: str
    summary: str
    failed: Sequence[tuple[str, str]]
    charts: Sequence[Chart]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    n_frames: int
    shown: Sequence[Shown]
    settings: Sequence[tuple[str, str]]

    @property
    def figures(self) -> dict[str, Mapping[str, Any]]:
        """Chart key -> Plotly figure."""
        return {chart.key: chart.figure for chart in self.charts}


def write_align_report(plan: Plan, run: AlignRun, options: AlignOptions, path: str) -> None:
    """Write the page.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    page = render_align(make_align_page(plan, run, options))
    write_output(path, page.encode("utf-8", "backslashreplace"), overwrite=plan.targets.overwrite)


def render_align(page: AlignPage) -> str:
    """The HTML page."""
    scripts = ("charts.js", "align.js") if page.charts else ("align.js",)
    return rendered("align.html.j2", page, scripts=scripts, styles=("page.css", "align.css"))


def make_align_page(plan: Plan, run: AlignRun, options: AlignOptions) -> AlignPage:
    """Arrange the result into the parts of the page."""
    reference, (width, height) = plan.frames[plan.reference], run.canvas.size
    n_aligned = sum(frame.status == ALIGNED for frame in run.frames)
    residuals = sorted(f.residual_px for f in run.frames if f.residual_px is not None)
    middle = f", median residual {residuals[len(residuals) // 2]:.3f} px" if residuals else ""
    # The drift is that of chains: without one its column would be empty.
    n_columns = len(COLUMNS) - all(frame.drift_px is None for frame in run.frames)
    what = "the one before each" if plan.is_chained else _name(reference.name)
    return AlignPage(
        title="siftcli alignment",
        summary=(
            f"{len(run.frames)} frames aligned with {what}, model {options.model}: {n_aligned} aligned, "
            f"{len(run.failed)} not{middle}. The result has {width} × {height} pixels."
        ),
        failed=[(_name(frame.frame.name), frame.reason) for frame in run.failed],
        charts=_charts(run.frames),
        columns=COLUMNS[:n_columns],
        rows=[_row(frame)[:n_columns] for frame in _listed(run.frames)],
        n_frames=len(run.frames),
        shown=[_shown(run.frames[i], pictures) for i, pictures in _in_order(run)],
        settings=_settings(plan, run, options),
    )


def _name(name: str) -> str:
    """A frame's name, or its number in a stack."""
    return f"frame {name}" if name.isdigit() else name


def _in_order(run: AlignRun) -> list[tuple[int, dict[str, bytes]]]:
    def rank(item: tuple[int, dict[str, bytes]]) -> tuple[bool, float, int]:
        frame = run.frames[item[0]]
        return frame.status != FAILED, -(frame.residual_px or 0.0), item[0]

    return sorted(run.thumbnails.items(), key=rank)


def _listed(frames: Sequence[FrameResult]) -> list[FrameResult]:
    if len(frames) <= MAX_ROWS:
        return list(frames)
    worst = sorted(frames, key=lambda f: (f.status != FAILED, -(f.residual_px or 0.0), f.index))
    return sorted(worst[:MAX_ROWS], key=lambda f: f.index)


def _row(frame: FrameResult) -> list[str]:
    found = frame.to_dict()
    if frame.status != ALIGNED:
        return [frame.frame.name, "not aligned" if frame.status == FAILED else frame.status, *[""] * 7]
    x, y = found["shift"]
    measured = [str(frame.n_inliers), _number(frame.residual_px, 3)] if frame.n_pairs else ["", ""]
    moved = [_number(x, 2), _number(y, 2), _number(found["rotation_deg"], 3), _number(found["scale"], 5)]
    return [frame.frame.name, "", *measured, *moved, _number(frame.drift_px, 2)]


def _number(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:z.{decimals}f}".replace("-", "−")


def _charts(frames: Sequence[FrameResult]) -> list[Chart]:
    """A curve of each quantity over the frames; none for two pictures."""
    if len(frames) < 3:
        return []
    found = [frame.to_dict() for frame in frames]
    is_measured = [frame.status == ALIGNED and frame.n_pairs > 0 for frame in frames]
    shifts = [entry["shift"] or (None, None) for entry in found]
    rows: list[tuple[str, str, str, dict[str, list[Any]]]] = [
        ("shift", "Shift of the centre", "px", {"x": [s[0] for s in shifts], "y": [s[1] for s in shifts]}),
        ("rotation", "Rotation, counter-clockwise", "°", {"": [e["rotation_deg"] for e in found]}),
        ("scale", "Scale", "", {"": [e["scale"] for e in found]}),
    ]
    if any(is_measured):
        inliers = [f.n_inliers if ok else None for f, ok in zip(frames, is_measured, strict=True)]
        rows.append(("inliers", "Inliers", "", {"": inliers}))
        rows.append(("residual", "Residual of the inliers", "px", {"": [f.residual_px for f in frames]}))
    if any(frame.drift_px is not None for frame in frames):
        drift = [frame.drift_px for frame in frames]
        rows.append(("drift", "Drift of a chain of frames, removed", "px", {"": drift}))
    return [_chart(key, title, unit, curves) for key, title, unit, curves in rows]


def _chart(key: str, title: str, unit: str, curves: Mapping[str, list[Any]]) -> Chart:
    n = len(next(iter(curves.values())))
    data = []
    for k, (name, values) in enumerate(curves.items()):
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if n <= _MARKS else "lines",
                "name": name or title,
                "showlegend": len(curves) > 1,
                "x": list(range(1, n + 1)),
                "y": [None if v is None else round(float(v), 6) for v in values],
                "line": {"color": COLOURS[k], "width": 2, "dash": ("solid", "dash")[k]},
            }
        )
    layout: dict[str, Any] = {"xaxis": {"title": {"text": "frame"}}, "yaxis": {"title": {"text": unit}}}
    if key in ("inliers", "residual", "drift"):
        layout["yaxis"]["rangemode"] = "tozero"
    return Chart(key, title, {"data": data, "layout": layout})


def _shown(frame: FrameResult, pictures: Mapping[str, bytes]) -> Shown:
    if frame.status == FAILED:
        caption = f"Not aligned: {frame.reason}."
    elif frame.residual_px is None:
        caption = "Aligned by a saved transform."
    else:
        caption = f"{frame.n_inliers} inliers, residual {frame.residual_px:.3f} px."
    urls = {name: data_url(content, "image/webp") for name, content in pictures.items()}
    return Shown(_name(frame.frame.name), caption, urls)


def _settings(plan: Plan, run: AlignRun, options: AlignOptions) -> list[tuple[str, str]]:
    x, y = run.canvas.origin
    return [
        ("model", options.model),
        ("refinement", options.refine),
        ("largest error of an inlier", f"{options.max_error:g} px"),
        ("neighbours", str(plan.neighbours)),
        ("first pixel of the canvas", f"({x}, {y}) in the reference"),
        ("siftcli", __version__),
    ]
