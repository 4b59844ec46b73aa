"""``siftcli evaluate``."""

from __future__ import annotations

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
from ..system.cores import usable_cores
from ._hints import Hints
from ._image_options import stretch_options
from ._modes import Command, command_line
from ._options import names_callback, quiet_option, tell_jobs
from ._output import complain, note, print_json, say_nothing, say_table
from ._pose_options import pose_options, run_poses, take_pose_options
from ._progress import counter, waiting
from ._types import WholeNumber


@click.command(
    "evaluate", cls=Command, short_help="Compare detectors under rotation and other changes of images."
)
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    default="siftcli-evaluation",
    show_default=True,
    help="Folder for results.json, summary.csv and report.html. An unfinished evaluation in it, of the same "
    "inputs and options, is resumed.",
)
@click.option(
    "--sweep",
    "sweeps",
    default=DEFAULT_SWEEPS[0],
    show_default=True,
    callback=names_callback,
    metavar="NAMES",
    help=f"Changes that are applied to the images, separated by commas: {', '.join(DEFAULT_VALUES)}.",
)
@click.option(
    "--angles",
    metavar="LIST",
    help="Angles of rotation in degrees, counter-clockwise: START:END:STEP (without the end), or a list such "
    f"as 30,45,90.  [default: 0:360:{ROTATION_STEP_DEG}]",
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default=MODES[0],
    show_default=True,
    help="How rotated views are made: 'rendered' resamples square crops, as it does the reference, and adds "
    "exact rotations by 90, 180 and 270 degrees; 'canvas' rotates the whole image on a larger canvas.",
)
@click.option(
    "--detectors",
    default=",".join(DEFAULT_DETECTORS),
    show_default=True,
    callback=names_callback,
    metavar="NAMES",
    help="Detectors to compare, separated by commas; confidence intervals are for the difference between the "
    f"first and each other. Known: {', '.join(DETECTOR_NAMES)}.",
)
@click.option(
    "--orientation",
    type=click.Choice(ORIENTATIONS),
    default=ORIENTATIONS[0],
    show_default=True,
    help="How siftcli's own detectors find orientations; with 'learned', siftcli stands for siftcli-learned. "
    "To compare both, name both in --detectors.",
)
@click.option(
    "--max-features",
    type=WholeNumber(),
    help="Features per image in the comparison at equal counts. When not given, it is the smallest number "
    "that any of the detectors finds in the image.",
)
@click.option(
    "--dataset",
    type=click.Choice(DATASET_NAMES),
    help="INPUT is a dataset, not images to change. With known homographies: a folder of Oxford affine or "
    "HPatches sequences, or a CSV file with the columns image_a,image_b,homography. With known cameras "
    "(poses): a folder with images/ and a COLMAP model in sparse/, a folder of such folders, or a CSV file.",
)
@pose_options
@stretch_options
@click.option("--jobs", type=WholeNumber(), help="Number of processes. When not given, one for each core.")
@click.option(
    "--seed", type=WholeNumber(0), default=0, show_default=True, help="Seed of the noise in the views."
)
@click.option("--overwrite", is_flag=True, help="Start again, and replace the evaluation in DIR.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@quiet_option
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
    """Compare detectors under rotation and other changes of images.

    INPUT is an image or a folder, which is searched for images. The report defines every figure in it. An
    interrupted evaluation is resumed by the same command.

    Exit status: 0 done, 1 an image or a detector failed, 2 wrong usage, 130 interrupted.
    """
    work: dict[str, Any] = {"jobs": jobs or usable_cores(), "overwrite": overwrite}
    work["command"] = command_line(click.get_current_context())
    values = None if angles is None else parse_values(angles)
    options["detectors"] = with_orientation(options["detectors"], orientation)
    of_poses = take_pose_options(options)
    if options["dataset"] == "poses":
        of_poses |= {name: options[name] for name in ("detectors", "seed")}
        with counter("tasks", show=not quiet) as progress:
            results = run_poses(inputs, output, of_poses, progress=progress, **work)
        return _tell_poses(results, output, as_json=as_json, quiet=quiet)

    from ..evaluation.request import make_request
    from ..evaluation.runner import evaluate, summaries_of
    from ..evaluation.tables import text_tables
    from ..report import write_report

    tell = say_nothing if quiet else note
    settings, planned = make_request(inputs, output, angles=values, tell=tell, **options)
    tell_jobs(jobs, len(planned), "view", quiet=quiet)
    with counter("views", show=not quiet) as progress:
        results = evaluate(planned, settings, output, progress=progress, **work)
    with waiting("writing the report", show=not quiet):
        report = write_report([output], overwrite=True)
    for failure in results["failures"]:
        complain(f"{failure['image']}: {failure['detector'] or 'every detector'}: {failure['error']}")
    if not quiet:
        _print_page_hint(results["rows"])
    if as_json:
        print_json({key: results[key] for key in ("schema", "summary", "differences", "failures")})
    elif not quiet:
        say_table(text_tables(summaries_of(results)))
        note(f"report: {report}")
    return 1 if results["failures"] else 0


def _tell_poses(results: dict[str, Any], output: str, *, as_json: bool, quiet: bool) -> int:
    """Write the report of a benchmark of poses and print its tables; returns the exit status."""
    from ..evaluation.poses.tables import text_tables
    from ..report import write_report

    with waiting("writing the report", show=not quiet):
        report = write_report([output], overwrite=True)
    for failure in results["failures"]:
        complain(f"{failure['scene']}: {failure['detector']}: {failure['error']}")
    if as_json:
        keys = ("schema", "summary", "differences", "reconstructions", "failures")
        print_json({key: results[key] for key in keys})
    elif not quiet:
        say_table(text_tables(results))
        note(f"report: {report}")
    return 1 if results["failures"] else 0


def _print_page_hint(rows: list[dict[str, Any]]) -> None:
    hints = Hints(has_page_option=False)
    for row in rows:
        hints.add_pages(row["image"], row.get("n_pages", 1))
    hints.tell()
