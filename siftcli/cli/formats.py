"""``siftcli formats``."""

from __future__ import annotations

import click

from ..formats import CONTENT, FORMATS
from ._modes import Command
from ._options import json_option
from ._output import print_json, say


@click.command("formats", cls=Command, short_help="List the formats that are read and written.")
@json_option
def command(as_json: bool) -> None:
    """List the formats that are read and written, and what each of them cannot store."""
    from ..workflows.summary import SCHEMA

    for entry in FORMATS.values():
        suffixes = ", ".join(entry.suffixes or (entry.file_suffix,))
        access = "read, write" if entry.can_read else "write"
        holds = "many images" if entry.is_collection else "one image"
        if as_json:
            carried = [item for item in CONTENT if item not in entry.lacks]
            print_json(
                {
                    "schema": SCHEMA,
                    "name": entry.name,
                    "suffixes": list(entry.suffixes),
                    "can_read": entry.can_read,
                    "is_collection": entry.is_collection,
                    "carries": carried,
                    "read_by": entry.read_by,
                }
            )
            continue
        say(f"{entry.name:12} {suffixes:14} {access:12} {holds:12} {entry.read_by}")
        if entry.lacks:
            say(f"{'':12} without {', '.join(entry.lacks)}")
