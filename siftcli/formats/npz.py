"""npz, the native format: the arrays of ``Features`` by their names, and its metadata.

A zip archive of npy arrays, uncompressed (descriptors hardly shrink) and with a fixed date, so that
equal features give equal bytes. Lists and dictionaries are JSON text.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..errors import InputError
from ..features import Features, array_fields
from ._record import METADATA_KEYS, FeatureFile, build, metadata, parse_json

_AS_JSON = ("params", "removed")
_PROVENANCE = "origin"
_FOREIGN = "keypoints"
"""An array that LightGlue's files have, and siftcli's do not."""
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip
_UNIX = 3
_SMALL_BYTES = 1 << 26
_MAX_PROVENANCE_BYTES = 1 << 16
_MOST_COMPRESSION = 100
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    EOFError,
    OSError,
    RuntimeError,  # zipfile's, for a compression method or an encryption that a flipped byte names
    SyntaxError,
    MemoryError,
    OverflowError,
    TypeError,
)
"""Exceptions raised for damaged files."""


def encode(features: Features, provenance: str = "") -> bytes:
    """Encode features as an npz file, with their ``provenance`` as ASCII text."""
    arrays = {f.name: getattr(features, f.name) for f in array_fields()}
    for name, value in metadata(features).items():
        arrays[name] = np.array(json.dumps(value) if name in _AS_JSON else value)
    if provenance:
        arrays[_PROVENANCE] = np.array(provenance.encode("ascii"))
    return write_arrays(arrays)


def read_provenance(path: Path) -> str | None:
    """What the features of a file were made from; None if it is not recorded, or the file is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(f"{_PROVENANCE}.npy").file_size > _MAX_PROVENANCE_BYTES:
                return None
            value = _member(archive, f"{_PROVENANCE}.npy").tolist()
    except (*_DAMAGE, KeyError):
        return None
    return value.decode("ascii", "replace") if isinstance(value, bytes) else None


def read_head(path: Path) -> tuple[int, tuple[int, int]] | None:
    """Number of the features of a file, and the size of their image; None if it is not so easily known."""
    try:
        with zipfile.ZipFile(path) as archive:
            with archive.open("xy.npy") as stream:
                shape, _ = _header(stream)
            if archive.getinfo("image_size.npy").file_size > _MAX_PROVENANCE_BYTES:
                return None
            width, height = _member(archive, "image_size.npy").tolist()
            return int(shape[0]), (int(width), int(height))
    except (*_DAMAGE, KeyError, IndexError):
        return None


def write_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Encode arrays as an npz file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.create_system = _UNIX  # else it depends on the platform
            entry.external_attr = 0o644 << 16
            member = io.BytesIO()
            npy.write_array(member, np.asanyarray(array), allow_pickle=False)
            archive.writestr(entry, member.getvalue())
    return buffer.getvalue()


def decode(data: bytes) -> FeatureFile:
    """Decode an npz file."""
    arrays = read_arrays(data, [f.name for f in array_fields()] + list(METADATA_KEYS) + [_FOREIGN])
    columns = {f.name: arrays[f.name] for f in array_fields() if f.name in arrays}
    if "xy" not in columns and _FOREIGN in arrays:
        raise InputError("it has the arrays of another program; if they are LightGlue's, name that format")
    meta = {name: _plain(name, arrays[name]) for name in METADATA_KEYS if name in arrays}
    return build(columns, meta, "npz")


def read_arrays(data: bytes, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Decode those of the named arrays that an npz file has.

    Raises
    ------
    InputError
        If it is damaged, or claims more than can be in a file of its size.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_volume(archive, len(data))
            present = set(archive.namelist())
            return {name: _member(archive, f"{name}.npy") for name in names if f"{name}.npy" in present}
    except _DAMAGE as error:
        raise InputError(f"damaged npz ({' '.join(str(error).split())[:100]})") from error


def _check_volume(archive: zipfile.ZipFile, n_bytes: int) -> None:
    total = sum(entry.file_size for entry in archive.infolist())
    if total > max(_SMALL_BYTES, _MOST_COMPRESSION * n_bytes):
        raise ValueError(f"it claims to hold {total} bytes in a file of {n_bytes}")


def _member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Read one array; it is allocated only if its header agrees with the size of its data."""
    data = archive.read(name)
    stream = io.BytesIO(data)
    shape, dtype = _header(stream)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise ValueError(f"{name} does not hold what its header says")
    stream.seek(0)
    return np.asarray(npy.read_array(stream, allow_pickle=False))


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array, from the start of its file."""
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def _plain(name: str, array: NDArray[Any]) -> Any:
    value = array.tolist()
    if name not in _AS_JSON:
        return value
    if not isinstance(value, str):
        raise InputError(f"expected {name} as JSON text")
    return parse_json(value)
