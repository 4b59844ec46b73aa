"""The images of a collection, matched pair by pair into a COLMAP database or a file of hloc's."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import OutputError, SiftcliError
from ..features import Features
from ..formats import check_output, format_of
from ..formats._collections import Reader, open_reader
from ..formats._matches import MatchWriter, PairMatches, match_writer
from ..summary import SCHEMA
from .images import search
from .options import MATCH_COLLECTIONS, MatchOptions
from .pairs import Pair, select_pairs

CACHED_IMAGES = 64
"""Images whose features stay in memory: some 100 MB at 10,000 features each."""


@dataclass(frozen=True)
class PairPlan:
    """A checked request."""

    source: str
    source_format: str | None
    target: str
    target_format: str
    pairs: tuple[Pair, ...]
    overwrite: bool


@dataclass(frozen=True)
class PairOutcome:
    """What became of a pair: counts, or the reason for none."""

    names: Pair
    n_matches: int = 0
    n_inliers: int | None = None
    """None when no model was asked for."""
    is_verified: bool = False
    was_there: bool = False
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Describe it in plain types, for JSON."""
        head = {"schema": SCHEMA, "image_a": self.names[0], "image_b": self.names[1]}
        if self.error is not None:
            return {**head, "error": self.error}
        if self.was_there:
            return {**head, "was_there": True}
        counts = {"n_matches": self.n_matches, "n_inliers": self.n_inliers}
        return {**head, **counts, "is_verified": self.is_verified}


def plan_pairs(
    source: str,
    pairs: str,
    *,
    output: str | None = None,
    format: str | None = None,
    source_format: str | None = None,
    overwrite: bool = False,
) -> PairPlan:
    """Settle which pairs are matched and where the matches go, and check that they can.

    Parameters
    ----------
    source
        A collection, or a folder of feature files.
    pairs
        As for :func:`siftcli.pairwise.pairs.select_pairs`.
    output
        ``matches.h5`` or a COLMAP database with the same images; a database's own matches go
        into itself when not given.
    format
        ``"hloc"`` or ``"colmap-db"``; from the suffix when not given.
    source_format
        Format of the source; from its suffix when not given.
    overwrite
        Replace the matches that are there.

    Raises
    ------
    InputError
        If the source cannot be read, or the list of pairs does not fit it.
    OutputError, ParameterError
        If the output does not fit, or cannot be written.
    """
    with open_reader(source, source_format) as reader:
        chosen = tuple(select_pairs(reader.names(), pairs))
    target, entry = _target(source, source_format, output, format)
    if entry == "colmap-db" and not Path(target).exists():
        raise OutputError(
            f"{target}: expected a database with the features; make it with siftcli convert {source} {target}"
        )
    if entry == "hloc":
        if os.path.realpath(target) == os.path.realpath(source):
            raise OutputError(f"{target} holds the features; name another file for the matches")
        check_output(target, overwrite=True)
    return PairPlan(source, source_format, target, entry, chosen, overwrite)


def _target(
    source: str, source_format: str | None, output: str | None, format: str | None
) -> tuple[str, str]:
    if output is None:
        if Path(source).is_dir() or format_of(source, source_format).name != "colmap-db":
            raise OutputError(
                "expected -o with a file for the matches (matches.h5); only a database holds both"
            )
        return source, "colmap-db"
    entry = format_of(output, format)
    if entry.name not in MATCH_COLLECTIONS:
        raise OutputError(f"{output}: expected a .h5 or .db file for the matches of many pairs; name one")
    return output, entry.name


def match_pairs(
    plan: PairPlan, options: MatchOptions, *, min_inliers: int, threads: int | None = None
) -> Iterator[PairOutcome]:
    """Match and verify pair by pair, and write what is found.

    Parameters
    ----------
    plan
        From :func:`plan_pairs`.
    options
        How matches are searched for and verified.
    min_inliers
        Fewest inliers with which a pair counts as verified.
    threads
        All cores when not given. The result does not depend on it.

    Returns
    -------
    iterator of PairOutcome
        In the order of the plan. Pairs that were there, found with the same options, are kept.

    Raises
    ------
    InputError, OutputError
        If the source or the target cannot be opened, or has matches of other options.
    """
    note = json.dumps({**asdict(options), "min_inliers": min_inliers}, sort_keys=True)
    with ExitStack() as stack:
        reader: Reader = stack.enter_context(open_reader(plan.source, plan.source_format))
        writer: MatchWriter = stack.enter_context(
            match_writer(Path(plan.target), plan.target_format, options=note, overwrite=plan.overwrite)
        )
        read = lru_cache(CACHED_IMAGES)(lambda name: reader.read(name).features)

        def work(pair: Pair) -> PairOutcome:
            if writer.has(*pair):
                return PairOutcome(pair, was_there=True)
            found = _matched(pair, read, options, min_inliers, threads)
            writer.write(found)
            n_inliers = None if found.verification is None else found.verification.n_inliers
            return PairOutcome(pair, len(found.matches), n_inliers, found.is_verified)

        for pair in plan.pairs:
            yield _outcome(pair, work)


def _outcome(pair: Pair, work: Callable[[Pair], PairOutcome]) -> PairOutcome:
    try:
        return work(pair)
    except SiftcliError as error:
        return PairOutcome(pair, error=str(error))


def _matched(
    pair: Pair, read: Callable[[str], Features], options: MatchOptions, min_inliers: int, threads: int | None
) -> PairMatches:
    first, second = (read(name) for name in pair)
    matches, found = search(first, second, options, threads)
    return PairMatches(
        names=pair,
        n_features=(len(first), len(second)),
        matches=matches,
        verification=found,
        min_inliers=min_inliers,
    )
