"""The images of a collection, matched pair by pair into a COLMAP database or a file of hloc's."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from ..batch import shared_cores
from ..batch.lock import locked
from ..batch.workers import LocalPool
from ..chance import MAX_LOG10_NFA
from ..errors import OutputError, SiftcliError, StorageError
from ..features import Features
from ..formats import check_output, format_of
from ..formats._collections import Reader, open_reader
from ..formats._matches import MatchWriter, PairMatches, match_writer
from ..summary import SCHEMA
from .images import search
from .options import MATCH_COLLECTIONS, MatchOptions
from .pairs import Pair, select_pairs

CACHED_IMAGES = 64
"""Images whose features stay in a process's memory: some 100 MB at 10,000 features each."""


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


@dataclass(frozen=True)
class Matcher:
    """Matches the images of a collection, which is opened where the first pair is matched."""

    source: str
    source_format: str | None
    options: MatchOptions
    min_inliers: int
    threads: int | None

    @cached_property
    def _reader(self) -> Reader:
        return open_reader(self.source, self.source_format)

    @cached_property
    def _read(self) -> Callable[[str], Features]:
        return lru_cache(CACHED_IMAGES)(lambda name: self._reader.read(name).features)

    def __call__(self, pair: Pair) -> PairMatches | str:
        """The matches of a pair, or the reason for none."""
        names = " and ".join(pair)
        try:
            return self._matched(pair)
        except SiftcliError as error:
            return str(error)
        except MemoryError:
            return f"{names}: not enough memory to match them"
        except Exception as error:
            return f"{names}: {type(error).__name__} in siftcli ({error}); please report it"

    def _matched(self, pair: Pair) -> PairMatches:
        first, second = (self._read(name) for name in pair)
        matches, found = search(first, second, self.options, self.threads)
        return PairMatches(
            names=pair,
            n_features=(len(first), len(second)),
            matches=matches,
            verification=found,
            min_inliers=self.min_inliers,
        )


def lost(pair: Pair) -> str:
    """What is said of a pair whose process died."""
    return f"{' and '.join(pair)}: the process that worked on them died; was memory short?"


def match_pairs(
    plan: PairPlan,
    options: MatchOptions,
    *,
    min_inliers: int,
    threads: int | None = None,
    jobs: int | None = None,
    stop: Callable[[], bool] = lambda: False,
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
    threads, jobs, stop
        As for :func:`siftcli.batch.run`, of pairs instead of images.

    Returns
    -------
    iterator of PairOutcome
        Pairs that were there, found with the same options; then the others, in the order of the plan.

    Raises
    ------
    InputError, OutputError
        If the source or the target cannot be opened, has matches of other options, or is being written.
    """
    accepted = {"min_inliers": min_inliers, "max_log10_nfa": MAX_LOG10_NFA}
    note = json.dumps({**asdict(options), **accepted}, sort_keys=True)
    target = Path(plan.target)
    with ExitStack() as stack:
        stack.enter_context(locked(target, is_folder=False))
        writer: MatchWriter = stack.enter_context(
            match_writer(target, plan.target_format, options=note, overwrite=plan.overwrite)
        )
        to_do = []
        for pair in plan.pairs:
            there = _was_there(writer, pair)
            if there is None:
                to_do.append(pair)
            else:
                yield there
        jobs, threads = shared_cores(len(to_do), jobs, threads)
        matcher = Matcher(plan.source, plan.source_format, options, min_inliers, threads)
        for pair, found in LocalPool(matcher, lost, jobs).run(to_do, stop):
            yield _written(pair, found, writer)


def _was_there(writer: MatchWriter, pair: Pair) -> PairOutcome | None:
    try:
        return PairOutcome(pair, was_there=True) if writer.has(*pair) else None
    except SiftcliError as error:
        return PairOutcome(pair, error=str(error))


def _written(pair: Pair, found: PairMatches | str, writer: MatchWriter) -> PairOutcome:
    """Write what was found; a disk that is full ends the run, other trouble concerns one pair."""
    if isinstance(found, str):
        return PairOutcome(pair, error=found)
    try:
        writer.write(found)
    except StorageError:
        raise
    except SiftcliError as error:
        return PairOutcome(pair, error=str(error))
    n_inliers = None if found.verification is None else found.verification.n_inliers
    return PairOutcome(pair, len(found.matches), n_inliers, found.is_verified)
