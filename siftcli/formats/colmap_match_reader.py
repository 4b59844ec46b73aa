"""Reading the matches and two-view geometries of a COLMAP database, COLMAP's own included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from . import _colmap_schema as schema
from ._base import Closing, unknown_image
from ._colmap_arrays import array_of
from ._match_graph import NONE, MatchGraph, Reasons, StoredMatches, merged, not_matched
from ._matches import FoundIn

_REASONS = "siftcli_pairs"
_NOT_VERIFIED = (0, 1, 7)
"""COLMAP's kinds of geometry that are none: undefined, degenerate, watermark."""


class ColmapMatchReader(Closing):
    """Reads the pairs of a database. A pair without a geometry was matched and not verified."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = schema.connect(path, write=False)
        with schema.errors(path):
            found = self.connection.execute("SELECT name, image_id FROM images").fetchall()
            self.ids = {str(name): int(number) for name, number in found}

    def graph(self) -> MatchGraph:
        """All pairs in columns."""
        with schema.errors(self.path):
            matches = self._columns("SELECT pair_id, rows FROM matches", 2)
            models = self._columns("SELECT pair_id, rows, config FROM two_view_geometries", 3)
        numbers = np.union1d(matches[:, 0], models[:, 0])
        n_matches = np.full(len(numbers), NONE, np.int32)
        n_matches[np.searchsorted(numbers, matches[:, 0])] = matches[:, 1]
        n_inliers = np.full(len(numbers), NONE, np.int32)
        rows = np.searchsorted(numbers, models[:, 0])
        n_inliers[rows] = models[:, 1]
        is_verified = np.zeros(len(numbers), bool)
        is_verified[rows] = (models[:, 1] > 0) & ~np.isin(models[:, 2], _NOT_VERIFIED)
        images = tuple(sorted(self.ids))
        pairs = self._rows_of(images, numbers)
        known = (pairs != NONE).all(axis=1)
        columns = (n_matches[known], n_inliers[known], is_verified[known])
        return MatchGraph.of(images, pairs[known], *columns, int((~known).sum()))

    def read(self, first: str, second: str) -> StoredMatches:
        """The matches of a pair, whichever of its images is first."""
        for name in (first, second):
            if name not in self.ids:
                raise unknown_image(self.path, name, sorted(self.ids))
        number = schema.pair_id(self.ids[first], self.ids[second])
        with schema.errors(self.path):
            matches = self._array("matches", number)
            inliers = self._array("two_view_geometries", number)
            query = "SELECT config FROM two_view_geometries WHERE pair_id = ?"
            (kind,) = self.connection.execute(query, (number,)).fetchone() or (None,)
        if matches is None and inliers is None:
            raise not_matched(self.path, first, second)
        none = np.zeros((0, 2), np.int32)
        found = merged(none if matches is None else matches, inliers)
        is_verified = None if inliers is None else len(inliers) > 0 and kind not in _NOT_VERIFIED
        is_swapped = self.ids[first] > self.ids[second]
        return StoredMatches(found.pairs[:, ::-1] if is_swapped else found.pairs, found.inliers, is_verified)

    def found_in(self, first: str = "", second: str = "") -> FoundIn | None:
        """The database itself."""
        return FoundIn((first, second), source=str(self.path))

    def reasons(self) -> Reasons:
        """Why pairs were tried, from siftcli's own table; none if another program matched them."""
        names = {number: name for name, number in self.ids.items()}
        with schema.errors(self.path):
            if not {"pair_id", "reason"} <= schema.columns(self.connection, _REASONS):
                return {}
            rows = self.connection.execute(f"SELECT pair_id, reason FROM {_REASONS}").fetchall()
        found = ((*divmod(number, schema.MAX_ID), reason) for number, reason in rows if type(number) is int)
        return {(names[i], names[j]): str(text) for i, j, text in found if i in names and j in names}

    def close(self) -> None:
        """Close the database."""
        self.connection.close()

    def _columns(self, query: str, n: int) -> NDArray[np.int64]:
        found = self.connection.execute(query).fetchall()
        if not all(type(value) is int and value >= 0 for row in found for value in row):
            raise InputError(f"{self.path}: expected whole numbers of matches; match the pairs again")
        return np.array(found, np.int64).reshape(-1, n)

    def _rows_of(self, images: tuple[str, ...], numbers: NDArray[np.int64]) -> NDArray[np.int32]:
        """(P, 2) rows of ``images`` for numbers of pairs; ``NONE`` for an image that is not there."""
        ids = np.array([self.ids[name] for name in images], np.int64)
        order = np.argsort(ids)
        wanted = np.stack(np.divmod(numbers, schema.MAX_ID), axis=1)
        if len(ids) == 0:
            return np.full(wanted.shape, NONE, np.int32)
        place = np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)
        return np.where(ids[order][place] == wanted, order[place], NONE).astype(np.int32)

    def _array(self, table: str, number: int) -> NDArray[np.int32] | None:
        query = f"SELECT rows, cols, data FROM {table} WHERE pair_id = ?"
        found = self.connection.execute(query, (number,)).fetchone()
        if found is None:
            return None
        if not found[0]:
            return np.zeros((0, 2), np.int32)
        array = array_of(self.path, table, found, np.dtype("<u4"))
        if array.shape[1] != 2 or array.max() > np.iinfo(np.int32).max:
            raise InputError(f"{self.path}: expected matches as two rows of features; match the pair again")
        return array.astype(np.int32)
