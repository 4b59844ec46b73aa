"""Where the time goes when the pairs of a large collection are matched.

    python tests/benchmarks/chain.py [--images 1000] [--pairs 30] [--features 2000] [--model fundamental]

The features are synthetic: image i sees the points from i · N / 32 on, so that it shares points with its 31
next ones, with noise in positions and descriptors. The stages are timed in one process with one thread; the
whole is timed again with two processes.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from siftcli.features import Features
from siftcli.formats._collections import WriteOptions, open_writer
from siftcli.matching.options import MatchOptions
from siftcli.workflows.match_collection import match_pairs, plan_pairs

STAGES = {
    "read": ("stale.py", "read_stored"),
    "digest": ("_matches.py", "features_digest"),
    "search": ("nearest.py", "match"),
    "verify": ("verification.py", "verify"),
    "write": ("colmap_matches.py", "write"),
}
SIZE = (4000, 3000)
SEEN_BY = 32
"""Images that see a point."""


def synthetic(number: int, n: int) -> Features:
    """The features of an image: points of a rough plane, seen by a camera that moves along it."""
    first = number * n // SEEN_BY
    points = [np.random.default_rng(i).uniform(0, 1, 131) for i in range(first, first + n)]
    world, noise = np.array(points), np.random.default_rng([number, n])
    x = (np.arange(n) + world[:, 0]) * SIZE[0] / n + 300 * world[:, 2]
    xy = np.column_stack([x, world[:, 1] * SIZE[1]]) + noise.normal(0, 0.3, (n, 2))
    vectors = -np.log(world[:, 3:]) * np.exp(noise.normal(0, 0.1, (n, 128)))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    one = np.ones(n)
    return Features(
        xy=xy, scale=2 * one, orientation=0 * one, response=one, sign=one, octave=0 * one,
        descriptors=np.minimum(np.rint(512 * vectors), 255), image_size=SIZE,
    )  # fmt: skip


def make(path: Path, n_images: int, n_features: int) -> None:
    names = [f"{i:05}.jpg" for i in range(n_images)]
    with open_writer(path, None, WriteOptions(images=dict.fromkeys(names), overwrite=True)) as writer:
        for number, name in enumerate(names):
            writer.write(name, synthetic(number, n_features))


def run(path: Path, pairs: str, model: str, jobs: int) -> int:
    """Match all pairs anew; return how many are verified."""
    plan = plan_pairs(str(path), pairs, overwrite=True)
    options = MatchOptions(model=model)
    return sum(o.is_verified for o in match_pairs(plan, options, min_inliers=15, threads=1, jobs=jobs))


def profile(path: Path, pairs: str, model: str) -> dict[str, float]:
    """Seconds of each stage, and of the whole, in one process."""
    measured = cProfile.Profile()
    measured.runcall(run, path, pairs, model, 1)
    stats = pstats.Stats(measured)
    found = {key: row[3] for key, row in stats.stats.items()}  # type: ignore[attr-defined]
    seconds = {
        stage: sum(
            t for (file, _, name), t in found.items() if name == function and Path(file).name == module
        )
        for stage, (module, function) in STAGES.items()
    }
    return seconds | {"rest": stats.total_tt - sum(seconds.values()), "whole": stats.total_tt}  # type: ignore[attr-defined]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=30, help="pairs of each image, with the next ones")
    parser.add_argument("--features", type=int, default=2000, help="features of each image")
    parser.add_argument("--model", default="fundamental")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "features.db")
        make(path, asked.images, asked.features)
        stages = profile(path, f"sequential:{asked.pairs}", asked.model)
        print({stage: round(seconds, 1) for stage, seconds in stages.items()})
        start = time.perf_counter()
        n_verified = run(path, f"sequential:{asked.pairs}", asked.model, 2)
        print({"two processes": round(time.perf_counter() - start, 1), "verified": n_verified})
        used = (
            resource.getrusage(who).ru_maxrss // 1024
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        print(dict(zip(("peak MB", "of a worker"), used, strict=True)))
