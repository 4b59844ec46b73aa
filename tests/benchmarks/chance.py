"""Count accepted models of unrelated images, and rejected correct models of related images.

    python tests/benchmarks/chance.py FOLDER... [--alike SCENE=SCENE] [--sample N] ...

A folder with ``images/`` is one scene. If it also has ``sparse/``, a COLMAP text model, its cameras are
known, and unrelated images are tried with an essential matrix too. In other folders, images whose names
start with the same letters show one scene. All ordered pairs of different scenes are unrelated, except
those given by --alike.

A model of related images counts as correct if it agrees with the known geometry:

* With known cameras: the pose error of a fundamental matrix is at most 10 degrees. A point map takes a
  grid over its inliers to within twice the tolerance of their epipolar lines (median).
* For an image and its own rotated and resized copies (scenes of one image): 80 % of the inliers are
  within twice the tolerance of the true map.
* Otherwise: 80 % of the inliers are within twice the tolerance of the model of the reverse direction.
  Both directions can be wrong in the same way, so rejected models are listed for inspection.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np

import siftcli
from siftcli._cv2 import import_cv2
from siftcli.features import Features, Matches
from siftcli.image import read_image
from siftcli.matching.cameras import Camera as Pinhole
from siftcli.matching.options import ESSENTIAL, MODELS
from siftcli.matching.residuals import ERRORS
from siftcli.matching.verification import fit, matched_points, verify
from siftcli.views.canvas import rotated

SUFFIXES = {".png", ".jpg"}
COPIES = ((30, 1.0), (90, 1.0), (200, 0.5), (0, 2.0))
"""Rotations (degrees) and scales of the copies of an image."""
MAX_POSE_ERROR_DEG = 10
MIN_SHARE = 0.8


@dataclass(frozen=True)
class Camera:
    """Calibration and pose of an image: x ~ K (R X + t); (0, 0) is the centre of the top-left pixel."""

    calibration: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray


@dataclass
class Tally:
    """Outcomes of the models of one kind."""

    counts: Counter = field(default_factory=Counter)
    listed: list = field(default_factory=list)


def lines_of(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")]


def cameras_of(folder: Path) -> dict[str, Camera]:
    """Image name -> its PINHOLE camera in a COLMAP text model."""
    calibrations = {}
    for number, _, _, _, fx, fy, cx, cy in lines_of(folder / "cameras.txt"):
        calibrations[number] = np.array(
            [[float(fx), 0, float(cx) - 0.5], [0, float(fy), float(cy) - 0.5], [0, 0, 1]]
        )
    cameras = {}
    for row in lines_of(folder / "images.txt"):
        w, *xyz = np.array(row[1:5], float)
        x, y, z = xyz
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        rotation = np.eye(3) + 2 * w * cross + 2 * cross @ cross
        cameras[row[9]] = Camera(calibrations[row[8]], rotation, np.array(row[5:8], float))
    return cameras


def relative(a: Camera, b: Camera) -> tuple[np.ndarray, np.ndarray]:
    rotation = b.rotation @ a.rotation.T
    return rotation, b.translation - rotation @ a.translation


def true_fundamental(a: Camera, b: Camera) -> np.ndarray:
    rotation, (x, y, z) = relative(a, b)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.linalg.inv(b.calibration).T @ cross @ rotation @ np.linalg.inv(a.calibration)


def pose_error(model: np.ndarray, a: Camera, b: Camera, first: np.ndarray, second: np.ndarray) -> float:
    """The larger of the errors of the rotation and of the direction of translation, in degrees."""
    u, _, vt = np.linalg.svd(b.calibration.T @ model @ a.calibration)
    rays = [
        np.column_stack([xy, np.ones(len(xy))]) @ np.linalg.inv(camera.calibration).T
        for xy, camera in ((first, a), (second, b))
    ]
    points = [np.ascontiguousarray(ray[:, :2]) for ray in rays]
    _, rotation, direction, _ = import_cv2().recoverPose(u @ np.diag([1.0, 1, 0]) @ vt, *points, np.eye(3))
    true_rotation, true_direction = relative(a, b)
    rotation_error = np.arccos(np.clip((np.trace(rotation.T @ true_rotation) - 1) / 2, -1, 1))
    cosine = abs(direction[:, 0] @ true_direction) / np.linalg.norm(true_direction)
    return float(np.rad2deg(max(rotation_error, np.arccos(min(cosine, 1)))))


def grid_error(model: np.ndarray, a: Camera, b: Camera, first: np.ndarray) -> float:
    """Median distance in pixels between a mapped grid over the inliers and its epipolar lines."""
    axes = [np.linspace(low, high, 5) for low, high in zip(first.min(0), first.max(0), strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    mapped = grid @ model[:, :2].T + model[:, 2]
    errors = ERRORS["fundamental"](grid, mapped[:, :2] / mapped[:, 2:], true_fundamental(a, b))
    return float(np.median(errors))


class Images:
    """The images of all scenes, and their features."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.scenes: dict[str, list[Path]] = defaultdict(list)
        self.cameras: dict[Path, Camera] = {}
        for folder in arguments.folders:
            self._add(folder)

    def _add(self, folder: Path) -> None:
        is_scene = (folder / "images").is_dir()
        for path in sorted((folder / "images" if is_scene else folder).iterdir()):
            if path.suffix.lower() in SUFFIXES:
                letters = "" if is_scene else "/" + re.match("[A-Za-z]*", path.name)[0]
                self.scenes[folder.resolve().name + letters].append(path)
        if is_scene and (folder / "sparse").is_dir():
            known = cameras_of(folder / "sparse")
            self.cameras |= {folder / "images" / name: camera for name, camera in known.items()}

    @cache  # noqa: B019 - the object lives as long as the script
    def features(self, path: Path) -> Features:
        limits = {
            "max_image_size": self.arguments.max_image_size,
            "max_features": self.arguments.max_features,
        }
        return siftcli.detect(path, **limits)

    def unrelated(self) -> list[tuple[Path, Path]]:
        alike = {tuple(sorted(pair.split("="))) for pair in self.arguments.alike}
        pairs = [
            (a, b)
            for one, other in permutations(self.scenes, 2)
            if tuple(sorted((one, other))) not in alike
            for a in self.scenes[one]
            for b in self.scenes[other]
        ]
        n = self.arguments.sample
        return pairs if n is None else random.Random(0).sample(pairs, min(n, len(pairs)))

    def pinholes(self, a: Path, b: Path) -> tuple[Pinhole, Pinhole] | None:
        """Both cameras, where they are known."""
        if a not in self.cameras or b not in self.cameras:
            return None
        first, second = (self.cameras[path].calibration for path in (a, b))
        return tuple(Pinhole(fx=k[0, 0], fy=k[1, 1], cx=k[0, 2], cy=k[1, 2]) for k in (first, second))

    def match(self, f: Features, g: Features) -> Matches:
        return siftcli.match(f, g, ratio=self.arguments.ratio)


