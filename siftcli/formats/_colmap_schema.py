"""The tables of a COLMAP database in plain SQLite.

A new file has the six tables that every version of COLMAP reads (4.x migrates it on opening), and
``pose_priors`` with the first prior. A file made by COLMAP 4.x has tables of rigs and frames too;
its mapper fails without rows in them.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from ..errors import InputError, OutputError, StorageError
from ..io.writing import temporary_name

MAX_ID = 2147483647
"""Image ids are smaller (COLMAP); also the base of a pair's id."""
CAMERA_SENSOR = 0
"""COLMAP's sensor type of a camera."""
TABLES = ("cameras", "images", "keypoints", "descriptors", "matches", "two_view_geometries")
_SMALL_BYTES = 1 << 26
_SQLITE_HEADER = b"SQLite format 3\0"

SCHEMA = f"""
CREATE TABLE cameras (camera_id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, model INTEGER NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, params BLOB, prior_focal_length INTEGER NOT NULL);
CREATE TABLE images (image_id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, name TEXT NOT NULL UNIQUE,
    camera_id INTEGER NOT NULL, prior_qw REAL, prior_qx REAL, prior_qy REAL, prior_qz REAL,
    prior_tx REAL, prior_ty REAL, prior_tz REAL,
    CONSTRAINT image_id_check CHECK(image_id >= 0 and image_id < {MAX_ID}),
    FOREIGN KEY(camera_id) REFERENCES cameras(camera_id));
CREATE UNIQUE INDEX index_name ON images(name);
CREATE TABLE keypoints (image_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, cols INTEGER NOT NULL,
    data BLOB, FOREIGN KEY(image_id) REFERENCES images(image_id) ON DELETE CASCADE);
CREATE TABLE descriptors (image_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, cols INTEGER NOT NULL,
    data BLOB, FOREIGN KEY(image_id) REFERENCES images(image_id) ON DELETE CASCADE);
CREATE TABLE matches (pair_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, cols INTEGER NOT NULL,
    data BLOB);
CREATE TABLE two_view_geometries (pair_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL,
    cols INTEGER NOT NULL, data BLOB, config INTEGER NOT NULL, F BLOB, E BLOB, H BLOB, qvec BLOB, tvec BLOB);
"""
_NOT_THE_FILES_FAULT = ("locked", "readonly", "full", "disk I/O", "unable to open")
"""Words in SQLite's messages about the disk or other programs."""
NOTES = "CREATE TABLE IF NOT EXISTS siftcli (name TEXT PRIMARY KEY NOT NULL, value TEXT)"
"""Table for siftcli's own records; COLMAP ignores unknown tables."""


JOURNAL = """
CREATE TABLE IF NOT EXISTS siftcli_images (
    name TEXT PRIMARY KEY NOT NULL, image_id INTEGER NOT NULL, camera_id INTEGER NOT NULL, origin TEXT)
"""
"""Planned ids of each image, and the provenance of its features."""


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Open an existing COLMAP database; a transaction left by a killed writer is rolled back.

    Raises
    ------
    InputError
        If it is damaged or of another kind.
    """
    with errors(path):
        with path.open("rb") as stream:
            if stream.read(len(_SQLITE_HEADER)) != _SQLITE_HEADER:
                raise InputError(f"{path}: expected a COLMAP database, got a file of another kind")
        connection = _connection(path, "rw" if write else "ro")
    try:
        with errors(path):
            try:
                _check_tables(path, connection)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
                    raise
                # A writer was killed during a transaction, which only another writer can roll back.
                connect(path, write=True).close()
                _check_tables(path, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def create(path: Path) -> sqlite3.Connection:
    """Create an empty COLMAP database, completely or not at all; an existing file is replaced."""
    temporary = temporary_name(path)
    try:
        connection = _connection(temporary, "rwc")
        connection.executescript(f"BEGIN; {SCHEMA} COMMIT;")
        connection.close()
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        temporary.replace(path)
        connection = _connection(path, "rw")
    except (OSError, sqlite3.Error) as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written: {error}; choose another place") from error
    return connection


def _connection(path: Path, mode: str) -> sqlite3.Connection:
    place = path.absolute().as_posix()
    uri = f"file://{'' if place.startswith('/') else '/'}{quote(os.fsencode(place))}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    connection.text_factory = os.fsdecode  # image names need not be UTF-8
    connection.execute("PRAGMA trusted_schema = OFF")
    # A column may be computed: limit values to the size of the file.
    largest = max(_SMALL_BYTES, path.stat().st_size if path.is_file() else 0)
    if mode == "ro":
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(largest, 2**31 - 1))
    return connection


def _check_tables(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse views in place of tables, which could run forever, and triggers, which could change tables."""
    kinds = dict(connection.execute("SELECT name, type FROM sqlite_master WHERE type != 'index'"))
    missing = [table for table in TABLES if kinds.get(table) != "table"]
    if missing:
        raise InputError(f"{path}: expected a COLMAP database; it has no table {', '.join(missing)}")
    if "trigger" in kinds.values():
        raise InputError(f"{path}: expected a COLMAP database, got one with triggers; make it anew")


