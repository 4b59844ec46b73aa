"""Matches and verified two-view geometries in a COLMAP database.

The two rows of a pair are written in one transaction. A pair without matches gets rows too (config 1),
so that it is not tried again. Models are in COLMAP's pixel coordinates, where the centre of the
top-left pixel is (0.5, 0.5). Columns of matches are in the order of the image ids.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..features import Matches
from ..matching.verification import Verification
from ..words import counted
from . import _colmap_schema as schema
from ._base import Closing
from ._matches import FoundIn, PairMatches, other_options
from .colmap_text import HALF_PIXEL

DEGENERATE, CALIBRATED, UNCALIBRATED, PANORAMIC, PLANAR_OR_PANORAMIC = 1, 2, 3, 5, 6
"""COLMAP's kinds of two-view geometry. A homography describes a plane or a purely rotating camera."""
_OPTIONS = "match options"
_TO_FEATURES = np.array([[1, 0, -HALF_PIXEL], [0, 1, -HALF_PIXEL], [0, 0, 1]])
_REASONS = (
    "CREATE TABLE IF NOT EXISTS siftcli_pairs (pair_id INTEGER PRIMARY KEY NOT NULL, reason TEXT NOT NULL)"
)
"""Why a pair was matched. COLMAP ignores unknown tables."""

Matrix = NDArray[np.float64]


class ColmapMatchWriter(Closing):
    """Writes a pair's matches and its geometry."""

    def __init__(self, path: Path, *, options: str, overwrite: bool, is_shared: bool = False) -> None:
        self.path = path
        self.connection = schema.connect(path, write=True)
        with schema.errors(path), schema.transaction(self.connection):
            self.connection.execute(schema.NOTES)
            self.connection.execute(_REASONS)
            if overwrite:
                for table in ("matches", "two_view_geometries", "siftcli_pairs"):
                    self.connection.execute(f"DELETE FROM {table}")
            elif self._has_others(options):
                raise other_options(path, self._options(), options)
            self.connection.execute("INSERT OR REPLACE INTO siftcli VALUES (?, ?)", (_OPTIONS, options))
            names = self.connection.execute("SELECT name, image_id FROM images").fetchall()
            self.ids = {str(name): int(number) for name, number in names}
        if not is_shared:
            schema.log_ahead(self.connection)

    def _has_others(self, options: str) -> bool:
        if self.connection.execute("SELECT 1 FROM matches").fetchone() is None:
            return False
        return self._options() != options

    def _options(self) -> str | None:
        query = "SELECT value FROM siftcli WHERE name = ?"
        found = self.connection.execute(query, (_OPTIONS,)).fetchone()
        return None if found is None else str(found[0])

    def has(self, first: str, second: str) -> bool:
        """Whether the database has this pair."""
        with schema.errors(self.path):
            query = "SELECT 1 FROM matches WHERE pair_id = ?"
            return self.connection.execute(query, (self._pair_id(first, second),)).fetchone() is not None

    def existing(self, names: Collection[str]) -> Iterator[tuple[str, str]]:
        """Pairs of these images that the database has."""
        with schema.errors(self.path):
            yield from _named_pairs(self.connection, "SELECT pair_id FROM matches", names)

    def found_in(self, first: str, second: str) -> FoundIn | None:
        """Return None: the same file stores the features, and replacing them removes their matches."""

    def write(self, found: PairMatches) -> None:
        """Write a pair."""
        first, second = found.names
        pair_id, is_swapped = self._pair_id(first, second), self.ids[first] > self.ids[second]
        with schema.errors(self.path), schema.transaction(self.connection):
            self._check_counts(found)
            rows = _rows(found.matches, None, is_swapped)
            self.connection.execute(
                "INSERT OR REPLACE INTO matches (pair_id, rows, cols, data) VALUES (?, ?, 2, ?)",
                (pair_id, len(rows), rows.tobytes()),
            )
            if found.verification is not None:
                self._write_geometry(pair_id, found, found.verification, is_swapped)
            if found.reason:
                self.connection.execute(
                    "INSERT OR REPLACE INTO siftcli_pairs VALUES (?, ?)", (pair_id, found.reason)
                )

    def close(self) -> None:
        """Close the database."""
        try:
            schema.end_log(self.path, self.connection)
        finally:
            schema.finish(self.connection)

    def _pair_id(self, first: str, second: str) -> int:
        for name in (first, second):
            if name not in self.ids:
                raise InputError(f"{self.path} has no image {name!r}; write its features there first")
        return schema.pair_id(self.ids[first], self.ids[second])

    def _check_counts(self, found: PairMatches) -> None:
        """Check that the database has the features that were matched, as matches are row numbers."""
        for name, n in zip(found.names, found.n_features, strict=True):
            query = "SELECT rows FROM keypoints WHERE image_id = ?"
            row = self.connection.execute(query, (self.ids[name],)).fetchone()
            if row is None or row[0] != n:
                there = "none" if row is None else row[0]
                raise InputError(
                    f"{self.path}: expected the {counted(n, 'feature')} of {name} that were matched, "
                    f"has {there}"
                )

    def _write_geometry(
        self, pair_id: int, found: PairMatches, model: Verification, is_swapped: bool
    ) -> None:
        inliers = model.inliers if found.is_verified else np.zeros(len(found.matches), bool)
        rows = _rows(found.matches, inliers, is_swapped)
        config, columns = DEGENERATE, dict[str, bytes]()
        if found.is_verified and model.model is not None:
            config, columns = _geometry(model, model.model, is_swapped)
        names = "".join(f", {name}" for name in columns)
        marks = ", ?" * len(columns)
        self.connection.execute(
            f"INSERT OR REPLACE INTO two_view_geometries (pair_id, rows, cols, data, config{names}) "
            f"VALUES (?, ?, 2, ?, ?{marks})",
            (pair_id, len(rows), rows.tobytes(), config, *columns.values()),
        )


