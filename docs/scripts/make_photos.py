"""Take photographs of a made-up scene whose shape is known: ``python docs/scripts/make_photos.py photos``.

The scene is the corner of a room: a floor and two walls, each covered with a sample image. A camera
walks round the corner and looks at it. So the tutorials have a folder of overlapping photographs
without a download.
"""

from __future__ import annotations

import argparse
import io
import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

SAMPLES = Path(__file__).parents[2] / "sample_images"
WIDTH, HEIGHT = 800, 600
FOCAL_PX = 900.0
DIAGONAL_35MM = 43.27
"""Of a 36 mm x 24 mm frame, in mm."""
CORNER, RIGHT, BACK, UP = np.eye(4, 3, -1)
"""The room's corner is the origin; a side of each face is 1 long."""
FACES = {
    "gravel.png": (CORNER, BACK, RIGHT),
    "brick.png": (UP + RIGHT, UP, RIGHT),
    "astronaut.png": (UP, UP + BACK, CORNER),
}
"""What covers a face, and where its top left, top right and bottom left corners are."""
TARGET = np.array([0.35, 0.35, 0.35])
DISTANCE = 2.4
NOISE_LEVELS = 1.5
JPEG_QUALITY = 95


def camera(azimuth: float, height: float) -> NDArray[np.float64]:
    """The 3 x 4 matrix from the room to pixels of a camera that looks at ``TARGET``."""
    direction = np.array(
        [math.cos(azimuth) * math.cos(height), math.sin(azimuth) * math.cos(height), math.sin(height)]
    )
    centre = TARGET + DISTANCE * direction
    right = np.cross(-direction, UP)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(-direction, right), -direction])
    intrinsics = np.array([[FOCAL_PX, 0, (WIDTH - 1) / 2], [0, FOCAL_PX, (HEIGHT - 1) / 2], [0, 0, 1]])
    return intrinsics @ rotation @ np.column_stack([np.eye(3), -centre])


def photograph(projection: NDArray[np.float64], rng: np.random.Generator) -> Image.Image:
    """The three faces as the camera sees them; from within the room none hides another."""
    picture = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for name, (top_left, top_right, bottom_left) in FACES.items():
        texture = np.asarray(Image.open(SAMPLES / name).convert("RGB"))
        size = texture.shape[0] - 1
        sides = np.column_stack([(top_right - top_left) / size, (bottom_left - top_left) / size, top_left])
        to_pixels = projection @ np.vstack([sides, [0, 0, 1]])
        cv2.warpPerspective(
            texture, to_pixels, (WIDTH, HEIGHT), picture, cv2.INTER_CUBIC, cv2.BORDER_TRANSPARENT
        )
    noisy = picture + rng.normal(0, NOISE_LEVELS, picture.shape)
    return Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))


def jpeg(picture: Image.Image) -> bytes:
    """As a camera writes it, with its focal length."""
    exif = Image.Exif()
    focal_35mm = round(FOCAL_PX * DIAGONAL_35MM / math.hypot(WIDTH, HEIGHT))
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = focal_35mm
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=JPEG_QUALITY, exif=exif)
    return data.getvalue()


def main() -> None:
    """Write the photographs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=8, help="how many [default: 8]")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(arguments.n):
        share = i / max(arguments.n - 1, 1)
        view = camera(math.radians(20 + 50 * share), math.radians(35 + 10 * math.sin(2 * math.pi * share)))
        (arguments.folder / f"{i:02}.jpg").write_bytes(jpeg(photograph(view, rng)))


if __name__ == "__main__":
    main()
