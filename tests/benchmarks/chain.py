"""Where the time goes when the pairs of a large collection are matched.

    python tests/benchmarks/chain.py [--images 1000] [--pairs 30] [--features 2000] [--seen-by 32]
        [--model fundamental]

The features are synthetic: a point is seen by 32 consecutive images, so that each image shares points with
its 31 next ones, with noise in positions and descriptors. With ``--seen-by 8`` it shares them with 7, and
the other pairs are unrelated. The stages are timed in one process with one thread, as
processor time; the whole is timed again with two processes by the clock, and with it the processor time of
the one that deals out pairs and writes.
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


def synthetic(number: int, n: int, seen_by: int) -> Features:
    """The features of an image: points of a rough plane, seen by a camera that moves along it."""
    first = number * n // seen_by
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


def make(path: Path, n_images: int, n_features: int, seen_by: int) -> None:
    names = [f"{i:05}.jpg" for i in range(n_images)]
    with open_writer(path, None, WriteOptions(images=dict.fromkeys(names), overwrite=True)) as writer:
        for number, name in enumerate(names):
            writer.write(name, synthetic(number, n_features, seen_by))


def run(path: Path, pairs: str, model: str, jobs: int) -> int:
    """Match all pairs anew; return how many are verified."""
    plan = plan_pairs(str(path), pairs, overwrite=True)
    options = MatchOptions(model=model)
    return sum(o.is_verified for o in match_pairs(plan, options, min_inliers=15, threads=1, jobs=jobs))


def profile(path: Path, pairs: str, model: str) -> dict[str, float]:
    """Seconds of the processor of each stage, and of the whole, in one process."""
    measured = cProfile.Profile(time.process_time)
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
    parser.add_argument("--seen-by", type=int, default=32, help="consecutive images that see a point")
    parser.add_argument("--model", default="fundamental")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "features.db")
        make(path, asked.images, asked.features, asked.seen_by)
        start = time.perf_counter()
        stages = profile(path, f"sequential:{asked.pairs}", asked.model)
        stages["by the clock"] = time.perf_counter() - start
        print({stage: round(seconds, 1) for stage, seconds in stages.items()}, flush=True)
        start, start_own = time.perf_counter(), time.process_time()
        n_verified = run(path, f"sequential:{asked.pairs}", asked.model, 2)
        whole, own = time.perf_counter() - start, time.process_time() - start_own
        print({"two processes": round(whole, 1), "writing one": round(own, 1), "verified": n_verified})
        used = (
            resource.getrusage(who).ru_maxrss // 1024
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        print(dict(zip(("peak MB", "of a worker"), used, strict=True)))
