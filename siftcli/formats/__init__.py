"""Saving and loading features: a registry, and a module for each format.

A format's module has ``encode(features) -> bytes`` and ``decode(bytes) -> FeatureFile``
and is imported when it is first used. Units and conventions are converted in these
modules and nowhere else. To add one, write its module and name it in ``FORMATS``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, OutputError
from ._write import check_output, is_special, write_output

if TYPE_CHECKING:
    from ..features import Features
    from ._record import FeatureFile

__all__ = [
    "DEFAULT_FORMAT",
    "FORMATS",
    "Format",
    "check_output",
    "encode",
    "format_of",
    "inspect",
    "is_special",
    "load",
    "save",
    "write_output",
]

MAX_FILE_BYTES = 1 << 32
"""Largest feature file that is read: some 25 million features."""


@dataclass(frozen=True)
class Format:
    """One file format."""

    name: str
    suffixes: tuple[str, ...]
    module: str
    """Module of this package that encodes and decodes it."""
    is_binary: bool
    can_read: bool = True

    @property
    def codec(self) -> Any:
        """The format's module, imported now."""
        return import_module(f".{self.module}", __name__)


DEFAULT_FORMAT = "npz"
FORMATS = {
    entry.name: entry
    for entry in (
        Format("npz", (".npz",), "npz", is_binary=True),
        Format("csv", (".csv",), "text_csv", is_binary=False),
        Format("json", (".json",), "text_json", is_binary=False),
    )
}


def format_of(path: str | PathLike[str], name: str | None = None) -> Format:
    """Find the format of that name, or else of the path's suffix.

    Raises
    ------
    OutputError
        If the name is unknown, or there is none and the suffix is unknown.
    """
    known = ", ".join(FORMATS)
    if name is not None:
        if name not in FORMATS:
            raise OutputError(f"unknown format {name!r}; expected one of {known}")
        return FORMATS[name]
    suffix = Path(path).suffix.lower()
    for entry in FORMATS.values():
        if suffix in entry.suffixes:
            return entry
    suffixes = ", ".join(s for entry in FORMATS.values() for s in entry.suffixes)
    raise OutputError(
        f"{os.fspath(path)}: expected a suffix of {suffixes}, got {suffix!r}; "
        f"use one of them or name the format ({known})"
    )


def encode(features: Features, name: str) -> bytes:
    """Encode features as a file of that format."""
    return bytes(format_of("", name).codec.encode(features))


def save(
    features: Features, path: str | PathLike[str], format: str | None = None, *, overwrite: bool = False
) -> None:
    """Save features to a file, whole or not at all.

    Parameters
    ----------
    features
        What to save.
    path
        The file; its suffix names the format.
    format
        ``"npz"``, ``"csv"`` or ``"json"``; from the suffix when not given.
    overwrite
        Whether an existing file is replaced.

    Raises
    ------
    OutputError
        If the format is unknown, the file exists, or it cannot be written.
    """
    entry = format_of(path, format)
    check_output(path, overwrite=overwrite)
    write_output(path, encode(features, entry.name), overwrite=overwrite)


def load(path: str | PathLike[str], format: str | None = None) -> Features:
    """Load features that :func:`save` has written.

    Parameters
    ----------
    path
        The file; its suffix names the format.
    format
        As for :func:`save`.

    Returns
    -------
    Features
        Exactly as saved.

    Raises
    ------
    InputError
        If the file is missing, damaged or of another format.
    """
    return inspect(path, format).features


def inspect(path: str | PathLike[str], format: str | None = None) -> FeatureFile:
    """Load features and what their file says about itself: format, version, convention.

    Parameters and errors are those of :func:`load`.
    """
    name = os.fspath(path)
    data = _read(name)
    try:
        entry = format_of(path, format)
    except OutputError as error:
        raise InputError(str(error)) from error
    try:
        content: FeatureFile = entry.codec.decode(data)
    except InputError as error:
        raise InputError(
            f"{name}: expected a siftcli {entry.name} file: {error}; write it again with siftcli detect"
        ) from error
    return content


def _read(name: str) -> bytes:
    try:
        path = Path(name)
        if path.is_file() and path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{name}: expected a feature file of at most {MAX_FILE_BYTES >> 30} GiB")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise InputError(f"{name}: expected a feature file, got a folder; name a file in it") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{name}: cannot be read ({reason}); check the path and its permissions") from error
