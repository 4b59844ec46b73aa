"""Helpers for tests of batches: many small images, and the content of an output as plain values."""

from __future__ import annotations

import csv
import hashlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
from conftest import SAMPLES
from PIL import Image

ARGUMENTS = ("--max-features", "60", "--first-octave", "0")
OUTPUTS = {"npz": "out", "hloc": "out.h5", "colmap-db": "out.db", "parquet": "out.parquet"}


def make_images(folder: Path, n: int, side: int = 96) -> Path:
    """Write rotated and scaled crops of the sample images, in folders of twenty."""
    rng = np.random.default_rng(8)
    pictures = [Image.open(path).convert("RGB") for path in SAMPLES if "16" not in path.name]
    pictures = [picture.resize((5 * side // 2, 5 * side // 2)) for picture in pictures]
    for i in range(n):
        path = folder / f"{i // 20:03}" / f"{i:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        centre = complex(*rng.uniform(0.75 * side, 1.75 * side, 2))
        corner = side / 2**0.5 * np.exp(1j * rng.uniform(0, 2 * np.pi))
        corners = [centre + corner * 1j**-k for k in range(4)]
        quad = [value for point in corners for value in (point.real, point.imag)]
        size = int(side * rng.uniform(0.8, 1.25))
        picture = pictures[i % len(pictures)]
        crop = picture.transform((size, size), Image.Transform.QUAD, quad, Image.Resampling.BICUBIC)
        crop.save(path, quality=90)
    return folder


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "siftcli", "detect", *args]


def detect(*args: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*args), capture_output=True, text=True, check=False, **options)


def content(path: Path) -> dict[str, object]:
    """Name -> comparable value of everything in an output."""
    if path.suffix == ".h5":
        return _content_of_hdf5(path)
    if path.suffix == ".db":
        return _content_of_database(path)
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def _content_of_hdf5(path: Path) -> dict[str, object]:
    found: dict[str, object] = {}

    def visit(name: str, item: object) -> None:
        found[name] = {key: bytes(np.asarray(value).tobytes()) for key, value in item.attrs.items()}
        if isinstance(item, h5py.Dataset):
            found[name] = (found[name], item.dtype.str, item.shape, item[()].tobytes())

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


def _content_of_database(path: Path) -> dict[str, object]:
    connection = sqlite3.connect(path)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}
    connection.close()
    return rows


def failures(path: Path) -> list[list[str]]:
    return list(csv.reader(path.open(encoding="utf-8", errors="surrogateescape")))[1:]
