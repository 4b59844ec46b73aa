"""Compare the time from images to a verified database with that of COLMAP on the processor.

    python tests/benchmarks/collection.py IMAGES [--max-features N] [--repetitions K] [-- OPTIONS]

Each step is a process of its own, and the programs take turns. Before that, siftcli runs once: its kernels
and modules are compiled then, as those of an installed package are. OPTIONS are those of ``siftcli match``.
The script needs pycolmap.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np

COLMAP_DETECT = """
import sys, pycolmap
options = pycolmap.FeatureExtractionOptions(use_gpu=False)
options.sift.max_num_features = int(sys.argv[3])
pycolmap.extract_features(sys.argv[2], sys.argv[1], extraction_options=options)
"""
COLMAP_MATCH = """
import sys, pycolmap
options = pycolmap.FeatureMatchingOptions(use_gpu=False)
options.max_num_matches = int(sys.argv[2])
pycolmap.match_exhaustive(sys.argv[1], matching_options=options)
"""


def environment(bytecode: Path) -> dict[str, str]:
    """The environment, with compiled modules in this folder: a checkout may be told to keep none."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(bytecode)}


def seconds(folder: Path, *command: str) -> float:
    env = environment(folder / "bytecode")
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True, env=env)
    return time.perf_counter() - start


def verified(database: Path) -> int:
    """Pairs with inliers."""
    with closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM two_view_geometries WHERE rows > 0").fetchone()
    return int(count)


def of_siftcli(images: Path, folder: Path, limit: str, options: list[str]) -> tuple[float, float, int]:
    """Seconds of detection and of matching, and the number of verified pairs."""
    database = folder / "siftcli.db"
    database.unlink(missing_ok=True)
    how = (folder, "-m", "siftcli")
    detect = seconds(
        *how, "detect", str(images), "-o", str(database), "--preset", "dense", "--max-features", limit
    )
    match = seconds(*how, "match", str(database), "--pairs", "exhaustive", *options)
    return detect, match, verified(database)


def of_colmap(images: Path, folder: Path, limit: str) -> tuple[float, float, int]:
    """Seconds of detection and of matching, and the number of verified pairs."""
    database = folder / "colmap.db"
    database.unlink(missing_ok=True)
    detect = seconds(folder, "-c", COLMAP_DETECT, str(images), str(database), limit)
    match = seconds(folder, "-c", COLMAP_MATCH, str(database), limit)
    return detect, match, verified(database)


def main() -> None:
    arguments = sys.argv[1:]
    how = arguments[arguments.index("--") + 1 :] if "--" in arguments else ["--model", "fundamental"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="a folder of photographs")
    parser.add_argument("--max-features", default="8192", help="limit for both programs")
    parser.add_argument("--repetitions", type=int, default=1)
    asked = parser.parse_args(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        of_siftcli(asked.images, folder, asked.max_features, how)
        for _ in range(asked.repetitions):
            ours = of_siftcli(asked.images, folder, asked.max_features, how)
            theirs = of_colmap(asked.images, folder, asked.max_features)
            for program, (detect, match, n_pairs) in (("siftcli", ours), ("colmap", theirs)):
                print(f"{program} {detect:.1f} + {match:.1f} s, {n_pairs} verified", flush=True)
            rows.append(ours + theirs)
    a, b, _, c, d, _ = np.array(rows).T
    print(f"matching {np.median(d / b):.2f} x, in all {np.median((c + d) / (a + b)):.2f} x")


if __name__ == "__main__":
    main()
