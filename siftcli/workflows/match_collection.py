"""Matching the images of a collection pair by pair, into a COLMAP database or an hloc file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, OutputError, SiftcliError, StorageError
from ..features import Features, Matches
from ..formats import format_of
from ..formats._collections import Reader, WithCameras, open_reader
from ..formats._matches import FoundIn, MatchWriter, PairMatches, features_digest, match_writer
from ..formats._registry import MATCH_COLLECTIONS
from ..io.locks import locked
from ..io.reading import absolute
from ..io.writing import check_output
from ..matching.chance import MAX_LOG10_NFA
from ..matching.options import ESSENTIAL, MatchOptions
from ..matching.search import search
from ..matching.verification import Cameras, Verification
from ..parallel.processes import LocalPool
from .detect import shared_cores
from .pair_selection import NamePair, select_pairs
from .stale import read_stored, stale_pairs
from .summary import SCHEMA

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
class PairPlan:
    """Which pairs are matched, from where to where; already checked."""

    source: str
    source_format: str | None
    target: str
    target_format: str
    pairs: tuple[NamePair, ...]
    overwrite: bool

    @property
    def other_database(self) -> str | None:
        """The database for the matches, if it is not the one with the features."""
        is_source = os.path.realpath(self.target) == os.path.realpath(self.source)
        return None if is_source or self.target_format != "colmap-db" else self.target


@dataclass(frozen=True)
class PairOutcome:
    """What became of a pair: counts, or the reason why there are none."""

    names: NamePair
    n_matches: int = 0
    n_inliers: int | None = None
    """None if no model was requested."""
    is_verified: bool = False
    skipped: bool = False
    """Whether the output already has the matches of this pair."""
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Describe it in plain types, for JSON."""
        head = {"schema": SCHEMA, "image_a": self.names[0], "image_b": self.names[1]}
        if self.error is not None:
            return {**head, "error": self.error}
        if self.skipped:
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
    """Choose which pairs are matched and where the matches are written, and check that they can be.

    Parameters
    ----------
    source
        A collection, or a folder of feature files.
    pairs
        As for :func:`siftcli.workflows.pair_selection.select_pairs`.
    output
        ``matches.h5``, or a COLMAP database with the same images. By default matches are written
        into the source, if it is a database.
    format
        ``"hloc"`` or ``"colmap-db"``; by default chosen by the suffix.
    source_format
        Format of the source; from its suffix when not given.
    overwrite
        Replace existing matches.

    Raises
    ------
    InputError
        If the source cannot be read, or the list of pairs names images that it does not have.
    OutputError, ParameterError
        If the output is of another kind, or cannot be written.
    """
    with open_reader(source, source_format) as reader:
        chosen = tuple(select_pairs(reader.names(), pairs))
    target, entry = _target(source, source_format, output, format)
    if entry == "colmap-db" and not Path(target).exists():
        raise OutputError(
            f"{target}: expected a database with the features, found none; make it with "
            f"siftcli convert {source} {target}"
        )
    if entry == "hloc":
        if os.path.realpath(target) == os.path.realpath(source):
            raise OutputError(f"{target} contains the features; name another file for the matches")
        from ..formats.hloc_matches import check_pairs  # h5py takes a while to load

        check_pairs(Path(target), chosen)
        check_output(target, overwrite=True)
    return PairPlan(source, source_format, target, entry, chosen, overwrite)


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

    def __call__(self, pair: NamePair) -> PairMatches | str:
        """Return the matches of a pair, or the reason why there are none."""
        names = " and ".join(pair)
        try:
            return self._matched(pair)
        except SiftcliError as error:
            return str(error)
        except MemoryError:
            return f"{names}: not enough memory to match them"
        except Exception as error:
            return f"{names}: {type(error).__name__} in siftcli ({error}); please report it"

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
        cameras = self._cameras(pair)
        found = search(first, second, self.options, self.threads, cameras)
        if cameras is None:
            return found
        without = search(first, second, self.options, self.threads)
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
            f"{path}: expected the {len(features)} features of {name} that were matched, has {len(there)} "
            "others; write them there again"
        )


def process_died(pair: NamePair) -> str:
    """Return the error for a pair whose process died."""
    return f"{' and '.join(pair)}: the process that worked on them died; check whether it ran out of memory"


def match_pairs(
    plan: PairPlan,
    options: MatchOptions,
    *,
    min_inliers: int,
    threads: int | None = None,
    jobs: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[PairOutcome]:
    """Match and verify pair by pair, and write the results.

    Parameters
    ----------
    plan
        From :func:`plan_pairs`.
    options
        How to search and verify matches.
    min_inliers
        Fewest inliers with which a pair counts as verified.
    threads, jobs, stop
        As for :func:`siftcli.workflows.detect.run`, with pairs instead of images.

    Returns
    -------
    iterator of PairOutcome
        First the pairs that are skipped, then the others in the order of :func:`in_blocks`.

    Raises
    ------
    InputError, OutputError
        If the source or the target cannot be opened, or if the target has matches found with other
        options or in other features, or is being written by another run.
    """
    accepted = {"min_inliers": min_inliers, "max_log10_nfa": MAX_LOG10_NFA}
    note = json.dumps({**asdict(options), **accepted}, sort_keys=True)
    target = Path(plan.target)
    with ExitStack() as stack:
        stack.enter_context(locked(target, is_folder=False))
        writer: MatchWriter = stack.enter_context(
            match_writer(target, plan.target_format, options=note, overwrite=plan.overwrite)
        )
        settled = _settled(plan, writer)
        yield from settled.values()
        to_do = list(in_blocks(pair for pair in plan.pairs if pair not in settled))
        jobs, threads = shared_cores(len(to_do), jobs, threads)
        matcher = Matcher(plan.source, plan.source_format, options, min_inliers, threads, plan.other_database)
        stack.callback(matcher.close)
        for pair, found in LocalPool(matcher, process_died, jobs).run(to_do, stop):
            yield _written(pair, found, writer)


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


def _settled(plan: PairPlan, writer: MatchWriter) -> dict[NamePair, PairOutcome]:
    """Outcomes of pairs that are not matched: existing ones, and those the target cannot store."""
    settled: dict[NamePair, PairOutcome] = {}
    records: dict[NamePair, FoundIn] = {}
    for pair in plan.pairs:
        try:
            if not writer.has(*pair):
                continue
            record = writer.found_in(*pair)
        except SiftcliError as error:
            settled[pair] = PairOutcome(pair, error=str(error))
            continue
        settled[pair] = PairOutcome(pair, skipped=True)
        if record is not None:
            records[pair] = record
    for pair in stale_pairs(plan, records):
        del settled[pair]
    return settled


def _written(pair: NamePair, found: PairMatches | str, writer: MatchWriter) -> PairOutcome:
    """Write a pair; only a full disk ends the run, other errors are this pair's own."""
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
