"""Compare reconstructions by COLMAP's mapper from siftcli's and from COLMAP's own features.

    python tests/benchmarks/reconstruction.py IMAGES [--max-features N] [--seeds K] [--pairs P ...]
        [-- OPTIONS]

OPTIONS are those of ``siftcli detect``. The script needs pycolmap. With ``--pairs`` only siftcli's features
and matcher are run, once for each of the kinds P of pairs.

All images share one camera, and everything runs on one thread. The values are medians over the seeds 0 to
K - 1. The rows are: COLMAP's features and matcher; siftcli's features and matcher; siftcli's features with
COLMAP's matcher.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

COLUMNS = ("images", "points", "observations/image", "track length", "error px")
_FORMATS = ("{:.0f}", "{:.0f}", "{:.1f}", "{:.3f}", "{:.4f}")


def siftcli(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "siftcli", *arguments], check=True, stderr=subprocess.DEVNULL)


def colmap_features(images: Path, database: Path, limit: int) -> None:
    import pycolmap

    options = pycolmap.FeatureExtractionOptions(use_gpu=False, num_threads=1)
    options.sift.max_num_features = limit
    pycolmap.extract_features(
        database, images, camera_mode=pycolmap.CameraMode.SINGLE, extraction_options=options
    )


def colmap_matches(database: Path) -> None:
    import pycolmap

    pycolmap.set_random_seed(0)
    options = pycolmap.FeatureMatchingOptions(use_gpu=False, num_threads=1)
    pycolmap.match_exhaustive(database, matching_options=options)


def reconstruct(images: Path, database: Path, seed: int) -> tuple[float, ...]:
    """Images, points, observations per image, track length and mean error (px) of the largest model."""
    import pycolmap

    pycolmap.set_random_seed(seed)
    options = pycolmap.IncrementalPipelineOptions(num_threads=1, random_seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        models = pycolmap.incremental_mapping(database, images, folder, options=options)
    if not models:
        return 0, 0, 0, 0, float("nan")
    largest = max(models.values(), key=lambda model: model.num_reg_images())
    return (
        largest.num_reg_images(),
        largest.num_points3D(),
        largest.compute_mean_observations_per_reg_image(),
        largest.compute_mean_track_length(),
        largest.compute_mean_reprojection_error(),
    )


def databases(images: Path, folder: Path, limit: int, options: list[str]) -> dict[str, Path]:
    made = {name: folder / f"{name.replace(' ', '-')}.db" for name in ("colmap", "siftcli", "siftcli+colmap")}
    colmap_features(images, made["colmap"], limit)
    colmap_matches(made["colmap"])
    siftcli("detect", str(images), "-o", str(made["siftcli"]), "--camera", "single",
            "--max-features", str(limit), *options)  # fmt: skip
    shutil.copy(made["siftcli"], made["siftcli+colmap"])
    siftcli("match", "--pairs", "exhaustive", str(made["siftcli"]))
    colmap_matches(made["siftcli+colmap"])
    return made


def by_pairs(images: Path, folder: Path, limit: int, kinds: list[str], options: list[str]) -> dict[str, Path]:
    """siftcli's features, matched by several kinds of pairs."""
    source = folder / "features.db"
    siftcli("detect", str(images), "-o", str(source), "--camera", "single", "--max-features", str(limit),
            *options)  # fmt: skip
    made = {kind: folder / f"{i}.db" for i, kind in enumerate(kinds)}
    for kind, database in made.items():
        shutil.copy(source, database)
        siftcli("match", "--pairs", kind, str(database))
    return made


def n_pairs(database: Path) -> tuple[int, int]:
    """Pairs that were matched, and verified."""
    connection = sqlite3.connect(database)
    query = "SELECT count(*), sum(rows > 0) FROM two_view_geometries"
    found: tuple[int, int] = connection.execute(query).fetchone()
    connection.close()
    return found


def n_features(database: Path) -> float:
    import pycolmap

    with pycolmap.Database.open(database) as opened:
        return float(
            np.median([opened.num_keypoints_for_image(i.image_id) for i in opened.read_all_images()])
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("--max-features", type=int, default=8192)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--pairs", nargs="+", default=[])
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    given, options = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]
    import pycolmap

    pycolmap.logging.minloglevel = pycolmap.logging.ERROR
    with tempfile.TemporaryDirectory() as folder:
        if given.pairs:
            made = by_pairs(given.images, Path(folder), given.max_features, given.pairs, options)
        else:
            made = databases(given.images, Path(folder), given.max_features, options)
        print(f"{'':16}{'features':>10}" + "".join(f"{name:>20}" for name in COLUMNS))
        for name, database in made.items():
            runs = [reconstruct(given.images, database, seed) for seed in range(given.seeds)]
            cells = [
                form.format(value) for form, value in zip(_FORMATS, np.median(runs, axis=0), strict=True)
            ]
            print(f"{name:16}{n_features(database):>10.0f}" + "".join(f"{cell:>20}" for cell in cells))
            if given.pairs:
                print("{:16}{} pairs matched, {} verified".format("", *n_pairs(database)), flush=True)


if __name__ == "__main__":
    main()
