"""``siftcli report``."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import ParameterError
from ._graph_options import GraphPage, graph_options
from ._modes import Command, holds_matches
from ._options import quiet_option
from ._output import note
from ._progress import waiting


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
@graph_options
@quiet_option
def command(
    inputs: tuple[str, ...], output: str | None, images: str | None, pictures: int, quiet: bool
) -> int:
    """Write a page that shows an evaluation or the pairs of a collection.

    DIR is the folder of an evaluation, whose report is written again from its results.json. With two
    folders, such as before and after a change, the report compares them side by side. An evaluation of
    poses and one of other changes are not compared; they are put on one page.

    MATCHES is a file of matches, of 'siftcli match' or of another program: database.db or
    matches.h5. The page shows which images are connected and how well, which have no partner, and
    pictures of the weakest and the strongest pairs.

    Exit status: 0 done, 1 the results cannot be read, 2 wrong usage.
    """
    if any(map(holds_matches, inputs)):
        if len(inputs) > 1:
            raise ParameterError(f"expected one file of matches, got {len(inputs)} inputs; give one")
        target = output or str(Path(inputs[0]).with_suffix(".html"))
        GraphPage(target, images, pictures).write(inputs[0], None, quiet=quiet)
        return 0

    from ..report import write_report

    with waiting("writing the report", show=not quiet):
        page = write_report(inputs, output)
    if not quiet:
        note(f"report: {page}")
    return 0
