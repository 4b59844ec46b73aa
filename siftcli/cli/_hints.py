"""Hints on images, printed once per run on standard error: unread pages, low contrast."""

from __future__ import annotations

from ..words import counted
from ._output import note


class Hints:
    """Collects hints on images, and prints one line for each kind."""

    def __init__(self, *, has_page_option: bool = True) -> None:
        self.how_to_page = "; --page chooses another" if has_page_option else ""
        self.paged: dict[str, int] = {}
        """Number of pages of the files of which only the first was read."""
        self.faint: dict[str, int] = {}
        """Number of keypoints of low-contrast images."""

    def add_pages(self, name: str, n_pages: int) -> None:
        """Note a file of which the first page was read by default."""
        if n_pages > 1:
            self.paged[name] = n_pages

    def add_faint(self, name: str, n_keypoints: int) -> None:
        """Note an image with few keypoints that uses a small part of its range."""
        self.faint[name] = n_keypoints

    def tell(self) -> None:
        """Print a line for each kind that there is."""
        if self.paged:
            name, n_pages = next(iter(self.paged.items()))
            others = _others(self.paged)
            note(f"{name}: read the first of {n_pages} pages{others}{self.how_to_page}")
        if self.faint:
            name, n_keypoints = next(iter(self.faint.items()))
            note(
                f"{name}: {counted(n_keypoints, 'keypoint')}; the image uses less than a quarter of its "
                f"range{_others(self.faint)}; try --stretch percentile"
            )


def _others(found: dict[str, int]) -> str:
    return f" (others like it: {len(found) - 1})" if len(found) > 1 else ""
