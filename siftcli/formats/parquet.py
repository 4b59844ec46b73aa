"""parquet: a folder with one file per image and one row per keypoint; pyarrow reads it as one table.

A single file would be lost after a kill, because its footer is written last. Metadata and the image name
are in the schema of each file, under ``siftcli``.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import InputError, OutputError
from ..features import DESCRIPTOR_LENGTH, Features
from ..io.writing import write_inside
from ._base import Closing, refuse_replacing, unknown_image
from ._collections import WriteOptions
from ._record import CONVENTION, SCALAR_COLUMNS, FeatureFile, build, metadata, parse_json

IS_FOLDER = True
_KEY = b"siftcli"
_PROVENANCE = b"siftcli_origin"
_SUFFIX = ".parquet"
_PART = re.compile(r"part-[0-9a-f]{32}\.parquet|\.siftcli-[0-9a-f]{16}\.tmp")
_ROW_BYTES = 160
_SMALL_BYTES = 1 << 26
_MOST_COMPRESSION = 100


def open_writer(path: Path, options: WriteOptions) -> ParquetWriter:
    """Open a folder for writing."""
    return ParquetWriter(path, options)


def open_reader(path: Path) -> ParquetReader:
    """Open a folder for reading."""
    return ParquetReader(path)


def file_name(image_name: str) -> str:
    """Name of an image's file: a digest, as the image name may not be a valid file name."""
    digest = hashlib.sha256(image_name.encode("utf-8", "surrogateescape")).hexdigest()
    return f"part-{digest[:32]}{_SUFFIX}"


class ParquetWriter(Closing):
    """Writes one file per image, completely or not at all."""

    def __init__(self, path: Path, options: WriteOptions) -> None:
        self.path, self.overwrite = path, options.overwrite
        if options.overwrite and not options.append and path.is_dir():
            _remove_parts(path)
        path.mkdir(exist_ok=True)

    def has(self, name: str) -> bool:
        """Whether it has the complete features of this image."""
        return (self.path / file_name(name)).exists()

    def n_images(self) -> int:
        """Number of images whose features it has."""
        return sum(1 for _ in self.path.glob(f"*{_SUFFIX}"))

    def settings(self) -> str | None:
        """Settings recorded in one of the files; empty if the folder is empty."""
        file = next(self.path.glob(f"*{_SUFFIX}"), None)
        provenance = "" if file is None else _provenance(file)
        if not provenance:
            return provenance
        found = parse_json(provenance).get("settings")
        return None if found is None else json.dumps(found, sort_keys=True)

    def provenance(self, name: str) -> str | None:
        """What the features of an image were made from; None if it is not recorded."""
        return _provenance(self.path / file_name(name))

    def write(self, name: str, features: Features, provenance: str = "") -> None:
        """Write the features of an image."""
        if self.has(name) and not self.overwrite:
            raise refuse_replacing(self.path, name)
        sink = pa.BufferOutputStream()
        pq.write_table(_table(name, features, provenance), sink)
        write_inside(self.path / file_name(name), sink.getvalue().to_pybytes(), overwrite=True)

    def close(self) -> None:
        """Do nothing: no file is left open."""


