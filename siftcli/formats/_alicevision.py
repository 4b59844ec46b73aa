"""AliceVision's names of feature files: ``<view id>.sift.feat`` and ``.desc``.

The ids are those of the views of an ``.sfm`` file; AliceVision needs the files of every view. Their
content is that of openmvg: by default its descriptors are RootSIFT times 512, in VLFeat's order, as
siftcli's are.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from os import PathLike
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ..errors import InputError
from ..io.limits import MAX_FILE_BYTES
from ..io.reading import read_bytes
from ._record import parse_json

_SUFFIX = ".sift.feat"
_MAX_ID = 2**32 - 2
"""View ids have 32 bits; the largest value means "none"."""
_SHOWN = 3


class Views:
    """The views of an ``.sfm`` file: an id for each image.

    Raises
    ------
    InputError
        If it cannot be read, or is not JSON with views that have a unique id and a path.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        folder = Path(os.path.abspath(path)).parent  # noqa: PTH100  Path.absolute leaves ".."
        self.images: dict[str, str] = {}
        """View id to the absolute path of its image."""
        for view_id, image in _views(path):
            if view_id in self.images:
                raise InputError(f"{path}: expected each view once, got {view_id} twice; export it again")
            self.images[view_id] = os.path.normpath(folder / _posix(image))

    def file_name(self, name: str, file: str | None) -> str:
        """Name of an image's ``.feat`` file.

        Parameters
        ----------
        name
            Name of the image. A view matches if its path ends in it, with or without the image's suffix.
        file
            Path of the image, if known; a view with exactly this path is preferred.

        Raises
        ------
        InputError
            If no view matches, or several do.
        """
        path = None if file is None else os.path.abspath(file)  # noqa: PTH100
        found = [view for view in self._by_name.get(_last(name), ()) if self.images[view] == path]
        if not found:
            found = [view for view in self._by_name.get(_last(name), ()) if _fits(self.images[view], name)]
        if not found:
            raise InputError(f"{self.path} has no view of this image: none whose path ends in {name!r}")
        if len(found) > 1:
            shown = ", ".join(found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
            raise InputError(
                f"{self.path} has {len(found)} views that may be of this image ({shown}); "
                "give the folder of images, so that whole paths are compared"
            )
        return f"{found[0]}{_SUFFIX}"

    def check_distinct(self, files: Mapping[str, str | None]) -> None:
        """Check that no two images, given as name to path, match the same view.

        Raises
        ------
        InputError
            If two are.
        """
        taken: dict[str, str] = {}
        for name, file in files.items():
            try:
                target = self.file_name(name, file)
            except InputError:  # reported when it is written
                continue
            if target in taken:
                raise InputError(
                    f"{self.path}: {taken[target]} and {name} would both be {target}; rename one"
                )
            taken[target] = name

    def image_names(self, stems: Iterable[str], folder: str | None) -> dict[str, str]:
        """Names of the images of feature files, relative to ``folder`` if it contains them.

        Otherwise they are relative to the folder that the images of all views share.

        Raises
        ------
        InputError
            If a file matches no view, or two match the same.
        """
        names: dict[str, str] = {}
        for stem in stems:
            image = self.images.get(stem.split(".")[0])
            if image is None:
                raise InputError(f"{self.path} has no view {stem.split('.')[0]!r}, but there is {stem}.feat")
            names[stem] = _relative(image, self._inside(folder), self._common)
        if len(set(names.values())) < len(names):
            raise InputError(f"{self.path}: some images have several feature files; leave one describer")
        return names

    @cached_property
    def _common(self) -> str:
        return posixpath.commonpath([posixpath.dirname(image) for image in self.images.values()])

    def _inside(self, folder: str | None) -> str:
        return self._common if folder is None else _posix(os.path.abspath(folder))  # noqa: PTH100

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """Views by the file name of their image, with and without its suffix."""
        views: dict[str, list[str]] = defaultdict(list)
        for view, image in self.images.items():
            for last in {PurePosixPath(image).name, PurePosixPath(image).stem}:
                views[last].append(view)
        return views


def _views(path: str) -> Iterable[tuple[str, str]]:
    """View ids and paths of images."""
    try:
        content = parse_json(_read(path))
    except (InputError, MemoryError) as error:
        raise InputError(f"{path}: expected an .sfm file of AliceVision: {error or 'too large'}") from error
    views = content.get("views") if isinstance(content, dict) else None
    if not isinstance(views, list) or not views:
        raise InputError(f"{path}: expected an .sfm file of AliceVision with views, found none; give another")
    for view in views:
        view_id, image = (view.get("viewId"), view.get("path")) if isinstance(view, dict) else (None, None)
        if not _is_id(view_id) or not isinstance(image, str) or not image or "\0" in image:
            raise InputError(f"{path}: expected a viewId and a path in each view; export it again")
        yield str(view_id), image


def _read(path: str | PathLike[str]) -> bytes:
    try:
        return read_bytes(path, MAX_FILE_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"it cannot be read ({reason})") from error


def _is_id(value: Any) -> bool:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return re.fullmatch("0|[1-9][0-9]{0,9}", text) is not None and int(text) <= _MAX_ID


def _posix(path: str) -> str:
    """Convert a Windows path to forward slashes."""
    return PureWindowsPath(path).as_posix() if re.match(r"[A-Za-z]:[\\/]|\\\\", path) else path


def _last(name: str) -> str:
    return PurePosixPath(name).name


def _fits(image: str, name: str) -> bool:
    """Whether a path ends in a name, which may lack the image's suffix."""
    path, wanted = PurePosixPath(image), PurePosixPath(posixpath.normpath(name)).parts
    return wanted in (path.parts[-len(wanted) :], path.with_suffix("").parts[-len(wanted) :])


def _relative(image: str, folder: str, other: str) -> str:
    """Return a path relative to ``folder`` if it is inside, else to ``other``."""
    path = PurePosixPath(image)
    return str(path.relative_to(folder if path.is_relative_to(folder) else other))
