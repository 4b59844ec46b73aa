"""Finding the mask of each image: one mask for all images, or a folder of masks found by name.

In a folder the mask of ``sub/a.jpg`` is ``sub/a.jpg.png``, ``sub/a.jpg.mask.png``, ``sub/a.png`` or
``sub/a.mask.png``. It is an error if two of these exist, or if one mask fits two images.
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
"""Image name to mask; None for an image without a mask."""


def find_masks(images: Sequence[ImageFile], mask: str, *, is_optional: bool) -> tuple[list[ImageFile], Masks]:
    """Find the mask of each image.

    Parameters
    ----------
    images
        The images. Those that are masks themselves are removed from the result.
    mask
        A mask for all images, or a folder of masks.
    is_optional
        Whether images may lack a mask in the folder. Otherwise such an image is assigned the missing
        file ``NAME.png``, and fails when that is read.

    Returns
    -------
    images, masks
        The images without those that are masks, and the mask of each.

    Raises
    ------
    ParameterError
        If an image has two masks, two images share one, or the mask does not exist.
    InputError
        If all images are masks.
    """
    path = Path(mask)
    if not path.is_dir():
        return _one_for_all(images, path)
    kept = _without_masks(images, path)
    if not kept:
        raise InputError(f"{mask}: every image is a mask in this folder; give the images they belong to")
    found = {image.name: _chosen(path, image, is_optional) for image in kept}
    _check_shared(kept, found)
    return kept, found


def _one_for_all(images: Sequence[ImageFile], mask: Path) -> tuple[list[ImageFile], Masks]:
    if len(images) > 1 and not os.path.lexists(mask):
        raise ParameterError(f"{mask}: no such mask or folder of masks; check the path")
    kept = [image for image in images if len(images) == 1 or _real(image.path) != _real(mask)]
    return kept, {image.name: mask for image in kept}


def _candidates(folder: Path, image: ImageFile) -> list[list[Path]]:
    """Possible masks of an image in groups: those of a page come before those of its file."""
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
    """Check that no mask fits two files: ``a.png`` fits both ``a.jpg`` and ``a.tif``."""
    owners: dict[Path, ImageFile] = {}
    for image in images:
        mask = masks[image.name]
        if mask is None:
            continue
        other = owners.setdefault(mask, image)
        if other.path != image.path:
            raise ParameterError(
                f"{mask} could mask {other.path} and {image.path}; rename the masks to "
                f"{Path(other.path).name}.png and {Path(image.path).name}.png"
            )


def _without_masks(images: Sequence[ImageFile], folder: Path) -> list[ImageFile]:
    """Remove masks from the list of images.

    If the folder of masks is inside that of the images, every file in it is a mask. Elsewhere a file is
    a mask if its name is that of another image's mask.
    """
    folder = _real(folder)
    pairs = ((image, path) for image in images for path in chain(*_candidates(folder, image)))
    masks = {_real(path) for image, path in pairs if path.exists() and _real(path) != _real(image.path)}
    if _real(_root(images[0])) in folder.parents:
        masks |= {path for image in images if folder in (path := _real(image.path)).parents}
    return [image for image in images if _real(image.path) not in masks]


def _root(image: ImageFile) -> Path:
    """The folder to which the image's name is relative."""
    return Path(os.path.abspath(image.path)).parents[len(Path(image.name).parts) - 1]  # noqa: PTH100


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))
