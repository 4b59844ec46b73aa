"""Where the candidates of a picture are that became no feature, and what removed each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..api import detect_in_picture
from ..image import Picture
from ..image.stretch import distance_to
from ..kernels.threads import Threads
from ..params import SiftParams
from ..sift.candidates import EDGE, KEPT, LOW_CONTRAST, UNSTABLE
from ..sift.duplicates import MOST_SPREAD, grouped
from ..sift.keypoints import Keypoints
from ..sift.masking import allowance
from ..sift.noise import params_for
from .octaves import OctaveFound, find_all

FILTERS = ("unstable", "low_contrast", "edge", "duplicate", "low_response", "masked", "over_limit")
"""In the order of the pipeline, named as in ``Features.removed``."""
_OF_FATE = {UNSTABLE: "unstable", LOW_CONTRAST: "low_contrast", EDGE: "edge"}


@dataclass(frozen=True, eq=False)
class Rejected:
    """Candidates of a picture that became no feature."""

    xy: dict[str, NDArray[np.float64]]
    """Filter -> (N, 2) pixels of what it removed, in the order of ``FILTERS``; each has an entry."""
    n_kept: int
    """Keypoints that have a row in the output, or more."""


def rejected(
    picture: Picture, params: SiftParams, mask: NDArray[np.bool_] | None, threads: int | None = None
) -> Rejected:
    """Find all candidates of a picture again, by the stages of the pipeline, and tell what removed each.

    Parameters
    ----------
    picture
        The picture, at the size that features are detected at.
    params
        As for :func:`siftcli.detect`; without simulated views.
    mask
        (H, W) where features are wanted.
    threads
        As for :func:`siftcli.detect`.

    Returns
    -------
    Rejected
        The numbers of the first five filters, and of the mask, are those of ``Features.removed``. Over the
        limit are the keypoints of which no row is in the output: those that are left out of the last
        keypoint's orientations do not count.
    """
    with Threads(threads) as pool:
        octaves = find_all(picture.grey, params_for(picture.grey, params, pool), pool)
    removed: dict[str, list[NDArray[np.float64]]] = {name: [np.empty((0, 2))] for name in FILTERS}
    for found in octaves:
        for fate, name in _OF_FATE.items():
            removed[name].append(found.xy[found.fate == fate])
        removed["duplicate"].append(found.xy[_duplicates(found, params.merge_distance)])
        removed["low_response"].append(found.weak.xy)
    keypoints = Keypoints.concatenate([found.keypoints for found in octaves])
    room = None if picture.left_out is None else distance_to(picture.left_out)
    test = allowance(mask, room, params)
    if test is not None:
        is_allowed = test(keypoints)
        removed["masked"].append(keypoints.xy[~is_allowed])
        keypoints = keypoints.select(is_allowed)
    if params.max_features is not None:
        is_written = _is_written(picture, params, mask, keypoints, threads)
        removed["over_limit"].append(keypoints.xy[~is_written])
        keypoints = keypoints.select(is_written)
    return Rejected({name: np.concatenate(parts) for name, parts in removed.items()}, len(keypoints))


def _duplicates(found: OctaveFound, distance: float) -> NDArray[np.intp]:
    """Rows of the candidates that are merged with another, or whose group spreads too far."""
    kept = np.flatnonzero(found.fate == KEPT)
    order, label = grouped(found.refined[kept], distance)
    xy = found.refined[kept[order], :2]
    groups, of_row = np.unique(label, return_inverse=True)
    low, high = np.full((len(groups), 2), np.inf), np.full((len(groups), 2), -np.inf)
    np.minimum.at(low, of_row, xy)
    np.maximum.at(high, of_row, xy)
    is_wide = (high - low > MOST_SPREAD).any(axis=1)
    is_first = np.zeros(len(kept), bool)
    is_first[np.unique(of_row, return_index=True)[1]] = True
    return np.asarray(kept[order][~is_first | is_wide[of_row]])


def _is_written(
    picture: Picture,
    params: SiftParams,
    mask: NDArray[np.bool_] | None,
    keypoints: Keypoints,
    threads: int | None,
) -> NDArray[np.bool_]:
    """(N,) whether a keypoint has a row in the output."""
    features = detect_in_picture(picture, params, mask=mask, threads=threads, with_descriptors=False)
    rows = np.column_stack([features.xy, features.scale])
    ours = np.column_stack([keypoints.xy, keypoints.sigma]).astype(np.float32)
    written = {row.tobytes() for row in rows}
    return np.array([row.tobytes() in written for row in ours], bool)
