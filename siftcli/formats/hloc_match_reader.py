"""Reading hloc's ``matches.h5``, hloc's own included, in which names of images have ``-`` for ``/``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ._base import Closing
from ._journaled import finish_interrupted
from ._match_graph import NONE, MatchGraph, Reasons, StoredMatches, not_matched
from ._matches import FoundIn
from .hloc import H5_ERRORS, is_complete, open_file, read_dataset, reading_errors, text_attribute
from .hloc_matches import FOUND_IN, OPTIONS, pair_name

_REASON = "siftcli_reason"


class HlocMatchReader(Closing):
    """Reads the pairs of a file. Of matches that siftcli has verified it holds the inliers only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with contextlib.suppress(OSError):  # for example a read-only file; errors are reported below
            finish_interrupted(path)
        self.file = open_file(path, "r")
        self.n_bytes = path.stat().st_size
        with reading_errors(path):
            options = text_attribute(self.file, OPTIONS)
            self.has_models = _has_models(options)
            self._groups = dict(self._pairs())
            self.holds_matches = bool(self._groups) or options is not None

    def graph(self) -> MatchGraph:
        """All pairs in columns."""
        images = tuple(sorted({name for pair in self._groups for name in pair}))
        row = {name: i for i, name in enumerate(images)}
        pairs = np.array([[row[name] for name in pair] for pair in self._groups], np.int32).reshape(-1, 2)
        with reading_errors(self.path):
            counts = [np.count_nonzero(self._matches0(group) >= 0) for group in self._groups.values()]
        n = np.array(counts, np.int32)
        none = np.full(len(n), NONE, np.int32)
        columns = (none, n, n > 0) if self.has_models else (n, none, np.zeros(len(n), bool))
        return MatchGraph.of(images, pairs, *columns)

    def read(self, first: str, second: str) -> StoredMatches:
        """The matches of a pair, whichever of its images is first."""
        is_swapped = (first, second) not in self._groups
        group = self._groups.get((second, first) if is_swapped else (first, second))
        if group is None:
            raise not_matched(self.path, first, second)
        with reading_errors(self.path):
            matches0 = self._matches0(group)
        rows = np.flatnonzero(matches0 >= 0)
        pairs = np.column_stack([rows, matches0[rows]]).astype(np.int32)
        inliers = np.ones(len(pairs), bool) if self.has_models else None
        is_verified = len(pairs) > 0 if self.has_models else None
        return StoredMatches(pairs[:, ::-1] if is_swapped else pairs, inliers, is_verified)

    def found_in(self, first: str = "", second: str = "") -> FoundIn | None:
        """The features that a pair was found in, or those of the first pair that records it."""
        own = self._groups.get((first, second)) or self._groups.get((second, first))
        groups = self._groups.values() if own is None else [own]
        with reading_errors(self.path):
            records = (FoundIn.from_json(text_attribute(group, FOUND_IN)) for group in groups)
            return next((record for record in records if record and record.source), None)

    def reasons(self) -> Reasons:
        """Why pairs were tried, from an attribute of each; none if another program matched them."""
        with reading_errors(self.path):
            found = {pair: text_attribute(group, _REASON) for pair, group in self._groups.items()}
        return {pair: reason for pair, reason in found.items() if reason}

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _pairs(self) -> Iterator[tuple[tuple[str, str], h5py.Group]]:
        """Each pair with its group; the names are as recorded, else as they stand in the file."""
        for first, groups in self.file.items():
            for second, group in groups.items() if isinstance(groups, h5py.Group) else ():
                if isinstance(group, h5py.Group) and "matches0" in group and is_complete(group):
                    record = FoundIn.from_json(text_attribute(group, FOUND_IN))
                    is_own = record is not None and pair_name(*record.names) == f"{first}/{second}"
                    yield (record.names if record is not None and is_own else (first, second)), group

    def _matches0(self, group: h5py.Group) -> NDArray[np.int64]:
        found = read_dataset(group["matches0"], self.n_bytes)
        if found.ndim != 1 or found.dtype.kind not in "iu":
            raise InputError(f"expected matches0 of {group.name} as a list of rows")
        return found.astype(np.int64)


def _has_models(options: str | None) -> bool:
    """Whether matches were verified: recorded by siftcli, and unknown of other programs."""
    try:
        return bool(json.loads(options or "{}").get("model", "none") != "none")
    except (*H5_ERRORS, RecursionError):
        return False
