"""The one place that imports PoseLib, which not every system has, so that its absence is explained once.

No other library stands in for it: on the same matches it would give other models (docs/decisions/0046).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from .errors import MissingDependencyError


def check_poselib(what: str, otherwise: str = "") -> None:
    """Check that PoseLib is installed, without importing it.

    Parameters
    ----------
    what
        What needs it, for the message.
    otherwise
        What can be done without it.

    Raises
    ------
    MissingDependencyError
        If it is not.
    """
    if find_spec("poselib") is None:
        raise MissingDependencyError(
            f"{what} needs the Python package poselib, which is not installed. pip installs it with siftcli "
            "on Linux x86-64, macOS ARM and Windows x86-64; elsewhere it must be built (docs/install.md)"
            f"{otherwise and '; '}{otherwise}"
        )


def import_poselib() -> Any:
    """PoseLib's module.

    Raises
    ------
    MissingDependencyError
        If it cannot be imported.
    """
    try:
        import poselib
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise MissingDependencyError(
            f"PoseLib cannot be imported ({reason}); reinstall it: pip install --force-reinstall poselib"
        ) from error
    return poselib
