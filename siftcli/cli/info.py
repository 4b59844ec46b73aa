"""``siftcli info``."""

from __future__ import annotations

import click

from ..formats import FORMATS
from ._options import json_option
from ._output import print_json, print_table, say, summary_rows


@click.command(short_help="Say what a feature file holds.")
@click.argument("file", metavar="FILE")
@click.option(
    "--format", type=click.Choice(tuple(FORMATS)), help="Format of the file; from its suffix when not given."
)
@click.option("--image", metavar="NAME", help="The image, in a collection of more than one.")
@json_option
def command(file: str, format: str | None, image: str | None, as_json: bool) -> None:
    """Say what a feature file holds: counts, parameters, convention."""
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
