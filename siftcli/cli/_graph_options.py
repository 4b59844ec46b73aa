"""The page of a collection's pairs: its options, and the one place that writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from ..errors import ParameterError
from ._output import note
from ._progress import waiting
from ._types import WholeNumber

_Command = TypeVar("_Command", bound=Callable[..., Any])

DEFAULT_PICTURES = 10


def graph_options(command: _Command) -> _Command:
    """Add ``--images`` and ``--pictures``."""
    images = click.option(
        "--images",
        metavar="FOLDER",
        help="Folder that names of images are relative to, for pictures of pairs and of feature files, and "
        "to read positions from EXIF tags for pairs by gps. When not given, images are where they were at "
        "detection, and positions those of a COLMAP database.",
    )
    pictures = click.option(
        "--pictures",
        type=WholeNumber(low=0),
        default=DEFAULT_PICTURES,
        show_default=True,
        help="Pictures on the page of pairs: of this many of the weakest verified pairs, and of as many "
        "of the strongest.",
    )
    return images(pictures(command))


@dataclass(frozen=True)
class GraphPage:
    """The page of a collection's pairs, as asked for."""

    target: str | None
    """None for no page."""
    images: str | None
    n_pictures: int

    def check(self) -> None:
        """Check that the page can be written; an existing one is replaced.

        Raises
        ------
        OutputError
            If it cannot be written.
        ParameterError
            If the folder of images is none.
        """
        from ..io.writing import check_output

        self._check_images()
        if self.target is not None:
            check_output(self.target, overwrite=True)

    def _check_images(self) -> None:
        if self.images is not None and not Path(self.images).is_dir():
            raise ParameterError(f"--images must be a folder; got {self.images}")

    def write(self, matches: str, format: str | None, *, quiet: bool) -> None:
        """Write the page of a file of matches, and say so.

        Raises
        ------
        InputError, OutputError
            If the matches cannot be read, or the page cannot be written.
        """
        from ..report.graph import write_graph

        assert self.target is not None
        self._check_images()
        with waiting("writing the report", show=not quiet):
            remarks = write_graph(
                matches, self.target, format, images=self.images, n_pictures=self.n_pictures
            )
        if not quiet:
            for line in (*remarks, f"report: {self.target}"):
                note(line)
