"""Error of the recovered transform on pairs of known truth, beside other programs.

    python tests/benchmarks/align_accuracy.py --pairs 200 sample_images photographs

Each pair is two views of one picture, sampled by an exact cubic spline under a random transform of the
model, with noise and a change of brightness, contrast and gamma; in turn 8-bit, 16-bit and float, grey
and colour. The error is the root mean square distance between the recovered map and the true one, over
the frame. A program that finds no transform, or one off by more, counts as infinitely wrong.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from skimage.registration import phase_cross_correlation

import siftcli
from siftcli.alignment.models import grid
from siftcli.image import read_image
from siftcli.views.planar import map_points, similarity
from siftcli.views.rendering import GREY_LEVELS, Interpolated, render

MODELS = ("translation", "rigid", "similarity", "affine", "homography")
SIDE, SMALL_SIDE = 384, 256
SHIFT_PX, TURN_DEG, ZOOM, SHEAR, TILT = 15.0, 10.0, 0.1, 0.06, 8e-5
NOISE = 2 / 255
SEED = 20261128


def random_transform(model: str, side: int, rng: np.random.Generator) -> np.ndarray:
    """A random map of a frame about its centre."""
    turn = 0.0 if model == "translation" else rng.uniform(-TURN_DEG, TURN_DEG)
    zoom = 1.0 if model in ("translation", "rigid") else math.exp(rng.uniform(-ZOOM, ZOOM))
    centre = ((side - 1) / 2, (side - 1) / 2)
    matrix = similarity(zoom, turn, centre, tuple(centre + rng.uniform(-SHIFT_PX, SHIFT_PX, 2)))
    back = similarity(1, 0, centre, (0, 0))
    if model in ("affine", "homography"):
        shear = np.eye(3)
        shear[:2, :2] += rng.uniform(-SHEAR, SHEAR, (2, 2))
        matrix = matrix @ np.linalg.inv(back) @ shear @ back
    if model == "homography":
        tilt = np.eye(3)
        tilt[2, :2] = rng.uniform(-TILT, TILT, 2)
        matrix = matrix @ np.linalg.inv(back) @ tilt @ back
    return matrix / matrix[2, 2]


def view(source: Interpolated, to_source: np.ndarray, side: int) -> np.ndarray:
    """A frame in [0, 1] without noise."""
    return render(source, to_source, (side, side), 1.0, average=False) / GREY_LEVELS


def as_kind(frame: np.ndarray, kind: int, rng: np.random.Generator, change: bool) -> np.ndarray:
    """The frame as a camera stores it: one of six kinds."""
    if change:
        frame = np.clip(frame, 0, 1) ** rng.uniform(0.8, 1.25) * rng.uniform(0.7, 1.1) + rng.uniform(
            -0.05, 0.1
        )
    if kind % 2:
        tint = np.array([1.0, 0.9, 0.8])
        frame = frame[:, :, None] * tint
    frame = np.clip(frame + NOISE * rng.standard_normal(frame.shape), 0, 1)
    if kind // 2 == 0:
        return np.rint(frame * 255).astype(np.uint8)
    if kind // 2 == 1:
        return np.rint(frame * 4095).astype(np.uint16)
    return (frame * 1000).astype(np.float32)


def grey8(frame: np.ndarray) -> np.ndarray:
    """The frame as other programs take it: 8-bit grey, stretched."""
    grey = frame.astype(np.float64).mean(axis=2) if frame.ndim == 3 else frame.astype(np.float64)
    low, high = np.percentile(grey, (0.1, 99.9))
    return np.rint(np.clip((grey - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def by_siftcli(reference: np.ndarray, moving: np.ndarray, model: str) -> np.ndarray | None:
    return siftcli.align(reference, moving, model).matrix


def by_siftcli_features(reference: np.ndarray, moving: np.ndarray, model: str) -> np.ndarray | None:
    return siftcli.align(reference, moving, model, refine="none").matrix


def by_opencv(reference: np.ndarray, moving: np.ndarray, model: str) -> np.ndarray | None:
    """OpenCV's SIFT with its defaults, the ratio test, and its estimators."""
    sift = cv2.SIFT_create()
    (kp_a, d_a), (kp_b, d_b) = (sift.detectAndCompute(grey8(f), None) for f in (moving, reference))
    good = [m for m, n in cv2.BFMatcher().knnMatch(d_a, d_b, k=2) if m.distance < 0.8 * n.distance]
    a = np.float32([kp_a[m.queryIdx].pt for m in good])
    b = np.float32([kp_b[m.trainIdx].pt for m in good])
    if len(good) < 4:
        return None
    if model == "homography":
        return cv2.findHomography(a, b, cv2.RANSAC)[0]
    function = cv2.estimateAffine2D if model == "affine" else cv2.estimateAffinePartial2D
    matrix, _ = function(a, b)
    return None if matrix is None else np.vstack([matrix, [0, 0, 1]])


