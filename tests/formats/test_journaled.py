"""The file under HDF5: whatever moment a kill strikes, it holds one step or the next."""

import gc
import os
import sys

import numpy as np
import pytest

from siftcli.formats import _journaled
from siftcli.formats._journaled import PAGE_BYTES, JournaledFile, finish_interrupted


class KilledError(BaseException):
    """Stands for SIGKILL: nothing after it is done."""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "x").write_bytes(bytes(range(256)) * 104)  # 6.5 pages
    return tmp_path / "x"


def change(file):
    """A step: old bytes in three places, of two pages or one, and new ones behind the end."""
    changes = (10, b"a" * 20), (PAGE_BYTES - 3, b"bcdefg"), (4 * PAGE_BYTES + 5, b"h"), (26_600, b"i" * 9000)
    for offset, data in changes:
        file.seek(offset)
        file.write(data)


def test_it_reads_as_it_was_written(path):
    rng = np.random.default_rng(0)
    expected = bytearray(path.read_bytes())
    file = JournaledFile(path)
    for step in range(200):
        offset, n = (int(v) for v in rng.integers(0, 31_000, 2))
        if step % 3:
            data = rng.bytes(n)
            file.seek(offset)
            assert file.write(data) == n
            expected.extend(bytes(max(0, offset + n - len(expected))))
            expected[offset : offset + n] = data
        else:
            buffer = bytearray(n)
            file.seek(offset)
            assert file.readinto(buffer) == len(expected[offset : offset + n])
            assert buffer.startswith(expected[offset : offset + n])
        if step % 20 == 19:
            file.commit()
            assert path.read_bytes() == expected
    file.close()
    assert [found.name for found in path.parent.iterdir()] == ["x"]


def test_a_kill_at_any_moment_leaves_one_step_or_the_next(path, monkeypatch):
    before = path.read_bytes()
    file = JournaledFile(path)
    change(file)
    file.commit()
    file.close()
    after = path.read_bytes()
    found, moment = set(), 0
    while True:
        path.write_bytes(before)
        file = JournaledFile(path)
        change(file)
        with monkeypatch.context() as patch:
            left = iter(range(moment))
            for module, name in ((os, "write"), (os, "ftruncate")):
                whole = getattr(module, name)

                def until_killed(*args, whole=whole, left=left):
                    if next(left, None) is None:
                        raise KilledError
                    return whole(*args)

                patch.setattr(module, name, until_killed)
            try:
                file.commit()
                break
            except KilledError:
                file.close()
        finish_interrupted(path)
        content = path.read_bytes()[: len(after)]
        assert content == after or content[: len(before)] == before
        found.add(content == after)
        moment += 1
    assert found == {True, False}
    assert moment > 4


def test_a_full_disk_leaves_the_file_as_it_was(path, monkeypatch):
    before = path.read_bytes()

    def full(*_args):
        raise OSError(28, "No space left on device")

    file = JournaledFile(path)
    change(file)
    monkeypatch.setattr(_journaled.os, "write", full)
    with pytest.raises(OSError, match="No space"):
        file.commit()
    file.close()
    assert path.read_bytes() == before


def test_a_journal_of_a_file_that_was_replaced_is_dropped(path):
    before = path.read_bytes()
    journal = path.with_name(".x.journal")
    for content in (b"", b"something else", _journaled._HEAD.pack(b"siftcli1", 1, 5, 0)):
        journal.write_bytes(content)
        finish_interrupted(path)
        assert not journal.exists()
        assert path.read_bytes() == before


def test_a_file_that_cannot_be_opened_is_closed_once(path, monkeypatch):
    # Its finalizer closes too, and might close what somebody else has opened meanwhile under that number.
    close, closed, said = os.close, [], []
    monkeypatch.setattr(os, "close", lambda descriptor: (closed.append(descriptor), close(descriptor)))
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    with JournaledFile(path), pytest.raises(BlockingIOError):
        JournaledFile(path)
    with pytest.raises(FileNotFoundError):
        JournaledFile(path.with_name("none"))
    gc.collect()
    assert len(closed) == 2
    assert said == []


def test_it_is_opened_once(path):
    file = JournaledFile(path)
    with pytest.raises(BlockingIOError):
        JournaledFile(path)
    file.close()
    JournaledFile(path).close()
