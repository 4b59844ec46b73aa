"""Options of commands that detect features in images: how an image is read, and with how many threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])

STRETCHES = ("none", "minmax", "percentile")
"""As in :mod:`siftcli.image.stretch`, which needs NumPy."""
ALL_PAGES = "all"


def reading_options(command: _Command) -> _Command:
    """Add ``--exif-orientation`` and ``--max-image-size``."""
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
    return exif(size(command))


def image_options(command: _Command) -> _Command:
    """Add the options of how two images are read, and ``--threads``."""
    threads = click.option(
        "--threads",
        type=click.IntRange(min=1),
        metavar="N",
        help="Threads; all cores when not given. The result does not depend on it.",
    )
    return reading_options(stretch_options(page_option(takes_all=False)(threads(command))))


def stretch_options(command: _Command) -> _Command:
    """Add ``--stretch`` and ``--nodata``."""
    stretch = click.option(
        "--stretch",
        type=click.Choice(STRETCHES),
        default=STRETCHES[0],
        show_default=True,
        help="Stretch the grey values of faint pictures over the whole range: from the smallest to the "
        "largest, or from the 0.1 to the 99.9 percentile. Pixels that are NaN, transparent or nodata are "
        "left out, with the keypoints whose descriptor reaches them.",
    )
    nodata = click.option(
        "--nodata",
        type=float,
        metavar="VALUE",
        help="Sample value of pixels to leave out; with --stretch, when not given, that of the file's "
        "GDAL_NODATA tag.",
    )
    return stretch(nodata(command))


def page_option(*, takes_all: bool) -> Callable[[_Command], _Command]:
    """Add ``--page``; with ``takes_all`` it can be ``all``."""
    note = " 'all' makes each an image named NAME[N]." if takes_all else ""
    return click.option(
        "--page",
        type=_PageType(takes_all),
        default="1",
        show_default=True,
        help=f"Page (frame) of files of several, such as stacks; 1 is the first.{note}",
    )


class _PageType(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A page counted from 1, or ``all`` where that is possible."""

    name = "page"

    def __init__(self, takes_all: bool) -> None:
        self.takes_all = takes_all

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What the help shows."""
        return f"N|{ALL_PAGES}" if self.takes_all else "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Read it."""
        text = str(value)
        if self.takes_all and text == ALL_PAGES:
            return ALL_PAGES
        if not text.isascii() or not text.isdigit() or int(text) < 1:
            choices = f"a page, at least 1{f', or {ALL_PAGES}' if self.takes_all else ''}"
            self.fail(f"expected {choices}; got {value!r}.", param, ctx)
        return int(text)
