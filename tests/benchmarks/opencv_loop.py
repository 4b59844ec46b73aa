"""A plain loop over a folder with OpenCV's SIFT: ``python tests/benchmarks/opencv_loop.py IMAGES OUT``.

OpenCV uses its own threads. :mod:`throughput` compares siftcli with it.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("images", type=Path, help="folder of JPEG files")
parser.add_argument("out", type=Path, help="folder for the npz files")
options = parser.parse_args()
images, out = options.images, options.out
sift = cv2.SIFT_create(enable_precise_upscale=True)
for path in sorted(images.rglob("*.jpg")):
    keypoints, descriptors = sift.detectAndCompute(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), None)
    frames = np.array([(*k.pt, k.size, k.angle, k.response, k.octave) for k in keypoints], np.float32)
    target = out / path.relative_to(images).with_suffix(".npz")
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez(target, frames=frames, descriptors=descriptors)
