"""Read the saved results of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InputError, ParameterError, SiftcliError
from ..evaluation.poses.options import DATASET_NAME
from ..evaluation.runner import SCHEMA
from ..io.limits import MAX_FILE_BYTES
from ..io.reading import read_bytes

RESULTS = "results.json"
MAX_RUNS = 2
RUN = " · "
"""Between the name of a detector and the label of its run."""


@dataclass(frozen=True, eq=False)
class Run:
    """One finished evaluation."""

    folder: Path
    label: str
    """Distinguishes its detectors from those of the other run; empty for a single run."""
    results: dict[str, Any]

    @property
    def is_of_poses(self) -> bool:
        """Whether it measured camera poses, and not rotations or other changes."""
        return bool(self.results.get("dataset") == DATASET_NAME)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows, with the detectors named as on the page."""
        return self._with_names(self.results["rows"])

    @property
    def reconstructions(self) -> list[dict[str, Any]]:
        """The rows of reconstructions, likewise."""
        return self._with_names(self.results.get("reconstruction_rows", []))

    @property
    def detectors(self) -> list[str]:
        """The names of the detectors as on the page, in the order of the tables."""
        return [self.named(name) for name in self.results["settings"]["detectors"]]

    def _with_names(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "detector": self.named(row["detector"])} for row in rows]

    def named(self, detector: str) -> str:
        """A detector's name on the page."""
        return f"{detector}{RUN}{self.label}" if self.label else detector


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Read one evaluation, two to compare, or one of poses and one of other changes.

    Raises
    ------
    ParameterError
        If there are more than two folders.
    InputError
        If a folder holds no finished evaluation.
    """
    if len(folders) > MAX_RUNS:
        raise ParameterError(f"expected one evaluation, or two to compare; got {len(folders)}")
    runs = [Run(folder, "", _read(folder)) for folder in folders]
    if len({run.is_of_poses for run in runs}) == len(runs):  # nothing to compare: one of each kind, or one
        return runs
    return [replace(run, label=label) for run, label in zip(runs, _labels(folders), strict=True)]


def _labels(folders: Sequence[Path]) -> list[str]:
    """The last parts of the folders' paths, as many as tell them apart; whole paths if nothing does."""
    parts = [folder.resolve().parts for folder in folders]
    for n in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-n:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]


def _read(folder: Path) -> dict[str, Any]:
    path = folder / RESULTS
    try:
        results = json.loads(read_bytes(path, MAX_FILE_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        reason = "it is missing" if isinstance(error, FileNotFoundError) else "it cannot be read"
        raise InputError(
            f"{path}: expected a finished evaluation, but {reason}; run siftcli evaluate"
        ) from error
    found = results.get("schema") if isinstance(results, dict) else None
    if found != SCHEMA:
        raise InputError(
            f"{path}: expected schema {SCHEMA}, got {found!r:.40}; evaluate again with this version"
        )
    return dict(results)


def pairs_of(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """The pairs of detectors to subtract: the first and each other or, of two runs, after and before.

    Two runs of one detector each are compared even if these are different ones.
    """
    if len(runs) < MAX_RUNS:
        return [(run.detectors[0], other) for run in runs for other in run.detectors[1:]]
    before, after = runs
    known = list(before.results["settings"]["detectors"])
    own = list(after.results["settings"]["detectors"])
    if len(known) == len(own) == 1:
        return [(after.named(own[0]), before.named(known[0]))]
    return [(after.named(name), before.named(name)) for name in own if name in known]


@contextmanager
def usable(runs: Sequence[Run]) -> Iterator[None]:
    """Results may be foreign: what goes wrong with them is an error of the input.

    Raises
    ------
    InputError
        If they cannot be used.
    """
    from jinja2 import TemplateError

    try:
        yield
    except SiftcliError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, TemplateError) as error:
        raise InputError(
            f"{runs[0].folder}: expected results of siftcli evaluate, but they cannot be used "
            f"({type(error).__name__}: {' '.join(str(error).split())[:80]}); evaluate again"
        ) from error


def compared_rows(runs: Sequence[Run]) -> tuple[list[dict[str, Any]], int]:
    """The rows of all runs of one kind, and the number of omitted rows.

    Of two runs, only the rows whose image, sweep, value and budget occur in both are compared; of poses,
    those whose scene, pair, degradation, geometry and budget do.

    Raises
    ------
    InputError
        If two runs have nothing in common.
    """
    if not runs:
        return [], 0
    rows = [row for run in runs for row in run.rows]
    common = set.intersection(*({_key(row) for row in run.rows} for run in runs))
    kept = [row for row in rows if _key(row) in common]
    if len(runs) > 1 and not kept:
        raise InputError(
            f"{runs[0].folder} and {runs[1].folder} have no image and transform in common; "
            "compare evaluations of the same images and sweeps, or scenes"
        )
    return kept, len(rows) - len(kept)


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    if "scene" in row:
        names = ("scene", "image_a", "image_b", "degradation", "geometry", "budget")
        return tuple(row[name] for name in names)
    return row["image"], row["sweep"], row["value"], row["budget"]
