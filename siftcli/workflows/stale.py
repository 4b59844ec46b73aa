"""Stale pairs: their features have been replaced since they were matched."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OutputError, SiftcliError
from ..features import Features
from ..formats._collections import Reader, open_reader
from ..formats._conventions import in_stored_frame
from ..formats._matches import FoundIn, features_digest
from ..io.reading import absolute
from ..pairs.listing import NamePair

if TYPE_CHECKING:
    from .match_plan import PairPlan


def read_stored(reader: Reader, name: str) -> Features:
    """Read an image's features, in the frame of the stored pixels."""
    return in_stored_frame(reader.read(name).features)


def stale_pairs(plan: PairPlan, records: Mapping[NamePair, FoundIn]) -> list[NamePair]:
    """Find pairs whose features have changed since they were matched.

    Parameters
    ----------
    plan
        The request.
    records
        For each existing pair, the features it was found in.

    Raises
    ------
    OutputError
        If existing matches are of another collection with other features, or of images with other names.
    """
    now = _digests(plan, sorted({name for pair in records for name in pair}))
    source = str(absolute(plan.source))
    stale: list[NamePair] = []
    others: list[NamePair] = []
    for pair, record in records.items():
        if set(record.names) != set(pair):
            from ..formats.hloc_matches import same_group

            raise same_group(Path(plan.target), record.names, pair)
        if any(record.by_name[name] != now[name] for name in pair):
            (stale if record.source == source else others).append(pair)
    if others:
        first, there = " and ".join(others[0]), records[others[0]].source or "a file that was not recorded"
        count = f"{len(others)} such pair{'s' if len(others) > 1 else ''}"
        raise OutputError(
            f"{plan.target} holds matches of other features of the same names: those of {first} were found "
            f"in {there}, not in {source} as it is now ({count}); pass --overwrite to replace all matches, "
            "or choose another output"
        )
    return stale


def _digests(plan: PairPlan, names: list[str]) -> dict[str, str | None]:
    """Digest of each image's features; None if they cannot be read, which is reported at matching."""
    found: dict[str, str | None] = dict.fromkeys(names)
    if names:
        with open_reader(plan.source, plan.source_format) as reader:
            for name in names:
                with suppress(SiftcliError):
                    found[name] = features_digest(read_stored(reader, name))
    return found