class ParquetReader(Closing):
    """Reads a folder that :class:`ParquetWriter` has written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_dir():
            raise InputError(f"{path}: expected a folder of parquet files, got a file; name its folder")
        self._files = {self._name(file): file for file in sorted(path.glob(f"*{_SUFFIX}"))}
        if not self._files:
            raise InputError(f"{path}: expected a folder of parquet files, found none; name another")

    def names(self) -> list[str]:
        """Names of its images, sorted."""
        return sorted(self._files)

    def read(self, name: str) -> FeatureFile:
        """Read the features of an image.

        Raises
        ------
        InputError
            If there are none, or they are damaged.
        """
        if name not in self._files:
            raise unknown_image(self.path, name, self.names())
        path = self._files[name]
        try:
            with pq.ParquetFile(path) as file:
                _check_volume(file.metadata, path.stat().st_size)
                table = file.read()
            content = build(_columns(table), _head(table.schema)["features"], "parquet")
        except InputError as error:
            raise InputError(f"{path}: expected a siftcli parquet file: {error}; write it again") from error
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError) as error:
            raise _damaged(path, error) from error
        return content._replace(features=replace(content.features, image_name=name))

    def stored(self, name: str) -> tuple[int, tuple[int, int]]:
        """Number of the features of an image, and its size as displayed; (0, 0) if that is unknown."""
        path = self._files[name]
        try:
            found = pq.read_metadata(path)
            width, height = _head(found.schema.to_arrow_schema())["features"]["image_size"]
            return int(found.num_rows), (int(width), int(height))
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, InputError) as error:
            raise _damaged(path, error) from error

    def provenance(self, name: str) -> str | None:
        """What the features of an image were made from; None if it is not recorded."""
        return _provenance(self._files[name]) if name in self._files else None

    def close(self) -> None:
        """Do nothing: no file is left open."""

    def _name(self, path: Path) -> str:
        try:
            return str(_head(pq.read_schema(path))["name"])
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, InputError) as error:
            raise _damaged(path, error) from error


def _head(schema: pa.Schema) -> Any:
    return parse_json((schema.metadata or {})[_KEY])


def _provenance(path: Path) -> str | None:
    try:
        return (pq.read_schema(path).metadata or {})[_PROVENANCE].decode("ascii", "replace")  # type: ignore[no-any-return]
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError):
        return None


def _table(name: str, features: Features, provenance: str) -> pa.Table:
    n = len(features)
    # text columns must be UTF-8; the exact name, if it is not UTF-8, is in the schema
    image = pa.array([name.encode("utf-8", "replace").decode()] * n, pa.string())
    columns: dict[str, pa.Array] = {"image": image.dictionary_encode()}
    columns |= {axis: pa.array(features.xy[:, i]) for i, axis in enumerate("xy")}
    columns |= {column: pa.array(getattr(features, column)) for column in SCALAR_COLUMNS}
    values = pa.array(features.descriptors.ravel())
    columns["descriptor"] = pa.FixedSizeListArray.from_arrays(values, DESCRIPTOR_LENGTH)
    head = json.dumps({"name": name, "features": metadata(features)})
    texts = {_KEY: head.encode(), b"convention": CONVENTION.encode()}
    if provenance:
        texts[_PROVENANCE] = provenance.encode("ascii")
    return pa.table(columns).replace_schema_metadata(texts)


def _columns(table: pa.Table) -> dict[str, Any]:
    scalars = {column: table[column].to_numpy() for column in SCALAR_COLUMNS}
    vectors = table["descriptor"].combine_chunks()
    if vectors.null_count or vectors.type != pa.list_(pa.uint8(), DESCRIPTOR_LENGTH):
        raise InputError(f"expected descriptors of {DESCRIPTOR_LENGTH} bytes")
    descriptors = vectors.flatten().to_numpy().reshape(-1, DESCRIPTOR_LENGTH)
    xy = np.column_stack([table["x"].to_numpy(), table["y"].to_numpy()])
    return {"xy": xy, **scalars, "descriptors": descriptors}


def _check_volume(found: Any, n_bytes: int) -> None:
    sizes = [found.row_group(i).total_byte_size for i in range(found.num_row_groups)]
    if max(sum(sizes), found.num_rows * _ROW_BYTES) > max(_SMALL_BYTES, _MOST_COMPRESSION * n_bytes):
        raise InputError(f"it claims {found.num_rows} rows in a file of {n_bytes} bytes")


def _remove_parts(path: Path) -> None:
    """Remove the files of an earlier run; refuse a folder that contains other files."""
    files = list(path.iterdir())
    others = [file.name for file in files if not _PART.fullmatch(file.name) or file.is_dir()]
    if others:
        raise OutputError(f"{path}: expected parquet files of siftcli only, found {others[0]}; name another")
    for file in files:
        file.unlink()


def _damaged(path: Path, error: BaseException) -> InputError:
    reason = " ".join(str(error).split())[:120]
    return InputError(f"{path}: damaged or not a siftcli parquet file ({reason}); write it again")
