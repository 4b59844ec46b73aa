"""``siftcli bench``."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ..bench.options import DEFAULT_DETECTORS, DEFAULT_PAIRS, DEFAULT_SIZES, SECONDS_A_ROW, WAYS
from ..evaluation.options import DETECTOR_NAMES
from ..system.cores import usable_cores
from ._modes import Command
from ._options import names_callback
from ._output import note, print_json, print_table, say
from ._progress import Follow, counter
from ._types import WholeNumber

if TYPE_CHECKING:
    from ..bench.tables import Table


def _sizes(ctx: click.Context, param: click.Parameter, text: str | None) -> list[float]:
    one_size: Any = click.FloatRange(min=0.01, max=200)
    return [one_size.convert(name, param, ctx) for name in (text or "").split(",") if name.strip()]


@click.command("bench", cls=Command, short_help="Compare the speed with OpenCV's SIFT.")
@click.argument("inputs", metavar="[IMAGE...]", nargs=-1)
@click.option(
    "--sizes",
    callback=_sizes,
    metavar="LIST",
    help="Sizes in megapixels to bring each image to, separated by commas.  [default: as it is; without an "
    f"IMAGE, a photograph at {', '.join(f'{size:g}' for size in DEFAULT_SIZES)}]",
)
@click.option(
    "--made",
    default=WAYS[0],
    show_default=True,
    callback=names_callback,
    metavar="NAMES",
    help="How an image is brought to a size: resized (with noise of one grey level), tiled (with its mirror "
    "images), or both, separated by a comma.",
)
@click.option(
    "--detectors",
    default=",".join(DEFAULT_DETECTORS),
    show_default=True,
    callback=names_callback,
    metavar="NAMES",
    help="Detectors to time, separated by commas; ratios are to the first. "
    f"Known: {', '.join(DETECTOR_NAMES)}.",
)
@click.option(
    "--threads",
    "thread_counts",
    type=WholeNumber(),
    multiple=True,
    help="Number of threads; may be given several times.  [default: 1, and all cores]",
)
@click.option(
    "--pairs",
    "n_pairs",
    type=WholeNumber(),
    help=f"Runs of each detector.  [default: {DEFAULT_PAIRS}, or as many as fit in {SECONDS_A_ROW} s per "
    "image and number of threads]",
)
@click.option(
    "--equal-counts",
    is_flag=True,
    help="Keep no more features of an image than any of the detectors finds in it. First runs and their "
    "memory are still those of all features.",
)
@click.option(
    "--process",
    is_flag=True,
    help="Also time the whole command 'siftcli detect IMAGE -o x.npz' and the shortest OpenCV program that "
    "does the same.",
)
@click.option(
    "--stages",
    "with_stages",
    is_flag=True,
    help="Also time each stage alone, beside the time that its arithmetic, or the memory it must move, takes "
    "at this machine's limit.",
)
@click.option("-o", "--output", metavar="FILE", help="Write all measurements as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print all measurements as JSON instead of tables.")
def command(  # noqa: PLR0913  the options of a command
    *,
    inputs: tuple[str, ...],
    sizes: list[float],
    made: tuple[str, ...],
    detectors: tuple[str, ...],
    thread_counts: tuple[int, ...],
    n_pairs: int | None,
    equal_counts: bool,
    process: bool,
    with_stages: bool,
    output: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Compare the speed of detection and description with OpenCV's SIFT (enable_precise_upscale).

    Each detector runs in its own process for each image, and the detectors alternate. A ratio is another
    detector's time divided by the first's: the median over the pairs of runs, with the range of their middle
    half. The first run of a process, and its memory, are reported apart from the warm runs. The arithmetic
    floor is the time of the pyramid's multiply-adds at the speed measured on this machine.

    Exit status: 0 done, 1 an input failed, 2 wrong usage, 130 interrupted.
    """
    from ..bench import tables
    from ..bench.cases import cases_of
    from ..bench.measuring import measure, measurements_of_a_case
    from ..bench.process import time_command
    from ..bench.summary import to_document
    from ..io.work_list import find_images
    from ..io.writing import check_output, write_output

    if output is not None:
        check_output(output, overwrite=overwrite)
    cases = cases_of([image.path for image in find_images(inputs, tell=note)] if inputs else [], sizes, made)
    threads = thread_counts or tuple(sorted({1, usable_cores()}))
    measured, commands = [], []
    paths = dict.fromkeys(case.path for case in cases) if process else {}
    n_measurements = len(cases) * measurements_of_a_case(threads)
    with counter("measurements", show=True) as follow:
        tell = partial(_tell_of, follow, n_measurements + len(paths))
        for one in measure(
            cases,
            detectors,
            thread_counts=threads,
            n_pairs=n_pairs,
            equal_counts=equal_counts,
            with_stages=with_stages,
            tell=tell,
        ):
            measured.append(one)
            if not as_json:
                _print(tables.warm_table(one))
                if one.stages:
                    _print(tables.stages_table(one.stages))
        for path in paths:
            commands.append(time_command(path, n_pairs))
            tell(n_measurements + len(commands))
    document = to_document(measured, detectors, commands)
    if as_json:
        print_json(document)
    else:
        for table in tables.closing_tables(measured, commands):
            _print(table)
    if output is not None:
        write_output(output, json.dumps(document, indent=1).encode(), overwrite=overwrite)


def _tell_of(follow: Follow, total: int, done: int) -> None:
    follow(done, total)


def _print(table: Table) -> None:
    print_table(table.title, table.rows, heads=table.heads, n_names=table.n_names)
    say("")
