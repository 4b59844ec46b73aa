"""Selection of the image pairs of a collection to match."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..io.limits import MAX_FILE_BYTES
from ..io.reading import read_bytes, text_of
from ..pairs.listing import Keys, NamePair, PairKind, PairList, Within, listed
from ..pairs.request import EXHAUSTIVE, FILE, SEQUENTIAL, Wanted, parse_pairs

Maker = Callable[[Sequence[str], Wanted], PairKind]
"""Makes the pairs of a kind for a sorted list of names."""


def select_pairs(
    names: Iterable[str], pairs: str | tuple[Wanted, ...], others: dict[str, Maker] | None = None
) -> PairList:
    """List pairs of images.

    Parameters
    ----------
    names
        Names of the images.
    pairs
        As for :func:`siftcli.pairs.request.parse_pairs`, or its result. ``exhaustive`` is every image with
        every other, ``sequential:K`` each image with the next K in the order of their names, a file has
        two names on each line.
    others
        What makes the other kinds, by their names.

    Raises
    ------
    ParameterError
        If a number is missing or out of range.
    InputError
        If the file cannot be read, or a line of it does not name two images.
    """
    ordered = sorted(names)
    kinds: dict[str, PairKind] = {}
    turned: Keys = np.empty(0, np.int64)
    for wanted in parse_pairs(pairs) if isinstance(pairs, str) else pairs:
        if wanted.kind == FILE:
            kinds[FILE], turned = _from_file(Path(wanted.path), ordered)
        elif wanted.kind in (EXHAUSTIVE, SEQUENTIAL):
            kinds[wanted.kind] = Within(len(ordered), wanted.k or len(ordered))
        else:
            kinds[wanted.kind] = (others or {})[wanted.kind](ordered, wanted)
    return PairList(ordered, kinds, turned)


def from_names(names: Sequence[str], pairs: Iterable[NamePair]) -> PairKind:
    """List pairs that are given by sorted names."""
    index = {name: i for i, name in enumerate(names)}
    rows = np.fromiter((index[name] for pair in pairs for name in pair), np.int64).reshape(-1, 2)
    return listed(len(names), rows[:, 0], rows[:, 1])


def _from_file(path: Path, names: Sequence[str]) -> tuple[PairKind, Keys]:
    """The pairs of a file, and the keys of those that it names against the order of the names.

    Where it names a pair both ways, the last counts.
    """
    try:
        lines = text_of(read_bytes(path, MAX_FILE_BYTES)).splitlines()
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{path}: expected exhaustive, sequential:K, similar:K, gps:K, transitive or a file of pairs "
            f"({reason}); check the path"
        ) from error
    known = frozenset(names)
    found = [_parse(path, i, line, known) for i, line in enumerate(lines, 1) if line.strip()]
    once = {frozenset(pair): pair for pair in found}
    turned = [pair for pair in once.values() if pair[0] > pair[1]]
    kind = from_names(names, turned)
    return from_names(names, found), kind.keys(0, len(names))


def _parse(path: Path, number: int, line: str, names: frozenset[str]) -> NamePair:
    """Split a line into two names at white space, which names may contain too."""
    text = line.strip()
    for i, character in enumerate(text):
        first, second = text[:i].rstrip(), text[i:].lstrip()
        if character.isspace() and first in names and second in names and first != second:
            return first, second
    raise InputError(
        f"{path}: expected the names of two images of the collection in line {number}, got {text[:80]!r}; "
        "correct the line"
    )
