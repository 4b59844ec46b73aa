"""Output of the matches of two images: a json, csv or npz file with one row per match, and a drawing.

Positions in the second image are given twice: in the image as it was matched, after any rotation and
scaling (``x_b``, ``y_b``), and in the original image (``x_b_original``, ``y_b_original``). (0, 0) is the
centre of the top-left pixel. Scales (σ in pixels) and orientations (radians, clockwise on the screen)
refer to the images as they were matched.
"""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..drawing.encoding import png
from ..drawing.matches import draw_matches
from ..errors import OutputError
from ..io.writing import check_output, write_output
from .match_request import DEFAULT_MATCH_FORMAT, MATCH_FORMATS
from .match_result import ImageMatch

STANDARD_OUTPUT = "-"


def match_format(path: str | PathLike[str], name: str | None = None) -> str:
    """Find the format of that name, or else of the path's suffix.

    Raises
    ------
    OutputError
        If there is no such format.
    """
    found = name or Path(path).suffix.lower().removeprefix(".")
    if found not in MATCH_FORMATS:
        raise OutputError(
            f"{path}: expected a name that ends in .json, .csv or .npz for the matches; use one, or --format"
        )
    return found


@dataclass(frozen=True)
class MatchOutputs:
    """Where the matches and their drawing are written; already checked."""

    path: str | None
    """File of the matches; None for no file or for the standard output, which the caller writes."""
    format: str
    drawing: str | None
    overwrite: bool


def check_outputs(
    output: str | None, format: str | None, drawing: str | None, *, overwrite: bool = False
) -> MatchOutputs:
    """Check that the outputs can be written.

    Raises
    ------
    OutputError
        If a format is unknown, the drawing's name does not end in .png, or a file exists or
        cannot be written.
    """
    path = None if output == STANDARD_OUTPUT else output
    wanted = DEFAULT_MATCH_FORMAT if output is None else match_format(output, format)
    if path is not None:
        check_output(path, overwrite=overwrite)
    check_drawing(drawing, overwrite=overwrite)
    return MatchOutputs(path, wanted, drawing, overwrite)


def check_drawing(drawing: str | None, *, overwrite: bool = False) -> None:
    """Check that a drawing, if there is to be one, can be written.

    Raises
    ------
    OutputError
        If its name does not end in .png, or it exists or cannot be written.
    """
    if drawing is None:
        return
    if Path(drawing).suffix.lower() != ".png":
        raise OutputError(f"{drawing}: expected a name that ends in .png for the drawing; rename it")
    check_output(drawing, overwrite=overwrite)


def write(result: ImageMatch, outputs: MatchOutputs) -> None:
    """Write the matches and their drawing, each completely or not at all.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    if outputs.path is not None:
        data = encode_matches(result, outputs.format)
        write_output(outputs.path, data, overwrite=outputs.overwrite)
    if outputs.drawing is not None:
        write_output(outputs.drawing, drawn(result), overwrite=outputs.overwrite)


def drawn(result: ImageMatch) -> bytes:
    """Draw the matches of two images, with counts and the recovered rotation, as a PNG file."""
    if result.a.grey is None or result.b.grey is None:
        raise ValueError("both images are needed to draw their matches")
    found = result.verification
    picture = draw_matches(
        result.a.grey,
        result.b.grey,
        result.a.features,
        result.b.features,
        result.matches,
        None if found is None or found.model is None else found.inliers,
        _caption(result),
    )
    return png(picture)


def _caption(result: ImageMatch) -> str:
    """Caption of two lines: the images, and the recovered transform."""
    a, b, found = result.a, result.b, result.verification
    transform = result.transform
    done = f", rotated by {transform.rotation_deg:g}°" if transform.rotation_deg else ""
    done += f", resized by {transform.scale:g}" if transform.scale != 1 else ""
    names = [side.features.image_name or side.name or "array" for side in (a, b)]
    first = f"{names[0]}: {len(a.features)} features    {names[1]}{done}: {len(b.features)} features"
    if found is None:
        return f"{first}\nnot verified"
    if found.rotation_deg is None or found.scale is None:
        return f"{first}\n{found.kind}" + (f": {found.reason}" if found.reason else "")
    second = f"{found.kind}: recovered rotation {found.rotation_deg:.3f}°, scale {found.scale:.5f}"
    if result.truth is not None:
        second += f"    {np.count_nonzero(result.truth.correct)} of {len(result.matches)} matches correct"
    return f"{first}\n{second}"


def match_columns(result: ImageMatch) -> dict[str, NDArray[Any]]:
    """Return the columns of the files by name, M rows each.

    ``inlier`` is present if a model was requested, ``correct`` if the true map is known.
    """
    rows_a, rows_b = result.matches.pairs.T
    f, g = result.a.features.select(rows_a), result.b.features.select(rows_b)
    original = result.xy_b_original.astype(np.float32)
    columns: dict[str, NDArray[Any]] = {
        "row_a": rows_a,
        "row_b": rows_b,
        "x_a": f.xy[:, 0],
        "y_a": f.xy[:, 1],
        "scale_a": f.scale,
        "orientation_a": f.orientation,
        "x_b": g.xy[:, 0],
        "y_b": g.xy[:, 1],
        "scale_b": g.scale,
        "orientation_b": g.orientation,
        "x_b_original": original[:, 0],
        "y_b_original": original[:, 1],
        "distance": result.matches.distance,
        "ratio": result.matches.ratio,
    }
    if result.verification is not None:
        columns["inlier"] = result.verification.inliers
    if result.truth is not None:
        columns["correct"] = result.truth.correct
    return columns


def encode_matches(result: ImageMatch, format: str) -> bytes:
    """Encode the matches in a format; json and npz files contain the summary too."""
    return {"json": _json, "csv": _csv, "npz": _npz}[format](result)


def _json(result: ImageMatch) -> bytes:
    columns = match_columns(result)
    rows = zip(*(_plain(column) for column in columns.values()), strict=True)
    matches = [dict(zip(columns, row, strict=True)) for row in rows]
    return (json.dumps({**finite(result.to_dict()), "matches": matches}, allow_nan=False) + "\n").encode()


def _csv(result: ImageMatch) -> bytes:
    columns = match_columns(result)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_plain(column) for column in columns.values()), strict=True))
    return text.getvalue().encode()


def _npz(result: ImageMatch) -> bytes:
    buffer = io.BytesIO()
    summary = json.dumps(finite(result.to_dict()), allow_nan=False)
    np.savez(buffer, allow_pickle=False, summary=np.array(summary), **match_columns(result))
    return buffer.getvalue()


def _plain(column: NDArray[Any]) -> list[Any]:
    """Plain values: floats with the fewest digits that give the same float32, flags as 0 and 1."""
    if column.dtype == np.float32:
        return [float(str(value)) for value in column]
    return list(column.astype(int).tolist())


def finite(summary: dict[str, Any]) -> dict[str, Any]:
    """Replace NaN by None, as JSON has no NaN."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in summary.items()}
