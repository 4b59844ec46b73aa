"""Draw the figures of the tutorial on alignment: ``python docs/scripts/make_align_figures.py [FOLDER]``.

A time-lapse of eight frames is made from a sample image, as the tutorial does; siftcli aligns it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import siftcli

ROOT = Path(__file__).parents[2]
N_FRAMES, SIDE = 8, 300
GAIN = 3.0
GAP = 6

Grey = NDArray[np.float64]


def frames() -> list[NDArray[np.uint8]]:
    """A camera that drifts and turns, with noise and changing light."""
    picture = np.asarray(Image.open(ROOT / "sample_images" / "astronaut.png").convert("L"))
    rng, found = np.random.default_rng(0), []
    for k in range(N_FRAMES):
        turn = np.deg2rad(1.2 * k)
        c, s = np.cos(turn), np.sin(turn)
        back = np.array([[c, -s, 60 + 4 * k + 18 * s], [s, c, 40 + 2 * k], [0, 0, 1]])
        frame = siftcli.warp(picture, np.linalg.inv(back), (SIDE, SIDE))
        light = 1 - 0.02 * k
        found.append(np.clip(light * frame + rng.normal(0, 2, frame.shape), 0, 255).astype(np.uint8))
    return found


def beside(*pictures: Grey) -> Image.Image:
    """Pictures in a row."""
    gap = np.full((SIDE, GAP), 255.0)
    row = [part for picture in pictures for part in (picture, gap)][:-1]
    return Image.fromarray(np.rint(np.clip(np.hstack(row), 0, 255)).astype(np.uint8))


def difference(a: Grey, b: Grey) -> Grey:
    """The difference around grey."""
    return 127.5 + GAIN * (a - b) / 2


def main(folder: Path) -> None:
    """Write the figures."""
    folder.mkdir(parents=True, exist_ok=True)
    stack = [frame.astype(float) for frame in frames()]
    found = [siftcli.align(frames()[0], frame, "rigid") for frame in frames()[1:]]
    aligned = [stack[0], *(np.where(f.valid, f.image, 0).astype(float) for f in found)]
    last, valid = aligned[-1], found[-1].valid
    beside(stack[0], stack[-1], last).save(folder / "frames.png", optimize=True)
    as_bright = last * np.median(stack[0][valid] / np.maximum(last[valid], 1))
    after = np.where(valid, difference(stack[0], as_bright), 127.5)
    beside(difference(stack[0], stack[-1]), after).save(folder / "differences.png", optimize=True)
    everywhere = np.all([f.valid for f in found], axis=0)
    means = np.mean(stack, axis=0), np.where(everywhere, np.mean(aligned, axis=0), 0)
    beside(*means).save(folder / "means.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "align")
