"""Selection of the image pairs of a collection to match."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from ..errors import InputError, ParameterError
from ..io.limits import MAX_FILE_BYTES
from ..io.reading import read_bytes, text_of

EXHAUSTIVE = "exhaustive"
SEQUENTIAL = "sequential"

NamePair = tuple[str, str]


def select_pairs(names: Sequence[str], pairs: str) -> list[NamePair]:
    """List pairs of images.

    Parameters
    ----------
    names
        Names of the images.
    pairs
        ``"exhaustive"``: every image with every other; ``"sequential:K"``: each image with the
        next K in the order of their names; otherwise a file with two names on each line.

    Raises
    ------
    ParameterError
        If K is not a whole number of at least 1.
    InputError
        If the file cannot be read, or a line of it does not name two images.
    """
    ordered = sorted(names)
    if pairs == EXHAUSTIVE:
        return list(combinations(ordered, 2))
    kind, colon, count = pairs.partition(":")
    if kind == SEQUENTIAL:
        k = _overlap(count if colon else "")
        return [(a, b) for i, a in enumerate(ordered) for b in ordered[i + 1 : i + 1 + k]]
    return _read_pairs(Path(pairs), frozenset(names))


def _overlap(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ParameterError(
            f"--pairs sequential:K expects a whole K of at least 1, got {text!r}; use sequential:5"
        )
    return int(text)


def _read_pairs(path: Path, names: frozenset[str]) -> list[NamePair]:
    try:
        lines = text_of(read_bytes(path, MAX_FILE_BYTES)).splitlines()
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{path}: expected exhaustive, sequential:K or a file of pairs ({reason}); check the path"
        ) from error
    found = [_parse(path, i, line, names) for i, line in enumerate(lines, 1) if line.strip()]
    return list({frozenset(pair): pair for pair in found}.values())


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
