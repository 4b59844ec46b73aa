"""hloc's ``matches.h5``: one group ``name0/name1`` per pair, with ``/`` in names replaced by ``-``.

``matches0`` (N0,) is the row in the second image, -1 for none; int32, because hloc's int16 ends at
32,767. ``matching_scores0`` (N0,) is (d₀·d₁ + 1)/2 as of hloc's nearest-neighbour matcher. With a model
only matches that agree with it are written, and none of a pair that was not verified. The attribute
``siftcli_found_in`` records the features in which they were found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import product
from pathlib import Path

import h5py
import numpy as np

from ..errors import OutputError
from ._base import Closing
from ._conventions import DESCRIPTOR_NORM
from ._journaled import finish_interrupted
from ._matches import FoundIn, PairMatches, other_options
from .hloc import (
    H5_ERRORS,
    cannot_write,
    close_in_steps,
    create,
    is_complete,
    key,
    open_file,
    open_in_steps,
    text_attribute,
    write_dataset,
)

OPTIONS = "siftcli_options"
_COMPLETE = "complete"
FOUND_IN = "siftcli_found_in"
_REASON = "siftcli_reason"


def pair_name(first: str, second: str) -> str:
    """Name of a pair's group."""
    return f"{_flat(first)}/{_flat(second)}"


def _flat(name: str) -> str:
    return name.replace("/", "-")


def same_names(names: Iterable[str]) -> set[str]:
    """Names that have the same form as another one in hloc's file of matches, where they have - for /."""
    by_form: dict[str, list[str]] = {}
    for name in names:
        by_form.setdefault(_flat(name), []).append(name)
    return {name for alike in by_form.values() if len(alike) > 1 for name in alike}


def check_pairs(path: Path, pairs: Iterable[tuple[str, str]]) -> None:
    """Check that no two pairs share a group; hloc looks for a pair in both orders.

    Only pairs with one of :func:`same_names` can.

    Raises
    ------
    OutputError
        If two do, or the two images of a pair get the same name.
    """
    taken: dict[tuple[str, ...], tuple[str, str]] = {}
    for pair in pairs:
        flat = tuple(sorted(map(_flat, pair)))
        other = pair if flat[0] == flat[1] else taken.setdefault(flat, pair)
        if other is not pair or flat[0] == flat[1]:
            raise same_group(path, other, pair)


def same_group(path: Path, one: tuple[str, str], other: tuple[str, str]) -> OutputError:
    """Return the error for two pairs that would share a group."""
    alike = [(a, b) for a in one for b in other if a != b and _flat(a) == _flat(b)]
    first, second = (
        sorted(alike[0]) if alike else (" and ".join(one), " and ".join(other))
    )  # of a damaged file
    return OutputError(
        f"{path}: {first} and {second} are both {_flat(first)} in hloc's file of matches, where a name has - "
        "for /; rename one of them, or match into a COLMAP database"
    )


class HlocMatchWriter(Closing):
    """Writes one group per pair, marked as complete, in one step."""

    def __init__(self, path: Path, *, options: str, overwrite: bool) -> None:
        self.path = path
        if overwrite or not path.exists():
            create(path, {OPTIONS: options})
        self.storage, self.file = open_in_steps(path)
        found = text_attribute(self.file, OPTIONS)
        if found != options and (found is not None or len(self.file)):
            self.close()
            raise other_options(path, found, options)
        self.file.attrs[OPTIONS] = np.bytes_(options)

    def has(self, first: str, second: str) -> bool:
        """Whether the file has this complete pair, in either order."""
        return self._group(first, second) is not None

    def existing(self, names: Collection[str]) -> Iterator[tuple[str, str]]:
        """Pairs of these images that the file has, complete."""
        return _stored_pairs(self.file, names)

    def found_in(self, first: str, second: str) -> FoundIn | None:
        """The features in which an existing pair was found."""
        group = self._group(first, second)
        found = None if group is None else FoundIn.from_json(text_attribute(group, FOUND_IN))
        return found or FoundIn((first, second))

    def _group(self, first: str, second: str) -> h5py.Group | None:
        for name in (pair_name(first, second), pair_name(second, first)):
            group = self.file.get(key(name))
            if _has_matches(group):
                return group
        return None

    def write(self, found: PairMatches) -> None:
        """Write a pair, replacing an existing one in either order."""
        matches, found_model = found.matches, found.verification
        kept = np.ones(len(matches), bool)
        if found_model is not None:
            kept = found_model.inliers & found.is_verified
        rows, columns = matches.pairs[kept].T
        matches0 = np.full(found.n_features[0], -1, np.int32)
        scores = np.zeros(found.n_features[0], np.float32)
        matches0[rows] = columns
        # |d0 - d1|² = 2 (1 - d0·d1) for unit vectors, of which the bytes are 512 times
        scores[rows] = 1 - (matches.distance[kept] / DESCRIPTOR_NORM) ** 2 / 4
        try:
            for name in (pair_name(*found.names), pair_name(*found.names[::-1])):
                if name in self.file:
                    del self.file[name]
            group = self.file.create_group(key(pair_name(*found.names)))
            write_dataset(group, "matches0", matches0)
            write_dataset(group, "matching_scores0", scores)
            if found.found_in is not None:
                group.attrs[FOUND_IN] = np.bytes_(found.found_in.to_json().encode("ascii"))
            if found.reason:
                group.attrs[_REASON] = np.bytes_(found.reason)
            group.attrs[_COMPLETE] = True
            self.file.flush()
            self.storage.commit()
        except H5_ERRORS as error:
            raise cannot_write(self.path, " and ".join(found.names), error) from error

    def close(self) -> None:
        """Close the file."""
        close_in_steps(self.storage, self.file)


def _has_matches(group: object) -> bool:
    return isinstance(group, h5py.Group) and _COMPLETE in group.attrs and is_complete(group)


def _stored_pairs(
    file: h5py.File, names: Collection[str], *, matched: bool = False
) -> Iterator[tuple[str, str]]:
    """Pairs of images whose group is in the file, complete and, if wanted, with any match."""
    by_form: dict[str, list[str]] = {}
    for name in names:
        by_form.setdefault(_flat(name), []).append(name)
    for first in file:
        outer = file[first]
        for second in outer if first in by_form and isinstance(outer, h5py.Group) else ():
            if second not in by_form or not _has_matches(outer[second]):
                continue
            if not matched or bool((outer[second]["matches0"][()] >= 0).any()):
                yield from product(by_form[first], by_form[second])


def pairs_with_matches(path: Path, names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of these images with matches; with a model these are inliers."""
    finish_interrupted(path)
    with open_file(path, "r") as file:
        yield from _stored_pairs(file, names, matched=True)
