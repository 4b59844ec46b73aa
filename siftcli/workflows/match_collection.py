"""Matching the images of a collection pair by pair, into a COLMAP database or an hloc file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, SiftcliError, StorageError
from ..features import Features, Matches
from ..formats._collections import Reader, WithCameras, open_reader
from ..formats._matches import FoundIn, MatchWriter, PairMatches, features_digest, match_writer
from ..io.locks import locked
from ..io.reading import absolute
from ..matching.chance import MAX_LOG10_NFA
from ..matching.options import ESSENTIAL, MatchOptions
from ..pairs.listing import Keys, NamePair
from ..parallel.sharing import shared_cores
from ..words import counted
from .engine import Engine, check_cluster_use, engine, failure
from .match_plan import PairPlan, plan_pairs
from .pair_selection import from_names
from .stale import read_stored, stale_pairs
from .summary import SCHEMA

if TYPE_CHECKING:
    from ..matching.verification import Cameras, Verification

__all__ = ["Matcher", "PairOutcome", "PairPlan", "match_pairs", "plan_pairs"]

SAME_PX = 0.01
"""Tolerance for positions, in pixels: adding and removing COLMAP's half pixel rounds them to float32."""
CALIBRATED_SHARE = 0.7
"""A pair is not calibrated if its known cameras explain less than this share of the matches that a
fundamental matrix explains. COLMAP's share, 0.95, rejects many pairs whose cameras were measured."""
CACHED_IMAGES = 64
"""Images whose features each process caches: about 100 MB at 10,000 features per image."""
PAIRS_ORDERED = 1 << 16
"""Pairs that are put into an order for the caches together."""


