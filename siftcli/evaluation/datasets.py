"""Image pairs with known homographies, read from a dataset on disk.

* ``oxford``: a sequence, or a folder of sequences, with ``img1`` … ``img6`` and ``H1to2p`` … ``H1to6p``;
* ``hpatches``: sequences with ``1.ppm`` … ``6.ppm`` and ``H_1_2`` … ``H_1_6``;
* ``csv``: a file with the columns ``image_a,image_b,homography``, with paths
  relative to the file.

A homography file holds nine numbers, row by row. It maps pixels of the first image to pixels of
the second.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import InputError
from ..image import read_image
from ..io.reading import text_of
from ..io.work_list import ImageFile
from ..views.pairs import Pair, Transform
from ..views.planar import Matrix, Region
from ..views.rendering import GreyBytes, Interpolated, quantised
from .work import Task

Reading = Mapping[str, Any]
"""Options for reading images: keyword arguments of :func:`siftcli.image.read_image`."""
DEFAULT_READING: Reading = MappingProxyType({})
SEQUENCE_SUFFIXES = (".ppm", ".pgm", ".png", ".jpg")


class ImagePair(Transform):
    """A second photograph of the same plane, with the homography that maps the first image to it."""

    def __init__(self, sweep: str, value: float, other: Path, homography: Path, reading: Reading) -> None:
        super().__init__(value)
        self.sweep = sweep  # type: ignore[misc]  # a dataset is reported under its own name
        self.other, self.homography, self.reading = other, homography, reading

    @property
    def files(self) -> list[str]:
        """The second image and the homography."""
        return [str(self.other), str(self.homography)]

    def pair(self, source: Interpolated, seed: int = 0) -> Pair:
        """Both photographs, unchanged; the homography is assumed to be exact."""
        matrix = read_homography(self.homography)
        reference, view = quantised(source.levels), _picture(self.other, self.reading)
        first, second = (Region.whole((p.shape[0], p.shape[1])) for p in (reference, view))
        return Pair(reference, view, matrix, first, second, margin_px=0.0)


def _picture(path: Path, reading: Reading) -> GreyBytes:
    return quantised(Interpolated(read_image(path, **reading).grey).levels)


def read_homography(path: Path) -> Matrix:
    """Read a homography, a (3, 3) float64 array, from a text file of nine numbers.

    Raises
    ------
    InputError
        If the file cannot be read, or does not hold nine finite numbers of an invertible matrix.
    """
    try:
        numbers = np.array(text_of(path.read_bytes()).replace(",", " ").split(), dtype=np.float64)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a homography of nine numbers; {_one_line(error)}") from error
    if numbers.size != 9 or not np.isfinite(numbers).all() or abs(np.linalg.det(numbers.reshape(3, 3))) == 0:
        raise InputError(f"{path}: expected nine numbers of an invertible matrix; got {numbers.size} numbers")
    return numbers.reshape(3, 3)


def _one_line(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())


def oxford(folder: Path, reading: Reading = DEFAULT_READING) -> list[Task]:
    """Tasks for one sequence of the Oxford affine dataset, or for a folder of sequences."""
    return _sequences(folder, "img{}", "H1to{}p", lambda _: "oxford", reading)


def hpatches(folder: Path, reading: Reading = DEFAULT_READING) -> list[Task]:
    """Tasks for HPatches sequences, with illumination and viewpoint changes reported separately."""
    kinds = {"i": "hpatches-illumination", "v": "hpatches-viewpoint"}
    return _sequences(
        folder, "{}", "H_1_{}", lambda name: kinds.get(name.partition("_")[0], "hpatches"), reading
    )


def _sequences(
    folder: Path, image: str, homography: str, kind: Callable[[str], str], reading: Reading
) -> list[Task]:
    """Pair the first image of each sequence with each of the others."""
    if not folder.is_dir():
        raise InputError(f"{folder}: expected the folder of a dataset, but it is not a folder")
    jobs: list[Task] = []
    for sequence in [folder, *sorted(p for p in folder.iterdir() if p.is_dir())]:
        first = _image_named(sequence, image.format(1))
        for k in range(2, 7):
            other, truth = _image_named(sequence, image.format(k)), sequence / homography.format(k)
            if first and other and truth.is_file():
                name = first.relative_to(folder).as_posix()
                pair = ImagePair(kind(sequence.name), k, other, truth, reading)
                jobs.append(Task(ImageFile(str(first), name), pair))
    if not jobs:
        wanted = f"{image.format(1)}{SEQUENCE_SUFFIXES[0]} and {homography.format(2)}"
        raise InputError(f"{folder}: no sequence found; expected folders with files such as {wanted}")
    return jobs


def _image_named(folder: Path, stem: str) -> Path | None:
    return next((path for s in SEQUENCE_SUFFIXES if (path := folder / (stem + s)).is_file()), None)


def csv_list(file: Path, reading: Reading = DEFAULT_READING) -> list[Task]:
    """Tasks for the pairs listed in a CSV file."""
    try:
        lines = io.StringIO(text_of(file.read_bytes()), newline="")
        return list(_csv_jobs(csv.DictReader(lines), file, reading))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read as CSV ({_one_line(error)})") from error


def _csv_jobs(rows: csv.DictReader[str], file: Path, reading: Reading) -> Iterator[Task]:
    columns = ("image_a", "image_b", "homography")
    if not set(columns) <= set(rows.fieldnames or ()):
        raise InputError(
            f"{file}: expected the columns {','.join(columns)}; got {','.join(rows.fieldnames or ())}"
        )
    for number, row in enumerate(rows, start=1):
        a, b, homography = (row[column] for column in columns)
        if not (a and b and homography):
            raise InputError(f"{file}: row {number} lacks one of {','.join(columns)}; complete or remove it")
        pair = ImagePair("csv", number, file.parent / b, file.parent / homography, reading)
        yield Task(ImageFile(str(file.parent / a), a), pair)


DATASETS: Mapping[str, Callable[[Path, Reading], list[Task]]] = {
    "oxford": oxford,
    "hpatches": hpatches,
    "csv": csv_list,
}
"""Dataset name -> a function from a folder (or a CSV file) and the reading options to tasks."""
