"""Words of messages: counts with the noun in the right number."""

from __future__ import annotations


def counted(n: int, noun: str, plural: str = "") -> str:
    """``1 image``, ``2 images``; ``plural`` where an s is not enough."""
    return f"{n} {noun}" if n == 1 else f"{n} {plural or f'{noun}s'}"
