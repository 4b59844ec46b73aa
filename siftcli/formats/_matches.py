"""Where the matches of many pairs of images go: what every kind of file offers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from ..errors import OutputError
from ._registry import MATCH_COLLECTIONS, format_of

if TYPE_CHECKING:
    from ..features import Matches
    from ..matching.verification import Verification


@dataclass(frozen=True, kw_only=True, eq=False)
class PairMatches:
    """The matches of one pair, and what a model says of them."""

    names: tuple[str, str]
    n_features: tuple[int, int]
    matches: Matches
    verification: Verification | None
    """None when no model was asked for."""
    min_inliers: int
    """Fewest inliers with which a pair counts as verified."""

    @property
    def is_verified(self) -> bool:
        """Whether enough matches agree with the model."""
        found = self.verification
        return found is not None and found.model is not None and found.n_inliers >= self.min_inliers


class MatchWriter(Protocol):
    """An open file that takes matches."""

    def has(self, first: str, second: str) -> bool:
        """Whether this pair is there, complete."""

    def write(self, found: PairMatches) -> None:
        """Write a pair, whole or not at all."""

    def close(self) -> None:
        """Finish."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def match_writer(path: Path, format: str | None, *, options: str, overwrite: bool) -> MatchWriter:
    """Open a file of matches.

    Parameters
    ----------
    path
        ``matches.h5``, or a COLMAP database that has the images and their features.
    format
        ``"hloc"`` or ``"colmap-db"``; from the suffix when not given.
    options
        What the matches are searched with, as text: pairs that are there are kept if they were
        found with the same.
    overwrite
        Whether matches that are there are replaced.

    Raises
    ------
    OutputError
        If the format holds no matches, or the file has some of other options.
    InputError
        If what is there is of another kind.
    """
    entry = format_of(path, format)
    writer: MatchWriter
    if entry.name == "hloc":
        from .hloc_matches import HlocMatchWriter

        writer = HlocMatchWriter(path, options=options, overwrite=overwrite)
    elif entry.name == "colmap-db":
        from .colmap_matches import ColmapMatchWriter

        writer = ColmapMatchWriter(path, options=options, overwrite=overwrite)
    else:
        raise OutputError(f"{path}: expected {' or '.join(MATCH_COLLECTIONS)} for the matches of many pairs")
    return writer


def other_options(path: Path) -> OutputError:
    """Make the error of matches that were found with other options."""
    return OutputError(f"{path} has matches found with other options; pass --overwrite to replace them")
