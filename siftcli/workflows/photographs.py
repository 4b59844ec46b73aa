"""Finding and reading the images that the features of a collection were made from."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..errors import InputError
from ..image import Picture, read_image
from ..image.quiet import quiet_decoders
from ..io.provenance import Provenance
from .convert import is_inside

_PAGE = re.compile(r"(?P<file>.+)\[(?P<page>[1-9]\d*)\]")
_READING = ("stretch", "nodata")
"""Settings of a detection that change how the picture looks."""


class WithProvenance(Protocol):
    """What tells from which files features were made."""

    def provenance(self, name: str, /) -> str | None:
        """What the features of an image were made from; None if it is not recorded."""


@dataclass(frozen=True)
class Photographs:
    """The images of a collection, in a folder or where they were at detection."""

    collection: WithProvenance
    folder: str | None = None
    """Folder that the names of images are relative to."""

    def read(self, name: str) -> Picture:
        """Read an image as it is stored, whatever its EXIF orientation says.

        Raises
        ------
        InputError
            If it is not found, or cannot be read.
        """
        return self.found(name)[0]

    def found(self, name: str, *, is_upright: bool = False) -> tuple[Picture, str, int]:
        """Read an image, as stored or turned as its EXIF orientation says; with its path and its page.

        Raises
        ------
        InputError
            If it is not found, or cannot be read.
        """
        record = Provenance.from_json(self.collection.provenance(name))
        path, page = self._found(name, record)
        settings: dict[str, Any] = {} if record is None else json.loads(record.settings)
        if page is None:
            page = settings["page"] if isinstance(settings.get("page"), int) else 1
        how = {key: settings[key] for key in _READING if key in settings}
        orientation = "apply" if is_upright else "ignore"
        with quiet_decoders():
            return read_image(path, exif_orientation=orientation, page=page - 1, **how), path, page

    def _found(self, name: str, record: Provenance | None) -> tuple[str, int | None]:
        """Path of an image, and its page if the name tells it."""
        paged = _PAGE.fullmatch(name)
        file, page = (paged["file"], int(paged["page"])) if paged else (name, None)
        if self.folder is not None:
            for inside, number in ((name, None), (file, page)):
                if is_inside(inside) and Path(self.folder, inside).is_file():
                    return str(Path(self.folder, inside)), number
            raise _not_found(name, f"of this name in {self.folder}")
        if record is None or not record.image.path:
            raise _not_found(name, "is recorded")
        path = record.image.path
        if not Path(path).is_file():
            raise _not_found(name, f"at {path} any more")
        # The digest shows that whoever made a foreign collection had this very image: a path alone could
        # bring any other of this machine into a page.
        if not record.image.is_still(path, check=True):
            raise _not_found(name, f"at {path} that is as it was at detection")
        return path, None if path.endswith(name) else page


def _not_found(name: str, where: str) -> InputError:
    return InputError(f"{name}: no image {where}; name the folder of images with --images")
