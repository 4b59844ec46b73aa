"""Pairs that are found from the collection: similar images, neighbours by position, by verified pairs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ParameterError
from ..formats import format_of
from ..formats._colmap_priors import CARTESIAN, WGS84, Position, read_positions
from ..formats._exif import read_exif
from ..formats._matches import verified_pairs
from ..pairs.listing import Listed, PairKind
from ..pairs.positions import earth_positions, neighbours
from ..pairs.request import Wanted
from ..pairs.transitive import second_neighbours
from ..words import counted
from .pair_selection import from_names

if TYPE_CHECKING:
    from .match_plan import MatchTarget


def transitive_pairs(to: MatchTarget, names: Sequence[str]) -> PairKind:
    """Pairs of images that are each verified with a third one in the target."""
    verified = from_names(names, verified_pairs(Path(to.target), to.target_format, frozenset(names)))
    return second_neighbours(len(names), verified.keys(0, len(names)))


def similar_pairs(source: str, names: Sequence[str], k: int) -> PairKind:
    """Pairs of similar images, by the index of the collection.

    Raises
    ------
    InputError
        If there is no index, or it is damaged.
    """
    from ..retrieval.index_file import RetrievalIndex, index_path
    from ..retrieval.nearest import similar_images

    path = index_path(source)
    if not path.exists():
        raise InputError(
            f"{path}: expected the retrieval index of {source}, found none; index its images first"
        )
    with RetrievalIndex(path) as index:
        vectors = index.vectors(names)
    return similar_images(vectors, k)


def gps_pairs(
    to: MatchTarget,
    images: str | None,
    names: Sequence[str],
    wanted: Wanted,
    tell: Callable[[str], object],
) -> PairKind:
    """Pairs of images that were taken near each other.

    Positions are the priors of the database, and for images without one those in EXIF tags. Altitudes are
    not used, as those of receivers are far less accurate. Positions in a coordinate system of their own are
    compared among themselves.

    Raises
    ------
    InputError
        If no image has a position.
    ParameterError
        If ``images`` is not a folder.
    """
    found = _positions(to, images, names)
    if not found:
        advice = "pass --images FOLDER with the photographs" if images is None else "use other pairs"
        raise InputError(f"{to.source}: expected images with a GPS position, found none; {advice}")
    if len(found) < len(names):
        tell(f"{len(names) - len(found)} of {counted(len(names), 'image')} without a position")
    keys = [neighbours(places, wanted.k, wanted.within_m).sorted_keys for places in _by_system(found, names)]
    return Listed(len(names), np.unique(np.concatenate(keys)))


def _positions(to: MatchTarget, images: str | None, names: Sequence[str]) -> dict[str, Position]:
    databases = [to.target] if to.target_format == "colmap-db" else []
    if not Path(to.source).is_dir() and format_of(to.source, to.source_format).name == "colmap-db":
        databases.append(to.source)  # its own priors count before those of another one
    found: dict[str, Position] = {}
    for path in databases:
        found |= read_positions(Path(path))
    found = {name: position for name, position in found.items() if name in frozenset(names)}
    if images is None:
        return found
    if not Path(images).is_dir():
        raise ParameterError(f"expected a folder of images for --images, got {images!r}; give one")
    for name in names:
        position = None if name in found else read_exif(os.path.join(images, name)).position  # noqa: PTH118
        if position is not None:
            found[name] = WGS84, position
    return found


def _by_system(found: Mapping[str, Position], names: Sequence[str]) -> list[NDArray[np.float64]]:
    """(N, 3) metres of all images for each system, NaN for those without a position in it."""
    places = []
    for system in (WGS84, CARTESIAN):
        metres = np.full((len(names), 3), np.nan)
        rows = [i for i, name in enumerate(names) if name in found and found[name][0] == system]
        values = np.array([found[names[i]][1] for i in rows]).reshape(-1, 3)
        if rows:
            metres[rows] = earth_positions(values[:, :2]) if system == WGS84 else values
        places.append(metres)
    return places
