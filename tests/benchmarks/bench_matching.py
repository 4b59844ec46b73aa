"""Compare the time of the matcher with that of OpenCV's and faiss' brute-force search, in one process.

    python tests/benchmarks/bench_matching.py [--images A B] [-n N] [--threads 1 2] [--large 50000]

All search both directions exactly; siftcli also takes the tests of ratio and of mutual neighbours. faiss is
optional (``pip install faiss-cpu``). Without images the descriptors are random.
"""

import argparse
import resource
import time
from importlib.util import find_spec

import numpy as np

import siftcli
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


def searches(f, g, threads):
    """A function for each program that searches both directions, by its name."""
    cv2 = import_cv2()
    cv2.setNumThreads(threads)
    a, b = f.descriptors.astype(np.float32), g.descriptors.astype(np.float32)
    matcher = cv2.BFMatcher(cv2.NORM_L2)
    work = {
        "siftcli": lambda: match(f, g, threads=threads),
        "opencv": lambda: (matcher.knnMatch(a, b, k=2), matcher.knnMatch(b, a, k=2)),
    }
    if find_spec("faiss"):
        import faiss

        faiss.omp_set_num_threads(threads)

        def both_by_faiss():
            for one, other in ((a, b), (b, a)):
                index = faiss.IndexFlatL2(128)
                index.add(one)
                index.search(other, 2)

        work["faiss"] = both_by_faiss
    return work


def bench_matching(f, g, threads=2, repetitions=7):
    """Median seconds of each in alternating runs, and the median of the paired speed-ups."""
    work = searches(f, g, threads)
    taken = {name: [] for name in work}
    for one in work.values():
        one()
    for _ in range(repetitions):
        for name, one in work.items():
            taken[name].append(_seconds(one))
    ours = np.array(taken["siftcli"])
    result = {f"{name}_ms": round(1000 * float(np.median(times)), 1) for name, times in taken.items()}
    others = {name: times for name, times in taken.items() if name != "siftcli"}
    return result | {
        f"over_{name}": round(float(np.median(times / ours)), 2) for name, times in others.items()
    }


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
    parser.add_argument("--images", nargs=2, help="two photographs, each with N features of the dense preset")
    parser.add_argument("-n", type=int, default=8192, help="descriptors of each image")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--large", type=int, help="measure only n × n of this size, in a fresh process")
    options = parser.parse_args()
    if options.large:
        print(bench_large(options.large, options.threads[-1]))
    else:
        params = siftcli.SiftParams.preset("dense", max_features=options.n)
        pair = [siftcli.detect(path, params) for path in options.images or ()]
        f, g = pair or (sift_like(options.n, 1), sift_like(options.n, 2))
        for n_threads in options.threads:
            measured = bench_matching(f, g, n_threads, options.repetitions)
            print({"n": (len(f), len(g)), "threads": n_threads} | measured)
