"""colmap-text: what COLMAP's feature importer reads, ``<image file name>.txt``.

``N 128``, then ``X Y SCALE ORIENTATION D1 ... D128`` a line; (0.5, 0.5) is the centre of the top-left
pixel of the stored image, as COLMAP does not apply the EXIF orientation.
"""

from __future__ import annotations

import numpy as np

from ..features import DESCRIPTOR_LENGTH, Features
from ._conventions import foreign, in_stored_frame
from ._numbers import counted, lines, text
from ._record import FeatureFile

HALF_PIXEL = 0.5
"""COLMAP's coordinates of the centre of the top-left pixel."""
CONVENTION = (
    "COLMAP: x, y, sigma, theta; (0.5, 0.5) is the centre of the top-left pixel; radians, clockwise on the "
    "screen; descriptor in Lowe's order"
)


def encode(features: Features) -> bytes:
    """Encode features as a text file for COLMAP."""
    stored = in_stored_frame(features)
    xy = stored.xy.astype(np.float64) + HALF_PIXEL
    body = lines([xy[:, 0], xy[:, 1], stored.scale, stored.orientation], stored.descriptors)
    return text([f"{len(stored)} {DESCRIPTOR_LENGTH}", *body])


def decode(data: bytes) -> FeatureFile:
    """Decode a text file for COLMAP; its descriptors are taken for RootSIFT, as COLMAP's are."""
    values = counted(data, 4 + DESCRIPTOR_LENGTH)
    return foreign(
        "colmap-text",
        CONVENTION,
        xy=values[:, :2] - HALF_PIXEL,
        scale=values[:, 2],
        orientation=values[:, 3],
        descriptors=values[:, 4:],
        descriptor_kind="rootsift",
    )
