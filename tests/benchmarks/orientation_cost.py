"""Measure the cost of an orientation, by the histogram and by the network.

    python tests/benchmarks/orientation_cost.py IMAGE...

Only the orientation stage is timed, on one thread, over all keypoints of an image. The result is the
minimum processor time of several runs, so other programs have little influence.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from siftcli.image import read_image
from siftcli.kernels.threads import Threads
from siftcli.learned import orientation as learned
from siftcli.params import SiftParams
from siftcli.sift import orientation as histogram
from siftcli.sift.extrema import find_extrema
from siftcli.sift.keypoints import AssignOrientations
from siftcli.sift.refinement import refine
from siftcli.sift.scale_space import gaussian_octaves

N_RUNS = 7
STAGES: dict[str, AssignOrientations] = {
    "histogram": histogram.assign_orientations,
    "learned": learned.assign_orientations,
}


def time_per_keypoint(path: str, threads: Threads) -> tuple[int, dict[str, float], dict[str, int]]:
    """Number of keypoints of an image; microseconds per keypoint and number of orientations of each stage."""
    params, octaves = SiftParams(), gaussian_octaves(read_image(path).grey, SiftParams(), threads)
    found = [(o, refine(o, find_extrema(o, params, threads), params, threads)[0]) for o in octaves]
    n = max(sum(len(keypoints) for _, keypoints in found), 1)
    times, counts = dict.fromkeys(STAGES, float("inf")), {}
    for name, stage in STAGES.items():
        for _ in range(N_RUNS):
            start = time.thread_time()
            counts[name] = sum(len(stage(o, keypoints, params, threads)[0]) for o, keypoints in found)
            times[name] = min(times[name], 1e6 * (time.thread_time() - start) / n)
    return n, times, counts


def main() -> None:
    """Print a line for each image."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    options = parser.parse_args()
    print(
        "| image | keypoints | histogram, µs (orientations) | learned, µs (orientations) |\n|---|---|---|---|"
    )
    with Threads(1) as threads:
        for path in options.images:
            n, times, counts = time_per_keypoint(path, threads)
            cells = (f"{times[name]:.1f} ({counts[name]})" for name in STAGES)
            print(f"| {Path(path).name} | {n} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
