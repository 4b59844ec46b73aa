"""``siftcli info``."""

from __future__ import annotations

import click

from ..formats import FORMATS
from ._modes import Command
from ._options import json_option
from ._output import print_json, print_table, say, summary_rows


@click.command("info", cls=Command, short_help="Show what a feature file contains.")
@click.argument("file", metavar="FILE")
@click.option(
    "--format",
    type=click.Choice(tuple(FORMATS)),
    help="Format of the file. When not given, its suffix decides.",
)
@click.option("--image", metavar="NAME", help="Image to show, in a collection of several.")
@json_option
def command(file: str, format: str | None, image: str | None, as_json: bool) -> None:
    """Show what a feature file contains: counts, parameters, coordinate convention.

    Exit status: 0 done, 1 the file cannot be read, 2 wrong usage.
    """
    from ..workflows.summary import describe_file

    info = describe_file(file, format, image)
    if as_json:
        print_json(info)
        return
    names = ("format", "version", "image_name", "exif_orientation", "descriptor_kind")
    head = [(name.replace("_", " "), info[name]) for name in names]
    print_table(file, [*head, *summary_rows(info)])
    if info["params"] is not None:
        print_table("parameters", info["params"].items())
    say(f"convention: {info['convention']}")
