"""Detect the features of a gigapixel: peak memory, and time a megapixel beside that of 24 megapixels.

    python tests/benchmarks/gigapixel.py

A photograph of scikit-image is enlarged, mirrored again and again, and given noise that nowhere repeats, in a
TIFF of 8 bits in tiles. That of 24 megapixels is its corner, with as many features a megapixel. Each
detection is timed in a fresh process, after a tiny one that links the kernels, from the file to the features;
peak memory is that of the process, and what it had before the detection is given beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import tifffile

from siftcli._cv2 import import_cv2
from siftcli.bench.cases import Bytes, cases_of
from siftcli.bench.options import TILED

TILE = 256
ENLARGEMENT = 3
"""A photograph has less fine structure a pixel than the small sample."""

PROGRAM = """
import json, resource, sys, time
import numpy as np, siftcli
siftcli.detect(np.random.default_rng(0).random((64, 64)))
before = resource.getrusage(resource.RUSAGE_SELF)
start = time.perf_counter()
features = siftcli.detect(sys.argv[1], max_features=int(sys.argv[2]))
seconds = time.perf_counter() - start
after = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "n_features": len(features),
    "seconds": round(seconds, 2),
    "processor_s": round(sum(after[:2]) - sum(before[:2]), 2),
    "peak_mb": after.ru_maxrss * 1024 // 10**6,
    "before_mb": before.ru_maxrss * 1024 // 10**6,
}))
"""


def tiles(grey: Bytes, shape: tuple[int, int]) -> Iterator[Bytes]:
    """The tiles of the enlarged picture, row by row."""
    rows, columns = (
        _mirrored(np.arange(-(-n // TILE) * TILE), m) for n, m in zip(shape, grey.shape, strict=True)
    )
    for y in range(0, shape[0], TILE):
        band = grey[rows[y : y + TILE]]
        for x in range(0, shape[1], TILE):
            noise = np.random.default_rng((y, x)).integers(-2, 3, (TILE, TILE), np.int8)
            tile = band[:, columns[x : x + TILE]].astype(np.int16) + noise
            yield np.clip(tile, 0, 255).astype(np.uint8)


def _mirrored(at: np.ndarray, n: int) -> np.ndarray:
    at = at % (2 * n)
    return np.minimum(at, 2 * n - 1 - at)


def write(path: Path, grey: Bytes, shape: tuple[int, int], compression: str) -> None:
    """Write a picture of this shape, some tiles at a time."""
    tifffile.imwrite(
        path,
        tiles(grey, shape),
        shape=shape,
        dtype=np.uint8,
        tile=(TILE, TILE),
        photometric="minisblack",
        compression=None if compression == "none" else compression,
        compressionargs={"level": 1} if compression in ("zlib", "zstd") else None,
    )


def detect(path: Path, n_features: int, megapixels: float) -> dict[str, float]:
    """Detect in a process of its own, and say what it took."""
    command = [sys.executable, "-c", PROGRAM, str(path), str(n_features)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    found["ms_a_megapixel"] = round(1000 * found["seconds"] / megapixels, 2)
    print(f"{path.name}:", json.dumps(found), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=30_000)
    parser.add_argument("--height", type=int, default=33_000)
    parser.add_argument("--features", type=int, default=50_000)
    parser.add_argument("--compression", default="zlib", help="none, lzw, zlib or zstd")
    parser.add_argument("--folder", type=Path, help="where the files are kept for the next run")
    parser.add_argument(
        "--runs", type=int, default=3, help="of 24 Mpx, before and after; 0 only writes files"
    )
    options = parser.parse_args()
    small = 4000, 6000
    large = options.height, options.width
    mpx_small, mpx_large = (n * m / 1e6 for n, m in (small, large))
    grey = cases_of([], [0.25], [TILED])[0].grey()
    grey = np.asarray(import_cv2().resize(grey, None, fx=ENLARGEMENT, fy=ENLARGEMENT), np.uint8)
    with tempfile.TemporaryDirectory(prefix="siftcli-") as name:
        folder = options.folder or Path(name)
        paths = folder / "24-megapixels.tif", folder / "gigapixel.tif"
        for path, shape in zip(paths, (small, large), strict=True):
            if path.exists():
                continue
            start = time.perf_counter()
            write(path, grey, shape, options.compression)
            seconds = time.perf_counter() - start
            print(f"{path.name}: {path.stat().st_size / 1e6:.0f} MB, written in {seconds:.0f} s", flush=True)
        if not options.runs:
            return
        n_small = round(options.features * mpx_small / mpx_large)
        runs = [detect(paths[0], n_small, mpx_small) for _ in range(options.runs)]
        giga = detect(paths[1], options.features, mpx_large)
        runs += [detect(paths[0], n_small, mpx_small) for _ in range(options.runs)]
    for name, figure in (("time", "seconds"), ("processor's time", "processor_s")):
        each = median(run[figure] for run in runs) / mpx_small
        print(f"{name} a megapixel over that of 24 megapixels: {giga[figure] / mpx_large / each:.2f}")
    print(f"peak memory: {giga['peak_mb']} MB, {giga['peak_mb'] - giga['before_mb']} above the bare process")


if __name__ == "__main__":
    main()
