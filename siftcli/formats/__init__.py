"""Saving and loading features: a registry, and a module for each format.

The module of a format of one image a file has ``encode(features) -> bytes`` and
``decode(bytes) -> FeatureFile`` (``encode_pair`` and ``decode_pair`` where two files belong
together); that of a collection has ``open_writer`` and ``open_reader``. They are imported when first
used. Units and conventions are converted in these modules and nowhere else. To add one, write
its module and name it in ``FORMATS``.
"""

from __future__ import annotations

import codecs
import os
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING

from ..errors import InputError, OutputError
from ..io.limits import MAX_FILE_BYTES
from ..io.reading import read_bytes
from ..io.writing import check_output, write_inside, write_output
from ._registry import (
    CAMERA_CHOICES,
    CAMERA_MODELS,
    CONTENT,
    DEFAULT_CAMERA,
    DEFAULT_CAMERA_MODEL,
    DEFAULT_FORMAT,
    FAILURES,
    FAILURES_HEADER,
    FORMATS,
    PAIR_FAILURES,
    PAIR_FAILURES_HEADER,
    Format,
    format_of,
    is_feature_name,
)

if TYPE_CHECKING:
    from ..features import Features
    from ._record import FeatureFile

__all__ = [
    "CAMERA_CHOICES",
    "CAMERA_MODELS",
    "CONTENT",
    "DEFAULT_CAMERA",
    "DEFAULT_CAMERA_MODEL",
    "DEFAULT_FORMAT",
    "FAILURES",
    "FAILURES_HEADER",
    "FORMATS",
    "PAIR_FAILURES",
    "PAIR_FAILURES_HEADER",
    "Format",
    "encode",
    "format_of",
    "inspect",
    "is_feature_name",
    "load",
    "save",
    "save_inside",
]


def encode(features: Features, name: str) -> bytes:
    """Encode features as a file of that format.

    Raises
    ------
    OutputError
        If the format is unknown, or is not a single file.
    """
    codec = format_of("", name).codec
    if not hasattr(codec, "encode"):
        raise OutputError(f"{name} is more than one file or holds many images; give it a name with -o")
    return bytes(codec.encode(features))


def save(
    features: Features, path: str | PathLike[str], format: str | None = None, *, overwrite: bool = False
) -> None:
    """Save features to a file, whole or not at all.

    Parameters
    ----------
    features
        What to save.
    path
        The file; its suffix names the format. In a collection (``.h5``, ``.db``, ``.parquet``)
        the features are those of the image ``features.image_name``.
    format
        Name of the format, one of ``FORMATS``; from the suffix when not given.
    overwrite
        Whether an existing file is replaced.

    Raises
    ------
    OutputError
        If the format is unknown, the file exists, or it cannot be written.
    """
    entry = format_of(path, format)
    if entry.is_collection:
        _save_alone(features, path, entry, overwrite=overwrite)
        return
    files = _files(path, entry)
    for file in files:
        check_output(file, overwrite=overwrite)
    for file, data in zip(files, _parts(features, path, entry), strict=True):
        write_output(file, data, overwrite=overwrite)


def save_inside(
    features: Features, path: str | PathLike[str], format: str, *, overwrite: bool = False
) -> None:
    """Save features to a file in a folder that siftcli fills; as :func:`save`, but through no link.

    Raises
    ------
    OutputError
        If the file exists, or cannot be written.
    """
    entry = format_of(path, format)
    files = _files(path, entry)
    if there := [file for file in files if os.path.lexists(file) and not overwrite]:
        raise OutputError(f"{os.fspath(there[0])} exists; pass --overwrite to replace it")
    for file, data in zip(files, _parts(features, path, entry), strict=True):
        write_inside(file, data, overwrite=overwrite)


def _files(path: str | PathLike[str], entry: Format) -> list[str | PathLike[str]]:
    second = entry.companion(path)
    return [path] if second is None else [path, second]


def _parts(features: Features, path: str | PathLike[str], entry: Format) -> list[bytes]:
    """The content of each of the files."""
    if entry.companion(path) is None:
        return [entry.codec.encode(features)]
    return list(entry.codec.encode_pair(features))


def _save_alone(features: Features, path: str | PathLike[str], entry: Format, *, overwrite: bool) -> None:
    """Make a collection of one image."""
    from ._collections import WriteOptions, open_writer

    if not features.image_name:
        raise OutputError(f"{os.fspath(path)}: a collection needs the image's name; set features.image_name")
    options = WriteOptions(images={features.image_name: None}, overwrite=overwrite)
    with open_writer(path, entry.name, options) as writer:
        writer.write(features.image_name, features)


def load(path: str | PathLike[str], format: str | None = None, *, image: str | None = None) -> Features:
    """Load features from a file.

    Parameters
    ----------
    path
        The file; its suffix names the format.
    format
        As for :func:`save`.
    image
        Name of the image, for a collection of more than one.

    Returns
    -------
    Features
        Exactly as saved in siftcli's own formats (npz, csv, json, jsonl, parquet). What another
        format does not carry is 1 (sign), 0 (response, orientation) or reconstructed from the
        scale (octave); an unknown ``image_size`` is (0, 0).

    Raises
    ------
    InputError
        If the file is missing, damaged or of another format, or the image is not in it.
    """
    return inspect(path, format, image=image).features


def inspect(path: str | PathLike[str], format: str | None = None, *, image: str | None = None) -> FeatureFile:
    """Load features and what their file says about itself: format, version, convention.

    Parameters and errors are those of :func:`load`.
    """
    name = os.fspath(path)
    try:
        entry = format_of(path, format)
    except OutputError as error:
        _check_there(name)
        raise InputError(str(error)) from error
    if not entry.can_read:
        raise InputError(f"{name}: {entry.name} files are written only; load the file they were made from")
    if entry.is_collection:
        return _inspect_in_collection(name, entry, image)
    content = _decoded(name, path, entry)
    if image is not None and image not in ("", content.features.image_name):
        content = replace(content, features=replace(content.features, image_name=image))
    return content


def _decoded(name: str, path: str | PathLike[str], entry: Format) -> FeatureFile:
    second = entry.companion(path)
    parts = [_read(name)] if second is None else [_read(name), _read(os.fspath(second))]
    if not entry.is_binary:
        parts = [part.removeprefix(codecs.BOM_UTF8) for part in parts]
    try:
        content: FeatureFile = (
            entry.codec.decode(*parts) if second is None else entry.codec.decode_pair(*parts)
        )
    except MemoryError as error:
        raise InputError(f"{name}: not enough memory to read it; split it, or add memory") from error
    except InputError as error:
        made = "siftcli " if not entry.lacks else ""
        raise InputError(
            f"{name}: expected a {made}{entry.name} file: {error}; write it again with siftcli detect"
        ) from error
    return content


def _inspect_in_collection(name: str, entry: Format, image: str | None) -> FeatureFile:
    from ._collections import open_reader

    with open_reader(name, entry.name) as reader:
        if image is not None:
            return reader.read(image)
        names = reader.names()
        if len(names) != 1:
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise InputError(f"{name} holds {len(names)} images; name one of them: {shown}")
        return reader.read(names[0])


def _check_there(name: str) -> None:
    """Say that a file is missing before its suffix is complained of."""
    _read(name)


def _read(name: str) -> bytes:
    try:
        return read_bytes(name, MAX_FILE_BYTES)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise InputError(f"{name}: expected a feature file, got a folder; name a file in it") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{name}: cannot be read ({reason}); check the path and its permissions") from error
