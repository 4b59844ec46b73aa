"""What a COLMAP database holds besides features: its images, cameras and pose priors, counted."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import _colmap_schema as schema
from ._colmap_camera import DEFAULT_FOCAL_FACTOR
from ._colmap_priors import CARTESIAN, WGS84, read_positions
from ._registry import CAMERA_MODELS

EXIF, GUESS = "EXIF", "guess"
OTHER_KNOWN, OTHER_GUESS = "another program, known", "another program, not known"
FOCAL_SOURCES = (EXIF, OTHER_KNOWN, OTHER_GUESS, GUESS)
"""Where a focal length came from, from the best known to the least."""


@dataclass(frozen=True)
class FocalSource:
    """The cameras whose focal lengths came from one place."""

    source: str
    """One of ``FOCAL_SOURCES``."""
    n_cameras: int
    n_images: int


@dataclass(frozen=True)
class ColmapOverview:
    """Counts of a database."""

    n_images: int
    """Images, those without features too."""
    n_cameras: int
    models: dict[str, int]
    """Name of a camera model -> cameras."""
    focal_lengths: tuple[FocalSource, ...]
    n_wgs84: int
    """Images with latitude and longitude."""
    n_cartesian: int
    """Images with a position in metres."""
    n_gravity: int
    """Images of which it is known which way is down."""


def colmap_overview(path: Path) -> ColmapOverview:
    """Count the images, cameras and priors of a database.

    Raises
    ------
    InputError
        If it is damaged or of another kind.
    """
    connection = schema.connect(path, write=False)
    try:
        with schema.errors(path):
            (n_images,) = connection.execute("SELECT count(*) FROM images").fetchone()
            rows = connection.execute(_CAMERAS).fetchall()
            ours = _own_records(connection)
            n_gravity = _n_gravity(connection)
    finally:
        connection.close()
    names = {number: name for name, number in CAMERA_MODELS.items()}
    sources = [_source(row, ours) for row in rows]
    systems = Counter(system for system, _ in read_positions(path).values())
    return ColmapOverview(
        n_images=int(n_images),
        n_cameras=len(rows),
        models=dict(sorted(Counter(names.get(row[1], f"model {row[1]}") for row in rows).items())),
        focal_lengths=tuple(
            FocalSource(
                source,
                sources.count(source),
                sum(row[-1] for row, own in zip(rows, sources, strict=True) if own == source),
            )
            for source in FOCAL_SOURCES
            if source in sources
        ),
        n_wgs84=systems[WGS84],
        n_cartesian=systems[CARTESIAN],
        n_gravity=n_gravity,
    )


_Row = tuple[int, int, int, int, object, int, int]
"""Columns of ``cameras``, and how many images the camera has."""
_CAMERAS = (
    "SELECT camera_id, model, width, height, params, prior_focal_length, ifnull(n_images, 0) FROM cameras "
    "LEFT JOIN (SELECT camera_id, count(*) AS n_images FROM images GROUP BY camera_id) USING (camera_id) "
    "ORDER BY camera_id"
)


def _own_records(connection: sqlite3.Connection) -> dict[str, str]:
    """Records by siftcli of the cameras as it wrote them."""
    if not schema.columns(connection, "siftcli"):
        return {}
    found = connection.execute("SELECT name, value FROM siftcli WHERE name GLOB 'camera *'")
    return {str(name): str(value) for name, value in found}


def _source(row: _Row, ours: dict[str, str]) -> str:
    """Where the focal length of a camera came from: from siftcli if its record of the camera agrees."""
    camera_id, *columns, prior, _ = row
    is_ours = ours.get(f"camera {camera_id}") == repr((*columns, prior))
    if is_ours:
        return EXIF if prior else GUESS
    if not prior and _is_colmaps_guess(row):
        return GUESS
    return OTHER_KNOWN if prior else OTHER_GUESS


def _is_colmaps_guess(row: _Row) -> bool:
    """Whether a focal length is what COLMAP takes for an unknown one."""
    _, _, width, height, params, _, _ = row
    if not isinstance(params, bytes) or len(params) < 8 or not isinstance(width, int):
        return False
    focal = float(np.frombuffer(params[:8], "<f8")[0])
    return math.isclose(focal, DEFAULT_FOCAL_FACTOR * max(width, height), rel_tol=1e-9)


def _n_gravity(connection: sqlite3.Connection) -> int:
    if "gravity" not in schema.columns(connection, "pose_priors"):
        return 0
    query = f"SELECT gravity FROM pose_priors WHERE corr_sensor_type = {schema.CAMERA_SENSOR}"
    values = [blob for (blob,) in connection.execute(query) if isinstance(blob, bytes) and len(blob) == 24]
    return sum(bool(np.isfinite(np.frombuffer(blob, "<f8")).all()) for blob in values)
