"""The journal of an alignment, from which an interrupted run goes on.

It is a hidden file beside the output, or in the folder of the outputs: a first line that says what the
run depends on, a line for each frame whose matches were found, and two for each file: before and after
it is written.
A journal of another run, or a damaged line, is as good as none.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from ..alignment.adjustment import Pair
from ..io.limits import MAX_FILE_BYTES
from ..io.reading import read_bytes
from ..io.writing import write_inside
from .align_work import FrameFound

NAME = ".siftcli-align.jsonl"


class Journal:
    """What an earlier run has done, and what this one does.

    Parameters
    ----------
    path
        The file; None keeps no journal.
    head
        What the run depends on, in plain types.
    """

    def __init__(self, path: Path | None, head: dict[str, Any]) -> None:
        self.path, self.head = path, json.loads(json.dumps(head))
        self.found: dict[int, FrameFound] = {}
        self.written: dict[int, dict[str, Any]] = {}
        self.begun: dict[int, str] = {}
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        if self.path is not None:
            lines = self._lines()
            write_inside(self.path, "".join(lines).encode(), overwrite=True)
            self._file = self.path.open("a", encoding="ascii", newline="\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        if kind is not None and not (self.found or self.begun):
            self.remove()  # there is nothing to go on from

    def remove(self) -> None:
        """Remove it: the run is finished."""
        self._close()  # Windows removes no file that is open
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _lines(self) -> list[str]:
        """The lines of an earlier run that are of use, after taking them up."""
        lines = [json.dumps({"head": self.head}) + "\n"]
        for line in self._earlier():
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
            lines.append(line + "\n")
        return lines

    def _earlier(self) -> list[str]:
        assert self.path is not None
        try:
            text = read_bytes(self.path, MAX_FILE_BYTES).decode("ascii")
            first, *lines = text.split("\n")
            same = json.loads(first)["head"] == self.head
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return []
        return [line for line in lines if line] if same else []

    def _take(self, entry: dict[str, Any]) -> None:
        index = int(entry["frame"])
        if "begun" in entry:
            self.begun[index] = str(entry["begun"])
            return
        if "written" in entry:
            self.written[index] = dict(entry["written"])
            return
        pairs = [
            Pair(
                index,
                int(p["reference"]),
                np.array(p["matrix"], dtype=np.float64).reshape(3, 3),
                np.array(p["control"], dtype=np.float64).reshape(4, 2),
                int(p["n_inliers"]),
                float(p["residual_px"]),
                float(p["uncertainty_px"]),
            )
            for p in entry["pairs"]
        ]
        self.found[index] = FrameFound(
            pairs, int(entry["n_matches"]), str(entry["reason"]), str(entry["note"])
        )

    def add_found(self, index: int, found: FrameFound) -> None:
        """Record what was found of a frame."""
        pairs = [
            {
                "reference": pair.reference,
                "matrix": pair.matrix.tolist(),
                "control": pair.control.tolist(),
                "n_inliers": pair.n_inliers,
                "residual_px": pair.residual_px,
                "uncertainty_px": pair.uncertainty_px,
            }
            for pair in found.pairs
        ]
        entry = {"frame": index, "pairs": pairs, "n_matches": found.n_matches}
        self._add({**entry, "reason": found.reason, "note": found.note})

    def add_written(self, index: int, path: Path, made_from: str) -> None:
        """Record a file that was written whole."""
        self._add({"frame": index, "written": {**_state(path), "made_from": made_from}})

    def is_written(self, index: int, path: Path, made_from: str) -> bool:
        """Whether the file is there as an earlier run wrote it, from the same frame and transform."""
        try:
            return self.written.get(index) == {**_state(path), "made_from": made_from}
        except OSError:
            return False

    def add_begun(self, index: int, made_from: str) -> None:
        """Record that a file is about to be written: a kill may leave it whole and not recorded."""
        self._add({"frame": index, "begun": made_from})

    def has_begun(self, index: int, made_from: str) -> bool:
        """Whether an earlier run was writing this file, and did not record that it is whole."""
        return index not in self.written and self.begun.get(index) == made_from

    def _add(self, entry: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()


def _state(path: Path) -> dict[str, Any]:
    found = os.lstat(path)
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns}
