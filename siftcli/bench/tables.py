"""Tables of the measurements, as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .measuring import Measured
from .process import Command
from .records import FirstImage, Row, Spread
from .roofline import Roofline
from .stages import Stage
from .summary import Figure, figures_of

_LONG_MS = 1000
"""Longer times are shown without decimals."""


@dataclass(frozen=True)
class Table:
    """A table of text. The first ``n_names`` columns hold names, the others numbers."""

    title: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    n_names: int = 1


def warm_table(measured: Measured) -> Table:
    """The warm runs of one image: a row for each number of threads and detector.

    The total is detection and description together.
    """
    heads = (
        "detector", "threads", "features", "detect\nms", "total\nms", "Mpx/s", "µs per\nfeature",
        "ratio", "quartiles",
    )  # fmt: skip
    least, most = (pick(row.n_pairs for row in measured.rows) for pick in (min, max))
    pairs = f"{least}" if least == most else f"{least} to {most}"
    title = f"{_label(measured.roofline)}; runs per detector: {pairs}"
    first = measured.rows[0].detector
    return Table(title, heads, [_warm_cells(row, row.detector != first) for row in measured.rows])


def _warm_cells(row: Row, is_compared: bool) -> tuple[str, ...]:
    alone, each = row.detect_ms, row.us_per_feature
    ratio = (f"{row.ratio.median:.2f}", _quartiles(row.ratio)) if is_compared else ("", "")
    return (
        row.detector,
        str(row.threads),
        str(row.n_features),
        "-" if alone is None else _ms(alone.median),
        _ms(row.both_ms.median),
        f"{row.megapixels_per_s:.1f}",
        "-" if each is None else f"{each:.1f}",
        *ratio,
    )


def stages_table(stages: Sequence[Stage]) -> Table:
    """The stages of one image: a row for each number of threads and stage."""
    heads = "stage", "threads", "operations,\n10⁶", "MB", "limit\nms", "by", "ms", "share"
    rows = [
        (
            s.stage,
            str(s.threads),
            f"{s.operations / 1e6:.1f}",
            f"{s.bytes_moved / 1e6:.1f}",
            f"{s.limit_ms:.2f}",
            s.limit,
            f"{s.ms:.2f}",
            f"{s.share:.2f}",
        )
        for s in stages
    ]
    peaks = {s.threads: f"{s.operations_per_s / 1e9:.0f} and {s.bytes_per_s / 1e9:.0f}" for s in stages}
    limits = "; ".join(f"threads: {n}, {peak}" for n, peak in peaks.items())
    title = f"Stages of {_label(stages[0])} (10⁹ multiply-adds and bytes a second; {limits})"
    return Table(title, heads, rows)


def closing_tables(measured: Sequence[Measured], commands: Sequence[Command]) -> list[Table]:
    """The tables that are printed after the last image."""
    return [
        _first_table([first for m in measured for first in m.first]),
        _roofline_table([m.roofline for m in measured]),
        *([_command_table(commands)] if commands else []),
        _summary_table(figures_of(measured, commands)),
    ]


def _first_table(firsts: Sequence[FirstImage]) -> Table:
    """Time and memory of the first image of a process."""
    heads = "image", "detector", "s", "peak MB above\nstart"
    rows = [(_label(f), f.detector, f"{f.seconds:.2f}", f"{f.peak_mb:.0f}") for f in firsts]
    return Table(f"First image of a process; threads: {firsts[0].threads}", heads, rows, n_names=2)


def _roofline_table(floors: Sequence[Roofline]) -> Table:
    """The minimum time of the pyramid's arithmetic, and its share of the measured times."""
    heads = "image", "multiply-\nadds, 10⁶", "minimum\nms", "pyramid\nms", "share", "share\nof total"
    rows = [
        (
            _label(floor),
            f"{floor.multiply_adds / 1e6:.0f}",
            _ms(floor.floor_ms),
            _ms(floor.pyramid_ms),
            f"{floor.share_of_pyramid:.2f}",
            "-" if floor.share_of_both is None else f"{floor.share_of_both:.2f}",
        )
        for floor in floors
    ]
    peak = max(floor.peak_per_s for floor in floors) / 1e9
    return Table(f"Roofline of the pyramid; 1 thread, {peak:.1f} · 10⁹ multiply-adds/s", heads, rows)


def _command_table(commands: Sequence[Command]) -> Table:
    """Times of whole processes."""
    heads = "image", "pairs", "siftcli\nms", "OpenCV\nms", "ratio", "quartiles"
    rows = [
        (
            c.image,
            str(c.n_pairs),
            f"{c.siftcli_ms.median:.0f}",
            f"{c.opencv_ms.median:.0f}",
            f"{c.ratio.median:.2f}",
            _quartiles(c.ratio),
        )
        for c in commands
    ]
    return Table("Whole process: siftcli detect IMAGE -o x.npz", heads, rows)


def _summary_table(figures: Sequence[Figure]) -> Table:
    """The ratios over all images."""
    heads = "ratio of", "images", "detector", "threads", "n", "ratio", "range"
    rows = [
        (
            figure.quantity,
            figure.of,
            figure.detector,
            str(figure.threads),
            str(figure.n_images),
            f"{figure.ratio:.2f}",
            f"{figure.lowest:.2f}–{figure.highest:.2f}" if figure.n_images > 1 else "",
        )
        for figure in figures
    ]
    return Table("Summary: medians over the images", heads, rows, n_names=3)


def _label(record: Roofline | FirstImage | Stage) -> str:
    """The name and size of an image, and how it was brought to that size."""
    width, height = record.size
    if not record.way:
        return f"{record.image}, {width} x {height}"
    return f"{record.image}, {width * height / 1e6:.3g} Mpx, {record.way}"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < _LONG_MS else f"{milliseconds:.0f}"


def _quartiles(spread: Spread) -> str:
    return f"{spread.low:.2f}–{spread.high:.2f}"
