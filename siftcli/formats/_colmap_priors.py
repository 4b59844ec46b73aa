"""The table ``pose_priors`` of a COLMAP database: where an image was taken, and which way is down.

COLMAP 4 keeps in it what it reads from EXIF: the GPS position, and the orientation as the direction of
gravity in the stored picture (keypoints stay in the frame of that picture). COLMAP 3.10 to 3.13 have a
table of the same name with other columns, without gravity, and cannot open a file that has COLMAP 4's.
COLMAP up to 3.9 has none, and does not mind one.
"""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _colmap_schema as schema

if TYPE_CHECKING:
    from ._exif import Exif

_TABLE = (
    "CREATE TABLE pose_priors (pose_prior_id INTEGER PRIMARY KEY NOT NULL, corr_data_id INTEGER NOT NULL, "
    "corr_sensor_id INTEGER NOT NULL, corr_sensor_type INTEGER NOT NULL, position BLOB, "
    "position_covariance BLOB, gravity BLOB, coordinate_system INTEGER NOT NULL)",
    "CREATE UNIQUE INDEX pose_prior_data_assignment ON "
    "pose_priors(corr_data_id, corr_sensor_id, corr_sensor_type)",
)
_GRAVITY = {1: (0, 1, 0), 3: (0, -1, 0), 6: (1, 0, 0), 8: (-1, 0, 0)}
"""Down in the stored picture (x right, y down), for each EXIF orientation that is a rotation; COLMAP has none
for the mirrored ones."""
_UNDEFINED, WGS84, CARTESIAN = -1, 0, 1
"""COLMAP's coordinate systems of a position."""

Position = tuple[int, tuple[float, float, float]]
"""A coordinate system; latitude and longitude in degrees and altitude in m, or x, y and z."""


def read_positions(path: Path) -> dict[str, Position]:
    """Read the positions of the images of a database; images without one are left out.

    Raises
    ------
    InputError
        If it is damaged or of another kind.
    """
    connection = schema.connect(path, write=False)
    try:
        with schema.errors(path):
            columns = schema.columns(connection, "pose_priors")
            if not columns:
                return {}
            whose = "image_id" if "image_id" in columns else "corr_data_id"
            only = "" if whose == "image_id" else f"AND corr_sensor_type = {schema.CAMERA_SENSOR}"
            query = (
                f"SELECT name, coordinate_system, position FROM images JOIN pose_priors "
                f"ON images.image_id = pose_priors.{whose} WHERE length(position) = 24 {only}"
            )
            found = {
                str(name): (system, tuple(np.frombuffer(position, "<f8").tolist()))
                for name, system, position in connection.execute(query)
                if system in (WGS84, CARTESIAN)
            }
    finally:
        connection.close()
    return {name: position for name, position in found.items() if _is_place(*position)}


def _is_place(system: int, values: tuple[float, ...]) -> bool:
    """Whether all are finite, and latitude and longitude are in their ranges."""
    in_range = system != WGS84 or (abs(values[0]) <= 90 and abs(values[1]) <= 180)
    return in_range and all(map(math.isfinite, values))


def write_prior(connection: sqlite3.Connection, image_id: int, exif: Exif, *, replace: bool) -> None:
    """Write the pose prior of an image if EXIF has any; the caller opens the transaction.

    The table is created for the first prior. An existing prior is kept unless ``replace`` is true. One with
    a covariance, which EXIF never has, is the user's own measurement and is always kept.
    """
    columns = schema.columns(connection, "pose_priors")
    whose = f"corr_data_id = {image_id} AND corr_sensor_type = {schema.CAMERA_SENSOR}"
    if "image_id" in columns:
        whose = f"image_id = {image_id}"
    if columns and replace:
        connection.execute(
            f"DELETE FROM pose_priors WHERE {whose} AND ifnull(position_covariance = ?, 1)", (_blob(None, 9),)
        )
    row = _row(connection, image_id, exif, columns)
    if not row:
        return
    for statement in () if columns else _TABLE:
        connection.execute(statement)
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(
        f"INSERT INTO pose_priors ({names}) SELECT {marks} "
        f"WHERE NOT EXISTS (SELECT 1 FROM pose_priors WHERE {whose})",
        tuple(row.values()),
    )


def _row(
    connection: sqlite3.Connection, image_id: int, exif: Exif, columns: set[str]
) -> dict[str, int | bytes | None]:
    """Values of the columns; empty if EXIF has none. COLMAP reads NULL as zero, so unknowns are NaN."""
    row: dict[str, int | bytes | None] = {
        "position": _blob(exif.position, 3),
        "position_covariance": _blob(None, 9),
        "coordinate_system": _UNDEFINED if exif.position is None else WGS84,
    }
    if "image_id" in columns:
        return {"image_id": image_id, **row} if exif.position else {}
    gravity = _GRAVITY.get(exif.orientation or 0)
    if exif.position is None and gravity is None:
        return {}
    query = "SELECT camera_id FROM images WHERE image_id = ?"
    (camera_id,) = connection.execute(query, (image_id,)).fetchone()
    query = "SELECT 1 FROM pose_priors WHERE pose_prior_id = ?"
    is_taken = columns and connection.execute(query, (image_id,)).fetchone() is not None
    return {
        "pose_prior_id": None if is_taken else image_id,  # SQLite finds another for None
        "corr_data_id": image_id,
        "corr_sensor_id": camera_id,
        "corr_sensor_type": schema.CAMERA_SENSOR,
        "gravity": _blob(gravity, 3),
        **row,
    }


def _blob(values: Any, n: int) -> bytes:
    """Doubles as COLMAP stores them; NaN for None."""
    return np.array(np.full(n, np.nan) if values is None else values, "<f8").tobytes()
