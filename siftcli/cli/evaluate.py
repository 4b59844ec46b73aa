"""``siftcli evaluate``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..evaluation.options import (
    DATASET_NAMES,
    DEFAULT_DETECTORS,
    DEFAULT_SWEEPS,
    DEFAULT_VALUES,
    DETECTOR_NAMES,
    MODES,
    ORIENTATIONS,
    ROTATION_STEP_DEG,
    parse_values,
    with_orientation,
)
from ._options import names_callback
from ._output import complain, note, print_json, say_table
from ._pose_options import pose_options, run_poses, take_pose_options

Progress = Callable[[int, int], None]


@click.command(short_help="Measure how features survive turning, beside other detectors.")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    default="siftcli-evaluation",
    show_default=True,
    help="Folder of results.json, summary.csv and report.html. One that holds the same evaluation "
    "unfinished is continued.",
)
@click.option(
    "--sweep",
    "sweeps",
    default=DEFAULT_SWEEPS[0],
    show_default=True,
    callback=names_callback,
    metavar="NAMES",
    help=f"What is changed, separated by commas: {', '.join(DEFAULT_VALUES)}.",
)
@click.option(
    "--angles",
    metavar="LIST",
    help=f"Angles of the rotation in degrees, counter-clockwise: 0:360:15 (the end excluded) or 30,45,90.  "
    f"[default: 0:360:{ROTATION_STEP_DEG}]",
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default=MODES[0],
    show_default=True,
    help="Turned views: square crops rendered like the reference, and lossless quarter turns; "
    "or the whole image on an enlarged canvas.",
)
@click.option(
    "--detectors",
    default=",".join(DEFAULT_DETECTORS),
    show_default=True,
    callback=names_callback,
    metavar="NAMES",
    help="What is compared; intervals are those of the first's lead over each other. "
    f"Known: {', '.join(DETECTOR_NAMES)}.",
)
@click.option(
    "--orientation",
    type=click.Choice(ORIENTATIONS),
    default=ORIENTATIONS[0],
    show_default=True,
    help="How siftcli's own detectors find orientations; 'learned' takes siftcli-learned for siftcli. "
    "Name both under --detectors to compare them.",
)
@click.option(
    "--max-features",
    type=click.IntRange(min=1),
    metavar="N",
    help="Features an image of the table at equal counts; when not given, for each image the smallest "
    "number that any of the detectors finds.",
)
@click.option(
    "--dataset",
    type=click.Choice(DATASET_NAMES),
    help="INPUT is a dataset instead of images. With known homographies: a folder of Oxford affine or "
    "HPatches sequences, or a CSV file with the columns image_a,image_b,homography. With known cameras "
    "(poses): a folder with images/ and a COLMAP model in sparse/, a folder of such folders, or a CSV file.",
)
@pose_options
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Processes; all cores when not given.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the views' noise.")
@click.option("--overwrite", is_flag=True, help="Begin anew whatever DIR holds of an evaluation.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, one object.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    inputs: tuple[str, ...],
    output: str,
    angles: str | None,
    jobs: int | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    orientation: str,
    **options: Any,
) -> int:
    """Measure how features survive turning and other changes, beside other detectors.

    INPUT is an image or a folder, which is searched for images. The report says how each figure
    is defined. An interrupted evaluation goes on when the same command is given again.

    Exit status: 0 done, 1 an image or a detector failed, 2 wrong use, 130 interrupted.
    """
    values = None if angles is None else parse_values(angles)
    options["detectors"] = with_orientation(options["detectors"], orientation)
    of_poses = take_pose_options(options)
    if options["dataset"] == "poses":
        common = {name: options[name] for name in ("detectors", "seed")}
        with _progress(show=not quiet) as progress:
            results = run_poses(
                inputs, output, {**of_poses, **common}, jobs or _usable_cores(), overwrite, progress
            )
        return _tell_poses(results, output, as_json=as_json, quiet=quiet)

    from ..evaluation.request import make_request
    from ..evaluation.runner import evaluate, summaries_of
    from ..evaluation.tables import text_tables
    from ..report import write_report

    settings, planned = make_request(inputs, output, angles=values, **options)
    with _progress(show=not quiet) as progress:
        results = evaluate(
            planned, settings, output, jobs=jobs or _usable_cores(), overwrite=overwrite, progress=progress
        )
    report = write_report([output])
    for failure in results["failures"]:
        complain(f"{failure['image']}: {failure['detector'] or 'every detector'}: {failure['error']}")
    if as_json:
        print_json({key: results[key] for key in ("schema", "summary", "differences", "failures")})
    elif not quiet:
        say_table(text_tables(summaries_of(results)))
        note(f"report: {report}")
    return 1 if results["failures"] else 0


def _tell_poses(results: dict[str, Any], output: str, *, as_json: bool, quiet: bool) -> int:
    """Print what a benchmark of poses found; the exit status."""
    from ..evaluation.poses.summary import text_tables

    for failure in results["failures"]:
        complain(f"{failure['scene']}: {failure['pair']}: {failure['detector'] or 'all'}: {failure['error']}")
    if as_json:
        print_json({key: results[key] for key in ("schema", "summary", "differences", "failures")})
    elif not quiet:
        say_table(text_tables(results["summary"]))
        note(f"results: {os.path.join(output, 'results.json')}")  # noqa: PTH118
    return 1 if results["failures"] else 0


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _progress(*, show: bool) -> Iterator[Progress | None]:
    """A bar on standard error, if that is a terminal."""
    if not (show and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("views"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("views", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
