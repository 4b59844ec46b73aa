"""Planning of the matches of a collection: which pairs, from where to where, checked before any work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import OutputError, ParameterError
from ..formats import format_of
from ..formats._collections import open_reader
from ..formats._registry import MATCH_COLLECTIONS
from ..io.writing import check_output
from ..pairs.listing import NamePair, PairList
from ..pairs.request import GPS, SIMILAR, TRANSITIVE, Wanted, parse_pairs
from .pair_selection import Maker, select_pairs


@dataclass(frozen=True)
class MatchTarget:
    """From where to where matches go."""

    source: str
    source_format: str | None
    target: str
    target_format: str

    @property
    def other_database(self) -> str | None:
        """The database for the matches, if it is not the one with the features."""
        is_source = os.path.realpath(self.target) == os.path.realpath(self.source)
        return None if is_source or self.target_format != "colmap-db" else self.target


@dataclass(frozen=True, eq=False)
class PairPlan(MatchTarget):
    """Which pairs are matched too; already checked."""

    pairs: PairList
    overwrite: bool


def plan_pairs(
    source: str,
    pairs: str | tuple[Wanted, ...],
    *,
    output: str | None = None,
    format: str | None = None,
    source_format: str | None = None,
    images: str | None = None,
    overwrite: bool = False,
    tell: Callable[[str], object] = lambda _line: None,
) -> PairPlan:
    """Choose which pairs are matched and where the matches are written, and check that they can be.

    Parameters
    ----------
    source
        A collection, or a folder of feature files.
    pairs
        As for :func:`siftcli.workflows.pair_selection.select_pairs`. For ``similar`` the images must have
        been indexed by :func:`siftcli.workflows.retrieval.index_images`.
    output, format, source_format
        As for :func:`plan_target`.
    images
        Folder of the images, for EXIF positions that a database lacks.
    overwrite
        Replace existing matches.
    tell
        Called with one line of text if images have no position.

    Raises
    ------
    InputError
        If the source cannot be read, or the list of pairs names images that it does not have.
    OutputError, ParameterError
        If the output is of another kind, or cannot be written, or ``overwrite`` is given for ``transitive``.
    """
    wanted = parse_pairs(pairs) if isinstance(pairs, str) else pairs
    if overwrite and any(one.kind == TRANSITIVE for one in wanted):
        raise ParameterError(
            "--pairs transitive needs the matches that --overwrite removes; drop one of them"
        )
    to = plan_target(source, output=output, format=format, source_format=source_format)
    with open_reader(source, source_format) as reader:
        names = reader.names()
    chosen = select_pairs(names, wanted, _makers(to, images, tell))
    if to.target_format == "hloc":
        from ..formats.hloc_matches import check_pairs, same_names  # h5py takes a while to load

        check_pairs(Path(to.target), _pairs_of(chosen, same_names(names)))
    return PairPlan(to.source, to.source_format, to.target, to.target_format, chosen, overwrite)


def plan_target(
    source: str, *, output: str | None = None, format: str | None = None, source_format: str | None = None
) -> MatchTarget:
    """Choose where matches are written, and check that they can be.

    Parameters
    ----------
    source
        A collection, or a folder of feature files.
    output
        ``matches.h5``, or a COLMAP database with the same images. By default matches are written
        into the source, if it is a database.
    format
        ``"hloc"`` or ``"colmap-db"``; by default chosen by the suffix.
    source_format
        Format of the source; from its suffix when not given.

    Raises
    ------
    OutputError, ParameterError
        If the output is of another kind, or cannot be written.
    """
    target, entry = _target(source, source_format, output, format)
    if entry == "colmap-db" and not Path(target).exists():
        open_reader(source, source_format).close()  # a missing source is reported first
        raise OutputError(
            f"{target}: expected a database with the features, found none; make it with "
            f"siftcli convert {source} {target}"
        )
    if entry == "hloc":
        if os.path.realpath(target) == os.path.realpath(source):
            raise OutputError(f"{target} contains the features; name another file for the matches")
        check_output(target, overwrite=True)
    return MatchTarget(source, source_format, target, entry)


def _target(
    source: str, source_format: str | None, output: str | None, format: str | None
) -> tuple[str, str]:
    if output is None:
        if Path(source).is_dir() or format_of(source, source_format).name != "colmap-db":
            raise OutputError("expected -o with a file for the matches, got none; add -o matches.h5")
        return source, "colmap-db"
    entry = format_of(output, format)
    if entry.name not in MATCH_COLLECTIONS:
        raise OutputError(f"{output}: expected a .h5 or .db file for the matches of a collection; name one")
    return output, entry.name


def _makers(to: MatchTarget, images: str | None, tell: Callable[[str], object]) -> dict[str, Maker]:
    from .near_pairs import gps_pairs, similar_pairs, transitive_pairs

    return {
        SIMILAR: lambda names, wanted: similar_pairs(to.source, names, wanted.k),
        GPS: lambda names, wanted: gps_pairs(to, images, names, wanted, tell),
        TRANSITIVE: lambda names, _wanted: transitive_pairs(to, names),
    }


def _pairs_of(pairs: PairList, names: set[str]) -> Iterator[NamePair]:
    """Pairs that have one of these images."""
    chosen = np.isin(np.arange(len(pairs.names)), [pairs.index[name] for name in names])
    for keys in pairs.blocks() if names else ():
        first, second = np.divmod(keys, len(pairs.names))
        yield from pairs.named(keys[chosen[first] | chosen[second]])
