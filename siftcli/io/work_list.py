"""The list of images to process, with unique names, from files, folders, patterns and lists."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError, ParameterError
from ..words import counted
from .reading import STANDARD_INPUT, absolute, text_lines
from .suffixes import EXTRAS, OTHER_SUFFIXES, image_suffixes, skipped_note

Tell = Callable[[str], object]
"""Called with one line of text for the user."""

LIST_SUFFIX = ".txt"
STANDARD_INPUT_NAME = "stdin"
LONGEST_SHOWN = 60
"""Characters of a line that an error quotes."""


class ImageFile(NamedTuple):
    """An image of the work list."""

    path: str
    """Path under which it can be opened."""
    name: str
    """Path relative to the image root or to the folder that all inputs share; unique in the list."""
    page: int = 1
    """Page of the file, from 1."""
    is_page: bool = False
    """Whether the file's other pages are listed as images too; the name then ends in ``[page]``."""
    origin: str = ""
    """The list and the line that name it, if a list does."""

    @property
    def label(self) -> str:
        """How messages refer to it."""
        return f"{self.path}[{self.page}]" if self.is_page else self.path


def find_images(
    inputs: Iterable[str | os.PathLike[str]],
    root: str | None = None,
    *,
    tell: Tell = lambda _line: None,
    takes_standard_input: bool = False,
) -> list[ImageFile]:
    """List the images that the inputs stand for.

    A file ``NAME.txt`` is a list with an image, folder or pattern on each line. Folders are searched
    recursively by suffix, in sorted order; hidden files and folders are skipped, and a linked folder is
    visited once. A file found twice is listed once.

    Parameters
    ----------
    inputs
        Images, folders, lists and patterns. A name with ``*``, ``?`` or ``[...]`` is a pattern if
        there is no such file; ``**`` matches any depth.
    root
        Folder to which image names are relative; by default the folder that all inputs share.
    tell
        Called with one line of text if images in folders are skipped because they cannot be read, and if
        an image is given more than once.
    takes_standard_input
        Whether ``-``, alone, is the image on the standard input.

    Raises
    ------
    InputError
        If a folder cannot be read or has no images, a pattern matches no file, or there is no input.
    ParameterError
        If ``root`` is not a folder, or an image is outside it; if ``-`` is no input here, or not alone.
    """
    names = [os.fspath(path) for path in inputs]
    if takes_standard_input and root is None and names == [STANDARD_INPUT]:
        return [ImageFile(STANDARD_INPUT, STANDARD_INPUT_NAME)]
    _check_names(names)
    given = [
        (Path(file), origin)
        for name in names
        for line, origin in _lines(name)
        for file in _matches(line, origin)
    ]
    base = _shared_folder([path for path, _ in given]) if root is None else _named_folder(root)
    found: dict[Path, ImageFile] = {}
    skipped: set[Path] = set()
    twice: list[str] = []
    for path, origin in given:
        files, others = _search(path) if path.is_dir() else ([path], [])
        skipped.update(map(absolute, others))
        for file in files:
            place = absolute(file)
            if not place.is_relative_to(base):
                raise ParameterError(
                    f"{file}: expected an image inside the image root {root}; give a folder with all images"
                )
            path_text = f"./{file}" if str(file) == STANDARD_INPUT else str(file)
            if place in found:
                twice.append(path_text)
            found.setdefault(place, ImageFile(path_text, place.relative_to(base).as_posix(), origin=origin))
    if twice:
        tell(f"{twice[0]}: given more than once, read once ({counted(len(twice), 'such image')})")
    if note := skipped_note(path.suffix.lower() for path in skipped):
        tell(note)
    return list(found.values())


def _check_names(names: list[str]) -> None:
    if STANDARD_INPUT in names:
        raise ParameterError(
            "the standard input (-) is for one image of 'siftcli detect'; name files instead"
        )
    if not names or "" in names:
        raise InputError("expected an image or a folder of images, got an empty name or none; give one")
    if unfit := [name for name in names if "\0" in name]:
        raise InputError(f"{unfit[0]}: expected a file name, got one with a zero byte; check the path")


def _shared_folder(paths: list[Path]) -> Path:
    folders = [absolute(path if path.is_dir() else path.parent) for path in paths]
    try:
        return Path(os.path.commonpath(folders))
    except ValueError as error:
        raise InputError(
            f"{paths[0]}: expected inputs on one drive, which names are relative to; run once for each drive"
        ) from error


def _named_folder(root: str) -> Path:
    if not root or "\0" in root or not Path(root).is_dir():
        raise ParameterError(f"expected a folder as the image root, got {root!r}; give one")
    return absolute(Path(root))


def names_several(name: str) -> bool:
    """Whether an input may stand for several images: a folder, a pattern or a list."""
    return Path(name).is_dir() or _is_list(name) or _is_pattern(name)


def _is_list(name: str) -> bool:
    return name.lower().endswith(LIST_SUFFIX) and Path(name).is_file()


def _is_pattern(name: str) -> bool:
    return glob.has_magic(name) and not os.path.lexists(name)


def require_files(images: Iterable[ImageFile]) -> None:
    """Check that every image is there.

    Raises
    ------
    InputError
        If one is not.
    """
    for image in images:
        if not os.path.lexists(image.path):
            raise InputError(f"{_at(image.origin)}{image.path}: no such file or folder; check the path")


def _at(origin: str) -> str:
    return f"{origin}: " if origin else ""


def _lines(name: str) -> list[tuple[str, str]]:
    """Names in a list file, without empty lines, and their places. Any other name is returned as it is."""
    if not _is_list(name):
        return [(name, "")]
    try:
        lines = text_lines(Path(name).read_bytes())
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}); check its permissions") from error
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error
    numbered = [(line, f"{name}, line {i}") for i, line in enumerate(lines, 1) if line.strip()]
    names = [line for line, _ in numbered]
    if not names:
        raise InputError(f"{name}: expected the name of an image on each line, found none; add one")
    if unfit := next((origin for line, origin in numbered if "\0" in line), None):
        raise InputError(f"{unfit}: expected names of images, got binary data; check the file")
    if not any(os.path.lexists(line) or _is_pattern(line) for line in names):
        line, origin = numbered[0]
        raise InputError(
            f"{origin}: expected the name of an image, got {line[:LONGEST_SHOWN]!r}; no line of the list "
            "names a file or folder that is there; names are relative to the present folder"
        )
    return numbered


def _matches(name: str, origin: str) -> list[str]:
    """Files and folders that match a pattern, sorted. Any other name is returned as it is."""
    if not _is_pattern(name):
        return [name]
    found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207  Path.glob refuses absolute patterns
    if not found:
        raise InputError(f"{_at(origin)}{name}: no file matches this pattern; check it")
    return found


def _search(folder: Path) -> tuple[list[Path], list[Path]]:
    """Images in a folder, sorted, and images of formats that are not read."""

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
        note = skipped_note(path.suffix.lower() for path in skipped)
        raise InputError(
            f"{folder}: expected a folder with images ({', '.join(readable)}), found none"
            f"{note and f' ({note})'}; give another folder, or the files"
        )
    return sorted(files), skipped


def _unseen(here: Path, folders: list[str], seen: set[Path]) -> list[str]:
    """Folders that are not hidden and, with links resolved, not yet visited; sorted."""
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
