"""Measure what simulated views gain and cost, on tilted planes of known homography.

    python tests/benchmarks/simulated_views.py IMAGE... [--tilts 50 60 70 75] [--views 0 1 2 3] [--opencv]

Each image is matched with itself, seen as a plane at each tilt (degrees). Printed are for each setting and
tilt: the fraction of planes whose verified homography is right within 3 px at every corner; the median
number of correct matches (3 px), of matches and of features of the image; and the median time in s that the
detection in both takes. --opencv adds OpenCV's AffineFeature of its SIFT, with its defaults, matched as in
OpenCV's own example (two nearest neighbours, ratio 0.75) and verified like the others.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
from relative_poses import corner_error

import siftcli
from siftcli._cv2 import import_cv2
from siftcli.features import Features, Matches
from siftcli.image import read_image
from siftcli.views.planar import map_points

CORRECT_PX = 3
FINER = 4
"""Samples of a pixel along each axis, of which a tilted pixel is the mean."""


def tilted(image: np.ndarray, tilt_deg: float, turn_rad: float) -> tuple[np.ndarray, np.ndarray]:
    """The image as a plane tilted about an axis, and the map from the image to it."""
    cv2 = import_cv2()
    height, width = image.shape
    angle, c, s = math.radians(tilt_deg), math.cos(turn_rad), math.sin(turn_rad)
    centre = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1]])
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    lean = np.array([[math.cos(angle), 0, 0], [0, 1, 0], [math.sin(angle) / (2 * max(width, height)), 0, 1]])
    model = np.linalg.inv(centre) @ turn.T @ lean @ turn @ centre
    half = (FINER - 1) / 2  # pixel centres of the finer grid
    finer = np.array([[FINER, 0, half], [0, FINER, half], [0, 0, 1]])
    size = FINER * width, FINER * height
    large = cv2.warpPerspective(image, finer @ model, size, flags=cv2.INTER_LINEAR)
    return np.clip(cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA), 0, 1), model


def own(n_views: int):
    def find(grey: np.ndarray) -> Features:
        return siftcli.detect(grey, views=n_views)

    return find, siftcli.match


def opencv():
    cv2 = import_cv2()

    def find(grey: np.ndarray) -> Features:
        detector = cv2.AffineFeature_create(cv2.SIFT_create())
        points, descriptors = detector.detectAndCompute(np.rint(255 * grey).astype(np.uint8), None)
        n = len(points)
        return Features(
            xy=np.array([p.pt for p in points], np.float32).reshape(n, 2),
            scale=np.array([p.size / 2 for p in points]), orientation=np.zeros(n), response=np.ones(n),
            sign=np.ones(n), octave=np.zeros(n), descriptors=np.zeros((0, 128)) if n == 0 else descriptors,
            image_size=grey.shape[::-1],
        )  # fmt: skip

    def match(f: Features, g: Features) -> Matches:
        matcher = cv2.BFMatcher(cv2.NORM_L2)
        found = matcher.knnMatch(f.descriptors.astype(np.float32), g.descriptors.astype(np.float32), 2)
        kept = [first for first, *second in found if second and first.distance < 0.75 * second[0].distance]
        one = np.ones(len(kept), np.float32)
        pairs = np.array([(m.queryIdx, m.trainIdx) for m in kept], np.int32).reshape(-1, 2)
        return Matches(pairs=pairs, distance=one, ratio=one)

    return find, match


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--tilts", nargs="+", type=float, default=[50, 60, 70, 75])
    parser.add_argument("--views", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--max-image-size", type=int, default=512)
    parser.add_argument("--opencv", action="store_true")
    arguments = parser.parse_args()
    settings = {f"--views {n}": own(n) for n in arguments.views}
    if arguments.opencv:
        settings["AffineFeature"] = opencv()
    for name, (find, match) in settings.items():
        for tilt_deg in arguments.tilts:
            rows = []
            for n, path in enumerate(arguments.images):
                grey = np.ascontiguousarray(read_image(path).reduced(arguments.max_image_size).grey)
                view, model = tilted(grey, tilt_deg, 0.3 + n)
                start = time.perf_counter()
                f, g = find(grey), find(view)
                seconds = time.perf_counter() - start
                matches = match(f, g)
                found = siftcli.verify(f, g, matches)
                rows_f, rows_g = matches.pairs.T
                off = np.linalg.norm(map_points(model, f.xy[rows_f].astype(float)) - g.xy[rows_g], axis=1)
                right = found.model is not None and corner_error(found.model, model, grey.shape) <= CORRECT_PX
                rows.append((right, np.count_nonzero(off <= CORRECT_PX), len(matches), len(f), seconds))
            right, correct, n_matches, n_features, seconds = np.array(rows, float).T
            print(f"{name:14} {tilt_deg:3.0f}°  right {right.mean():.2f}  correct {np.median(correct):6.0f}"
                  f" of {np.median(n_matches):6.0f}  features {np.median(n_features):6.0f}"
                  f"  {np.median(seconds):6.2f} s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
