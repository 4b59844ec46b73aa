"""Reading what a file stores of matched pairs: all of them in columns, and the matches of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, OutputError
from ._matches import FoundIn
from ._registry import MATCH_COLLECTIONS, format_of

NONE = -1
"""A count that is not stored."""

Reasons = Mapping[tuple[str, str], str]
"""Why a pair was tried, such as ``similar+gps``; pairs without a reason are missing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MatchGraph:
    """The images of a collection and its P pairs that were tried, ordered by the names of their images."""

    images: tuple[str, ...]
    """Sorted names."""
    pairs: NDArray[np.int32]
    """(P, 2) rows of ``images``, the smaller first."""
    n_matches: NDArray[np.int32]
    """(P,) matches; ``NONE`` where only inliers are stored."""
    n_inliers: NDArray[np.int32]
    """(P,) matches that agree with a model; ``NONE`` where no model was fitted."""
    is_verified: NDArray[np.bool_]
    """(P,) whether a pair has a verified model."""
    n_left_out: int = 0
    """Pairs of images that the file does not name."""

    @classmethod
    def of(
        cls,
        images: tuple[str, ...],
        pairs: NDArray[np.int32],
        n_matches: NDArray[np.int32],
        n_inliers: NDArray[np.int32],
        is_verified: NDArray[np.bool_],
        n_left_out: int = 0,
    ) -> Self:
        """Order the pairs, whichever image of each is first."""
        low_high = np.sort(pairs.reshape(-1, 2), axis=1)
        order = np.lexsort((low_high[:, 1], low_high[:, 0]))
        return cls(
            images=images,
            pairs=low_high[order].astype(np.int32),
            n_matches=n_matches[order],
            n_inliers=n_inliers[order],
            is_verified=is_verified[order],
            n_left_out=n_left_out,
        )

    def among(self, images: tuple[str, ...]) -> Self:
        """The same pairs among more images, whose sorted names are given."""
        row = {name: i for i, name in enumerate(images)}
        places = np.array([row[name] for name in self.images], np.int32)
        return replace(self, images=images, pairs=places[self.pairs] if len(places) else self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def has_models(self) -> bool:
        """Whether any pair was verified by a model, successfully or not."""
        return bool((self.n_inliers != NONE).any())

    @property
    def is_edge(self) -> NDArray[np.bool_]:
        """(P,) whether a pair connects its images: verified, or if no model was fitted, with a match."""
        return self.is_verified if self.has_models else self.n_matches > 0

    @property
    def strength(self) -> NDArray[np.int32]:
        """(P,) inliers, or if no model was fitted, matches; 0 for none."""
        return np.maximum(self.n_inliers if self.has_models else self.n_matches, 0)


@dataclass(frozen=True, eq=False)
class StoredMatches:
    """What is stored of a pair: M matches, and which of them agree with the model."""

    pairs: NDArray[np.int32]
    """(M, 2) rows of the features of the first and of the second image."""
    inliers: NDArray[np.bool_] | None
    """(M,); None if no model was fitted."""
    is_verified: bool | None = None
    """Whether a pair has a verified model; None if no model was fitted."""


class MatchReader(Protocol):
    """A file of matches open for reading."""

    def graph(self) -> MatchGraph:
        """All pairs in columns."""

    def read(self, first: str, second: str) -> StoredMatches:
        """The matches of a pair, whichever of its images is first.

        Raises
        ------
        InputError
            If the pair was not matched, or is damaged.
        """

    def found_in(self, first: str = "", second: str = "") -> FoundIn | None:
        """The features that a pair was found in, or those of any pair; None if it is not recorded.

        Without digests if the file itself stores the features.
        """

    def reasons(self) -> Reasons:
        """Why pairs were tried, as far as it is recorded; the names of a pair are in either order."""

    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def match_reader(path: Path, format: str | None = None) -> MatchReader:
    """Open a file of matches for reading.

    Raises
    ------
    InputError
        If it is missing, damaged, or of a format without matches.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; check the path")
    try:
        name = format_of(path, format).name
    except OutputError as error:
        raise InputError(str(error)) from error
    reader: MatchReader
    if name == "hloc":
        from .hloc_match_reader import HlocMatchReader

        reader = HlocMatchReader(path)
    elif name == "colmap-db":
        from .colmap_match_reader import ColmapMatchReader

        reader = ColmapMatchReader(path)
    else:
        known = " or ".join(MATCH_COLLECTIONS)
        raise InputError(f"{path}: expected a file of matches ({known}), got {name}; give another file")
    return reader


def not_matched(path: Path, first: str, second: str) -> InputError:
    """Return the error for a pair that is not stored."""
    return InputError(f"{path}: {first} and {second} were not matched; match them with siftcli match --pairs")


def merged(matches: NDArray[np.int32], inliers: NDArray[np.int32] | None) -> StoredMatches:
    """Join matches (M, 2) and inliers (K, 2), which guided matching may have found besides."""
    if inliers is None:
        return StoredMatches(matches, None)
    if len(matches) == 0:
        return StoredMatches(inliers, np.ones(len(inliers), bool))
    rows = np.unique(np.concatenate([matches, inliers]), axis=0)
    chosen = {tuple(row) for row in inliers.tolist()}
    return StoredMatches(rows, np.array([tuple(row) in chosen for row in rows.tolist()], bool))
