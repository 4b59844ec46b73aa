"""Reading a folder of feature files, one per image, as a collection."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..system.names import original_name
from ._base import Closing, unknown_image
from ._record import FeatureFile
from ._registry import FAILURES, FAILURES_HEADER, FORMATS, PAIR_FAILURES, PAIR_FAILURES_HEADER, Format
from .npz import read_head, read_provenance

_LISTS = {FAILURES: FAILURES_HEADER, PAIR_FAILURES: PAIR_FAILURES_HEADER}


def _is_list_of_failures(path: Path) -> bool:
    header = ",".join(_LISTS.get(path.name, ("no list",))).encode() + b"\n"
    try:
        return path.is_file() and path.open("rb").read(len(header)) == header
    except OSError:
        return False


class FolderReader(Closing):
    """Reads ``<image name><suffix>`` below a folder; the name of an image is relative to it.

    Raises
    ------
    InputError
        If there is no feature file, or an image has two.
    """

    def __init__(self, path: Path, entry: Format | None) -> None:
        self.path, self.entry = path, entry
        entries = [entry] if entry else [e for e in FORMATS.values() if e.can_read and not e.is_collection]
        by_suffix = {s: e for e in entries for s in (e.suffixes or (e.file_suffix,)) if e.suffixes or entry}
        self._files: dict[str, tuple[Path, Format]] = {}
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for file in sorted(files):
                found = by_suffix.get(Path(file).suffix.lower())
                is_ours = _is_list_of_failures(Path(folder) / file)
                if found is not None and not file.startswith(".") and not is_ours:
                    self._add(Path(folder) / file, found)
        if not self._files:
            raise InputError(f"{path}: expected a folder with feature files, found none; name another folder")

    def _add(self, file: Path, entry: Format) -> None:
        name = original_name(file.relative_to(self.path).with_suffix("").as_posix())
        if name in self._files:
            raise InputError(
                f"{self.path}: {name} has several feature files; name the format of those to read"
            )
        self._files[name] = file, entry

    def names(self) -> list[str]:
        """Names of its images, sorted."""
        return sorted(self._files)

    def read(self, name: str) -> FeatureFile:
        """Read the features of an image."""
        from . import inspect

        if name not in self._files:
            raise unknown_image(self.path, name, self.names())
        file, entry = self._files[name]
        content = inspect(file, entry.name)
        return content._replace(features=replace(content.features, image_name=name))

    def stored(self, name: str) -> tuple[int, tuple[int, int]]:
        """Number of the features of an image, and its size as displayed; (0, 0) if that is unknown."""
        file, entry = self._files[name]
        found = read_head(file) if entry is FORMATS["npz"] else None
        if found is None:
            features = self.read(name).features
            found = len(features), features.image_size
        return found

    def provenance(self, name: str) -> str | None:
        """What the features of an image were made from; None if it is not recorded."""
        file, entry = self._files.get(name, (self.path, None))
        return read_provenance(file) if entry is FORMATS["npz"] else None

    def close(self) -> None:
        """Do nothing: no file is left open."""
