"""Files of transforms: JSON, CSV, and ITK's text.

A transform is a (3, 3) matrix that maps pixels (x, y, 1) of a picture to those of the reference, up to
scale; x points right, y down, and (0, 0) is the centre of the first pixel. ITK's transforms map the
other way, from the reference to the picture, so that a text file holds the inverses, in pixels (a
spacing of 1 and an origin of 0).
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, OutputError
from ..io.csv_text import cell, csv_text
from ..io.limits import MAX_FILE_BYTES
from ..io.reading import read_bytes, text_of
from ..io.writing import write_output

SCHEMA = "siftcli-transforms-1"
CONVENTION = (
    "matrix maps pixels (x, y, 1) of a frame to those of the reference, up to scale; x right, y down, "
    "(0, 0) the centre of the first pixel"
)
SUFFIXES = (".json", ".csv", ".txt")
_CELLS = tuple(f"m{i}{j}" for i in range(3) for j in range(3))
_HEADER = ("name", "width", "height", *_CELLS)
_ITK_HEAD = "#Insight Transform File V1.0"
_ITK_AFFINE = "AffineTransform_double_2_2"
SMALLEST_DETERMINANT = 1e-12

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FrameTransform:
    """The transform of one frame."""

    name: str
    size: tuple[int, int] | None
    """(width, height) in pixels; None if the file does not say."""
    matrix: Matrix | None
    """(3, 3) float64; None if the frame could not be aligned."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Transforms:
    """The transforms of a stack or a set of pictures."""

    frames: tuple[FrameTransform, ...]
    size: tuple[int, int] | None = None
    """(width, height) of the canvas; None if the file does not say."""
    origin: tuple[int, int] = (0, 0)
    """Position of the canvas's first pixel in the reference."""
    model: str = ""

    def scaled(self, factor: float) -> Transforms:
        """The same transforms for pictures that are ``factor`` times as large, whose outer edges coincide."""
        if factor == 1:
            return self
        shift = (factor - 1) / 2
        grow = np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1.0]])
        back = np.linalg.inv(grow)
        frames = tuple(
            replace(
                frame,
                size=_times(frame.size, factor),
                matrix=None if frame.matrix is None else grow @ frame.matrix @ back,
            )
            for frame in self.frames
        )
        x, y = (round(v * factor) for v in self.origin)
        return replace(self, frames=frames, size=_times(self.size, factor), origin=(x, y))

    def inverse(self) -> Transforms:
        """The transforms from the reference to each frame, on the reference's canvas."""
        frames = tuple(
            replace(frame, matrix=None if frame.matrix is None else np.asarray(np.linalg.inv(frame.matrix)))
            for frame in self.frames
        )
        return replace(self, frames=frames, origin=(0, 0))


def _times(size: tuple[int, int] | None, factor: float) -> tuple[int, int] | None:
    return None if size is None else (round(size[0] * factor), round(size[1] * factor))


def check_suffix(path: str) -> str:
    """The suffix of a file of transforms.

    Raises
    ------
    OutputError
        If it is none of ``SUFFIXES``.
    """
    suffix = PurePath(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"{path}: expected a file of transforms to end in {', '.join(SUFFIXES)}; rename it")
    return suffix


def save_transforms(path: str, transforms: Transforms, *, overwrite: bool = False) -> None:
    """Write transforms; the suffix names the format.

    Raises
    ------
    OutputError
        If it cannot be written, or the format cannot hold them.
    """
    text = _WRITERS[check_suffix(path)](transforms, path)
    write_output(path, text.encode("utf-8", "surrogateescape"), overwrite=overwrite)


def load_transforms(path: str) -> Transforms:
    """Read transforms.

    Raises
    ------
    InputError
        If the file cannot be read, holds no transforms, or one that cannot be inverted.
    """
    suffix = PurePath(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: expected a file of transforms ({', '.join(SUFFIXES)}); give one")
    try:
        text = text_of(read_bytes(Path(path), MAX_FILE_BYTES))
        found = _READERS[suffix](text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, KeyError, TypeError, IndexError, RecursionError, OverflowError, csv.Error) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path}: expected transforms as siftcli align --save-transforms writes them ({reason}); "
            "write it again"
        ) from error
    if not found.frames:
        raise InputError(f"{path}: expected at least one transform, found none; check the file")
    for frame in found.frames:
        _check_matrix(path, frame)
    return found


def _check_matrix(path: str, frame: FrameTransform) -> None:
    matrix = frame.matrix
    if matrix is None:
        return
    largest = float(np.abs(matrix).max())
    if not math.isfinite(largest):
        raise InputError(f"{path}: {frame.name}: expected finite numbers, got {largest}; write it again")
    if largest == 0 or abs(float(np.linalg.det(matrix))) < SMALLEST_DETERMINANT:
        raise InputError(
            f"{path}: {frame.name}: expected a transform that can be inverted, got a singular matrix; "
            "estimate it again"
        )


# --- JSON ----------------------------------------------------------------------------------------------


def _to_json(transforms: Transforms, _path: str) -> str:
    head = {
        "schema": SCHEMA,
        "convention": CONVENTION,
        "model": transforms.model,
        "canvas": {"size": transforms.size, "origin": transforms.origin},
    }
    lines = [
        json.dumps(
            {
                "name": frame.name,
                "size": frame.size,
                "matrix": None if frame.matrix is None else frame.matrix.tolist(),
            }
        )
        for frame in transforms.frames
    ]
    body = ",\n  ".join(lines)
    return json.dumps(head, indent=1)[:-2] + f',\n "frames": [\n  {body}\n ]\n}}\n'