@dataclass(frozen=True)
class PairOutcome:
    """What became of a pair: counts, or the reason why there are none."""

    names: NamePair
    reason: str = ""
    """The kinds of pairs that list it, such as ``similar+gps``."""
    n_matches: int = 0
    n_inliers: int | None = None
    """None if no model was requested."""
    is_verified: bool = False
    skipped: bool = False
    """Whether the output already has the matches of this pair."""
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Describe it in plain types, for JSON."""
        head = {"schema": SCHEMA, "image_a": self.names[0], "image_b": self.names[1], "reason": self.reason}
        if self.error is not None:
            return {**head, "error": self.error}
        if self.skipped:
            return {**head, "was_there": True}
        counts = {"n_matches": self.n_matches, "n_inliers": self.n_inliers}
        return {**head, **counts, "is_verified": self.is_verified}


@dataclass(frozen=True)
class Matcher:
    """Matches pairs of images. The collection is opened in the process that matches, at its first pair."""

    source: str
    source_format: str | None
    options: MatchOptions
    min_inliers: int
    threads: int | None
    database: str | None = None
    """Another database for the matches; it must have the same keypoints as the source."""

    @cached_property
    def _reader(self) -> Reader:
        return open_reader(self.source, self.source_format)

    @cached_property
    def _target(self) -> Reader | None:
        return None if self.database is None else open_reader(self.database, "colmap-db")

    @cached_property
    def _read(self) -> Callable[[str], tuple[Features, str]]:
        return lru_cache(CACHED_IMAGES)(self._checked)

    def _checked(self, name: str) -> tuple[Features, str]:
        """Features in the frame of the stored pixels, as both output formats need them, and their digest."""
        features = read_stored(self._reader, name)
        if self._target is not None:
            _require_same_keypoints(str(self.database), name, features, self._target.read(name).features)
        return features, features_digest(features)

    def __call__(self, pair: NamePair, /) -> PairMatches | str:
        """Return the matches of a pair, or the reason why there are none."""
        try:
            return self._matched(pair)
        except Exception as error:
            return failure(error, " and ".join(pair), "match them")

    def failed(self, pair: NamePair, reason: str, /) -> str:
        """Return the error of a pair that could not be matched."""
        return f"{' and '.join(pair)}: {reason}"

    def close(self) -> None:
        """Close the files that this process has opened."""
        for name in ("_reader", "_target"):
            reader = self.__dict__.pop(name, None)
            if reader is not None:
                reader.close()

    def _matched(self, pair: NamePair) -> PairMatches:
        (first, digest_a), (second, digest_b) = (self._read(name) for name in pair)
        matches, found = self._searched(pair, first, second)
        return PairMatches(
            names=pair,
            n_features=(len(first), len(second)),
            matches=matches,
            verification=found,
            min_inliers=self.min_inliers,
            found_in=FoundIn(pair, (digest_a, digest_b), str(absolute(self.source))),
        )

    def _searched(
        self, pair: NamePair, first: Features, second: Features
    ) -> tuple[Matches, Verification | None]:
        """Search with the cameras if both are known and do not contradict the matches."""
        from ..matching.nearest import match  # late: a process that only hands out pairs searches nothing
        from ..matching.search import search, verified

        cameras = self._cameras(pair)
        if cameras is None:
            return search(first, second, self.options, self.threads)
        how = self.options
        matches = match(first, second, ratio=how.ratio, mutual=how.mutual, threads=self.threads)
        given = first, second, matches, how, self.threads
        found, without = verified(*given, cameras), verified(*given)
        return found if _n_inliers(found) >= CALIBRATED_SHARE * _n_inliers(without) > 0 else without

    def _cameras(self, pair: NamePair) -> Cameras | None:
        """The cameras in the database, that of the matches or else that of the features."""
        reader = self._target or self._reader
        if self.options.model != ESSENTIAL or not isinstance(reader, WithCameras):
            return None
        first, second = (reader.camera(name) for name in pair)
        return None if first is None or second is None else (first, second)


def _n_inliers(found: tuple[Matches, Verification | None]) -> int:
    """Inliers of an accepted model; 0 without one."""
    verification = found[1]
    return 0 if verification is None or verification.model is None else verification.n_inliers


def _require_same_keypoints(path: str, name: str, features: Features, there: Features) -> None:
    """Check that the target has the same keypoints in the same order: matches are row numbers."""
    if features.xy.shape != there.xy.shape or not np.allclose(features.xy, there.xy, rtol=0, atol=SAME_PX):
        raise InputError(
            f"{path}: expected the {counted(len(features), 'feature')} of {name} that were matched, "
            f"has {len(there)} others; write them there again"
        )


def match_pairs(
    plan: PairPlan,
    options: MatchOptions,
    *,
    min_inliers: int,
    threads: int | None = None,
    jobs: int | None = None,
    dask: str | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[PairOutcome]:
    """Match and verify pair by pair, and write the results.

    Parameters
    ----------
    plan
        From :func:`siftcli.workflows.match_plan.plan_pairs`.
    options
        How to search and verify matches.
    min_inliers
        Fewest inliers with which a pair counts as verified.
    threads, jobs, dask, stop
        As for :func:`siftcli.workflows.detect.run`, with pairs instead of images.

    Returns
    -------
    iterator of PairOutcome
        First the pairs that are skipped, then the others in the order of :func:`in_blocks`, from a cluster
        in the order in which they are finished.

    Raises
    ------
    ParameterError
        If ``jobs`` is given for a cluster that has its own workers.
    InputError, OutputError
        If the source or the target cannot be opened, or if the target has matches found with other
        options or in other features, or is being written by another run, or there is no such cluster.
    """
    check_cluster_use(dask, jobs)
    accepted = {"min_inliers": min_inliers, "max_log10_nfa": MAX_LOG10_NFA}
    note = json.dumps({**asdict(options), **accepted}, sort_keys=True)
    target = Path(plan.target)
    with ExitStack() as stack:
        stack.enter_context(locked(target, is_folder=False))
        writer: MatchWriter = stack.enter_context(
            match_writer(
                target,
                plan.target_format,
                options=note,
                overwrite=plan.overwrite,
                is_shared=dask not in (None, "local"),
            )
        )
        settled = _settled(plan, writer)
        for pair in plan.pairs.named(settled):
            yield PairOutcome(pair, plan.pairs.reason(pair), skipped=True)
        n_left = len(plan.pairs) - len(settled)
        if not n_left:
            return
        jobs, threads = shared_cores(n_left, jobs, threads)
        matcher = _matcher(plan, options, min_inliers, threads, is_remote=dask is not None)
        run: Engine[NamePair, PairMatches | str] = stack.enter_context(engine(matcher, jobs=jobs, dask=dask))
        for pair, found in run(in_blocks(plan.pairs.without(settled)), stop):
            yield _written(pair, found, writer, plan.pairs.reason(pair))


def in_blocks(pairs: Iterable[NamePair]) -> Iterator[NamePair]:
    """Reorder pairs so that the features that a process has read serve many of them.

    Images are grouped in the order in which they are named, half a cache in a group, and the pairs of two
    groups come together: in 32 · 32 pairs of images, 64 are read.
    """
    pairs = iter(pairs)
    while some := list(islice(pairs, PAIRS_ORDERED)):
        numbers: dict[str, int] = {}
        for pair in some:
            for name in pair:
                numbers.setdefault(name, len(numbers))
        yield from sorted(some, key=lambda pair: [numbers[name] // (CACHED_IMAGES // 2) for name in pair])


def _matcher(
    plan: PairPlan, options: MatchOptions, min_inliers: int, threads: int | None, *, is_remote: bool
) -> Matcher:
    if not is_remote:
        return Matcher(plan.source, plan.source_format, options, min_inliers, threads, plan.other_database)
    database = plan.other_database and str(absolute(plan.other_database))
    source = str(absolute(plan.source))
    return Matcher(source, plan.source_format, options, min_inliers, threads or 1, database)


def _settled(plan: PairPlan, writer: MatchWriter) -> Keys:
    """Sorted keys of the pairs that the target has, found in the features as they are now."""
    pairs = plan.pairs
    there = from_names(pairs.names, writer.existing(pairs.index)).keys(0, len(pairs.names))
    there = there[pairs.holds(there)]
    records = {pair: record for pair in pairs.named(there) if (record := writer.found_in(*pair)) is not None}
    stale = [pairs.key(pair) for pair in stale_pairs(plan, records)]
    return there[~np.isin(there, stale)]


def _written(pair: NamePair, found: PairMatches | str, writer: MatchWriter, reason: str) -> PairOutcome:
    """Write a pair; only a full disk ends the run, other errors are this pair's own."""
    if isinstance(found, str):
        return PairOutcome(pair, reason, error=found)
    try:
        writer.write(replace(found, reason=reason))
    except StorageError:
        raise
    except SiftcliError as error:
        return PairOutcome(pair, reason, error=str(error))
    n_inliers = None if found.verification is None else found.verification.n_inliers
    return PairOutcome(pair, reason, len(found.matches), n_inliers, found.is_verified)
