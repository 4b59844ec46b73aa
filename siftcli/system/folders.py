"""Where a user's files belong."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def users_cache() -> Path:
    """The folder of siftcli's cache: in ``~/.cache``, ``~/Library/Caches`` or ``%LOCALAPPDATA%``."""
    if sys.platform == "linux":  # as platformdirs, which takes 2 ms to import
        named = Path(os.environ.get("XDG_CACHE_HOME", "").strip())
        return (named if named.is_absolute() else Path("~/.cache").expanduser()) / "siftcli"
    from platformdirs import user_cache_path

    return user_cache_path("siftcli", appauthor=False)
