"""Where features come from: what is written beside them, so that a batch can be taken up again.

The outputs are their own journal: every image's features carry the settings they were made with and
the path, size, time and digest of the files they were made from, in the same write. Nothing kept
elsewhere can disagree with them.
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
class Source:
    """A file that was read, as it was then."""

    size: int
    mtime_ns: int
    digest: str
    path: str = ""
    """Absolute; empty where it was not recorded."""

    @classmethod
    def of(cls, path: str | Path) -> Self:
        """Look at a file.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        found = Path(path).stat()
        return cls(found.st_size, found.st_mtime_ns, file_digest(path), str(absolute(path)))

    def is_at(self, path: str | Path) -> bool:
        """Whether the path is that of the file; links are not followed, as their names are the user's."""
        return self.path == str(absolute(path))

    def is_still(self, path: str | Path, *, check: bool) -> bool:
        """Whether the content is the same: at its own path by size and time, elsewhere by digest.

        With ``check`` by digest always.
        """
        try:
            found = Path(path).stat()
            is_untouched = (found.st_size, found.st_mtime_ns) == (self.size, self.mtime_ns)
            if is_untouched and self.is_at(path) and not check:
                return True
            return found.st_size == self.size and file_digest(path) == self.digest
        except OSError:
            return False  # the reason is told when it is read


@dataclass(frozen=True)
class Origin:
    """What an image's features were made with and from."""

    settings: str
    """JSON, as of :func:`settings_text`."""
    image: Source
    mask: Source | None = None

    def to_json(self) -> str:
        """Write it as one line of ASCII."""
        sources = {"image": self.image.__dict__, "mask": self.mask and self.mask.__dict__}
        return json.dumps({"settings": json.loads(self.settings), **sources}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> Self | None:
        """Read it; None where there is none, or something else."""
        try:
            found = json.loads(text or "null")
            mask = None if found["mask"] is None else Source(**found["mask"])
            return cls(json.dumps(found["settings"], sort_keys=True), Source(**found["image"]), mask)
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def has_mask(self, mask: Path | None, *, check: bool) -> bool:
        """Whether the mask, or that there is none, is what it was."""
        if mask is None or self.mask is None:
            return mask is None and self.mask is None
        return self.mask.is_still(mask, check=check)


def settings_text(settings: dict[str, Any]) -> str:
    """Settings as JSON, the same text for the same settings."""
    return json.dumps(settings, sort_keys=True)


def differing(found: str, wanted: str) -> str:
    """Name the settings that differ, with both values of the first few."""
    a, b = (_flat(json.loads(text)) for text in (found, wanted))
    names = sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))
    told = [f"{name} {a.get(name)} there, {b.get(name)} now" for name in names[:3]]
    return "; ".join(told) + (" ..." if len(names) > 3 else "")


def _flat(settings: Any) -> dict[str, Any]:
    """The parameters beside the other settings, by their names."""
    rest = dict(settings)
    return {**rest.pop("params", {}), **rest}


def file_digest(path: str | Path) -> str:
    """A digest of a file's bytes.

    Raises
    ------
    OSError
        If it cannot be read, or is a pipe or device, which may never end.
    """
    if not Path(path).is_file():
        raise OSError(errno.EINVAL, "no regular file", os.fspath(path))
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).hexdigest()
