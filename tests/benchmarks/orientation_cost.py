"""What an orientation costs, by the histogram and by the network.

    python tests/benchmarks/orientation_cost.py IMAGE...

The time a keypoint is that of the stage alone, on one thread, over all keypoints of an image: the
processor time of this thread, the least of several runs, so that other programs hardly matter.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
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


def time_a_keypoint(path: str, threads: Threads) -> tuple[int, dict[str, float], dict[str, int]]:
    """Keypoints of an image; microseconds a keypoint and orientations found by each stage."""
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


def main(paths: Sequence[str]) -> None:
    """Print a line for each image."""
    print(
        "| image | keypoints | histogram, µs (orientations) | learned, µs (orientations) |\n|---|---|---|---|"
    )
    with Threads(1) as threads:
        for path in paths:
            n, times, counts = time_a_keypoint(path, threads)
            cells = (f"{times[name]:.1f} ({counts[name]})" for name in STAGES)
            print(f"| {Path(path).name} | {n} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(sys.argv[1:])
