"""A journaled file for HDF5: after a kill or on a full disk it has the state of the last commit.

The HDF5 library writes its index in many small pieces. It cannot read a file in which some are missing,
and it crashes on a full disk. Here everything it writes stays in memory until ``commit``. That appends
new bytes after the old end of the file, where nothing refers to them yet, writes the changes to old
bytes to a journal beside the file, and then applies them. A journal left by a killed process is applied
when the file is next opened.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import struct
from pathlib import Path

from ..io.writing import temporary_name
from ..system.files import BINARY, open_regular, read_at, replace, write_at
from ..system.locks import lock_descriptor

PAGE_BYTES = 4096
_HEAD = struct.Struct("<8sQQQ")
"""Magic, inode of the file, its size after the commit, number of changes."""
_ENTRY = struct.Struct("<QQ")
"""Offset and length."""
_MAGIC = b"siftcli1"
_LARGEST_BYTES = 1 << 60


class JournaledFile(io.RawIOBase):
    """A file object for h5py; while it is open, other processes cannot open it with HDF5.

    Raises
    ------
    OSError
        If it cannot be opened, or another process has it open.
    """

    descriptor = -1
    """None, until the file is open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = _journal_of(path)
        self.descriptor = os.open(path, os.O_RDWR | BINARY)
        try:
            lock_descriptor(self.descriptor)
            _finish(self.descriptor, self.journal)
        except BaseException:
            self.close()
            raise
        self.committed = self.size = os.fstat(self.descriptor).st_size
        self.position = 0
        self.pages: dict[int, bytearray] = {}  # what is changed of the committed bytes
        self.appended = bytearray()  # what follows them

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position; returns the new one."""
        self.position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        return self.position

    def tell(self) -> int:
        """Return the position."""
        return self.position

    def readinto(self, buffer: object) -> int:
        """Read into a buffer, including changes that are not yet committed."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        n = max(0, min(len(view), self.size - self.position))
        n_old, done = max(0, min(n, self.committed - self.position)), 0
        while done < n_old:
            page, start = divmod(self.position + done, PAGE_BYTES)
            part = self._page(page)[start : start + n_old - done]
            view[done : done + len(part)] = part
            done += len(part)
        start = self.position + n_old - self.committed
        view[n_old:n] = self.appended[start : start + n - n_old].ljust(n - n_old, b"\0")
        self.position += n
        return n

    def write(self, data: object) -> int:
        """Store bytes in memory for the next commit."""
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        n_old, done = max(0, min(len(view), self.committed - self.position)), 0
        while done < n_old:
            page, start = divmod(self.position + done, PAGE_BYTES)
            part = view[done : min(n_old, done + PAGE_BYTES - start)]
            self.pages[page] = changed = self._page(page)
            changed[start : start + len(part)] = part
            done += len(part)
        start = self.position + n_old - self.committed
        if start > len(self.appended):
            self.appended.extend(bytes(start - len(self.appended)))
        self.appended[start : start + len(view) - n_old] = view[n_old:]
        self.position += len(view)
        self.size = max(self.size, self.position)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file after the next commit."""
        self.size = self.position if size is None else size
        del self.appended[max(0, self.size - self.committed) :]
        return self.size

    def flush(self) -> None:
        """Do nothing: only ``commit`` writes."""

    def commit(self) -> None:
        """Write all changes, or none of them.

        Raises
        ------
        OSError
            If the disk is full or fails; the file is unchanged.
        """
        n_old = min(self.size, self.committed)
        pages = {page * PAGE_BYTES: bytes(data) for page, data in sorted(self.pages.items())}
        old = {offset: data[: n_old - offset] for offset, data in pages.items() if offset < n_old}
        try:
            write_at(self.descriptor, bytes(self.appended), self.committed)
            if old:
                self._write_journal(old)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self.descriptor, self.committed)
            raise
        _write_at(self.descriptor, old)
        os.ftruncate(self.descriptor, self.size)
        self.journal.unlink(missing_ok=True)
        self.committed = self.size
        self.pages.clear()
        self.appended.clear()

    def close(self) -> None:
        """Close the file; uncommitted changes are lost."""
        if not self.closed:
            super().close()
            if self.descriptor >= 0:
                os.close(self.descriptor)

    def _page(self, page: int) -> bytearray:
        """The bytes of a page of which some are committed, with changes; what was appended is not in it."""
        if page in self.pages:
            return self.pages[page]
        data = read_at(self.descriptor, PAGE_BYTES, page * PAGE_BYTES)
        return bytearray(data.ljust(PAGE_BYTES, b"\0"))

    def _write_journal(self, changes: dict[int, bytes]) -> None:
        temporary = temporary_name(self.path)
        inode = os.fstat(self.descriptor).st_ino
        try:
            with temporary.open("xb") as stream:
                stream.write(_HEAD.pack(_MAGIC, inode, self.size, len(changes)))
                for offset, data in changes.items():
                    stream.write(_ENTRY.pack(offset, len(data)) + data)
            replace(temporary, self.journal)
        finally:
            temporary.unlink(missing_ok=True)


def finish_interrupted(path: Path) -> None:
    """Apply the journal of a killed process, unless another process has the file open.

    Raises
    ------
    OSError
        If the file cannot be opened or written.
    """
    if os.path.lexists(_journal_of(path)):
        with contextlib.suppress(BlockingIOError):
            JournaledFile(path).close()


def _journal_of(path: Path) -> Path:
    return path.absolute().with_name(f".{path.name}.journal")


def _finish(descriptor: int, journal: Path) -> None:
    """Apply a journal; discard it if the file has been replaced since."""
    try:
        opened = open_regular(journal, os.O_RDONLY)
    except FileNotFoundError:
        return
    with os.fdopen(opened, "rb") as stream:
        head = stream.read(_HEAD.size)
        magic, inode, size, n = _HEAD.unpack(head) if len(head) == _HEAD.size else (b"", 0, 0, 0)
        if (magic, inode) == (_MAGIC, os.fstat(descriptor).st_ino):
            if size > _LARGEST_BYTES:
                raise _bad_journal(journal)
            changes = _read_changes(stream, n, size, journal)
            _write_at(descriptor, changes)
            os.ftruncate(descriptor, size)
    journal.unlink()


def _read_changes(stream: io.BufferedReader, n: int, size: int, journal: Path) -> dict[int, bytes]:
    """Read all changes of a journal and check them before the first is applied."""
    changes = {}
    for _ in range(n):
        entry = stream.read(_ENTRY.size)
        offset, length = _ENTRY.unpack(entry) if len(entry) == _ENTRY.size else (0, 0)
        changes[offset] = stream.read(length) if 0 < length <= PAGE_BYTES else b""
        if not changes[offset] or len(changes[offset]) != length or offset + length > size:
            raise _bad_journal(journal)
    return changes


def _bad_journal(journal: Path) -> OSError:
    return OSError(errno.EINVAL, f"its journal {journal.name} is damaged (remove the journal to continue)")


def _write_at(descriptor: int, changes: dict[int, bytes]) -> None:
    """Write changes, in the order of their places, at once where one follows the other."""
    run: list[bytes] = []
    start = end = 0
    for offset, data in changes.items():
        if offset != end:
            write_at(descriptor, b"".join(run), start)
            run, start, end = [], offset, offset
        run.append(data)
        end += len(data)
    write_at(descriptor, b"".join(run), start)
