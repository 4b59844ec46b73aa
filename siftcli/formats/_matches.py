"""Files that store the matches of many pairs of images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from ..errors import OutputError
from ._registry import MATCH_COLLECTIONS, format_of

if TYPE_CHECKING:
    from ..features import Features, Matches
    from ..matching.verification import Verification


DIGEST_BYTES = 16
_OPTIONS = ("ratio", "model", "max_error", "guided", "min_inliers")
"""Those that have an option of their name."""


@dataclass(frozen=True)
class FoundIn:
    """The features in which the matches of a pair were found; fields are empty if not recorded."""

    names: tuple[str, str]
    digests: tuple[str, str] = ("", "")
    """Digest of each image's features, from :func:`features_digest`."""
    source: str = ""
    """Absolute path of the collection."""

    def to_json(self) -> str:
        """Encode it as one line of ASCII."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> Self | None:
        """Decode it; None if there is no text, or it is not such a record."""
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
    """Digest of everything that matches and models depend on."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    digest.update(f"{features.descriptor_kind} {features.image_size} {len(features)}".encode())
    for array in (features.xy, features.scale, features.orientation, features.descriptors):
        digest.update(array.tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class PairMatches:
    """The matches of one pair, and their verification."""

    names: tuple[str, str]
    n_features: tuple[int, int]
    matches: Matches
    verification: Verification | None
    """None if no model was requested."""
    min_inliers: int
    """Fewest inliers for which a pair counts as verified."""
    found_in: FoundIn | None = None
    reason: str = ""
    """The kinds of pairs that listed it, such as ``similar+gps``; empty if it is not known."""

    @property
    def is_verified(self) -> bool:
        """Whether enough matches agree with the model."""
        found = self.verification
        return found is not None and found.model is not None and found.n_inliers >= self.min_inliers


class MatchWriter(Protocol):
    """A file of matches open for writing."""

    def has(self, first: str, second: str) -> bool:
        """Whether the file has the complete matches of this pair."""

    def existing(self, names: Collection[str]) -> Iterator[tuple[str, str]]:
        """Pairs of these images of which the file has the complete matches."""

    def found_in(self, first: str, second: str) -> FoundIn | None:
        """The features in which an existing pair was found.

        None if the file itself stores the features: replacing these removes their matches.
        """

    def write(self, found: PairMatches) -> None:
        """Write a pair, completely or not at all."""

    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def match_writer(
    path: Path, format: str | None, *, options: str, overwrite: bool, is_shared: bool = False
) -> MatchWriter:
    """Open a file of matches.

    Parameters
    ----------
    path
        ``matches.h5``, or a COLMAP database with the images and their features.
    format
        ``"hloc"`` or ``"colmap-db"``; by default chosen by the suffix.
    options
        Matching options as text. Existing pairs are kept if they were found with the same options.
    overwrite
        Whether existing matches are replaced.
    is_shared
        Whether processes of other machines read the file meanwhile. Then a database has no write-ahead log,
        which only works within a machine.

    Raises
    ------
    OutputError
        If the format cannot store matches, or the file has matches found with other options.
    InputError
        If an existing file is of another kind.
    """
    entry = format_of(path, format)
    writer: MatchWriter
    if entry.name == "hloc":
        from .hloc_matches import HlocMatchWriter

        writer = HlocMatchWriter(path, options=options, overwrite=overwrite)
    elif entry.name == "colmap-db":
        from .colmap_matches import ColmapMatchWriter

        writer = ColmapMatchWriter(path, options=options, overwrite=overwrite, is_shared=is_shared)
    else:
        raise OutputError(f"{path}: expected {' or '.join(MATCH_COLLECTIONS)} for the matches of many pairs")
    return writer


def verified_pairs(path: Path, format: str, names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of these images that a file of matches has as verified; none if there is no file.

    Without a model, these are the pairs with any match.

    Raises
    ------
    InputError
        If it is damaged or of another kind.
    """
    if not path.exists():
        return
    if format == "hloc":
        from .hloc_matches import pairs_with_matches
    else:
        from .colmap_matches import pairs_with_matches
    yield from pairs_with_matches(path, names)


def other_options(path: Path, found: str | None, wanted: str) -> OutputError:
    """Return the error for matches that were found with other options, which are named."""
    return OutputError(
        f"{path} has matches found with other options ({_changed(found, wanted)}); pass --overwrite to match "
        "again, or write to another file"
    )


def _changed(found: str | None, wanted: str) -> str:
    """The options that differ, with both values."""
    try:
        was, now = json.loads(found or "null"), json.loads(wanted)
        names = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
    except (ValueError, AttributeError, RecursionError):
        return "not recorded"
    texts = []
    for name in names:
        if name == "mutual":
            texts.append("--no-mutual was " + ("off, is now on" if was.get(name) else "on, is now off"))
            continue
        option = f"--{name.replace('_', '-')}" if name in _OPTIONS else name
        texts.append(f"{option} was {_value(was.get(name))}, is now {_value(now.get(name))}")
    return "; ".join(texts)


def _value(value: object) -> str:
    return ("off", "on")[value] if isinstance(value, bool) else str(value)
