"""Registry of formats: what each stores and which module handles it. Importing it does not load NumPy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from os import PathLike
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import MissingDependencyError, OutputError
from ..system.names import file_name

CONTENT = (
    "scale",
    "orientation",
    "response",
    "sign",
    "octave",
    "descriptors",
    "image size",
    "image name",
    "parameters",
)
"""What a file may store besides positions."""


CAMERA_CHOICES = ("single", "per-folder", "per-image")
DEFAULT_CAMERA = "per-image"
CAMERA_MODELS = {
    "SIMPLE_PINHOLE": 0,
    "PINHOLE": 1,
    "SIMPLE_RADIAL": 2,
    "RADIAL": 3,
    "OPENCV": 4,
    "OPENCV_FISHEYE": 5,
    "FULL_OPENCV": 6,
    "SIMPLE_RADIAL_FISHEYE": 8,
    "RADIAL_FISHEYE": 9,
}
"""COLMAP's camera models and their numbers."""
DEFAULT_CAMERA_MODEL = "SIMPLE_RADIAL"
"""COLMAP's own default."""


class Format(NamedTuple):
    """One file format."""

    name: str
    suffixes: tuple[str, ...]
    module: str
    """Module of this package that handles it."""
    is_binary: bool
    read_by: str
    """Programs that read it."""
    lacks: tuple[str, ...] = ()
    """Entries of ``CONTENT`` that it cannot store."""
    can_read: bool = True
    is_collection: bool = False
    """Whether one file (or folder) holds the features of many images."""
    companions: Mapping[str, str] = MappingProxyType({})
    """Suffix of the file of frames ("" for any) to the suffix of its file of descriptors."""
    stored_frame: bool = False
    """Whether programs that read it ignore the EXIF orientation, so that coordinates are in the frame of the
    stored pixels."""
    rootsift: bool = False
    """Whether programs that read it expect RootSIFT."""
    replaces_suffix: bool = False
    """Whether files in a folder are named ``<stem><suffix>`` instead of ``<image name><suffix>``."""
    file_suffix: str = ""
    """Suffix of files in a folder, if it is not the first of ``suffixes``."""
    package: str = ""
    """Optional package that it needs."""
    extra: str = ""
    """Extra of siftcli that installs this package."""

    @property
    def codec(self) -> Any:
        """The format's module, imported on first use.

        Raises
        ------
        MissingDependencyError
            If it needs a package that is not installed.
        """
        if self.package and find_spec(self.package) is None:
            raise MissingDependencyError.of_extra(f"format {self.name!r}", self.package, self.extra)
        return import_module(f".{self.module}", __package__)

    @property
    def loss(self) -> str:
        """One line on what it cannot store; empty if it stores everything."""
        if not self.lacks:
            return ""
        *first, last = self.lacks
        return f"{self.name} carries no {', '.join(first) + ' or ' + last if first else last}"

    def name_in_folder(self, image_name: str) -> str:
        """Name of an image's file in a folder of files of this format."""
        suffix = self.file_suffix or self.suffixes[0]
        if self.replaces_suffix:
            image_name = PurePosixPath(image_name).with_suffix("").as_posix()
        return file_name(image_name) + suffix

    def companion(self, path: str | PathLike[str]) -> Path | None:
        """Path of the file of descriptors that belongs to this file; None if there is none."""
        second = self.companions.get(Path(path).suffix.lower(), self.companions.get(""))
        return None if second is None else Path(path).with_suffix(second)


_NOTHING_ELSE = ("response", "sign", "octave", "image size", "image name", "parameters")
_UNIT = ("sign", "octave", "parameters")

