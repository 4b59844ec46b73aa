"""Time reading an image and writing its features in every format: ``python tests/benchmarks/writers.py``.

The photograph is a sample image enlarged as by ``siftcli bench --megapixels``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import siftcli
from siftcli.bench.cases import WAYS, Case
from siftcli.features import Features
from siftcli.formats import npz
from siftcli.formats._collections import WriteOptions, open_writer
from siftcli.image import read_image
from siftcli.io.provenance import FileState, Provenance
from siftcli.io.writing import write_inside

sys.path.insert(0, str(Path(__file__).parents[1]))  # what tests share
from conftest import SAMPLES

TARGETS = {"npz": "out", "hloc": "x.h5", "colmap-db": "x.db", "parquet": "x.parquet"}


def reading_s(grey: NDArray[np.uint8]) -> float:
    """Median seconds in which the photograph is read, as a JPEG file in colour."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.jpg")
        Image.fromarray(grey).convert("RGB").save(path, quality=90)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            read_image(path)
            times.append(time.perf_counter() - start)
    return median(times)


def written(kind: str, folder: Path, features: Features, provenance: str, n_images: int) -> float:
    """Seconds in which so many images are written, one after the other, as a batch writes them."""
    target = folder / TARGETS[kind]
    names = [f"{i:06}.jpg" for i in range(n_images)]
    start = time.perf_counter()
    if kind == "npz":
        target.mkdir()
        for name in names:
            write_inside(target / f"{name}.npz", npz.encode(features, provenance))
    else:
        with open_writer(target, kind, WriteOptions(images=dict.fromkeys(names))) as writer:
            for name in names:
                writer.write(name, features, provenance)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--sample", default="astronaut.png")
    options = parser.parse_args()
    (path,) = (path for path in SAMPLES if path.name == options.sample)
    grey = Case(path, options.megapixels, WAYS[0]).grey()
    features = siftcli.detect(grey)
    provenance = Provenance("{}", FileState.of(path)).to_json()
    print(f"{len(features)} features in {options.megapixels:g} megapixels, read in {reading_s(grey):.2f} s")
    for kind, target in TARGETS.items():
        with tempfile.TemporaryDirectory() as folder:
            seconds = written(kind, Path(folder), features, provenance, options.images)
            files = [file for file in Path(folder, target).parent.rglob("*") if file.is_file()]
            n_bytes = sum(file.stat().st_size for file in files) / options.images
        per_feature = n_bytes / len(features)
        print(
            f"{kind}: {n_bytes / 1e6:.2f} MB an image, {per_feature:.0f} bytes a feature, "
            f"{options.images / seconds:.1f} images/s"
        )


if __name__ == "__main__":
    main()
