"""What a file of the matches of two images holds: the result that ``siftcli match`` wrote with them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..formats._record import parse_json
from ..formats.npz import read_arrays
from ..io.limits import MAX_FILE_BYTES
from ..io.reading import read_bytes, text_of
from .summary import SCHEMA

_CSV_START = b"row_a,row_b,"
_JSON_START = b'{"schema": '
_NPZ_COLUMN = "row_a"


def describe_matches(path: str, format: str | None = None) -> dict[str, Any] | None:
    """Return the result that a file of matches was written with; of csv, which has none, counts.

    None if it is no such file: it may be one of features.

    Raises
    ------
    InputError
        If it is one, and damaged.
    """
    kind = format or Path(path).suffix.lower().removeprefix(".")
    if kind not in _READERS or not Path(path).is_file():
        return None
    try:
        data = read_bytes(path, MAX_FILE_BYTES)
        found = _READERS[kind](data)
    except OSError:
        return None  # reading it as a file of features tells the reason
    except (InputError, ValueError, KeyError, TypeError, csv.Error) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: damaged file of matches ({reason}); write it again") from error
    if found is None:
        return None
    return {**found, "schema": SCHEMA, "kind": "matches", "file": path, "format": kind}


def _from_json(data: bytes) -> dict[str, Any] | None:
    if not data.startswith(_JSON_START):
        return None
    found = parse_json(data)
    if not isinstance(found, dict) or "matches" not in found or "image_b" not in found:
        return None
    rows = found.pop("matches")
    _check(found, len(rows))
    return found


def _from_npz(data: bytes) -> dict[str, Any] | None:
    try:
        arrays = read_arrays(data, ["summary", _NPZ_COLUMN])
    except InputError:
        return None  # reading it as a file of features tells the reason
    if len(arrays) != 2:
        return None
    found = parse_json(str(arrays["summary"]))
    _check(found, len(arrays[_NPZ_COLUMN]))
    return dict(found)


def _check(summary: dict[str, Any], n_matches: int) -> None:
    if summary["n_matches"] != n_matches:
        raise ValueError(f"expected {summary['n_matches']} matches, got {n_matches}")


def _from_csv(data: bytes) -> dict[str, Any] | None:
    if not data.startswith(_CSV_START):
        return None
    rows = list(csv.DictReader(io.StringIO(text_of(data))))
    inliers = [row["inlier"] for row in rows if row.get("inlier") is not None]
    return {"n_matches": len(rows), "n_inliers": inliers.count("1") if inliers or not rows else None}


_READERS = {"json": _from_json, "npz": _from_npz, "csv": _from_csv}
