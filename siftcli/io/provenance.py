"""Provenance: what an image's features were made from, stored with them so that a batch can resume.

The features of every image are written together with the settings of the run and with the path, size,
modification time and digest of the image and its mask. There is no separate journal that could
disagree with the outputs.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any, NamedTuple, Self

from ..params import SIFT_OPTIONS, SiftParams
from ..presets import PRESETS
from .reading import absolute

DIGEST_BYTES = 16
_READING_OPTIONS = ("exif_orientation", "max_image_size", "stretch", "nodata", "page")


class FileState(NamedTuple):
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


class Provenance(NamedTuple):
    """What the features of an image were made from."""

    settings: str
    """JSON text from :func:`settings_text`."""
    image: FileState
    mask: FileState | None = None

    def to_json(self) -> str:
        """Encode it as one line of ASCII."""
        files = {"image": self.image._asdict(), "mask": self.mask and self.mask._asdict()}
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
    """Name the first few settings that differ, with both values, as options where they are options."""
    (a, preset_a), (b, preset_b) = (_flat(json.loads(text)) for text in (found, wanted))
    changed: list[tuple[str, Any, Any]] = []
    if preset_a != preset_b:
        changed.append(("preset", preset_a, preset_b))
    of_a, of_b = (_preset_values(preset) for preset in (preset_a, preset_b))
    for name in sorted(a.keys() | b.keys()):
        was, now = a.get(name), b.get(name)
        if was != now and (was, now) != (of_a.get(name), of_b.get(name)):
            changed.append((name, was, now))
    shown = [f"{_name(name)} was {_value(was)}, is now {_value(now)}" for name, was, now in changed[:3]]
    return "; ".join(shown) + (f"; and {len(changed) - 3} more" if len(changed) > 3 else "")


def _flat(settings: Any) -> tuple[dict[str, Any], str]:
    """Settings by their names, with the parameters beside the others; and the preset nearest to these."""
    rest = dict(settings)
    params = rest.pop("params", {})

    def n_others(preset: str) -> int:
        values = _preset_values(preset)
        return sum(values.get(name) != value for name, value in params.items())

    return {**params, **rest}, min(PRESETS, key=n_others) if params else ""


def _preset_values(preset: str) -> dict[str, Any]:
    return SiftParams.preset(preset).to_dict() if preset else {}


def _name(setting: str) -> str:
    """A setting as people know it: as an option, if it has one."""
    has_option = setting in (*SIFT_OPTIONS, *_READING_OPTIONS, "preset")
    return f"--{setting.replace('_', '-')}" if has_option else setting


def _value(value: object) -> str:
    if value is None or value == "":
        return "not given"
    return ("off", "on")[value] if isinstance(value, bool) else str(value)


def file_digest(path: str | Path) -> str:
    """Digest of a file's content, in hexadecimal.

    Raises
    ------
    OSError
        If it cannot be read, or is a pipe or device.
    """
    if not Path(path).is_file():
        raise OSError(errno.EINVAL, "no regular file", os.fspath(path))
    import hashlib  # late: it takes 2 ms, and a single file records nothing

    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).hexdigest()
