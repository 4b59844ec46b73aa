"""What is told of pictures once a run, on standard error: pages that were not taken, faint pictures."""

from __future__ import annotations

from ._output import note


class Hints:
    """Collects what there is to tell of images, and tells it in a line for each kind."""

    def __init__(self, *, has_page_option: bool = True) -> None:
        self.how_to_page = "; --page takes another" if has_page_option else ""
        self.paged: dict[str, int] = {}
        """Pages of the files of which the first was taken."""
        self.faint: dict[str, int] = {}
        """Keypoints found in faint pictures."""

    def add_pages(self, name: str, n_pages: int) -> None:
        """Note a file whose first page was taken unasked."""
        if n_pages > 1:
            self.paged[name] = n_pages

    def add_faint(self, name: str, n_keypoints: int) -> None:
        """Note a picture of few keypoints that uses a small part of its range."""
        self.faint[name] = n_keypoints

    def tell(self) -> None:
        """Print a line for each kind that there is."""
        if self.paged:
            name, n_pages = next(iter(self.paged.items()))
            others = _others(self.paged)
            note(f"{name}: the first of its {n_pages} pages was taken{others}{self.how_to_page}")
        if self.faint:
            name, n_keypoints = next(iter(self.faint.items()))
            note(
                f"{name}: {n_keypoints} keypoints in a picture that uses under a quarter of its "
                f"range{_others(self.faint)}; try --stretch percentile"
            )


def _others(found: dict[str, int]) -> str:
    return f" (others like it: {len(found) - 1})" if len(found) > 1 else ""
