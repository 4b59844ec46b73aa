"""Models between unrelated pictures that are accepted, and right ones of related pictures that are lost.

    python tests/benchmarks/chance.py FOLDER... [--alike SCENE=SCENE] [--sample N] ...

A folder with ``images/`` is one scene, and with ``sparse/`` (a COLMAP text model) its cameras are
known. In other folders pictures whose names begin with the same letters show one scene. All ordered
pairs of different scenes are unrelated, but for those that --alike names.

A model of related pictures counts as right if it agrees with what is known:

* with cameras: the pose of a fundamental matrix is off by 10 degrees at most; a point map takes a
  grid over its inliers to within twice the tolerance of their epipolar lines (median);
* of a picture and its own turned and resized copies (for scenes of one picture): four of five
  inliers are within twice the tolerance of the true map;
* else: four of five inliers are within twice the tolerance of the model found in the other direction.
  Two directions can agree on what is wrong, so what is lost is listed, to be looked at.
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
from siftcli.matching.estimators import ERRORS
from siftcli.matching.options import MODELS
from siftcli.matching.verification import fit, matched_points, verify
from siftcli.views.canvas import rotated

SUFFIXES = {".png", ".jpg"}
COPIES = ((30, 1.0), (90, 1.0), (200, 0.5), (0, 2.0))
"""Turns (degrees) and scales of a picture's own copies."""
MAX_POSE_ERROR_DEG = 10
MIN_SHARE = 0.8


@dataclass(frozen=True)
class Camera:
    """Calibration and pose of a picture: x ~ K (R X + t), pixels from the centre of the first."""

    calibration: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray


@dataclass
class Tally:
    """What became of the models of one kind."""

    counts: Counter = field(default_factory=Counter)
    listed: list = field(default_factory=list)


def lines_of(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")]


def cameras_of(folder: Path) -> dict[str, Camera]:
    """The PINHOLE cameras of a COLMAP text model, by the names of their images."""
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
    """The larger of the errors of the turn and of the direction of the translation, in degrees."""
    u, _, vt = np.linalg.svd(b.calibration.T @ model @ a.calibration)
    rays = [
        np.column_stack([xy, np.ones(len(xy))]) @ np.linalg.inv(camera.calibration).T
        for xy, camera in ((first, a), (second, b))
    ]
    points = [np.ascontiguousarray(ray[:, :2]) for ray in rays]
    _, rotation, direction, _ = import_cv2().recoverPose(u @ np.diag([1.0, 1, 0]) @ vt, *points, np.eye(3))
    true_rotation, true_direction = relative(a, b)
    turn = np.arccos(np.clip((np.trace(rotation.T @ true_rotation) - 1) / 2, -1, 1))
    cosine = abs(direction[:, 0] @ true_direction) / np.linalg.norm(true_direction)
    return float(np.rad2deg(max(turn, np.arccos(min(cosine, 1)))))


def grid_error(model: np.ndarray, a: Camera, b: Camera, first: np.ndarray) -> float:
    """Median distance in pixels of a mapped grid over the inliers from its epipolar lines."""
    axes = [np.linspace(low, high, 5) for low, high in zip(first.min(0), first.max(0), strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    mapped = grid @ model[:, :2].T + model[:, 2]
    errors = ERRORS["fundamental"](grid, mapped[:, :2] / mapped[:, 2:], true_fundamental(a, b))
    return float(np.median(errors))


class Pictures:
    """The pictures of all scenes, and their features."""

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

    @cache  # noqa: B019 - lives as long as the script
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

    def match(self, f: Features, g: Features) -> Matches:
        return siftcli.match(f, g, ratio=self.arguments.ratio)


def judge_unrelated(pictures: Pictures, tallies: dict[str, Tally]) -> None:
    error = pictures.arguments.max_error
    for a, b in pictures.unrelated():
        f, g = pictures.features(a), pictures.features(b)
        matches = pictures.match(f, g)
        for kind, tally in tallies.items():
            found = verify(f, g, matches, kind, error)
            tally.counts["pairs"] += 1
            tally.counts["fitted"] += found.log10_nfa is not None
            if found.model is not None:
                tally.counts["accepted"] += 1
                tally.listed.append(f"accepted: {told(a, b, found, matches)}")


def judge_related(pictures: Pictures, tallies: dict[str, Tally]) -> None:
    for a, b, f, g, known in related(pictures):
        matches = pictures.match(f, g)
        for kind, tally in tallies.items():
            model, _ = fit(f, g, matches, kind, pictures.arguments.max_error)
            tally.counts["pairs"] += 1
            if model is None:
                continue
            found = verify(f, g, matches, kind, pictures.arguments.max_error)
            is_right = known(kind, model, *matched_points(f, g, matches))
            outcome = f"{'right' if is_right else 'other'}, {'lost' if found.model is None else 'accepted'}"
            tally.counts["fitted"] += 1
            tally.counts[outcome] += 1
            if outcome == "right, lost":
                tally.listed.append(f"lost: {told(a, b, found, matches)}")


def related(pictures: Pictures) -> Iterator[tuple]:
    """Names and features of related pictures, and what tells whether a model of them is right."""
    error = pictures.arguments.max_error
    for scene in pictures.scenes.values():
        for a, b in permutations(scene, 2):
            f, g = pictures.features(a), pictures.features(b)
            if a in pictures.cameras and b in pictures.cameras:
                known = by_cameras(pictures.cameras[a], pictures.cameras[b], error)
            else:
                known = by_the_other_direction(f, g, pictures.match(g, f), error)
            yield a, b, f, g, known
        if len(scene) == 1:
            grey = read_image(scene[0]).grey
            for deg, scale in COPIES:
                copy, matrix = rotated(grey, deg, scale)
                name = Path(f"{scene[0].name} turned by {deg}°, scale {scale}")
                limits = {"max_features": pictures.arguments.max_features}
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
        other, _ = fit(g, f, back, kind, max_error)
        near = ERRORS[kind](first, second, model) <= max_error
        if other is None:
            return False
        return np.mean(ERRORS[kind](second[near], first[near], other) <= 2 * max_error) >= MIN_SHARE

    return known


def told(a: Path, b: Path, found: siftcli.Verification, matches: Matches) -> str:
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
    parser.add_argument("--sample", type=int, help="so many unrelated pairs, drawn at random (the same ones)")
    parser.add_argument("--max-features", type=int)
    parser.add_argument("--max-image-size", type=int, default=800)
    parser.add_argument("--ratio", type=float, default=0.8)
    parser.add_argument("--max-error", type=float, default=3.0)
    pictures = Pictures(parser.parse_args())
    tallies = {kind: Tally() for kind in MODELS}
    judge_unrelated(pictures, tallies)
    report("unrelated", tallies, ("pairs", "fitted", "accepted"))
    tallies = {kind: Tally() for kind in MODELS}
    judge_related(pictures, tallies)
    outcomes = tuple(f"{what}, {then}" for what in ("right", "other") for then in ("accepted", "lost"))
    report("related", tallies, ("pairs", "fitted", *outcomes))


if __name__ == "__main__":
    main()
