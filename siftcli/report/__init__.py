"""Render ``results.json`` of one or two evaluations as a self-contained HTML page.

``runs`` reads the saved results, ``tables``, ``charts`` and ``poses`` arrange them, and the template only
renders; ``comparison`` and ``checks`` are for the screen and for programs. Every number on the page is
computed from the rows of ``results.json``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .runs import Run

PAGE_NAME, COMPARISON_NAME = "report.html", "compare.html"
PAGE_SUFFIXES = (".html", ".htm")


def write_report(
    folders: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Render the page of one evaluation, or compare two on one page.

    Parameters
    ----------
    folders
        One folder with ``results.json``, or two to compare: before and after a change. An evaluation of
        poses and one of other changes are put on one page.
    output
        Path of the page. The default is ``report.html`` in the folder, or for a comparison
        ``compare.html`` in the current directory.
    overwrite
        Replace a page that exists.

    Returns
    -------
    Path
        The path of the page.

    Raises
    ------
    ParameterError
        If there are more than two folders, or the page has another suffix than ``.html``.
    InputError
        If a folder holds no finished evaluation.
    OutputError
        If the page exists and may not be overwritten, or cannot be written.
    """
    from .runs import read_runs

    paths = [Path(folder) for folder in folders]
    runs = read_runs(paths)
    path = checked_path(paths, output, overwrite=overwrite)
    write_page(runs, path, is_named=output is not None)
    return path


def checked_path(folders: Sequence[Path], output: str | os.PathLike[str] | None, *, overwrite: bool) -> Path:
    """The path of a page that can be written.

    Raises
    ------
    ParameterError, OutputError
        As :func:`write_report`.
    """
    from ..io.writing import check_output

    default = folders[0] / PAGE_NAME if len(folders) == 1 else Path(COMPARISON_NAME)
    path = default if output is None else Path(output)
    check_name(path)
    check_output(path, overwrite=overwrite)
    return path


def check_name(path: str | os.PathLike[str]) -> None:
    """Check that the name of a page ends as one.

    Raises
    ------
    ParameterError
        If it does not.
    """
    from ..errors import ParameterError
    from ..io.writing import is_special

    if Path(path).suffix.lower() not in PAGE_SUFFIXES and not is_special(path):
        raise ParameterError(
            f"{os.fspath(path)}: expected the name of a page, {Path(path).stem or 'NAME'}.html"
        )


def write_page(runs: Sequence[Run], path: Path, *, is_named: bool) -> None:
    """Render the page of some runs to a path that was checked; ``is_named`` if the user chose it.

    Raises
    ------
    InputError, OutputError
        As :func:`write_report`.
    """
    from ..io.writing import write_inside, write_output
    from .page import render
    from .runs import usable

    with usable(runs):
        page = render(runs)
    write = write_output if is_named else write_inside
    write(path, page.encode("utf-8", "backslashreplace"), overwrite=True)
