"""Where the matches of many pairs of images go: what every kind of file offers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from ..errors import OutputError
from ._registry import MATCH_COLLECTIONS, format_of

if TYPE_CHECKING:
    from ..features import Features, Matches
    from ..matching.verification import Verification


DIGEST_BYTES = 16


@dataclass(frozen=True)
class FoundIn:
    """Which features the matches of a pair were found in; empty where it was not recorded."""

    names: tuple[str, str]
    digests: tuple[str, str] = ("", "")
    """Of the features of each, as of :func:`features_digest`."""
    source: str = ""
    """Absolute path of the collection."""

    def to_json(self) -> str:
        """Write it as one line of ASCII."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> Self | None:
        """Read it; None where there is none, or something else."""
        try:
            found = json.loads(text or "null")
            (a, b), (digest_a, digest_b) = found["names"], found["digests"]
            return cls((str(a), str(b)), (str(digest_a), str(digest_b)), str(found["source"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    @property
    def by_name(self) -> dict[str, str]:
        """The digest of each image's features."""
        return dict(zip(self.names, self.digests, strict=True))


def features_digest(features: Features) -> str:
    """A digest of all that matches and models depend on."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    digest.update(f"{features.descriptor_kind} {features.image_size} {len(features)}".encode())
    for array in (features.xy, features.scale, features.orientation, features.descriptors):
        digest.update(array.tobytes())
    return digest.hexdigest()


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
    found_in: FoundIn | None = None

    @property
    def is_verified(self) -> bool:
        """Whether enough matches agree with the model."""
        found = self.verification
        return found is not None and found.model is not None and found.n_inliers >= self.min_inliers


class MatchWriter(Protocol):
    """An open file that takes matches."""

    def has(self, first: str, second: str) -> bool:
        """Whether this pair is there, complete."""

    def found_in(self, first: str, second: str) -> FoundIn | None:
        """What a pair that is there was found in; None if the file itself holds the features.

        Then its matches go when they are replaced.
        """

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
