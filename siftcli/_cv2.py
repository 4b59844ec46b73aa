"""The one place that imports OpenCV, so that its absence is explained once."""

from __future__ import annotations

from typing import Any

from .errors import MissingDependencyError


def import_cv2() -> Any:
    """OpenCV's module.

    Raises
    ------
    MissingDependencyError
        If OpenCV, or a system library that it links to, is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise MissingDependencyError(
            f"OpenCV cannot be imported ({reason}); install the system libraries it needs "
            "(Debian, Ubuntu: apt-get install libgl1 libglib2.0-0), or replace opencv-contrib-python "
            "by the headless wheel (pip install opencv-contrib-python-headless)"
        ) from error
    return cv2
