"""Pairs of images as a stream of index arrays: memory does not grow with their number.

An image is its place in the sorted list of names, and a pair is one number, its *key*: first · n + second,
the smaller index first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .request import EXHAUSTIVE, KINDS

NamePair = tuple[str, str]
Keys = NDArray[np.int64]

BLOCK_PAIRS = 1 << 19
"""Pairs of a block, about: 4 MB of keys."""


class PairKind(Protocol):
    """Pairs of one kind."""

    def keys(self, start: int, stop: int) -> Keys:
        """Sorted keys of the pairs whose first image is in [start, stop)."""

    def holds(self, keys: Keys) -> NDArray[np.bool_]:
        """Whether it has each of these pairs."""


@dataclass(frozen=True)
class Within:
    """Each of ``n`` images with the next ``reach``; with every other if that is all."""

    n: int
    reach: int

    def keys(self, start: int, stop: int) -> Keys:
        """Sorted keys of the pairs whose first image is in [start, stop)."""
        first = np.arange(start, stop, dtype=np.int64)
        counts = np.minimum(self.reach, self.n - 1 - first)
        ends = np.cumsum(counts)
        steps = np.arange(1, (ends[-1] if len(ends) else 0) + 1) - np.repeat(ends - counts, counts)
        first = np.repeat(first, counts)
        keys: Keys = first * self.n + first + steps
        return keys

    def holds(self, keys: Keys) -> NDArray[np.bool_]:
        """Whether it has each of these pairs."""
        first, second = np.divmod(keys, self.n)
        near: NDArray[np.bool_] = second - first <= self.reach
        return near


@dataclass(frozen=True, eq=False)
class Listed:
    """Pairs that are kept in memory, 8 bytes each."""

    n: int
    sorted_keys: Keys

    def keys(self, start: int, stop: int) -> Keys:
        """Sorted keys of the pairs whose first image is in [start, stop)."""
        low, high = np.searchsorted(self.sorted_keys, [start * self.n, stop * self.n])
        return self.sorted_keys[low:high]

    def holds(self, keys: Keys) -> NDArray[np.bool_]:
        """Whether it has each of these pairs."""
        return among(keys, self.sorted_keys)


def listed(n: int, first: NDArray[np.integer], second: NDArray[np.integer]) -> Listed:
    """Make a list of pairs of two arrays of indices, in any order; an image with itself is dropped."""
    low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second).astype(np.int64)
    return Listed(n, np.unique((low * n + high)[low != high]))


def among(keys: Keys, sorted_keys: Keys) -> NDArray[np.bool_]:
    """Whether each key is one of the sorted ones."""
    if not len(sorted_keys):
        return np.zeros(len(keys), bool)
    places = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    found: NDArray[np.bool_] = sorted_keys[places] == keys
    return found


@dataclass(frozen=True, eq=False)
class PairList:
    """All pairs of some kinds, each once, with the kinds that have it."""

    names: Sequence[str]
    """Names of the images, sorted."""
    kinds: Mapping[str, PairKind]
    """By their names, which are among ``KINDS``."""
    reversed_keys: Keys = field(default_factory=lambda: np.empty(0, np.int64))
    """Sorted keys of pairs that a file names the other way round."""

    @cached_property
    def index(self) -> dict[str, int]:
        """The place of each name."""
        return {name: i for i, name in enumerate(self.names)}

    def __len__(self) -> int:
        return self._length

    @cached_property
    def _length(self) -> int:
        n = len(self.names)
        return n * (n - 1) // 2 if EXHAUSTIVE in self.kinds else sum(map(len, self.blocks()))

    def blocks(self) -> Iterator[Keys]:
        """Sorted keys of all pairs, in blocks of about ``BLOCK_PAIRS``."""
        n = len(self.names)
        rows = max(1, BLOCK_PAIRS // max(n, 1))
        kinds = [self.kinds[EXHAUSTIVE]] if EXHAUSTIVE in self.kinds else list(self.kinds.values())
        for start in range(0, n, rows):
            found = [kind.keys(start, min(start + rows, n)) for kind in kinds]
            yield found[0] if len(found) == 1 else np.unique(np.concatenate(found))

    def without(self, sorted_keys: Keys) -> Iterator[NamePair]:
        """Yield the names of all pairs but some."""
        for keys in self.blocks():
            yield from self.named(keys[~among(keys, sorted_keys)])

    def named(self, keys: Keys) -> Iterator[NamePair]:
        """Yield the names of pairs, in the order of the list of names unless a file has another."""
        turned = among(keys, self.reversed_keys)
        first, second = np.divmod(keys, max(len(self.names), 1))
        first, second = np.where(turned, second, first), np.where(turned, first, second)
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            yield self.names[a], self.names[b]

    def key(self, pair: NamePair) -> int:
        """The key of a pair of names."""
        low, high = sorted(self.index[name] for name in pair)
        return low * len(self.names) + high

    def holds(self, keys: Keys) -> NDArray[np.bool_]:
        """Whether any kind has each of these pairs."""
        found = np.zeros(len(keys), bool)
        for kind in self.kinds.values():
            found |= kind.holds(keys)
        return found

    def reason(self, pair: NamePair) -> str:
        """The kinds that have a pair, joined by ``+``."""
        key = np.array([self.key(pair)])
        return "+".join(name for name in KINDS if name in self.kinds and self.kinds[name].holds(key)[0])
