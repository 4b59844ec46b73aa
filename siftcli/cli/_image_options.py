"""Options of commands that detect features in images: how an image is read, and with how many threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def image_options(command: _Command) -> _Command:
    """Add ``--exif-orientation``, ``--max-image-size`` and ``--threads``."""
    exif = click.option(
        "--exif-orientation",
        type=click.Choice(("apply", "ignore")),
        default="apply",
        show_default=True,
        help="Turn the picture as its EXIF tag says, or take the stored pixels.",
    )
    size = click.option(
        "--max-image-size",
        type=int,
        metavar="N",
        help="Detect on a copy reduced to this longest side, in pixels; coordinates and scales still come "
        "back in input pixels.",
    )
    threads = click.option(
        "--threads",
        type=click.IntRange(min=1),
        metavar="N",
        help="Threads; all cores when not given. The result does not depend on it.",
    )
    return exif(size(threads(command)))
