"""Render ``results.json`` of one or two evaluations as a self-contained HTML page.

``runs`` reads the saved results, ``tables``, ``charts`` and ``poses`` arrange them, and the template only
renders. Every number on the page is computed from the rows of ``results.json``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

PAGE_NAME, COMPARISON_NAME = "report.html", "compare.html"


def write_report(
    folders: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str] | None = None
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

    Returns
    -------
    Path
        The path of the page.

    Raises
    ------
    ParameterError
        If there are more than two folders.
    InputError
        If a folder holds no finished evaluation.
    OutputError
        If the page cannot be written.
    """
    from jinja2 import TemplateError

    from ..errors import InputError
    from ..io.writing import write_inside, write_output
    from .page import render
    from .runs import read_runs

    runs = read_runs([Path(folder) for folder in folders])
    default = Path(folders[0]) / PAGE_NAME if len(folders) == 1 else Path(COMPARISON_NAME)
    path = default if output is None else Path(output)
    try:
        page = render(runs)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, TemplateError) as error:
        raise InputError(
            f"{runs[0].folder}: expected results of siftcli evaluate, but they cannot be used "
            f"({type(error).__name__}: {' '.join(str(error).split())[:80]}); evaluate again"
        ) from error
    write = write_inside if output is None else write_output
    write(path, page.encode("utf-8", "backslashreplace"), overwrite=True)
    return path
