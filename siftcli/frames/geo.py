"""Coordinate systems of georeferenced pictures, by rasterio (the extra ``geo``)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, MissingDependencyError

_GEO_TAGS = (33550, 33922, 34264, 34735)


@dataclass(frozen=True, eq=False)
class Georeference:
    """Where a picture lies."""

    crs: str
    """The coordinate system as WKT; empty if it is not known."""
    affine: tuple[float, ...]
    """(a, b, c, d, e, f): x = a·column + b·row + c, y = d·column + e·row + f, from the corner of the first
    pixel, as GDAL has it."""

    def world(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 2) coordinates of pixels (N, 2), (0, 0) being the centre of the first."""
        a, b, c, d, e, f = self.affine
        x, y = (points + 0.5).T
        return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)


def import_rasterio() -> Any:
    """Import rasterio.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    try:
        import rasterio
    except ImportError as error:
        raise MissingDependencyError.of_extra("a georeferenced picture", "rasterio", "geo") from error
    return rasterio


def is_georeferenced(path: str) -> bool:
    """Whether a TIFF file has the tags of GeoTIFF; nothing beside its first directory is read."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return any(code in file.pages.first.tags for code in _GEO_TAGS)
    except Exception:  # no TIFF
        return False


def read_georeference(path: str) -> Georeference | None:
    """Where a picture lies; None if it does not say.

    Raises
    ------
    MissingDependencyError
        If rasterio is not installed.
    InputError
        If the file cannot be read by GDAL.
    """
    rasterio = import_rasterio()
    try:
        with warnings.catch_warnings(), rasterio.open(path) as file:
            warnings.simplefilter("ignore")
            if file.transform.is_identity:
                return None
            crs = file.crs.to_wkt() if file.crs else ""
            return Georeference(crs, tuple(file.transform)[:6])
    except rasterio.errors.RasterioError as error:
        raise InputError(f"{path}: its coordinate system cannot be read ({error}); check the file") from error


def write_georeference(path: Path, found: Georeference, origin: tuple[int, int]) -> None:
    """Write a coordinate system into a TIFF file whose first pixel is ``origin`` of the reference."""
    rasterio = import_rasterio()
    transform = rasterio.Affine(*found.affine) * rasterio.Affine.translation(*origin)
    with _edited(rasterio, path) as file:
        file.transform = transform
        if found.crs:
            file.crs = rasterio.crs.CRS.from_wkt(found.crs)


def write_gcps(
    path: Path, found: Georeference, points: NDArray[np.float64], reference: NDArray[np.float64]
) -> None:
    """Write ground control points into a TIFF file.

    Parameters
    ----------
    path
        The file.
    found
        The coordinate system of the reference.
    points
        (N, 2) pixels of the file, (0, 0) being the centre of the first.
    reference
        (N, 2) the pixels of the reference that they show.
    """
    rasterio = import_rasterio()
    from rasterio.control import GroundControlPoint

    world = found.world(reference)
    gcps: Sequence[Any] = [
        GroundControlPoint(row=float(y) + 0.5, col=float(x) + 0.5, x=float(e), y=float(n), id=str(k))
        for k, ((x, y), (e, n)) in enumerate(zip(points, world, strict=True), 1)
    ]
    crs = rasterio.crs.CRS.from_wkt(found.crs) if found.crs else None
    with _edited(rasterio, path) as file:
        file.gcps = gcps, crs


def _edited(rasterio: Any, path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rasterio.open(path, "r+")
