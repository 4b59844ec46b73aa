"""Names of files: those that Windows forbids, and those that a system takes for the same.

An image in a collection may have a name that Windows allows no file to have, such as ``a:b.jpg`` or
``con.jpg``. In folders of outputs each character that hinders is then replaced by another of Unicode's
private use area, 0xF000 above it, as Cygwin and WSL do. The name that is read back is the original one.
"""

from __future__ import annotations

import os
import re
import sys

_PRIVATE = 0xF000
_FORBIDDEN = re.compile(r'[\x01-\x1f<>:"|?*\\]|[. ]$')
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(?=\.|$)", re.IGNORECASE)
_MAPPED = re.compile(f"[{chr(_PRIVATE + 1)}-{chr(_PRIVATE + 0x7F)}]")


def file_name(name: str) -> str:
    """The name of a file, relative and with slashes, as this system allows it: only Windows' differ."""
    return _for_windows(name) if sys.platform == "win32" else name


def original_name(name: str) -> str:
    """The name that :func:`file_name` has changed, on Windows, into this one; any other as it is."""
    original = _MAPPED.sub(lambda match: chr(ord(match[0]) - _PRIVATE), name)
    return original if _for_windows(original) == name else name


def same_file_key(name: str) -> str:
    """Equal for names that mean the same file: on Windows and macOS ``A.jpg`` is ``a.jpg``."""
    if sys.platform in ("win32", "darwin"):
        import unicodedata  # late: Linux has no use for it

        return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return name


def names_folder(text: str) -> bool:
    """Whether what a user has typed can only be a folder: it ends with a slash."""
    return text.endswith(tuple(separator for separator in (os.sep, os.altsep) if separator))


def _for_windows(name: str) -> str:
    return "/".join(map(_part_for_windows, name.split("/")))


def _part_for_windows(part: str) -> str:
    if part in ("", ".", ".."):
        return part
    if _DEVICE.match(part):
        part = _moved(part[0]) + part[1:]
    return _FORBIDDEN.sub(lambda match: _moved(match[0]), part)


def _moved(character: str) -> str:
    return chr(_PRIVATE + ord(character))