def judge_unrelated(images: Images, tallies: dict[str, Tally]) -> None:
    error = images.arguments.max_error
    for a, b in images.unrelated():
        f, g = images.features(a), images.features(b)
        matches = images.match(f, g)
        cameras = images.pinholes(a, b)
        for kind, tally in tallies.items():
            if kind == ESSENTIAL and cameras is None:
                continue
            found = verify(f, g, matches, kind, error, cameras if kind == ESSENTIAL else None)
            tally.counts["pairs"] += 1
            tally.counts["fitted"] += found.log10_nfa is not None
            if found.model is not None:
                tally.counts["accepted"] += 1
                tally.listed.append(f"accepted: {described(a, b, found, matches)}")


def judge_related(images: Images, tallies: dict[str, Tally]) -> None:
    for a, b, f, g, known in related(images):
        matches = images.match(f, g)
        for kind, tally in tallies.items():
            model = fit(f, g, matches, kind, images.arguments.max_error).model
            tally.counts["pairs"] += 1
            if model is None:
                continue
            found = verify(f, g, matches, kind, images.arguments.max_error)
            is_correct = known(kind, model, *matched_points(f, g, matches))
            outcome = (
                f"{'correct' if is_correct else 'other'}, {'rejected' if found.model is None else 'accepted'}"
            )
            tally.counts["fitted"] += 1
            tally.counts[outcome] += 1
            if outcome == "correct, rejected":
                tally.listed.append(f"rejected: {described(a, b, found, matches)}")


