"""How many overlapping pairs ``--pairs similar:K`` finds, and what a large collection costs.

    python tests/benchmarks/retrieval.py distractors|recall|cost|index|match ...

``distractors FOLDER``: 300 windows of the sample images, of 0.4 to 0.8 of their sides, enlarged twice.

``recall COLLECTION.db``: the truth is the verified pairs that the database has already, of an exhaustive
match of some images (those with a truth); all others are distractors. Recall is the share of true pairs that
``similar:K`` lists. ``plain`` lists each image's K nearest only; ``ideal`` ranks by the inliers themselves,
which shows what K pairs for each image can reach.

``cost``: nearest images among N random vectors, time of the processor and peak memory.

``index`` and ``match``: seconds of the processor for each image and each pair, of 8,192 random descriptors.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from siftcli.features import Features
from siftcli.formats import _colmap_schema as schema
from siftcli.formats._collections import WriteOptions, open_writer
from siftcli.matching.options import DEFAULT_PAIRS_MODEL, MatchOptions
from siftcli.matching.search import search
from siftcli.retrieval import nearest
from siftcli.retrieval.index_file import RetrievalIndex, index_path
from siftcli.retrieval.vocabulary import N_COMPONENTS, N_WORDS
from siftcli.workflows.retrieval import collection_names, index_images

N_DISTRACTORS = 300


def distractors(folder: str) -> dict[str, Any]:
    """Write windows of the sample images, in turn."""
    samples = sorted((Path(__file__).parents[2] / "sample_images").glob("*.*g"))
    rng = np.random.default_rng(0)
    Path(folder).mkdir()
    for i in range(N_DISTRACTORS):
        with Image.open(samples[i % len(samples)]) as opened:
            picture = opened.convert("RGB")
        whole = np.array(picture.size)
        size = (whole * rng.uniform(0.4, 0.8)).astype(int)
        left, top = (rng.uniform(0, 1, 2) * (whole - size)).astype(int).tolist()
        width, height = size.tolist()
        window = picture.crop((left, top, left + width, top + height))
        window.resize((2 * width, 2 * height), Image.Resampling.BICUBIC).save(Path(folder, f"{i:03}.png"))
    return {"images": N_DISTRACTORS}


def recall(database: str, ks: list[int]) -> dict[str, Any]:
    """The share of true pairs that is found."""
    names = collection_names(database)
    n, index = len(names), {name: i for i, name in enumerate(names)}
    failed = [image.error for image in index_images(database, names) if image.error]
    assert not failed, failed
    inliers = np.zeros((n, n))
    connection = sqlite3.connect(database)
    ids = dict(connection.execute("SELECT image_id, name FROM images"))
    for pair_id, rows in connection.execute("SELECT pair_id, rows FROM two_view_geometries WHERE rows > 0"):
        a, b = (index[ids[number]] for number in divmod(pair_id, schema.MAX_ID))
        inliers[a, b] = inliers[b, a] = rows
    connection.close()
    true = {(a, b) for a, b in np.argwhere(np.triu(inliers)).tolist()}
    with RetrievalIndex(index_path(database)) as opened:
        vectors = opened.vectors(names)
    similarity = vectors.astype(np.float32) @ vectors.T.astype(np.float32)
    n_true = len({image for pair in true for image in pair})
    found: dict[str, Any] = {"images": n, "images_with_truth": n_true, "true_pairs": len(true)}
    for k in ks:
        listed = {divmod(key, n) for key in nearest.similar_images(vectors, k).sorted_keys.tolist()}
        ideal = _shared_out(inliers, k)
        found[f"K={k}"] = {
            "pairs": len(listed),
            "recall": len(true & listed) / len(true),
            "ideal": len(true & ideal) / len(true),
            "plain_pairs": len(_nearest(similarity, k)),
            "plain_recall": len(true & _nearest(similarity, k)) / len(true),
            "plain_ideal": len(true & _nearest(inliers, k)) / len(true),
        }
    return found


def _nearest(scores: np.ndarray, k: int) -> set[tuple[int, int]]:
    scores = scores.astype(np.float64)
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return {(min(i, j), max(i, j)) for i in range(len(scores)) for j in order[i].tolist()}


def _shared_out(scores: np.ndarray, k: int) -> set[tuple[int, int]]:
    n = len(scores)
    pairs = np.argwhere(np.triu(scores, 1))
    order = np.argsort(-scores[pairs[:, 0], pairs[:, 1]], kind="stable")
    keys = nearest._shared_out((pairs[:, 0] * n + pairs[:, 1])[order], n, k)
    return {divmod(key, n) for key in keys.tolist()}


def cost(n: int, k: int) -> dict[str, Any]:
    """Find similar images among random vectors of the form that images have."""
    rng, vectors = np.random.default_rng(0), np.empty((n, N_WORDS * N_COMPONENTS), np.int8)
    for rows in np.array_split(vectors, max(1, n // 1000)):
        sums = rng.standard_normal((len(rows), N_WORDS, N_COMPONENTS), np.float32)
        sums *= 1000 / N_WORDS**0.5 / np.linalg.norm(sums, axis=2, keepdims=True)
        rows[:] = np.rint(sums).reshape(len(rows), -1)
    wall, processor = time.perf_counter(), time.process_time()
    pairs = nearest.similar_images(vectors, k)
    return {
        "images": n,
        "k": k,
        "pairs": len(pairs.sorted_keys),
        "wall_s": time.perf_counter() - wall,
        "processor_s": time.process_time() - processor,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }


def made(n_features: int, seed: int) -> Features:
    """Random features."""
    rng = np.random.default_rng(seed)
    return Features(
        xy=4000 * rng.random((n_features, 2), np.float32),
        scale=np.ones(n_features, np.float32),
        orientation=np.zeros(n_features, np.float32),
        response=np.ones(n_features, np.float32),
        sign=np.ones(n_features, np.int8),
        octave=np.zeros(n_features, np.int16),
        descriptors=rng.integers(0, 90, (n_features, 128)).astype(np.uint8),
        image_size=(4000, 4000),
        descriptor_kind="rootsift",
        image_name=f"{seed}.jpg",
    )


def index(n_features: int, n_images: int) -> dict[str, Any]:
    """Time of the processor for reading and indexing images of a database, on one thread."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "x.db"))
        names = sorted(f"{i}.jpg" for i in range(n_images))
        with open_writer(path, None, WriteOptions(images=dict.fromkeys(names))) as writer:
            for i in range(n_images):
                writer.write(f"{i}.jpg", made(n_features, i))
        images = index_images(path, names, jobs=1)
        start = time.process_time()
        next(images)
        train_s, start = time.process_time() - start, time.process_time()
        n_done = len(list(images))
    each = (time.process_time() - start) / n_done
    return {"features": n_features, "images": n_done, "train_s": train_s, "processor_s_each": each}


def match(n_features: int, n_pairs: int) -> dict[str, Any]:
    """Time of the processor for matching and verifying pairs of unrelated random images, on one thread."""
    options, first = MatchOptions(model=DEFAULT_PAIRS_MODEL), made(n_features, 0)
    search(first, made(n_features, 1), options, threads=1)
    others = [made(n_features, 2 + i) for i in range(n_pairs)]
    start = time.process_time()
    for other in others:
        search(first, other, options, threads=1)
    each = (time.process_time() - start) / n_pairs
    return {"features": n_features, "pairs": n_pairs, "processor_s_each": each}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("distractors", "recall", "cost", "index", "match"))
    parser.add_argument("path", nargs="?", help="a folder to write, or a database")
    parser.add_argument("--k", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--n", type=int, default=100, help="images to index, or pairs to match")
    options = parser.parse_args()
    found = {
        "distractors": lambda: distractors(options.path),
        "recall": lambda: recall(options.path, options.k),
        "cost": lambda: cost(options.images, options.k[-1]),
        "index": lambda: index(8192, options.n),
        "match": lambda: match(8192, options.n),
    }[options.what]()
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