def _from_json(text: str) -> Transforms:
    found = json.loads(text)
    if found.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {str(found.get('schema'))[:40]!r}, not {SCHEMA!r}")
    frames = tuple(
        FrameTransform(str(f["name"]), _size(f.get("size")), _matrix(f["matrix"])) for f in found["frames"]
    )
    canvas = found.get("canvas") or {}
    x, y = canvas.get("origin") or (0, 0)
    return Transforms(
        frames=frames,
        size=_size(canvas.get("size")),
        origin=(int(x), int(y)),
        model=str(found.get("model", "")),
    )


def _size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    width, height = (int(v) for v in value)
    if min(width, height) < 1:
        raise ValueError(f"a size is {width} x {height}")
    return width, height


def _matrix(value: Any) -> Matrix | None:
    if value is None:
        return None
    matrix = np.array(value, dtype=np.float64)
    if matrix.shape != (3, 3):
        raise ValueError(f"a matrix has the shape {matrix.shape}")
    return matrix


# --- CSV -----------------------------------------------------------------------------------------------


def _to_csv(transforms: Transforms, _path: str) -> str:
    rows: list[Sequence[str]] = [_HEADER]
    for frame in transforms.frames:
        numbers = [""] * 9 if frame.matrix is None else [repr(float(v)) for v in frame.matrix.ravel()]
        rows.append([cell(frame.name), *(str(v) for v in frame.size or ("", "")), *numbers])
    return csv_text(rows)


def _from_csv(text: str) -> Transforms:
    reader = csv.DictReader(io.StringIO(text))
    if not set(_HEADER) <= set(reader.fieldnames or ()):
        raise ValueError(f"its header is not {','.join(_HEADER)}")
    return Transforms(frames=tuple(_from_row(row) for row in reader))


def _from_row(row: Mapping[str, str]) -> FrameTransform:
    size = _size((row["width"], row["height"])) if row["width"] else None
    values = [row[name] for name in _CELLS]
    matrix = _matrix(np.reshape([float(v) for v in values], (3, 3))) if any(values) else None
    return FrameTransform(row["name"].removeprefix("'"), size, matrix)


# --- ITK -----------------------------------------------------------------------------------------------


def _to_itk(transforms: Transforms, path: str) -> str:
    lines = [_ITK_HEAD]
    for k, frame in enumerate(transforms.frames):
        if frame.matrix is None:
            raise OutputError(
                f"{path}: ITK's text cannot say that {frame.name} has no transform; name a .json or .csv file"
            )
        if np.abs(frame.matrix[2, :2]).max() > 1e-15 * np.abs(frame.matrix).max():
            raise OutputError(f"{path}: ITK's text cannot hold a homography; name a .json or .csv file")
        inverse = np.linalg.inv(frame.matrix / frame.matrix[2, 2])
        values = [*inverse[:2, :2].ravel(), *inverse[:2, 2]]
        lines += [
            f"#Transform {k}",
            f"Transform: {_ITK_AFFINE}",
            "Parameters: " + " ".join(repr(float(v)) for v in values),
            "FixedParameters: 0 0",
        ]
    return "\n".join(lines) + "\n"


def _from_itk(text: str) -> Transforms:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or not lines[0].startswith("#Insight Transform File"):
        raise ValueError(f"its first line is not {_ITK_HEAD}")
    kind = ""
    frames: list[FrameTransform] = []
    numbers: list[float] = []
    for line in lines[1:]:
        key, _, rest = line.partition(":")
        if key == "Transform":
            kind = rest.strip()
        elif key == "Parameters":
            numbers = [float(v) for v in rest.split()]
        elif key == "FixedParameters":
            matrix = _itk_matrix(kind, numbers, [float(v) for v in rest.split()])
            frames.append(FrameTransform(str(len(frames) + 1), None, matrix))
    return Transforms(frames=tuple(frames))


def _itk_matrix(kind: str, values: list[float], fixed: list[float]) -> Matrix:
    """(3, 3) matrix to the reference of an affine transform or a translation of ITK."""
    found = np.eye(3)
    if kind.startswith(("AffineTransform_", "MatrixOffsetTransformBase_")) and kind.endswith("_2_2"):
        if len(values) != 6:
            raise ValueError(f"an affine transform has {len(values)} parameters, not 6")
        centre = np.array([*fixed, 0.0, 0.0][:2])
        found[:2, :2] = np.reshape(values[:4], (2, 2))
        found[:2, 2] = np.array(values[4:]) + centre - found[:2, :2] @ centre
    elif kind.startswith("TranslationTransform_") and kind.endswith("_2_2") and len(values) == 2:
        found[:2, 2] = values
    else:
        raise ValueError(f"{kind[:60]!r} is not a two-dimensional affine transform or translation")
    if abs(np.linalg.det(found)) < SMALLEST_DETERMINANT:
        raise ValueError("a matrix is singular")
    return np.asarray(np.linalg.inv(found))


_WRITERS: Mapping[str, Callable[[Transforms, str], str]] = {
    ".json": _to_json,
    ".csv": _to_csv,
    ".txt": _to_itk,
}
_READERS: Mapping[str, Callable[[str], Transforms]] = {
    ".json": _from_json,
    ".csv": _from_csv,
    ".txt": _from_itk,
}
