"""The options that only a COLMAP database has, recorded in it: cameras and pose priors.

Images that a database has keep their cameras, so a run with other ones is refused where it would change
nothing.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from ..errors import OutputError
from ._collections import WriteOptions

_FIELDS = ("camera", "camera_model", "pose_priors")


def made_with_text(options: WriteOptions) -> str:
    """The options as they are recorded."""
    return json.dumps(_values(options))


def made_with_of(text: str) -> dict[str, str | bool]:
    """The options that were recorded; empty if the record is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    is_whole = isinstance(found, dict) and set(found) == set(_FIELDS)
    return {name: found[name] for name in _FIELDS} if is_whole else {}


def check_made_with(path: Path, made_with: Mapping[str, str | bool], options: WriteOptions) -> None:
    """Check that a database was made with the same cameras and pose priors.

    Raises
    ------
    OutputError
        If it was not, with the command that makes one that has them. A database that does not tell is
        taken as made with the defaults.
    """
    was, now = {**_values(WriteOptions()), **made_with}, _values(options)
    changed = [name for name in _FIELDS if was[name] != now[name]]
    if not changed:
        return
    there = " ".join(_option(name, was[name]) for name in changed)
    wanted = " ".join(_option(name, now[name]) for name in changed)
    raise OutputError(
        f"{path} was made with {there}, which its images keep; to change it: siftcli convert "
        f"{shlex.quote(str(path))} NEW.db --images {_folder(options.images)} {wanted}, or pass --overwrite "
        "to do all anew"
    )


def _values(options: WriteOptions) -> dict[str, str | bool]:
    return {name: getattr(options, name) for name in _FIELDS}


def _option(name: str, value: str | bool) -> str:
    option = name.replace("_", "-")
    return f"--{option} {value}" if isinstance(value, str) else f"--{'' if value else 'no-'}{option}"


def _folder(images: Mapping[str, str | None]) -> str:
    """The folder that names are relative to, as a word of a command."""
    for name, path in images.items():
        if path is not None and path.endswith(os.sep + name):
            return shlex.quote(path.removesuffix(os.sep + name))
        if path == name:
            return "."
    return "FOLDER"
