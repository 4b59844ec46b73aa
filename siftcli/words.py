"""Words of messages: counts with the noun in the right number."""

from __future__ import annotations


def counted(n: int, noun: str, plural: str = "") -> str:
    """``1 image``, ``2 images``; ``plural`` where an s is not enough."""
    return f"{n} {noun}" if n == 1 else f"{n} {plural or f'{noun}s'}"


def fixed(value: float, decimals: int = 2) -> str:
    """``1.25``, without a negative zero."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def pair_text(xy: tuple[float, float]) -> str:
    """``(1.25, 0.00)``."""
    return f"({fixed(xy[0])}, {fixed(xy[1])})"
