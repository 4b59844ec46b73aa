"""hloc's ``matches.h5``: a group ``name0/name1`` a pair, with ``/`` inside a name replaced by ``-``.

``matches0`` (N0,) is the row in the second image, -1 for none; int32, because hloc's int16 ends at
32,767. ``matching_scores0`` (N0,) is (d₀·d₁ + 1)/2 as of hloc's nearest-neighbour matcher. With a model
only matches that agree with it are written, and none of a pair that was not verified.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from ._collections import Closing
from ._conventions import DESCRIPTOR_NORM
from ._matches import PairMatches, other_options
from .hloc import (
    H5_ERRORS,
    cannot_write,
    close_in_steps,
    create,
    is_complete,
    key,
    open_in_steps,
    text_attribute,
)

_OPTIONS = "siftcli_options"
_COMPLETE = "complete"


def pair_name(first: str, second: str) -> str:
    """Name of a pair's group."""
    return f"{first.replace('/', '-')}/{second.replace('/', '-')}"


class HlocMatchWriter(Closing):
    """Writes a group a pair, with a mark that it is complete, in one step."""

    def __init__(self, path: Path, *, options: str, overwrite: bool) -> None:
        self.path = path
        if overwrite or not path.exists():
            create(path, {_OPTIONS: options})
        self.storage, self.file = open_in_steps(path)
        found = text_attribute(self.file, _OPTIONS)
        if found != options and (found is not None or len(self.file)):
            self.close()
            raise other_options(path)
        self.file.attrs[_OPTIONS] = np.bytes_(options)

    def has(self, first: str, second: str) -> bool:
        """Whether this pair is there, complete."""
        group = self.file.get(key(pair_name(first, second)))
        return isinstance(group, h5py.Group) and _COMPLETE in group.attrs and is_complete(group)

    def write(self, found: PairMatches) -> None:
        """Write a pair."""
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
            group = self.file.require_group(key(pair_name(*found.names)))
            for name, array in (("matches0", matches0), ("matching_scores0", scores)):
                if name in group:
                    del group[name]
                group.create_dataset(name, data=array)
            group.attrs[_COMPLETE] = True
            self.file.flush()
            self.storage.commit()
        except H5_ERRORS as error:
            raise cannot_write(self.path, " and ".join(found.names), error) from error

    def close(self) -> None:
        """Close the file."""
        close_in_steps(self.storage, self.file)
