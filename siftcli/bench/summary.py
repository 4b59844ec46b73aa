"""Summarise the measurements as ratios of the other detectors to the first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from ..detectors import create
from ..evaluation.runner import machine
from ..versions import versions
from .measuring import Measured
from .process import Command
from .records import Row

DENSE = 15.0
"""Images with more features per thousand pixels than this are dense textures."""
TEXTURES = "dense textures"
SIZES = {"images to 2.5 Mpx": 2.5, "images to 10 Mpx": 10.0, "larger images": math.inf}
"""Classes of the other images, with their maximum size in megapixels."""

WARM, FIRST, PEAK, FLATNESS, COMMAND = QUANTITIES = (
    "time, warm", "time, first", "peak memory", "time a Mpx", "process",
)  # fmt: skip
NEAR_ONE = (0.8, 1.25)
"""Range in megapixels of the smaller image in the comparison of times per megapixel."""


@dataclass(frozen=True)
class Figure:
    """One ratio, summarised over images."""

    quantity: str
    """One of ``QUANTITIES``."""
    of: str
    """The class of images, or the name of one."""
    detector: str
    """The detector that is compared with the first, or the first when its sizes are compared."""
    threads: int
    n_images: int
    ratio: float
    """Median over the images."""
    lowest: float
    highest: float


_Ratio = tuple[str, str, str, int, float]
"""The fields ``quantity``, ``of``, ``detector``, ``threads`` and ``ratio`` of one image."""


def figures_of(measured: Sequence[Measured], commands: Sequence[Command]) -> list[Figure]:
    """The ratios of warm runs, of first images, of sizes and of commands."""
    found = [ratio for m in measured for ratio in _of_image(m)]
    found += _of_sizes([row for m in measured for row in m.rows if row.detector == m.rows[0].detector])
    found += [(COMMAND, c.image, "opencv-precise", c.threads, c.ratio.median) for c in commands]
    ratios: dict[tuple[str, str, str, int], list[float]] = {}
    for quantity, of, detector, threads, ratio in sorted(found, key=lambda ratio: QUANTITIES.index(ratio[0])):
        ratios.setdefault((quantity, of, detector, threads), []).append(ratio)
    return [Figure(*key, len(r), median(r), min(r), max(r)) for key, r in ratios.items()]


def _of_image(measured: Measured) -> Iterator[_Ratio]:
    kind, (own, *others) = _kind(measured.rows[0]), measured.first
    for row in measured.rows:
        if row.detector != own.detector:
            yield WARM, kind, row.detector, row.threads, row.ratio.median
    for other in others:
        yield FIRST, kind, other.detector, other.threads, other.seconds / own.seconds
        if own.peak_mb > 0:
            yield PEAK, kind, other.detector, other.threads, other.peak_mb / own.peak_mb


def _kind(row: Row) -> str:
    if row.n_features > DENSE * 1000 * row.megapixels:
        return TEXTURES
    return next(kind for kind, largest in SIZES.items() if row.megapixels <= largest)


def _of_sizes(rows: Sequence[Row]) -> Iterator[_Ratio]:
    """The first detector's time per megapixel at the largest size, divided by that at 1 Mpx."""
    at_one = {(r.image, r.way, r.threads): r for r in rows if NEAR_ONE[0] <= r.megapixels <= NEAR_ONE[1]}
    largest = {(r.image, r.way, r.threads): r for r in sorted(rows, key=lambda row: row.megapixels)}
    for key, small in at_one.items():
        large = largest[key]
        if large is not small:
            what = f"{large.megapixels:.0f}/1 Mpx, {large.way}"
            yield (
                FLATNESS,
                what,
                large.detector,
                large.threads,
                small.megapixels_per_s / large.megapixels_per_s,
            )


def to_document(
    measured: Sequence[Measured], detectors: Sequence[str], commands: Sequence[Command]
) -> dict[str, Any]:
    """The machine, the versions and all measurements, as plain values for JSON."""
    made = {name: create(name) for name in detectors}
    return {
        "schema": 1,
        "machine": machine(),
        "versions": versions(),
        "detectors": {n: {"version": d.version, "parameters": dict(d.parameters)} for n, d in made.items()},
        "rows": [_plain(row) for m in measured for row in m.rows],
        "first": [_plain(first) for m in measured for first in m.first],
        "floor": [_plain(m.roofline) for m in measured],
        "stages": [_plain(stage) for m in measured for stage in m.stages],
        "commands": [_plain(command) for command in commands],
        "summary": [_plain(figure) for figure in figures_of(measured, commands)],
    }


def _plain(record: Any) -> dict[str, Any]:
    """Name -> value of the fields and properties."""
    derived = (name for name, value in vars(type(record)).items() if isinstance(value, property))
    return asdict(record) | {name: getattr(record, name) for name in derived}
