"""File suffixes of images: those that are read, those that need an extra, those that are not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from typing import NamedTuple

IMAGE_SUFFIXES = (
    *(".png", ".apng"),
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    *(".tif", ".tiff"),
    *(".webp", ".avif", ".bmp"),
    *(".pgm", ".ppm", ".pnm", ".pbm"),
    *(".jp2", ".j2k", ".jxl"),
)
"""Suffixes for which folders are searched. A file given by name may have any suffix."""


class Extra(NamedTuple):
    """An optional extra of siftcli that reads more image formats."""

    name: str
    module: str
    suffixes: tuple[str, ...]

    @property
    def is_installed(self) -> bool:
        """Whether its module can be imported."""
        return find_spec(self.module) is not None


EXTRAS = (
    Extra("heif", "pillow_heif", (".heic", ".heif", ".hif")),
    Extra(
        "raw",
        "rawpy",
        (
            *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".orf", ".rw2"),
            *(".raf", ".pef", ".srw", ".3fr", ".fff", ".iiq", ".mos", ".mrw", ".erf", ".kdc", ".dcr", ".rwl"),
        ),
    ),
)
OTHER_SUFFIXES = (
    *(".gif", ".svg", ".psd", ".psb", ".xcf", ".eps", ".tga", ".ico", ".icns", ".pcx", ".dds"),
    *(".exr", ".hdr", ".pfm", ".jxr", ".wdp", ".hdp", ".jls", ".ras", ".sgi", ".xbm", ".xpm"),
    *(".fits", ".fts", ".dcm", ".czi", ".nd2", ".lif", ".ntf", ".nitf", ".sid", ".ecw"),
)
"""Suffixes of image formats that are not read."""


def image_suffixes() -> tuple[str, ...]:
    """Suffixes that are read, including those of installed extras."""
    return IMAGE_SUFFIXES + tuple(s for extra in EXTRAS if extra.is_installed for s in extra.suffixes)


def skipped_note(suffixes: Iterable[str]) -> str:
    """Summarise in one line the suffixes of skipped images; empty if there are none."""
    counts = Counter(suffixes)
    parts = []
    for extra in EXTRAS:
        if not extra.is_installed and (listed := _counts(counts, extra.suffixes)):
            parts.append(f"{listed} (pip install 'siftcli[{extra.name}]' reads them)")
    if listed := _counts(counts, OTHER_SUFFIXES):
        parts.append(f"{listed} (not read; convert them)")
    return f"skipped {counts.total()}: {', '.join(parts)}" if parts else ""


def _counts(counts: Counter[str], suffixes: tuple[str, ...]) -> str:
    return ", ".join(f"{counts[suffix]} {suffix}" for suffix in suffixes if counts[suffix])
