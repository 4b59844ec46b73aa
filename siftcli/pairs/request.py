"""The kinds of pairs that a user asks for, such as ``gps:20+similar:20``; does not import NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from ..errors import ParameterError

EXHAUSTIVE, SEQUENTIAL, FILE = "exhaustive", "sequential", "file"
SIMILAR, GPS, TRANSITIVE = "similar", "gps", "transitive"
KINDS = (EXHAUSTIVE, SEQUENTIAL, FILE, SIMILAR, GPS, TRANSITIVE)
"""All kinds, in the order in which the reasons of a pair are named."""
_SEPARATOR = "+"


class Wanted(NamedTuple):
    """One kind of pairs."""

    kind: str
    """One of ``KINDS``."""
    k: int = 0
    """Images that each is paired with, if the kind has such a number."""
    within_m: float = math.inf
    """``gps``: largest distance in metres."""
    path: str = ""
    """``file``: the file of pairs."""


def parse_pairs(text: str) -> tuple[Wanted, ...]:
    """Parse kinds of pairs that are joined by ``+``.

    Parameters
    ----------
    text
        ``exhaustive``, ``sequential:K``, ``similar:K``, ``gps:K``, ``gps:K,METRES``, ``transitive``, or a
        file. A part that begins with none of these words belongs to the name of the file, so that this name
        may contain ``+``.

    Raises
    ------
    ParameterError
        If a kind is given twice, or a number is missing or out of range.
    """
    found = tuple(_parsed(part) for part in _parts(text))
    kinds = [wanted.kind for wanted in found]
    if twice := next((kind for kind in kinds if kinds.count(kind) > 1), None):
        raise ParameterError(f"--pairs expects each kind once, got {twice} twice in {text!r}; drop one")
    return found


def _parts(text: str) -> Iterator[str]:
    """Split at ``+``, but not inside the name of a file."""
    file: list[str] = []
    for part in text.split(_SEPARATOR):
        if part.partition(":")[0] not in KINDS or part == FILE:
            file.append(part)
            continue
        if file:
            yield _SEPARATOR.join(file)
            file = []
        yield part
    if file:
        yield _SEPARATOR.join(file)


def _parsed(part: str) -> Wanted:
    kind, colon, rest = part.partition(":")
    if kind in (EXHAUSTIVE, TRANSITIVE) and colon:
        raise ParameterError(f"--pairs {kind} takes no number, got {part!r}; use {kind}")
    if kind in (EXHAUSTIVE, TRANSITIVE):
        return Wanted(kind)
    if kind in (SEQUENTIAL, SIMILAR):
        return Wanted(kind, _count(rest, f"{kind}:K", f"{kind}:5"))
    if kind == GPS:
        count, comma, metres = rest.partition(",")
        k = _count(count, "gps:K", "gps:20")
        return Wanted(GPS, k, _metres(metres) if comma else math.inf)
    return Wanted(FILE, path=part)


def _count(text: str, form: str, example: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:10]) < 1:
        raise ParameterError(f"--pairs {form} expects a whole K of at least 1, got {text!r}; use {example}")
    return int(text[:10])


def _metres(text: str) -> float:
    try:
        metres = float(text)
    except ValueError:
        metres = math.nan
    if not 0 < metres < math.inf:
        raise ParameterError(
            f"--pairs gps:K,METRES expects a distance above 0 in metres, got {text!r}; use gps:20,150"
        )
    return metres
