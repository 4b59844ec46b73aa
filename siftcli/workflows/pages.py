"""Pages of image files with several pages, such as stacks and animations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Literal

from ..errors import InputError, ParameterError
from ..image import count_pages
from ..image.quiet import quiet_decoders
from ..io.reading import STANDARD_INPUT
from ..io.work_list import ImageFile
from ..io.writing import is_special

Page = int | Literal["all"]
"""A page number from 1, or ``"all"`` to treat every page as a separate image."""


def at_page(images: Sequence[ImageFile], page: Page) -> list[ImageFile]:
    """Select a page of every file; with ``"all"`` list each page ``N`` as an image ``NAME[N]``.

    Raises
    ------
    ParameterError
        If a file already has the name of such an image.
    """
    if isinstance(page, int):
        return [image._replace(page=page) for image in images]
    found: dict[str, ImageFile] = {}
    for one in chain.from_iterable(map(_pages_of, images)):
        other = found.setdefault(one.name, one)
        if other is not one:
            raise ParameterError(f"{other.label} and {one.label} would both be {one.name}; rename the file")
    return list(found.values())


def _pages_of(image: ImageFile) -> list[ImageFile]:
    n_pages = _n_pages(image)
    if n_pages == 1:
        return [image]
    pages = range(1, n_pages + 1)
    return [image._replace(name=f"{image.name}[{page}]", page=page, is_page=True) for page in pages]


def _n_pages(image: ImageFile) -> int:
    """Number of pages; 1 if the file cannot be read, which is reported when it is processed."""
    if image.path == STANDARD_INPUT or is_special(image.path):
        return 1
    try:
        with quiet_decoders():
            return count_pages(image.path)
    except InputError:
        return 1
