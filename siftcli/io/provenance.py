"""Provenance: what an image's features were made from, stored with them so that a batch can resume.

The features of every image are written together with the settings of the run and with the path, size,
modification time and digest of the image and its mask. There is no separate journal that could
disagree with the outputs.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from .reading import absolute

DIGEST_BYTES = 16


@dataclass(frozen=True)
class FileState:
    """The state of a file at the time it was read."""

    size: int
    """In bytes."""
    mtime_ns: int
    digest: str
    path: str = ""
    """Absolute path; empty if it was not recorded."""

    @classmethod
    def of(cls, path: str | Path) -> Self:
        """Record the present state of a file.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        found = Path(path).stat()
        return cls(found.st_size, found.st_mtime_ns, file_digest(path), str(absolute(path)))

    def is_at(self, path: str | Path) -> bool:
        """Whether this is the path of the file. Symbolic links are not followed."""
        return self.path == str(absolute(path))

    def is_still(self, path: str | Path, *, check: bool) -> bool:
        """Whether the file at this path has the same content.

        At the recorded path an equal size and modification time suffice, unless ``check`` is true;
        otherwise the digests are compared.
        """
        try:
            found = Path(path).stat()
            is_untouched = (found.st_size, found.st_mtime_ns) == (self.size, self.mtime_ns)
            if is_untouched and self.is_at(path) and not check:
                return True
            return found.st_size == self.size and file_digest(path) == self.digest
        except OSError:
            return False  # the reason is reported when it is read


@dataclass(frozen=True)
class Provenance:
    """What the features of an image were made from."""

    settings: str
    """JSON text from :func:`settings_text`."""
    image: FileState
    mask: FileState | None = None

    def to_json(self) -> str:
        """Encode it as one line of ASCII."""
        files = {"image": self.image.__dict__, "mask": self.mask and self.mask.__dict__}
        return json.dumps({"settings": json.loads(self.settings), **files}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> Self | None:
        """Decode it; None if there is no text, or it is not a provenance."""
        try:
            found = json.loads(text or "null")
            mask = None if found["mask"] is None else FileState(**found["mask"])
            return cls(json.dumps(found["settings"], sort_keys=True), FileState(**found["image"]), mask)
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def has_mask(self, mask: Path | None, *, check: bool) -> bool:
        """Whether the mask is the same as recorded; None stands for no mask."""
        if mask is None or self.mask is None:
            return mask is None and self.mask is None
        return self.mask.is_still(mask, check=check)


def settings_text(settings: dict[str, Any]) -> str:
    """Encode settings as JSON: equal settings give equal text."""
    return json.dumps(settings, sort_keys=True)


def differing(found: str, wanted: str) -> str:
    """Name the first few settings that differ, with both values."""
    a, b = (_flat(json.loads(text)) for text in (found, wanted))
    names = sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))
    shown = [f"{name} was {a.get(name)}, is now {b.get(name)}" for name in names[:3]]
    return "; ".join(shown) + (" ..." if len(names) > 3 else "")


def _flat(settings: Any) -> dict[str, Any]:
    """Settings by their names, with the parameters on the same level as the others."""
    rest = dict(settings)
    return {**rest.pop("params", {}), **rest}


def file_digest(path: str | Path) -> str:
    """Digest of a file's content, in hexadecimal.

    Raises
    ------
    OSError
        If it cannot be read, or is a pipe or device.
    """
    if not Path(path).is_file():
        raise OSError(errno.EINVAL, "no regular file", os.fspath(path))
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).hexdigest()
