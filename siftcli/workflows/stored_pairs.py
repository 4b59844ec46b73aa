"""Showing a pair of a collection from what is stored: its features, matches and images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..drawing.matches import MAX_WIDTH, draw_matches
from ..errors import InputError, SiftcliError
from ..features import Features, Matches
from ..formats._base import Closing
from ..formats._collections import Reader, open_reader
from ..formats._match_graph import MatchGraph, MatchReader, Reasons, StoredMatches, match_reader
from ..formats._matches import FoundIn, features_digest
from .photographs import Photographs
from .stale import read_stored
from .summary import SCHEMA

_CACHED_IMAGES = 2
"""Images held in memory, those of one pair: the next pair often shares one."""


@dataclass(frozen=True, eq=False)
class ShownPair:
    """A pair with its features, in the frame of the stored pixels."""

    names: tuple[str, str]
    features: tuple[Features, Features]
    matches: StoredMatches
    reason: str
    """Why the pair was tried; empty if it is not recorded."""

    @property
    def n_inliers(self) -> int | None:
        """Matches that agree with the model; None if none was fitted."""
        return None if self.matches.inliers is None else int(np.count_nonzero(self.matches.inliers))

    def to_dict(self) -> dict[str, Any]:
        """Describe it in plain types, for JSON."""
        return {
            "schema": SCHEMA,
            "image_a": self.names[0],
            "image_b": self.names[1],
            "n_features_a": len(self.features[0]),
            "n_features_b": len(self.features[1]),
            "n_matches": len(self.matches.pairs),
            "n_inliers": self.n_inliers,
            "is_verified": self.matches.is_verified,
            "pair_reason": self.reason,
        }

    @property
    def caption(self) -> str:
        """Caption of its picture."""
        counts = [f"{name}: {len(f)} features" for name, f in zip(self.names, self.features, strict=True)]
        model = "no model was fitted" if self.n_inliers is None else ""
        second = ", ".join(text for text in (self.reason and f"tried as {self.reason}", model) if text)
        return "    ".join(counts) + (f"\n{second}" if second else "")


class StoredPairs(Closing):
    """A file of matches with the collection of features that were matched.

    Parameters
    ----------
    path
        A COLMAP database, or hloc's ``matches.h5``.
    format
        Its format; from its suffix when not given.
    images
        Folder of the images; when not given, they are where they were at detection.

    Raises
    ------
    InputError
        If it is missing, damaged, or of a format without matches.
    """

    def __init__(self, path: str, format: str | None = None, images: str | None = None) -> None:
        self.path, self.folder = path, images
        self.matches: MatchReader = match_reader(Path(path), format)
        self._picture = lru_cache(_CACHED_IMAGES)(self._read_picture)

    @cached_property
    def features(self) -> Reader:
        """The collection of features.

        Raises
        ------
        InputError
            If it is not recorded which it is, it cannot be opened, or has other features now.
        """
        record = self.matches.found_in()
        if record is None:
            raise InputError(f"{self.path}: it is not recorded which features were matched; match them again")
        reader = open_reader(record.source)
        try:
            for name, digest in record.by_name.items() if any(record.digests) else ():
                self._check(record, name, digest, read_stored(reader, name))
        except BaseException:
            reader.close()
            raise
        return reader

    def _check(self, record: FoundIn, name: str, digest: str, features: Features) -> None:
        """Check that these features were matched: a foreign file may name any collection of this machine."""
        if digest and features_digest(features) != digest:
            raise InputError(
                f"{self.path}: expected the features of {name} that were matched, {record.source} has others "
                "now; match the pair again"
            )

    @cached_property
    def reasons(self) -> Reasons:
        """Why pairs were tried."""
        return self.matches.reasons()

    def reason(self, first: str, second: str) -> str:
        """Why a pair was tried; empty if it is not recorded."""
        return self.reasons.get((first, second)) or self.reasons.get((second, first), "")

    def graph(self) -> MatchGraph:
        """All pairs in columns; the images are those of the collection of features, if it can be read.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        graph = self.matches.graph()
        try:
            names = set(self.features.names())
        except SiftcliError:
            return graph
        return graph if names <= set(graph.images) else graph.among(tuple(sorted(names | set(graph.images))))

    def show(self, first: str, second: str) -> ShownPair:
        """Read a pair.

        Raises
        ------
        InputError
            If it was not matched, or its features cannot be read or are others now.
        """
        found = self.matches.read(first, second)
        f, g = (read_stored(self.features, name) for name in (first, second))
        record = self.matches.found_in(first, second) or FoundIn((first, second))
        for name, features in ((first, f), (second, g)):
            self._check(record, name, record.by_name.get(name, ""), features)
        for name, features, rows in zip((first, second), (f, g), found.pairs.T, strict=True):
            if len(rows) and rows.max() >= len(features):
                raise InputError(
                    f"{self.path}: expected more than {rows.max()} features of {name}, as the matches have, "
                    f"got {len(features)}; match the pair again"
                )
        return ShownPair((first, second), (f, g), found, self.reason(first, second))

    def draw(self, pair: ShownPair, max_width: int = MAX_WIDTH) -> NDArray[np.uint8]:
        """Draw both images of a pair with their inliers, (H, W, 3) uint8 RGB.

        Raises
        ------
        InputError
            If an image is not found, cannot be read, or has another size than its features state.
        """
        greys = [self._picture(name, f.image_size) for name, f in zip(pair.names, pair.features, strict=True)]
        zeros = np.zeros(len(pair.matches.pairs), np.float32)
        matches = Matches(pairs=pair.matches.pairs, distance=zeros, ratio=zeros)
        f, g = pair.features
        found = pair.matches.inliers
        return draw_matches(greys[0], greys[1], f, g, matches, found, pair.caption, max_width=max_width)

    def _read_picture(self, name: str, size: tuple[int, int]) -> NDArray[np.float32]:
        picture = Photographs(self.features, self.folder).read(name)
        picture.require_size(size)
        return picture.grey

    def close(self) -> None:
        """Close both."""
        self.matches.close()
        if "features" in self.__dict__:
            self.features.close()