def related(images: Images) -> Iterator[tuple]:
    """Names and features of related images, and a function that checks a model of them."""
    error = images.arguments.max_error
    for scene in images.scenes.values():
        for a, b in permutations(scene, 2):
            f, g = images.features(a), images.features(b)
            if a in images.cameras and b in images.cameras:
                known = by_cameras(images.cameras[a], images.cameras[b], error)
            else:
                known = by_the_other_direction(f, g, images.match(g, f), error)
            yield a, b, f, g, known
        if len(scene) == 1:
            grey = read_image(scene[0]).grey
            for deg, scale in COPIES:
                copy, matrix = rotated(grey, deg, scale)
                name = Path(f"{scene[0].name} rotated by {deg}°, scale {scale}")
                limits = {"max_features": images.arguments.max_features}
                yield (
                    scene[0],
                    name,
                    siftcli.detect(grey, **limits),
                    siftcli.detect(copy, **limits),
                    by_map(matrix, error),
                )


def by_cameras(a: Camera, b: Camera, max_error: float):
    def known(kind, model, first, second):
        near = ERRORS[kind](first, second, model) <= max_error
        if kind == "fundamental":
            return pose_error(model, a, b, first[near], second[near]) <= MAX_POSE_ERROR_DEG
        return grid_error(model, a, b, first[near]) <= 2 * max_error

    return known


def by_map(matrix: np.ndarray, max_error: float):
    def known(kind, model, first, second):
        near = ERRORS[kind](first, second, model) <= max_error
        errors = ERRORS["homography"](first[near], second[near], matrix)
        return np.mean(errors <= 2 * max_error) >= MIN_SHARE

    return known


def by_the_other_direction(f: Features, g: Features, back: Matches, max_error: float):
    def known(kind, model, first, second):
        other = fit(g, f, back, kind, max_error).model
        near = ERRORS[kind](first, second, model) <= max_error
        if other is None:
            return False
        return np.mean(ERRORS[kind](second[near], first[near], other) <= 2 * max_error) >= MIN_SHARE

    return known


def described(a: Path, b: Path, found: siftcli.Verification, matches: Matches) -> str:
    count = f"{found.n_inliers} of {len(matches)} matches"
    return f"{a.parent.parent.name}/{a.name} {b.name}: {found.kind}, {count}, log10 NFA {found.log10_nfa:.1f}"


def report(name: str, tallies: dict[str, Tally], columns: tuple[str, ...]) -> None:
    print(f"{name:12}" + "".join(f"{column:>17}" for column in columns))
    for kind, tally in tallies.items():
        print(f"{kind:12}" + "".join(f"{tally.counts[column]:>17}" for column in columns))
    for tally in tallies.values():
        print("".join(f"    {line}\n" for line in tally.listed), end="")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--alike", action="append", default=[], metavar="SCENE=SCENE")
    parser.add_argument(
        "--sample", type=int, help="number of unrelated pairs, drawn at random with a fixed seed"
    )
    parser.add_argument("--max-features", type=int)
    parser.add_argument("--max-image-size", type=int, default=800)
    parser.add_argument("--ratio", type=float, default=0.8)
    parser.add_argument("--max-error", type=float, default=3.0)
    images = Images(parser.parse_args())
    tallies = {kind: Tally() for kind in (*MODELS, ESSENTIAL)}
    judge_unrelated(images, tallies)
    report("unrelated", tallies, ("pairs", "fitted", "accepted"))
    tallies = {kind: Tally() for kind in MODELS}
    judge_related(images, tallies)
    outcomes = tuple(f"{what}, {then}" for what in ("correct", "other") for then in ("accepted", "rejected"))
    report("related", tallies, ("pairs", "fitted", *outcomes))


if __name__ == "__main__":
    main()
