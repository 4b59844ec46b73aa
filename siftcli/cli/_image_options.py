"""Options of commands that detect features in images: how an image is read, and with how many threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ._types import ALL_PAGES, WholeNumber

_Command = TypeVar("_Command", bound=Callable[..., Any])

STRETCHES = ("none", "minmax", "percentile")
"""As in :mod:`siftcli.image.stretch`, which needs NumPy."""


EXIF_OPTION = click.option(
    "--exif-orientation",
    type=click.Choice(("apply", "ignore")),
    default="apply",
    show_default=True,
    help="Rotate the image as its EXIF tag says, or use the pixels as stored.",
)


def reading_options(command: _Command) -> _Command:
    """Add ``--exif-orientation`` and ``--max-image-size``."""
    size = click.option(
        "--max-image-size",
        type=int,
        metavar="N",
        help="Shrink larger images to this longest side, in pixels, before detection: faster, and needs less "
        "memory. Coordinates and scales are still in pixels of the input.",
    )
    return EXIF_OPTION(size(command))


def image_options(command: _Command) -> _Command:
    """Add the options of how two images are read, and ``--threads``."""
    return reading_options(stretch_options(page_option(takes_all=False)(threads_option(command))))


threads_option = click.option(
    "--threads",
    type=WholeNumber(),
    help="Number of threads; all cores when not given. It does not change the result.",
)


def stretch_options(command: _Command) -> _Command:
    """Add ``--stretch`` and ``--nodata``."""
    stretch = click.option(
        "--stretch",
        type=click.Choice(STRETCHES),
        default=STRETCHES[0],
        show_default=True,
        help="Stretch the grey values of low-contrast images over the whole range: from the smallest to the "
        "largest value, or from the 0.1 to the 99.9 percentile. Pixels that are NaN, transparent or nodata "
        "are ignored, and keypoints whose descriptor reaches them are dropped.",
    )
    nodata = click.option(
        "--nodata",
        type=float,
        metavar="VALUE",
        help="Value of pixels to ignore. With --stretch, when not given, the value of the file's "
        "GDAL_NODATA tag.",
    )
    return stretch(nodata(command))


def page_option(*, takes_all: bool) -> Callable[[_Command], _Command]:
    """Add ``--page``; with ``takes_all`` it can be ``all``."""
    note = " 'all' treats each page as an image named NAME[N]." if takes_all else ""
    return click.option(
        "--page",
        type=WholeNumber(words=(ALL_PAGES,) if takes_all else ()),
        default="1",
        show_default=True,
        help=f"Page (frame) of a file with several, such as a stack; 1 is the first.{note}",
    )
