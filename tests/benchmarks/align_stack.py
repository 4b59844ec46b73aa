"""Align a stack of known truth: drift, turns, a moving object, blur and blank frames.

    python tests/benchmarks/align_stack.py --frames 200

The frames are sampled by an exact cubic spline from one picture, under similarities that drift; an
object of another picture moves across, every tenth frame is blurred, and three frames are blank. The
error of a frame is the root mean square distance of its transform from the truth, over the frame.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter

from siftcli.alignment.models import rms_distance
from siftcli.image import read_image
from siftcli.views.planar import similarity
from siftcli.views.rendering import GREY_LEVELS, Interpolated, render

ROOT = Path(__file__).resolve().parents[2]
SIDE, OBJECT_SIDE = 320, 60
N_BLANK, BLUR_PX, NOISE = 3, 1.2, 2.0
SEED = 7


def blank_frames(n: int) -> list[int]:
    """The frames that show nothing: spread, and not the first."""
    return [(k + 1) * n // (N_BLANK + 1) for k in range(N_BLANK)]


def truth(n: int, shape: tuple[int, int]) -> list[np.ndarray]:
    """For each frame the map from the picture to the frame."""
    rng = np.random.default_rng(SEED)
    height, width = shape
    steps = rng.normal(0, 0.6, (n, 2)) + np.array([0.25, -0.1])
    steps[0] = 0
    centres = np.array([(width - 1) / 2, (height - 1) / 2]) + np.clip(np.cumsum(steps, axis=0), -70, 70)
    turns = np.cumsum(rng.normal(0, 0.3, n))
    zooms = 1 + 0.03 * np.sin(np.arange(n) / 30)
    middle = ((SIDE - 1) / 2, (SIDE - 1) / 2)
    return [
        similarity(zoom, turn, tuple(centre), middle)
        for zoom, turn, centre in zip(zooms, turns, centres, strict=True)
    ]


def frames(n: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The frames, 16-bit, and their true maps to the first frame."""
    source = Interpolated(read_image(ROOT / "sample_images" / "astronaut.png").grey)
    item = (
        GREY_LEVELS
        * read_image(ROOT / "sample_images" / "chelsea.png").grey[
            80 : 80 + OBJECT_SIDE, 140 : 140 + OBJECT_SIDE
        ]
    )
    maps, rng, found = truth(n, source.shape), np.random.default_rng(SEED + 1), []
    for k, matrix in enumerate(maps):
        levels = render(source, np.linalg.inv(matrix), (SIDE, SIDE), 1.0, average=False)
        x, y = 20 + (k * 3) % (SIDE - OBJECT_SIDE - 40), 30 + (k * 2) % (SIDE - OBJECT_SIDE - 60)
        levels[y : y + OBJECT_SIDE, x : x + OBJECT_SIDE] = item
        if k % 10 == 9:
            levels = gaussian_filter(levels, BLUR_PX)
        if k in blank_frames(n):
            levels = np.full_like(levels, 40.0)
        noisy = levels + NOISE * rng.standard_normal(levels.shape)
        found.append(np.clip(16 * noisy, 0, 4095).astype(np.uint16))
    return found, [maps[0] @ np.linalg.inv(matrix) for matrix in maps]


def judge(saved: dict, maps: list[np.ndarray]) -> dict[str, object]:
    """Errors of saved transforms."""
    errors, missing = {}, []
    for k, frame in enumerate(saved["frames"]):
        if frame["matrix"] is None:
            missing.append(k)
        else:
            errors[k] = rms_distance(np.array(frame["matrix"]), maps[k], (SIDE, SIDE))
    values = np.array(list(errors.values()))
    return {
        "n_frames": len(maps),
        "blank": blank_frames(len(maps)),
        "not_aligned": missing,
        "median_px": round(float(np.median(values)), 4),
        "largest_px": round(float(values.max()), 4),
        "last_px": round(errors[max(errors)], 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=200)
    options = parser.parse_args()
    stack, maps = frames(options.frames)
    with tempfile.TemporaryDirectory() as folder:
        source, saved = Path(folder, "stack.tif"), Path(folder, "transforms.json")
        tifffile.imwrite(source, np.array(stack), imagej=True, metadata={"axes": "TYX"})
        for how in (["--to", "first"], ["--to", "previous"], ["--to", "previous", "--neighbours", "0"]):
            command = [sys.executable, "-m", "siftcli", "align", str(source), "--save-transforms", str(saved)]
            subprocess.run(
                [*command, "--overwrite", "-q", *how], check=False, cwd=ROOT, stderr=subprocess.DEVNULL
            )
            result = {"options": " ".join(how), **judge(json.loads(saved.read_text()), maps)}
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
