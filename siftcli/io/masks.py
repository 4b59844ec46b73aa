"""Which mask belongs to which image: one for all, or a folder of them, by name.

In a folder the mask of ``sub/a.jpg`` is ``sub/a.jpg.png``, ``sub/a.jpg.mask.png``, ``sub/a.png`` or
``sub/a.mask.png``. Where two of these exist, or one would serve two images, nothing is guessed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from ..errors import InputError, ParameterError
from .work_list import ImageFile

_TAILS = (".png", ".mask.png")

Masks = dict[str, Path | None]
"""Masks by the names of their images."""


def find_masks(images: Sequence[ImageFile], mask: str, *, is_optional: bool) -> tuple[list[ImageFile], Masks]:
    """Find the mask of each image.

    Parameters
    ----------
    images
        The images; those that are masks themselves are dropped.
    mask
        A mask for all of them, or a folder of masks.
    is_optional
        Whether an image may have no mask in the folder; otherwise it gets ``NAME.png``, and
        fails when that is read.

    Raises
    ------
    ParameterError
        If an image has two masks, two images share one, or there is no such file or folder.
    InputError
        If there is no image besides masks.
    """
    path = Path(mask)
    if not path.is_dir():
        return _one_for_all(images, path)
    kept = _without_masks(images, path)
    if not kept:
        raise InputError(f"{mask}: every image is a mask of this folder; name the images it belongs to")
    found = {image.name: _chosen(path, image, is_optional) for image in kept}
    _check_shared(kept, found)
    return kept, found


def _one_for_all(images: Sequence[ImageFile], mask: Path) -> tuple[list[ImageFile], Masks]:
    if len(images) > 1 and not os.path.lexists(mask):
        raise ParameterError(f"{mask}: no such mask or folder of masks; check the path")
    kept = [image for image in images if len(images) == 1 or _real(image.path) != _real(mask)]
    return kept, {image.name: mask for image in kept}


def _candidates(folder: Path, image: ImageFile) -> list[list[Path]]:
    """Names that the mask of an image can have; a page of a stack has its own, or else that of the file."""
    name = image.name.removesuffix(f"[{image.page}]") if image.is_page else image.name
    stem = str(Path(name).with_suffix(""))
    groups = [[image.name]] if image.is_page else []
    groups.append(list(dict.fromkeys([name, stem])))
    return [[folder / (name + tail) for name in group for tail in _TAILS] for group in groups]


def _chosen(folder: Path, image: ImageFile, is_optional: bool) -> Path | None:
    own = _real(image.path)
    groups = _candidates(folder, image)
    for group in groups:
        found = [path for path in group if path.exists() and _real(path) != own]
        if len(found) > 1:
            raise ParameterError(
                f"{image.label} has two masks, {found[0]} and {found[1]}; remove or rename one of them"
            )
        if found:
            return found[0]
    return None if is_optional else groups[-1][0]


def _check_shared(images: Sequence[ImageFile], masks: Masks) -> None:
    """A mask that is named by the stem fits ``a.jpg`` and ``a.tif``, which need not be the same picture."""
    owners: dict[Path, ImageFile] = {}
    for image in images:
        mask = masks[image.name]
        if mask is None:
            continue
        other = owners.setdefault(mask, image)
        if other.path != image.path:
            raise ParameterError(
                f"{mask} could mask {other.path} and {image.path}; name the masks "
                f"{Path(other.path).name}.png and {Path(image.path).name}.png"
            )


def _without_masks(images: Sequence[ImageFile], folder: Path) -> list[ImageFile]:
    """The images without masks that were found among them.

    Where the folder of masks lies below that of the images, all in it are masks; elsewhere those that
    bear the name of another image's mask.
    """
    folder = _real(folder)
    pairs = ((image, path) for image in images for path in chain(*_candidates(folder, image)))
    masks = {_real(path) for image, path in pairs if path.exists() and _real(path) != _real(image.path)}
    if _real(_root(images[0])) in folder.parents:
        masks |= {path for image in images if folder in (path := _real(image.path)).parents}
    return [image for image in images if _real(image.path) not in masks]


def _root(image: ImageFile) -> Path:
    """The folder that the image's name is relative to."""
    return Path(os.path.abspath(image.path)).parents[len(Path(image.name).parts) - 1]  # noqa: PTH100


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))
