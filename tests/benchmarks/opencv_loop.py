"""A plain loop over a folder with OpenCV's SIFT and its own threads: ``python opencv_loop.py IMAGES OUT``."""

import sys
from pathlib import Path

import cv2
import numpy as np

images, out = map(Path, sys.argv[1:])
sift = cv2.SIFT_create(enable_precise_upscale=True)
for path in sorted(images.rglob("*.jpg")):
    keypoints, descriptors = sift.detectAndCompute(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), None)
    frames = np.array([(*k.pt, k.size, k.angle, k.response, k.octave) for k in keypoints], np.float32)
    target = out / path.relative_to(images).with_suffix(".npz")
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez(target, frames=frames, descriptors=descriptors)
