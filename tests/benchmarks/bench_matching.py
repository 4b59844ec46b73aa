"""Compare the time of the matcher with that of OpenCV's brute-force matcher, in one process.

python tests/benchmarks/bench_matching.py [--threads 2] [--large 50000]
"""

import argparse
import resource
import time

import numpy as np

from siftcli._cv2 import import_cv2
from siftcli.features import Features
from siftcli.matching.nearest import match


def sift_like(n, seed):
    """Features with random descriptors that are clipped and scaled to norm 512, like SIFT's."""
    rng = np.random.default_rng(seed)
    vectors = rng.exponential(1, (n, 128)).astype(np.float32)
    for _ in range(2):
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = np.minimum(vectors, 0.2)
    one = np.ones(n)
    return Features(
        xy=rng.uniform(0, 1000, (n, 2)), scale=one, orientation=0 * one, response=one, sign=one,
        octave=0 * one, descriptors=np.minimum(np.rint(512 * vectors), 255), image_size=(1000, 1000),
    )  # fmt: skip


def _seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def bench_matching(n=8000, threads=2, repetitions=7):
    """Median seconds of both in alternating runs: {"siftcli_s", "opencv_s", "speedup"}."""
    cv2 = import_cv2()
    cv2.setNumThreads(threads)
    f, g = sift_like(n, 1), sift_like(n, 2)
    a, b = f.descriptors.astype(np.float32), g.descriptors.astype(np.float32)
    matcher = cv2.BFMatcher(cv2.NORM_L2)
    match(f, g, threads=threads)
    ours, theirs = [], []
    for _ in range(repetitions):
        ours.append(_seconds(lambda: match(f, g, threads=threads)))
        theirs.append(_seconds(lambda: matcher.knnMatch(a, b, k=2)))
    siftcli_s, opencv_s = float(np.median(ours)), float(np.median(theirs))
    return {"siftcli_s": siftcli_s, "opencv_s": opencv_s, "speedup": opencv_s / siftcli_s}


def bench_large(n, threads=2):
    """Seconds for n × n and the peak memory of the process, features and interpreter included."""
    f, g = sift_like(n, 1), sift_like(n, 2)
    seconds = _seconds(lambda: match(f, g, threads=threads))
    return {
        "n": n,
        "siftcli_s": seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--large", type=int, help="measure only n × n of this size, in a fresh process")
    options = parser.parse_args()
    if options.large:
        print(bench_large(options.large, options.threads))
    else:
        print(bench_matching(threads=options.threads))
