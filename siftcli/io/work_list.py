"""Which images: the files and folders that were given, as a list of images with unique names."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, ParameterError
from .reading import absolute, text_lines
from .suffixes import EXTRAS, OTHER_SUFFIXES, image_suffixes, skipped_note

Tell = Callable[[str], object]
"""Takes one line for people."""

LIST_SUFFIX = ".txt"


@dataclass(frozen=True)
class ImageFile:
    """An image of the work list."""

    path: str
    """As it can be opened."""
    name: str
    """Relative to the folder that all inputs share, or to the one that was named; unique in the list."""
    page: int = 1
    """Which page of the file; 1 is the first."""
    is_page: bool = False
    """Whether other pages of the file are images of the list too; the name then ends in ``[page]``."""

    @property
    def label(self) -> str:
        """What to call it in messages."""
        return f"{self.path}[{self.page}]" if self.is_page else self.path


def find_images(
    inputs: Iterable[str | os.PathLike[str]],
    root: str | None = None,
    *,
    tell: Tell = lambda _line: None,
) -> list[ImageFile]:
    """List images: files as they are given, folders searched, patterns and lists expanded.

    A name with ``*``, ``?`` or ``[...]`` that no file has is a pattern (``**`` for any depth). A file
    ``NAME.txt`` names an image, folder or pattern on each line, as on the command line.
    A folder is searched by suffix and recursively, in sorted order; hidden files and folders
    are skipped, and a linked folder is visited once. A file that comes up twice is listed once.
    Names are relative to ``root``, or else to the folder that all inputs share. ``tell`` is told, in one
    line, of pictures in folders that are not read.

    Raises
    ------
    InputError
        If a folder cannot be read or has no image, a pattern fits no file, or nothing is given.
    ParameterError
        If ``root`` is no folder, or an image lies outside it.
    """
    names = [os.fspath(path) for path in inputs]
    if not names or "" in names:
        raise InputError("expected an image or a folder of images, got an empty name or none; name one")
    if unfit := [name for name in names if "\0" in name]:
        raise InputError(f"{unfit[0]}: no file can have a name with a zero byte; check the path")
    paths = [Path(file) for name in names for line in _lines(name) for file in _matches(line)]
    base = _shared_folder(paths) if root is None else _named_folder(root)
    found: dict[Path, ImageFile] = {}
    skipped: set[Path] = set()
    for path in paths:
        files, others = _search(path) if path.is_dir() else ([path], [])
        skipped.update(map(absolute, others))
        for file in files:
            place = absolute(file)
            if not place.is_relative_to(base):
                raise ParameterError(
                    f"{file}: expected an image inside the image root {root}; name a folder that holds all"
                )
            found.setdefault(place, ImageFile(str(file), str(place.relative_to(base))))
    if told := skipped_note(path.suffix.lower() for path in skipped):
        tell(told)
    return list(found.values())


def _shared_folder(paths: list[Path]) -> Path:
    return Path(os.path.commonpath([absolute(path if path.is_dir() else path.parent) for path in paths]))


def _named_folder(root: str) -> Path:
    if not root or "\0" in root or not Path(root).is_dir():
        raise ParameterError(f"expected a folder as the image root, got {root!r}; name one")
    return absolute(Path(root))


def names_several(name: str) -> bool:
    """Whether an input stands for a number of images: a folder, a pattern or a list."""
    return Path(name).is_dir() or _is_list(name) or _is_pattern(name)


def _is_list(name: str) -> bool:
    return name.lower().endswith(LIST_SUFFIX) and Path(name).is_file()


def _is_pattern(name: str) -> bool:
    return glob.has_magic(name) and not os.path.lexists(name)


def _lines(name: str) -> list[str]:
    """Names in a list, without empty lines; any other name itself."""
    if not _is_list(name):
        return [name]
    try:
        lines = text_lines(Path(name).read_bytes())
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}); check its permissions") from error
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error
    names = [line for line in lines if line.strip()]
    if not names:
        raise InputError(f"{name}: expected the name of an image on each line, found none; name an image")
    if unfit := next((i for i, line in enumerate(names, 1) if "\0" in line), None):
        raise InputError(f"{name}: expected names of images, got binary data in line {unfit}; check the file")
    return names


def _matches(name: str) -> list[str]:
    """Files and folders that fit a pattern, sorted; any other name itself."""
    if not _is_pattern(name):
        return [name]
    found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207  Path.glob takes no absolute pattern
    if not found:
        raise InputError(f"{name}: no file fits this pattern; check it")
    return found


def _search(folder: Path) -> tuple[list[Path], list[Path]]:
    """Images in a folder, sorted, and pictures that are not read."""

    def fail(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions")

    readable = image_suffixes()
    known = (*OTHER_SUFFIXES, *(suffix for extra in EXTRAS for suffix in extra.suffixes))
    files: list[Path] = []
    skipped: list[Path] = []
    seen: set[Path] = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=fail):
        folders[:] = _unseen(Path(here), folders, seen)
        files += [Path(here) / name for name in names if _has_suffix(name, readable)]
        skipped += [Path(here) / name for name in names if _has_suffix(name, known)]
    skipped = [path for path in skipped if path.suffix.lower() not in readable]
    if not files:
        told = skipped_note(path.suffix.lower() for path in skipped)
        raise InputError(
            f"{folder}: expected a folder with images ({', '.join(readable)}), found none"
            f"{told and f' ({told})'}; name another folder or the files"
        )
    return sorted(files), skipped


def _unseen(here: Path, folders: list[str], seen: set[Path]) -> list[str]:
    """Those folders, sorted and not hidden, whose real place has not been visited."""
    seen.add(Path(os.path.realpath(here)))
    unseen = []
    for name in sorted(folders):
        real = Path(os.path.realpath(here / name))
        if not name.startswith(".") and real not in seen:
            seen.add(real)
            unseen.append(name)
    return unseen


def _has_suffix(name: str, suffixes: tuple[str, ...]) -> bool:
    return name.lower().endswith(suffixes) and not name.startswith(".")
