"""The folder of a run: its settings, and one line of a JSON Lines file for each finished task.

A line is appended when its task is finished. If the process was killed in the middle of a line, the
incomplete line is dropped when the run is resumed. So an interrupted run loses at most the tasks
that were in progress.
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
from ..system.files import open_regular
from .work import Record

RUN_FILE = "run.json"
FINISHED_FILE = "finished.jsonl"
PICTURES_FOLDER = "pictures"
RESULT_FILES = ("results.json", "summary.csv", "reconstruction.csv", "report.html")

Key = tuple[Any, ...]


class Keyed(Protocol):
    """A task that a key identifies within a run."""

    @property
    def key(self) -> Key:
        """Its key."""


class Store:
    """The stored state of a run.

    Parameters
    ----------
    folder
        The folder of the run, created if needed.
    identity
        Plain values that the results depend on. A folder that was started with other values is refused.
    overwrite
        Discard any run in the folder and start over.

    Raises
    ------
    OutputError
        If the folder holds other files or another run, or cannot be written.
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
        """Write the settings to a new folder, or compare them with those of an existing one."""
        path = self.folder / RUN_FILE
        if not path.exists():
            if any(self.folder.iterdir()):
                raise OutputError(f"{self.folder} holds other files; choose an empty or a new folder")
            write_json(path, identity)
            return
        try:
            found = json.loads(path.read_bytes())
        except ValueError as error:
            raise OutputError(
                f"{path} was not written by siftcli or is damaged; pass --overwrite to start over"
            ) from error
        if found != json.loads(json.dumps(identity)):
            changed = _changed(found, json.loads(json.dumps(identity)))
            raise OutputError(
                f"{self.folder} holds an evaluation with other settings ({changed}); "
                "choose another folder, or pass --overwrite to start over"
            )

    def finished(self) -> dict[Key, list[Record]]:
        """The rows of each finished task, without the tasks in which something failed."""
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
            raise OutputError(
                f"{path} was not written by siftcli or is damaged; pass --overwrite to start over"
            ) from error

    def add(self, task: Keyed, records: Sequence[Record]) -> None:
        """Append the rows of a finished task."""
        line = json.dumps(plain({"key": task.key, "records": records}), allow_nan=False)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with os.fdopen(open_regular(self.folder / FINISHED_FILE, flags), "ab") as file:
            file.write(line.encode() + b"\n")


def plain(value: Any) -> Any:
    """Replace NaN and infinities, which JSON lacks, by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically."""
    write_inside(path, (json.dumps(plain(value), indent=1, allow_nan=False) + "\n").encode(), overwrite=True)


def digest_of(path: str) -> str | None:
    """A digest of a file's bytes; None if it cannot be read."""
    try:
        return file_digest(path)
    except OSError:
        return None


def _changed(found: Any, wanted: Any) -> str:
    """The names of the entries that differ, with up to three of their own entries."""
    if not isinstance(found, dict):
        return "not a JSON object"
    names = []
    for key in _differing(found, wanted):
        a, b = found.get(key), wanted.get(key)
        inner = _differing(a, b) if isinstance(a, dict) and isinstance(b, dict) else []
        names.append(f"{key}: {', '.join(inner[:3])}{' …' if len(inner) > 3 else ''}" if inner else key)
    return "; ".join(names)


def _differing(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """The sorted keys whose values differ."""
    return sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))
