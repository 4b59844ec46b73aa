"""``siftcli bench``."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from ..bench.options import DEFAULT_DETECTORS, DEFAULT_PAIRS, DEFAULT_SIZES, SECONDS_A_ROW, WAYS
from ..evaluation.options import DETECTOR_NAMES
from ._options import names_callback
from ._output import note, print_json, print_table, progress, say

if TYPE_CHECKING:
    from ..bench.tables import Table


def _sizes(ctx: click.Context, param: click.Parameter, text: str | None) -> list[float]:
    one_size: Any = click.FloatRange(min=0.01, max=200)
    return [one_size.convert(name, param, ctx) for name in (text or "").split(",") if name.strip()]


@click.command(short_help="Time detection and description beside OpenCV's SIFT.")
@click.argument("inputs", metavar="[IMAGE...]", nargs=-1)
@click.option(
    "--sizes",
    callback=_sizes,
    metavar="LIST",
    help="Megapixels that each image is brought to, separated by commas.  [default: as it is; without an "
    f"IMAGE, a photograph at {', '.join(f'{size:g}' for size in DEFAULT_SIZES)}]",
)
@click.option(
    "--made",
    default=WAYS[0],
    show_default=True,
    callback=names_callback,
    metavar="NAMES",
    help="How it is brought there: resized (with noise of a grey level), tiled (mirror images side by side), "
    "or both, separated by a comma.",
)
@click.option(
    "--detectors",
    default=",".join(DEFAULT_DETECTORS),
    show_default=True,
    callback=names_callback,
    metavar="NAMES",
    help=f"What is timed; ratios are to the first. Known: {', '.join(DETECTOR_NAMES)}.",
)
@click.option(
    "--threads",
    "thread_counts",
    type=click.IntRange(min=1),
    multiple=True,
    help="May be given several times.  [default: 1, and all cores]",
)
@click.option(
    "--pairs",
    "n_pairs",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Runs of each.  [default: {DEFAULT_PAIRS}, or as many as fit in {SECONDS_A_ROW} s an image and "
    "number of threads]",
)
@click.option(
    "--process",
    is_flag=True,
    help="Time too, for each IMAGE, the whole of 'siftcli detect IMAGE -o x.npz' beside the shortest "
    "OpenCV program that does the same.",
)
@click.option("-o", "--output", metavar="FILE", help="Write all that was measured, as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print what FILE would hold, instead of tables.")
def command(
    inputs: tuple[str, ...],
    sizes: list[float],
    made: tuple[str, ...],
    detectors: tuple[str, ...],
    thread_counts: tuple[int, ...],
    n_pairs: int | None,
    process: bool,
    output: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Time detection and description beside OpenCV's SIFT (enable_precise_upscale).

    Each detector has a process of its own for each image; they take turns. A ratio is another detector's
    time divided by the first's, the median over the pairs with the range of their middle half.
    The first image of a process, and the memory it needs, is told apart from the warm runs. The
    arithmetic floor is the time of the pyramid's multiply-adds at the speed measured on this machine.
    """
    from ..bench import tables
    from ..bench.cases import cases_of
    from ..bench.measuring import measure
    from ..bench.process import time_command
    from ..bench.summary import to_document
    from ..io.work_list import find_images
    from ..io.writing import check_output, write_output

    if output is not None:
        check_output(output, overwrite=overwrite)
    cases = cases_of([image.path for image in find_images(inputs, tell=note)] if inputs else [], sizes, made)
    threads = thread_counts or tuple(sorted({1, len(os.sched_getaffinity(0))}))
    measured = []
    measuring = measure(cases, detectors, thread_counts=threads, n_pairs=n_pairs)
    with progress(measuring, len(cases), show=not as_json) as tracked:
        for one in tracked:
            measured.append(one)
            if not as_json:
                _print(tables.warm_table(one))
    paths = dict.fromkeys(case.path for case in cases) if process else {}
    commands = [time_command(path, n_pairs) for path in paths]
    document = to_document(measured, detectors, commands)
    if as_json:
        print_json(document)
    else:
        for table in tables.closing_tables(measured, commands):
            _print(table)
    if output is not None:
        write_output(output, json.dumps(document, indent=1).encode(), overwrite=overwrite)


def _print(table: Table) -> None:
    print_table(table.title, table.rows, heads=table.heads, n_names=table.n_names)
    say("")
