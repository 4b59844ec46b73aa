"""Versions of the packages that results depend on, without importing them."""

from __future__ import annotations

import platform

from ._version import __version__

_PACKAGES = {
    "NumPy": ("numpy",),
    "Numba": ("numba",),
    "OpenCV": (
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
        "opencv-python",
        "opencv-python-headless",
    ),
}


def versions() -> dict[str, str]:
    """Name -> version of siftcli, Python, NumPy, Numba and OpenCV."""
    found = {name: _installed(distributions) for name, distributions in _PACKAGES.items()}
    return {"siftcli": __version__, "Python": platform.python_version(), **found}


def _installed(distributions: tuple[str, ...]) -> str:
    from importlib.metadata import PackageNotFoundError, version

    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "not installed"
