"""``siftcli report``."""

from __future__ import annotations

import click

from ._output import note


@click.command(short_help="Render an evaluation's page again, or compare two evaluations.")
@click.argument("folders", metavar="DIR [DIR2]", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="HTML",
    help="The page; DIR/report.html when not given, for two evaluations compare.html.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(folders: tuple[str, ...], output: str | None, quiet: bool) -> int:
    """Render an evaluation's page again from its results.json.

    With two folders, before and after a change, the page puts both beside each other.
    """
    from ..report import write_report

    page = write_report(folders, output)
    if not quiet:
        note(f"report: {page}")
    return 0
