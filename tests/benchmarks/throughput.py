"""Compare images per second with a plain OpenCV loop, and measure memory early and late in a batch.

    python tests/benchmarks/throughput.py --rounds 3 --max-features 778

Both are timed as whole commands, alternately: they start, read files, detect, describe and write npz files.
With 778 features an image at most, siftcli writes a few more in all than OpenCV; both counts are printed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np

from siftcli.params import SiftParams
from siftcli.workflows import detect as batch
from siftcli.workflows.detect_plan import make_plan

sys.path.insert(0, str(Path(__file__).parents[1]))  # shared modules of the tests
from batches import command, make_images

EARLY = 200
"""Number of images after which memory is first measured."""


def seconds(*args: str) -> float:
    """The duration of a command in seconds."""
    start = time.perf_counter()
    subprocess.run(args, check=True)
    return time.perf_counter() - start


def peaks_mb(images: Path, out: Path, jobs: int | None) -> tuple[float, float]:
    """Peak memory of all processes of a batch in 10⁶ bytes, up to image 200 and up to the last."""
    found = []
    plan = make_plan([str(images)], output=str(out))
    for n, _ in enumerate(batch.run(plan, SiftParams(), jobs=jobs), 1):
        if n in (EARLY, len(plan.jobs)):
            children = [child.pid for child in multiprocessing.active_children()]
            found.append(sum(_peak_mb(pid) for pid in [os.getpid(), *children]))
    return found[0], found[-1]


def _peak_mb(pid: int | None) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kibibytes) * 1.024e-3


def n_features(folder: Path) -> int:
    """The number of features in all npz files below ``folder``."""
    return sum(len(np.load(path)["descriptors"]) for path in folder.rglob("*.npz"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--side", type=int, default=480, help="pixels, times 0.8 to 1.25")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--max-features", type=int, help="of an image, for siftcli alone")
    options = parser.parse_args()
    extra = [] if options.jobs is None else ["--jobs", str(options.jobs)]
    if options.max_features is not None:
        extra += ["--max-features", str(options.max_features)]
    loop = str(Path(__file__).with_name("opencv_loop.py"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = make_images(folder / "in", options.images, options.side)
        ratios = []
        for i in range(options.rounds):
            ours = seconds(*command(str(images), "-o", str(folder / f"siftcli{i}"), "-q", *extra))
            theirs = seconds(sys.executable, loop, str(images), str(folder / f"opencv{i}"))
            ratios.append(theirs / ours)
            rates = f"siftcli {options.images / ours:.1f}/s, OpenCV {options.images / theirs:.1f}/s"
            print(f"{options.images} images: {rates}, ratio {ratios[-1]:.2f}", flush=True)
        print(f"features: siftcli {n_features(folder / 'siftcli0')}, OpenCV {n_features(folder / 'opencv0')}")
        if options.rounds > 1:
            print(f"median ratio {median(ratios):.2f}")
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
            early, late = fresh.submit(peaks_mb, images, folder / "memory", options.jobs).result()
        print(
            f"peak memory: {early:.0f} MB at image {EARLY}, {late:.0f} MB at the last ({late / early:.3f} x)"
        )


if __name__ == "__main__":
    main()
