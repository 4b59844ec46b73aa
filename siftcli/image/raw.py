"""Camera raw, by LibRaw through rawpy (the extra ``raw``), developed the same way every time."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from .decoded import BadImageError, Decoded, check_page, check_size, truncated, unsupported

_ORIENTATIONS = {0: 1, 3: 3, 5: 8, 6: 6}
"""EXIF orientation for each rotation code of LibRaw."""


def decode_raw(data: bytes, page: int = 0) -> Decoded:
    """Develop a raw picture: sRGB of 16 bits, without a choice that depends on the picture's brightness.

    The white balance is the camera's, the demosaicing AHD, the gamma that of BT.709 (LibRaw's
    default); neither is the brightness stretched nor are highlights rebuilt.

    Raises
    ------
    BadImageError
        If it is damaged, too large or unknown to LibRaw, or the extra is not installed.
    """
    try:
        import rawpy
    except ImportError as error:
        raise unsupported(
            "a camera's raw picture", "pip install 'siftcli[raw]', or develop it to a 16-bit TIFF"
        ) from error
    check_page(page, 1)
    try:
        return _developed(rawpy, data)
    except (BadImageError, MemoryError):
        raise
    except rawpy.LibRawFileUnsupportedError as error:
        raise unsupported("a raw picture that LibRaw does not know", "develop it to a 16-bit TIFF") from error
    except rawpy.LibRawError as error:
        raise truncated(f"LibRaw: {error}") from error


def _developed(rawpy: Any, data: bytes) -> Decoded:
    with rawpy.imread(io.BytesIO(data)) as raw:
        sizes = raw.sizes
        check_size((sizes.raw_width, sizes.raw_height))
        check_size((sizes.iwidth, sizes.iheight))
        samples = raw.postprocess(
            output_bps=16,
            no_auto_bright=True,
            use_camera_wb=True,
            use_auto_wb=False,
            user_flip=0,
            demosaic_algorithm=rawpy.DemosaicAlgorithm.AHD,
            highlight_mode=rawpy.HighlightMode.Clip,
            output_color=rawpy.ColorSpace.sRGB,
        )
    return Decoded(np.asarray(samples), 65535, _ORIENTATIONS.get(sizes.flip, 1))
