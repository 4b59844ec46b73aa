"""Frames a second of ``siftcli align`` on a stack of frames of 1 megapixel, beside a loop over OpenCV.

    python tests/benchmarks/align_throughput.py --frames 1000

The loop is what people write: OpenCV's SIFT with its defaults, brute-force matching with the ratio test,
``estimateAffinePartial2D`` to the first frame, ``warpAffine``. Both read the same uncompressed 8-bit
TIFF stack and write one. Each runs in a process of its own; processor time is that of it and its children.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SIDE = 1024
_ALIGN = ("-m", "siftcli", "align", "{source}", "-o", "{target}", "--overwrite", "-q")
RUNS = {
    "siftcli align": _ALIGN,
    "siftcli align --neighbours 0": (*_ALIGN, "--neighbours", "0"),
    "siftcli align --refine none": (*_ALIGN, "--refine", "none"),
    "OpenCV loop": (__file__, "--opencv", "{source}", "{target}"),
}
SOURCES = ("rocket.jpg", "astronaut.png", "chelsea.png", "retina.jpg")


def scene() -> np.ndarray:
    """A grey picture of 1,400 x 1,400 pixels with details everywhere, made of four sample images."""
    parts = []
    for name in SOURCES:
        picture = Image.open(ROOT / "sample_images" / name).convert("L")
        side = min(picture.size)
        parts.append(
            np.asarray(picture.crop((0, 0, side, side)).resize((700, 700), Image.Resampling.LANCZOS))
        )
    return np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])])


def frames(n: int, first: int = 0) -> Iterator[np.ndarray]:
    """Frames that drift, turn and have noise."""
    whole, rng = scene(), np.random.default_rng([5, first])
    for k in range(first, first + n):
        angle, zoom = 4 * np.sin(k / 40), 1 + 0.02 * np.sin(k / 25)
        matrix = cv2.getRotationMatrix2D((700, 700), angle, zoom)
        matrix[:, 2] += np.array([SIDE / 2 - 700, SIDE / 2 - 700]) + 40 * np.array(
            [np.sin(k / 60), np.cos(k / 90)]
        )
        frame = cv2.warpAffine(whole, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC).astype(np.float32)
        yield np.clip(frame + rng.normal(0, 2, frame.shape), 0, 255).astype(np.uint8)


def opencv_loop(source: Path, target: Path) -> None:
    """Align a stack with its first frame."""
    sift, matcher = cv2.SIFT_create(), cv2.BFMatcher()
    with tifffile.TiffFile(source) as file, tifffile.TiffWriter(target) as out:
        first = None
        for page in file.pages:
            frame = page.asarray()
            keypoints, descriptors = sift.detectAndCompute(frame, None)
            if first is None:
                first = keypoints, descriptors
                out.write(frame, metadata=None, contiguous=False)
                continue
            good = [
                m for m, n in matcher.knnMatch(descriptors, first[1], k=2) if m.distance < 0.8 * n.distance
            ]
            a = np.float32([keypoints[m.queryIdx].pt for m in good])
            b = np.float32([first[0][m.trainIdx].pt for m in good])
            matrix, _ = cv2.estimateAffinePartial2D(a, b)
            warped = cv2.warpAffine(frame, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC)
            out.write(warped, metadata=None, contiguous=False)


def timed(command: list[str]) -> tuple[float, float]:
    """Wall clock and processor time of a command in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT)
    wall_s = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first frame, to run in pieces")
    parser.add_argument("--runs", nargs="+", default=list(RUNS), choices=list(RUNS))
    parser.add_argument("--opencv", nargs=2, metavar=("SOURCE", "TARGET"), help="run the loop only")
    options = parser.parse_args()
    if options.opencv:
        opencv_loop(*map(Path, options.opencv))
        return
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "stack.tif"), Path(folder, "aligned.tif")
        with tifffile.TiffWriter(source, bigtiff=options.frames > 4000) as file:
            for frame in frames(options.frames, options.first):
                file.write(frame, metadata=None, contiguous=False)
        for name in options.runs:
            command = [sys.executable, *(word.format(source=source, target=target) for word in RUNS[name])]
            wall_s, cpu_s = timed(command)
            result = {
                "run": name,
                "frames": options.frames,
                "frames_per_s": round(options.frames / wall_s, 2),
                "wall_s": round(wall_s, 1),
                "processor_s": round(cpu_s, 1),
            }
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