@contextlib.contextmanager
def errors(path: Path) -> Iterator[None]:
    """Convert SQLite's exceptions into one-line errors."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if any(word in str(error) for word in _NOT_THE_FILES_FAULT):
            kind = OutputError if "locked" in str(error) else StorageError
            raise kind(f"{path}: {_reason(error)}; is it in use, full, or not writable?") from error
        raise _damaged(path, error) from error
    except (sqlite3.Error, OSError, OverflowError, MemoryError, UnicodeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: BaseException) -> InputError:
    return InputError(f"{path}: damaged, or no COLMAP database ({_reason(error)}); make it anew")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction, on the disk when the context ends."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def log_ahead(connection: sqlite3.Connection) -> None:
    """Write commits to a write-ahead log, as COLMAP does: many small ones then need not wait for the disk.

    They outlive the process as before; only a power failure may undo the last ones. Call :func:`end_log`
    before closing.
    """
    with contextlib.suppress(sqlite3.OperationalError):  # where it cannot be, commits are as before
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal":
            connection.execute("PRAGMA synchronous = NORMAL")


def end_log(path: Path, connection: sqlite3.Connection) -> None:
    """Move the log into the file, which is then whole without it.

    Raises
    ------
    StorageError
        If the disk is full; the log stays beside the file, and nothing is lost.
    """
    with errors(path):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with contextlib.suppress(sqlite3.OperationalError):  # while another program reads it, it keeps its log
        connection.execute("PRAGMA journal_mode = DELETE")


def finish(connection: sqlite3.Connection) -> None:
    """Close, after moving commits from COLMAP's write-ahead log into the file."""
    with contextlib.suppress(sqlite3.Error):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def columns(connection: sqlite3.Connection, table: str) -> set[str]:
    """Names of a table's columns; none if there is no such table."""
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def origin(connection: sqlite3.Connection, name: str) -> str | None:
    """What the features of an image were made from; None if it is not recorded."""
    if not columns(connection, "siftcli_images"):
        return None
    query = "SELECT origin FROM siftcli_images WHERE name = CAST(? AS TEXT)"
    found = connection.execute(query, (os.fsencode(name),)).fetchone()
    return None if found is None or found[0] is None else str(found[0])


def pair_id(first: int, second: int) -> int:
    """COLMAP's number of a pair of images, the smaller id first."""
    return MAX_ID * min(first, second) + max(first, second)


def remove_features(connection: sqlite3.Connection, image_id: int) -> None:
    """Remove an image's features, and the matches and geometries of its pairs, which become invalid."""
    for table in ("keypoints", "descriptors"):
        connection.execute(f"DELETE FROM {table} WHERE image_id = ?", (image_id,))
    for table in ("matches", "two_view_geometries"):
        connection.execute(
            f"DELETE FROM {table} WHERE pair_id / {MAX_ID} = ? OR pair_id % {MAX_ID} = ?",
            (image_id, image_id),
        )


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]
