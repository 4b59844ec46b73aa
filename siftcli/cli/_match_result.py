"""What ``siftcli match`` and ``siftcli info`` print of the matches of two images: the verdict first."""

from __future__ import annotations

from typing import Any

from ._output import print_table, say


def say_result(summary: dict[str, Any], *, with_corners: bool = False) -> None:
    """Print the verdict, counts and measures, and the model as a matrix."""
    from ..workflows.match_text import corner_line, match_rows, matrix_lines, verdict

    print_table(verdict(summary), match_rows(summary))
    for line in matrix_lines(summary):
        say(line)
    if with_corners and summary["model_matrix"] is not None:
        say(corner_line(summary))