def by_opencv_ecc(reference: np.ndarray, moving: np.ndarray, model: str) -> np.ndarray | None:
    """The same, refined by ``findTransformECC``."""
    start = by_opencv(reference, moving, model)
    if start is None:
        return None
    kinds = {
        "translation": cv2.MOTION_TRANSLATION, "rigid": cv2.MOTION_EUCLIDEAN,
        "similarity": cv2.MOTION_AFFINE, "affine": cv2.MOTION_AFFINE, "homography": cv2.MOTION_HOMOGRAPHY,
    }  # fmt: skip
    back = np.linalg.inv(start).astype(np.float32)
    begin = np.ascontiguousarray(back if model == "homography" else back[:2])
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-8)
    try:
        _, found = cv2.findTransformECC(grey8(reference), grey8(moving), begin, kinds[model], criteria)
    except cv2.error:
        return start
    return np.linalg.inv(found if model == "homography" else np.vstack([found, [0, 0, 1]]))


def by_pystackreg(reference: np.ndarray, moving: np.ndarray, model: str) -> np.ndarray | None:
    """TurboReg (Thevenaz et al. 1998), as StackReg uses it; it has no homography."""
    from pystackreg import StackReg  # of the extra peers

    kinds = {
        "translation": StackReg.TRANSLATION, "rigid": StackReg.RIGID_BODY,
        "similarity": StackReg.SCALED_ROTATION, "affine": StackReg.AFFINE,
    }  # fmt: skip
    if model not in kinds:
        return None
    # Its matrix maps pixels of the reference to those of the moving picture.
    matrix = StackReg(kinds[model]).register(grey8(reference).astype(float), grey8(moving).astype(float))
    return np.linalg.inv(matrix)


def by_phase_correlation(reference: np.ndarray, moving: np.ndarray, model: str) -> np.ndarray | None:
    """scikit-image, to 1/100 px; a translation only."""
    if model != "translation":
        return None
    shift, _, _ = phase_cross_correlation(grey8(reference), grey8(moving), upsample_factor=100)
    return np.array([[1, 0, shift[1]], [0, 1, shift[0]], [0, 0, 1.0]])


PROGRAMS: dict[str, Callable[[np.ndarray, np.ndarray, str], np.ndarray | None]] = {
    "siftcli": by_siftcli,
    "siftcli --refine none": by_siftcli_features,
    "OpenCV SIFT": by_opencv,
    "OpenCV SIFT + ECC": by_opencv_ecc,
    "pystackreg": by_pystackreg,
    "scikit-image phase correlation": by_phase_correlation,
}


def error_px(found: np.ndarray | None, truth: np.ndarray, side: int) -> float:
    """Root mean square distance of two maps over a frame."""
    if found is None or not np.isfinite(found).all():
        return math.inf
    points = grid((side, side))
    difference = map_points(found, points) - map_points(truth, points)
    return float(np.sqrt(np.mean(np.sum(difference**2, axis=1))))


def pair(
    source: Interpolated, model: str, kind: int, rng: np.random.Generator
) -> tuple[Any, Any, np.ndarray, int]:
    """Two frames, the map from the second to the first, and their side."""
    height, width = source.shape
    side = SIDE if min(height, width) >= SIDE + 64 else SMALL_SIDE
    middle = ((side - 1) / 2, (side - 1) / 2)
    place = similarity(1, rng.uniform(-180, 180), middle, ((width - 1) / 2, (height - 1) / 2))
    truth = random_transform(model, side, rng)
    reference = as_kind(view(source, place, side), kind, rng, change=False)
    moving = as_kind(view(source, place @ truth, side), kind, rng, change=True)
    return reference, moving, truth, side


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--pairs", type=int, default=200, help="pairs for each model")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--programs", nargs="+", default=list(PROGRAMS), choices=list(PROGRAMS))
    options = parser.parse_args()
    paths = [
        p for folder in options.folders for p in sorted(folder.glob("*")) if p.suffix in (".png", ".jpg")
    ]
    sources = [
        Interpolated(read_image(path, stretch="percentile", max_image_size=1024).grey) for path in paths
    ]
    for model in options.models:
        rng = np.random.default_rng([SEED, MODELS.index(model)])
        errors: dict[str, list[float]] = {name: [] for name in options.programs}
        for k in range(options.pairs):
            reference, moving, truth, side = pair(sources[k % len(sources)], model, k % 6, rng)
            for name in options.programs:
                errors[name].append(error_px(PROGRAMS[name](reference, moving, model), truth, side))
        for name, values in errors.items():
            result = {
                "model": model,
                "program": name,
                "n_pairs": len(values),
                "median_px": round(float(np.median(values)), 4),
                "p90_px": round(float(np.quantile(values, 0.9, method="higher")), 4),
                "within_0.1_px": round(float(np.mean(np.array(values) <= 0.1)), 3),
            }
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
