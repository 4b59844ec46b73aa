"""The drawing of saved features in the picture that they were made from."""

from __future__ import annotations

from ..drawing.keypoints import draw_png
from ..errors import InputError
from ..formats import inspect
from ..formats._collections import open_reader
from .collection_info import is_collection
from .feature_pictures import picture_of
from .photographs import Photographs
from .stale import read_stored


def drawn_features(path: str, format: str | None, image: str | None, folder: str | None) -> bytes:
    """Draw the features of a file, or of an image of a collection, as a PNG file.

    Parameters
    ----------
    path, format, image
        As for :func:`siftcli.load`.
    folder
        Folder that the names of images are relative to; when not given, the picture is where it was at
        detection.

    Raises
    ------
    InputError
        If the features or the picture cannot be read, or the picture has another size than they state.
    """
    if not is_collection(path, format):
        features = inspect(path, format, image=image).features
        return draw_png(picture_of(path, features, folder)[1], features)
    with open_reader(path, format) as reader:
        names = reader.names()
        if image is None and len(names) != 1:
            raise InputError(f"{path}: --draw draws one image, of these {len(names)}; name it with --image")
        name = names[0] if image is None else image
        features = read_stored(reader, name)
        picture = Photographs(reader, folder).read(name)
    picture.require_size(features.image_size)
    return draw_png(picture.grey, features)