FAILURES, FAILURES_HEADER = "failures.csv", ("image", "reason")
"""The list of failed images that a batch writes beside its outputs."""
PAIR_FAILURES, PAIR_FAILURES_HEADER = "match-failures.csv", ("image_a", "image_b", "reason")
"""The list of failed pairs of a collection."""
DEFAULT_FORMAT = "npz"
MATCH_COLLECTIONS = ("colmap-db", "hloc")
"""Formats that store the matches of many pairs."""
FORMATS = {
    entry.name: entry
    for entry in (
        Format("npz", (".npz",), "npz", is_binary=True, read_by="siftcli, NumPy"),
        Format("csv", (".csv",), "text_csv", is_binary=False, read_by="pandas, spreadsheets"),
        Format("json", (".json",), "text_json", is_binary=False, read_by="anything"),
        Format("jsonl", (".jsonl",), "text_jsonl", is_binary=False, read_by="pandas, jq"),
        Format(
            "parquet",
            (".parquet",),
            "parquet",
            is_binary=True,
            read_by="pandas, DuckDB, Spark",
            is_collection=True,
            package="pyarrow",
            extra="parquet",
        ),
        Format(
            "lowe", (".key",), "lowe", is_binary=False, read_by="Lowe's matcher, Bundler", lacks=_NOTHING_ELSE
        ),
        Format(
            "vlfeat",
            (".sift", ".frame"),
            "vlfeat",
            is_binary=False,
            read_by="VLFeat",
            lacks=_NOTHING_ELSE,
            companions={".frame": ".descr"},
        ),
        Format(
            "oxford",
            (".oxford",),
            "oxford",
            is_binary=False,
            read_by="Oxford (VGG) benchmarks",
            lacks=("orientation", *_NOTHING_ELSE),
        ),
        Format(
            "colmap-text",
            (),
            "colmap_text",
            is_binary=False,
            read_by="COLMAP feature_importer",
            lacks=_NOTHING_ELSE,
            stored_frame=True,
            rootsift=True,
            file_suffix=".txt",
        ),
        Format(
            "colmap-db",
            (".db",),
            "colmap_db",
            is_binary=True,
            read_by="COLMAP, pycolmap",
            lacks=("response", "sign", "octave", "parameters"),
            is_collection=True,
            stored_frame=True,
            rootsift=True,
        ),
        Format(
            "hloc",
            (".h5", ".hdf5"),
            "hloc",
            is_binary=True,
            read_by="hloc, h5py",
            lacks=_UNIT,
            is_collection=True,
            stored_frame=True,
        ),
        Format(
            "lightglue",
            (),
            "lightglue",
            is_binary=True,
            read_by="LightGlue, through NumPy",
            lacks=(*_UNIT, "image name"),
            rootsift=True,
            file_suffix=".npz",
        ),
        Format(
            "hpatches",
            (".siftcli",),
            "hpatches",
            is_binary=True,
            read_by="HPatches evaluations of D2-Net and after",
            lacks=(*_UNIT, "image name"),
        ),
        Format(
            "openmvg",
            (".feat",),
            "openmvg",
            is_binary=True,
            read_by="OpenMVG; AliceVision under view ids (convert --view-ids)",
            lacks=_NOTHING_ELSE,
            companions={"": ".desc"},
            stored_frame=True,
            replaces_suffix=True,
        ),
        Format(
            "opencv",
            (".yml", ".yaml"),
            "opencv",
            is_binary=False,
            read_by="cv2.FileStorage",
            lacks=("sign", "image name", "parameters"),
            can_read=False,
        ),
    )
}


def format_of(path: str | PathLike[str], name: str | None = None) -> Format:
    """Find a format by its name, or by the suffix of a path.

    Raises
    ------
    OutputError
        If the name is unknown, or there is none and the suffix is unknown.
    """
    known = ", ".join(FORMATS)
    if name is not None:
        if name not in FORMATS:
            raise OutputError(f"unknown format {name!r}; expected one of {known}")
        return FORMATS[name]
    suffix = Path(path).suffix.lower()
    for entry in FORMATS.values():
        if suffix in entry.suffixes:
            return entry
    suffixes = ", ".join(s for entry in FORMATS.values() for s in entry.suffixes)
    raise OutputError(
        f"{os.fspath(path)}: expected a suffix of {suffixes}, got {suffix!r}; use one of them or name the "
        "format ('siftcli formats' lists them)"
    )


def check_suffix(path: str | PathLike[str], entry: Format) -> None:
    """Check that the name of a file to write is not that of another format.

    Raises
    ------
    OutputError
        If its suffix belongs to other formats only.
    """
    suffix = Path(path).suffix.lower()
    owners = [other.name for other in FORMATS.values() if suffix in other.suffixes]
    if owners and entry.name not in owners:
        wanted = f"the suffix {entry.suffixes[0]}" if entry.suffixes else "another suffix"
        raise OutputError(
            f"{os.fspath(path)}: the suffix {suffix} is that of {' and '.join(owners)}, the format "
            f"{entry.name}; use {wanted}, or another format"
        )


def is_feature_name(path: str | PathLike[str]) -> bool:
    """Whether a path's suffix is that of a format which can be read."""
    suffix = Path(path).suffix.lower()
    return any(suffix in entry.suffixes for entry in FORMATS.values() if entry.can_read)
