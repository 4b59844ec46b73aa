"""SIFT feature detection, description and matching.

>>> import siftcli
>>> features = siftcli.detect("sample_images/camera.png", max_features=500)
>>> features
<Features: 500 keypoints of 'camera.png', 512 x 512 px, sigma ... px, rootsift>
>>> siftcli.save(features, "camera.npz", overwrite=True)

Large dependencies are imported at the first call, not with the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from . import compat
    from .alignment.functions import Alignment, align, warp
    from .api import describe, detect
    from .drawing.functions import draw_keypoints, draw_matches
    from .errors import SiftcliError
    from .explanation import Explanation, explain
    from .features import Features, Matches
    from .formats import load, save
    from .matching.cameras import Camera, RelativePose
    from .matching.nearest import Guide, match
    from .matching.verification import Verification, verify
    from .params import SiftParams

_HOMES = {
    "Alignment": ".alignment.functions",
    "Camera": ".matching.cameras",
    "Explanation": ".explanation",
    "Features": ".features",
    "Guide": ".matching.nearest",
    "Matches": ".features",
    "RelativePose": ".matching.cameras",
    "SiftParams": ".params",
    "SiftcliError": ".errors",
    "Verification": ".matching.verification",
    "align": ".alignment.functions",
    "describe": ".api",
    "detect": ".api",
    "draw_keypoints": ".drawing.functions",
    "draw_matches": ".drawing.functions",
    "explain": ".explanation",
    "load": ".formats",
    "match": ".matching.nearest",
    "save": ".formats",
    "verify": ".matching.verification",
    "warp": ".alignment.functions",
}
_MODULES = ("compat",)

__all__ = [
    "Alignment",
    "Camera",
    "Explanation",
    "Features",
    "Guide",
    "Matches",
    "RelativePose",
    "SiftParams",
    "SiftcliError",
    "Verification",
    "__version__",
    "align",
    "compat",
    "describe",
    "detect",
    "draw_keypoints",
    "draw_matches",
    "explain",
    "load",
    "match",
    "save",
    "verify",
    "warp",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    from importlib import import_module

    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
