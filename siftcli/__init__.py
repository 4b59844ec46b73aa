"""SIFT features that turn with the image.

>>> import siftcli
>>> features = siftcli.detect("image.png", max_features=2000)
>>> siftcli.save(features, "image.npz")

Nothing heavy is imported before the first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .api import describe, detect
    from .errors import SiftcliError
    from .features import Features, Matches
    from .formats import load, save
    from .params import SiftParams

_HOMES = {
    "Features": ".features",
    "Matches": ".features",
    "SiftParams": ".params",
    "SiftcliError": ".errors",
    "describe": ".api",
    "detect": ".api",
    "load": ".formats",
    "save": ".formats",
}

__all__ = [
    "Features",
    "Matches",
    "SiftParams",
    "SiftcliError",
    "__version__",
    "describe",
    "detect",
    "load",
    "save",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
