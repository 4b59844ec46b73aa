"""The retrieval index of a collection: its vocabulary, and the vector of each image, in an SQLite file.

It is written in transactions, so that after a kill it holds what was written last and nothing half.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, OutputError, StorageError
from ..io.provenance import differing, settings_text
from ..io.reading import absolute
from .vocabulary import Vocabulary, settings

SUFFIX = ".retrieval"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS vocabulary (
    name TEXT PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, cols INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS vectors (name BLOB PRIMARY KEY NOT NULL, digest TEXT NOT NULL, data BLOB NOT NULL);
"""


@dataclass(frozen=True, eq=False)
class Entry:
    """What the index holds of an image."""

    name: str
    digest: str
    """Digest of the features, from :func:`siftcli.formats._matches.features_digest`."""
    vector: NDArray[np.int8]


def index_path(collection: str | Path) -> Path:
    """Path of the index of a collection, beside it."""
    path = absolute(collection)
    return path.with_name(path.name + SUFFIX)


class RetrievalIndex:
    """An index, open for writing; it is created if it does not exist.

    Raises
    ------
    InputError
        If the file is damaged or of another kind.
    OutputError
        If it was made with other settings, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        wanted = settings_text(settings())
        with self._errors():
            uri = f"file:{quote(str(path).encode('utf-8', 'surrogateescape'))}?mode=rwc"
            self.connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        try:
            with self._transaction():
                for statement in _SCHEMA.split(";"):
                    self.connection.execute(statement)
                found = self._note("settings")
                if found is None:
                    self._set_note("settings", wanted)
                elif found != wanted:
                    raise OutputError(
                        f"{path} was made with other settings ({differing(found, wanted)}); "
                        "remove it to make it anew"
                    )
        except BaseException:
            self.connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()

    @property
    def source(self) -> str | None:
        """Absolute path of the collection; None in a new index."""
        with self._errors():
            return self._note("source")

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The vocabulary; None in a new index."""
        with self._errors():
            rows = self.connection.execute("SELECT name, rows, cols, data FROM vocabulary").fetchall()
            return Vocabulary.from_bytes({name: tuple(rest) for name, *rest in rows}) if rows else None

    def begin(self, source: str, vocabulary: Vocabulary) -> None:
        """Write the collection that it belongs to, and its vocabulary."""
        with self._transaction():
            self._set_note("source", source)
            rows = [(name, *row) for name, row in vocabulary.to_bytes().items()]
            self.connection.executemany("INSERT OR REPLACE INTO vocabulary VALUES (?, ?, ?, ?)", rows)

    def set_source(self, source: str) -> None:
        """Write to which collection it belongs."""
        with self._transaction():
            self._set_note("source", source)

    def digests(self) -> dict[str, str]:
        """The digest of each image's features."""
        with self._errors():
            rows = self.connection.execute("SELECT name, digest FROM vectors")
            return {_text(name): str(digest) for name, digest in rows}

    def put(self, entries: Iterable[Entry], removed: Iterable[str] = ()) -> None:
        """Write vectors and remove others, all or none."""
        with self._transaction():
            self.connection.executemany(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)",
                [(_bytes(entry.name), entry.digest, entry.vector.tobytes()) for entry in entries],
            )
            self.connection.executemany(
                "DELETE FROM vectors WHERE name = ?", [(_bytes(name),) for name in removed]
            )

    def vectors(self, names: Sequence[str]) -> NDArray[np.int8]:
        """Return the (N, D) vectors of images; zeros for those that it does not have."""
        vocabulary = self.vocabulary
        found = np.zeros((len(names), 0 if vocabulary is None else vocabulary.words.size), np.int8)
        places = {_bytes(name): i for i, name in enumerate(names)}
        with self._errors():
            for name, data in self.connection.execute("SELECT name, data FROM vectors"):
                if name in places:
                    found[places[name]] = np.frombuffer(data, np.int8).reshape(found.shape[1])
        return found

    def _note(self, name: str) -> str | None:
        found = self.connection.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def _set_note(self, name: str, value: str) -> None:
        self.connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has rolled it back already
                    self.connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert exceptions for a damaged file or a full disk into one-line errors."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"{self.path} cannot be written ({error}); is it in use, full, or in a folder that is not "
                "writable?"
            ) from error
        except (sqlite3.Error, KeyError, ValueError, TypeError, MemoryError) as error:
            reason = " ".join(str(error).split())[:120]
            raise InputError(
                f"{self.path}: expected a retrieval index of siftcli, got another or a damaged file "
                f"({reason}); remove it to make it anew"
            ) from error


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
