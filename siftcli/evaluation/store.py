"""The folder of a run: its settings, and each finished job as one line of a file.

A line is written when its job is done, and a line that a kill cut short is dropped when the run
goes on; so an interrupted run loses at most the jobs under way.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ..errors import OutputError
from ..io.provenance import file_digest
from ..io.writing import write_inside
from .work import Record

RUN_FILE = "run.json"
FINISHED_FILE = "finished.jsonl"
PICTURES_FOLDER = "pictures"
RESULT_FILES = ("results.json", "summary.csv", "report.html")

Key = tuple[Any, ...]


class Keyed(Protocol):
    """A job that a key identifies."""

    @property
    def key(self) -> Key:
        """What identifies the job among those of a run."""


class Store:
    """What a run keeps in its folder.

    Parameters
    ----------
    folder
        Made if needed.
    identity
        Plain values that the results depend on; a folder begun with others is refused.
    overwrite
        Begin anew even if the folder holds a run.

    Raises
    ------
    OutputError
        If the folder holds something else or another run, or cannot be written.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], *, overwrite: bool = False) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if overwrite:
                self._clear()
            self._claim(identity)
        except OSError as error:
            raise OutputError(
                f"{folder} cannot be written: {error.strerror}; choose another folder"
            ) from error

    def _clear(self) -> None:
        for name in (RUN_FILE, FINISHED_FILE, *RESULT_FILES):
            (self.folder / name).unlink(missing_ok=True)
        pictures = self.folder / PICTURES_FOLDER
        for path in pictures.glob("[0-9][0-9][0-9]-*.webp"):
            path.unlink()
        with contextlib.suppress(OSError):  # missing, or it holds something else
            pictures.rmdir()

    def _claim(self, identity: dict[str, Any]) -> None:
        """Enter the settings into a new folder, or check those of an old one."""
        path = self.folder / RUN_FILE
        if not path.exists():
            if any(self.folder.iterdir()):
                raise OutputError(f"{self.folder} holds other files; choose an empty or a new folder")
            write_json(path, identity)
            return
        try:
            found = json.loads(path.read_text())
        except ValueError as error:
            raise OutputError(f"{path} is not what siftcli wrote; pass --overwrite to begin anew") from error
        if found != json.loads(json.dumps(identity)):
            changed = _changed(found, json.loads(json.dumps(identity)))
            raise OutputError(
                f"{self.folder} holds an evaluation with other settings ({changed}); "
                "choose another folder, or pass --overwrite to begin anew"
            )

    def finished(self) -> dict[Key, list[Record]]:
        """Rows of each finished job; jobs in which something failed are not among them."""
        path = self.folder / FINISHED_FILE
        if not path.exists():
            return {}
        whole = path.read_bytes()
        lines = whole[: whole.rfind(b"\n") + 1]
        if len(lines) < len(whole):
            os.truncate(path, len(lines))
        try:
            entries = [json.loads(line) for line in lines.splitlines()]
            done = {tuple(entry["key"]): entry["records"] for entry in entries}
            return {key: records for key, records in done.items() if not any("error" in r for r in records)}
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise OutputError(f"{path} is not what siftcli wrote; pass --overwrite to begin anew") from error

    def add(self, job: Keyed, records: Sequence[Record]) -> None:
        """Keep a finished job's rows."""
        line = json.dumps(plain({"key": job.key, "records": records}), allow_nan=False)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        with os.fdopen(os.open(self.folder / FINISHED_FILE, flags, 0o666), "a") as file:
            file.write(line + "\n")


def plain(value: Any) -> Any:
    """The value with NaN and infinities as null, as JSON wants it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_inside(path, (json.dumps(plain(value), indent=1, allow_nan=False) + "\n").encode(), overwrite=True)


def digest_of(path: str) -> str | None:
    """A digest of a file's bytes; None where it cannot be read."""
    try:
        return file_digest(path)
    except OSError:
        return None


def _changed(found: Any, wanted: Any) -> str:
    """Names of the top entries, and of those below, that differ."""
    if not isinstance(found, dict):
        return "not a table"
    names = []
    for key in _differing(found, wanted):
        a, b = found.get(key), wanted.get(key)
        inner = _differing(a, b) if isinstance(a, dict) and isinstance(b, dict) else []
        names.append(f"{key}: {', '.join(inner[:3])}{' …' if len(inner) > 3 else ''}" if inner else key)
    return "; ".join(names)


def _differing(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Keys whose values differ."""
    return sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))
