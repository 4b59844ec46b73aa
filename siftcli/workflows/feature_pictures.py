"""The picture that a feature file was made from: in a folder, or where it was at detection."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..features import Features
from ..formats.npz import read_provenance
from ..image.picture import Picture
from .photographs import Photographs


@dataclass(frozen=True)
class PicturePlace:
    """Where the picture of features is, and how it was read."""

    path: str
    page: int = 1
    is_upright: bool = True
    """Whether its EXIF orientation was applied."""


@dataclass(frozen=True)
class _OneFile:
    """A feature file as a collection of one image."""

    path: str

    def provenance(self, _name: str) -> str | None:
        """What the features were made from; only npz files record it."""
        return read_provenance(Path(self.path)) if self.path.lower().endswith(".npz") else None


def picture_of(file: str, features: Features, folder: str | None) -> tuple[PicturePlace, NDArray[np.float32]]:
    """Find and read the picture of a feature file.

    Parameters
    ----------
    file
        The feature file.
    features
        Its features.
    folder
        Folder that the names of images are relative to; when not given, the picture is where it was at
        detection, if the file tells.

    Returns
    -------
    place, grey
        Where it is, and its grey values (H, W) in [0, 1] in the frame of the features.

    Raises
    ------
    InputError
        If it is not found, cannot be read, or has another size than the features state.
    """
    photographs = Photographs(_OneFile(file), folder)
    # Features of formats that keep the stored frame, and those of pictures without a tag, have 1.
    is_upright = features.exif_orientation != 1
    picture, path, page = _read(photographs, file, features, is_upright)
    if features.image_size != (0, 0):
        picture.require_size(features.image_size)
    return PicturePlace(path, page, is_upright), picture.grey


def _read(
    photographs: Photographs, file: str, features: Features, is_upright: bool
) -> tuple[Picture, str, int]:
    names = [name for name in (features.image_name, Path(file).stem) if name]
    for name in names[:-1]:
        with suppress(InputError):
            return photographs.found(name, is_upright=is_upright)
    try:
        return photographs.found(names[-1], is_upright=is_upright)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