def pairs_with_matches(path: Path, names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of these images with inliers, or with matches where nothing was verified."""
    query = (
        "SELECT pair_id FROM matches LEFT JOIN two_view_geometries AS models USING (pair_id) "
        "WHERE ifnull(models.rows, matches.rows) > 0"
    )
    connection = schema.connect(path, write=False)
    try:
        with schema.errors(path):
            yield from _named_pairs(connection, query, names)
    finally:
        connection.close()


def _named_pairs(
    connection: sqlite3.Connection, query: str, names: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Names of the images of each pair, if both are among these."""
    ids = connection.execute("SELECT image_id, name FROM images")
    wanted = {int(number): str(name) for number, name in ids if name in names}
    for (number,) in connection.execute(query):
        first, second = divmod(number, schema.MAX_ID)
        if first in wanted and second in wanted:
            yield wanted[first], wanted[second]


def _rows(matches: Matches, chosen: NDArray[np.bool_] | None, is_swapped: bool) -> NDArray[np.uint32]:
    pairs = matches.pairs if chosen is None else matches.pairs[chosen]
    return np.ascontiguousarray(pairs[:, ::-1] if is_swapped else pairs, dtype="<u4")


def _geometry(model: Verification, matrix: Matrix, is_swapped: bool) -> tuple[int, dict[str, bytes]]:
    """COLMAP's kind of a geometry, and the columns that it has.

    A calibrated pair has E, of directions, besides F, of pixels, and the pose of the second camera relative
    to the first. If that only rotates, there is the map of distant points instead.
    """
    if model.kind in ("similarity", "homography"):
        return PLANAR_OR_PANORAMIC, {"H": _map_in_colmap_pixels(matrix, is_swapped)}
    columns = {"F": _lines_in_colmap_pixels(matrix, is_swapped)}
    if model.pose is None or model.cameras is None:
        return UNCALIBRATED, columns
    pose = model.pose.inverse if is_swapped else model.pose
    qvec, tvec = _doubles(pose.quaternion), _doubles(pose.direction)
    if model.pose.is_rotation:
        far = _map_in_colmap_pixels(model.pose.far_map(*model.cameras), is_swapped)
        return PANORAMIC, {"H": far, "qvec": qvec, "tvec": _doubles(np.zeros(3))}
    return CALIBRATED, {**columns, "E": _doubles(pose.essential), "qvec": qvec, "tvec": tvec}


def _map_in_colmap_pixels(model: Matrix, is_swapped: bool) -> bytes:
    """A point map for positions shifted by HALF_PIXEL in x and y."""
    moved = np.linalg.inv(_TO_FEATURES) @ model @ _TO_FEATURES
    return _doubles(np.linalg.inv(moved) if is_swapped else moved)


def _lines_in_colmap_pixels(model: Matrix, is_swapped: bool) -> bytes:
    """A fundamental matrix for positions shifted by HALF_PIXEL in x and y."""
    moved = _TO_FEATURES.T @ model @ _TO_FEATURES
    return _doubles(moved.T if is_swapped else moved)


def _doubles(values: Matrix) -> bytes:
    return np.ascontiguousarray(values, "<f8").tobytes()
