"""``siftcli report``."""

from __future__ import annotations

import click

from ._modes import Command
from ._options import quiet_option
from ._output import note


@click.command(
    "report", cls=Command, short_help="Write an evaluation's report again, or compare two evaluations."
)
@click.argument("folders", metavar="DIR [DIR2]", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="HTML",
    help="File for the report. When not given, DIR/report.html; for two evaluations, compare.html.",
)
@quiet_option
def command(folders: tuple[str, ...], output: str | None, quiet: bool) -> int:
    """Write the report of an evaluation again from its results.json.

    With two folders, such as before and after a change, the report compares them side by side. An
    evaluation of poses and one of other changes are not compared; they are put on one page.

    Exit status: 0 done, 1 the results cannot be read, 2 wrong usage.
    """
    from ..report import write_report

    page = write_report(folders, output)
    if not quiet:
        note(f"report: {page}")
    return 0
