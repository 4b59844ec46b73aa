"""``siftcli report``."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import ParameterError
from ._graph_options import GraphPage, graph_options
from ._modes import Command, holds_matches
from ._options import quiet_option
from ._output import complain, note, print_json, say_table
from ._progress import waiting

BELOW_LIMIT_STATUS = 3


@click.command(
    "report", cls=Command, short_help="Show an evaluation, two compared, or the pairs of a collection."
)
@click.argument("inputs", metavar="DIR [DIR2] | MATCHES", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="HTML",
    help="File for the report. When not given, DIR/report.html; for two evaluations, compare.html; for "
    "MATCHES the same name with .html.",
)
@click.option(
    "--fail-below",
    metavar="METRIC=VALUE",
    multiple=True,
    help="End with status 3 if the mean of METRIC is below VALUE under any change or in any scene, for the "
    "first detector of the last DIR. VALUE is a number or, for two evaluations, relative to the first: "
    "'before' or 'before-0.01'. May be given several times.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the differences as one JSON object; a page is then only written with -o.",
)
@graph_options
@click.option("--overwrite", is_flag=True, help="Replace the report if it exists.")
@quiet_option
def command(
    inputs: tuple[str, ...],
    output: str | None,
    images: str | None,
    pictures: int,
    fail_below: tuple[str, ...],
    as_json: bool,
    overwrite: bool,
    quiet: bool,
) -> int:
    """Write a page that shows an evaluation or the pairs of a collection.

    DIR is the folder of an evaluation, whose report is written again from its results.json. With two
    folders, such as before and after a change, the report compares them side by side. The differences are
    also printed. An evaluation of poses and one of other changes are not compared; they are put on one page.

    MATCHES is a file of matches, of 'siftcli match' or of another program: database.db or
    matches.h5. The page shows which images are connected and how well, which have no partner, and
    pictures of the weakest and the strongest pairs.

    Exit status: 0 done, 1 the results cannot be read, 2 wrong usage, 3 below a limit of --fail-below.
    """
    if any(map(holds_matches, inputs)):
        _write_graph(inputs, output, GraphPage(output, images, pictures), overwrite=overwrite, quiet=quiet)
        return 0

    from ..report import checked_path, write_page
    from ..report.checks import check, parse_limit, told
    from ..report.comparison import compare, text_of
    from ..report.runs import read_runs, usable

    limits = [parse_limit(text) for text in fail_below]
    folders = [Path(folder) for folder in inputs]
    runs = read_runs(folders)
    path = None if as_json and output is None else checked_path(folders, output, overwrite=overwrite)
    with waiting("writing the report", show=not quiet):
        with usable(runs):
            found = compare(runs)
            checks = check(found, limits)
        if path is not None:
            write_page(runs, path, is_named=output is not None)
    if as_json:
        print_json({**found.to_dict(), "checks": checks, "page": None if path is None else str(path)})
    elif not quiet:
        say_table(text_of(found))
        note(f"report: {path}")
    failed = [entry for entry in checks if not entry["passed"]]
    for entry in failed:
        complain(told(entry))
    return BELOW_LIMIT_STATUS if failed else 0


def _write_graph(
    inputs: tuple[str, ...], output: str | None, page: GraphPage, *, overwrite: bool, quiet: bool
) -> None:
    """Write the page of a file of matches, beside it if it has no name."""
    from dataclasses import replace

    from ..io.writing import check_output
    from ..report import check_name

    if len(inputs) > 1:
        raise ParameterError(f"expected one file of matches, got {len(inputs)} inputs; give one")
    target = output or str(Path(inputs[0]).with_suffix(".html"))
    check_name(target)
    check_output(target, overwrite=overwrite)
    replace(page, target=target).write(inputs[0], None, quiet=quiet)
