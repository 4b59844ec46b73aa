"""Where a user's files belong."""

from __future__ import annotations

from pathlib import Path


def users_cache() -> Path:
    """The folder of siftcli's cache: in ``~/.cache``, ``~/Library/Caches`` or ``%LOCALAPPDATA%``."""
    from platformdirs import user_cache_path

    return user_cache_path("siftcli", appauthor=False)
