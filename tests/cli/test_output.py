"""Output is there whole or not at all."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from siftcli.errors import OutputError
from siftcli.io.writing import write_output


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_new_file(tmp_path):
    write_output(tmp_path / "x.bin", b"abc")
    assert (tmp_path / "x.bin").read_bytes() == b"abc"
    assert names(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_from_the_umask(tmp_path, umask):
    old = os.umask(umask)
    try:
        write_output(tmp_path / "x.bin", b"abc")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "x.bin").stat().st_mode) == 0o666 & ~umask


def test_existing_file_is_refused_unless_overwritten(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match=r"x\.bin exists; pass --overwrite to replace it"):
        write_output(path, b"new")
    assert path.read_bytes() == b"old"
    write_output(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["x.bin"]


def test_a_link_is_followed_when_overwritten(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(OutputError, match="exists"):
        write_output(tmp_path / "link", b"new")
    write_output(tmp_path / "link", b"new", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_broken_link_exists(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(OutputError, match="exists"):
        write_output(tmp_path / "link", b"new")


def test_devices_and_pipes_are_written_to_directly(tmp_path):
    write_output("/dev/null", b"abc")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_output(pipe, b"abc")
    reader.join()
    assert got == [b"abc"]
    assert names(tmp_path) == ["pipe"]


@pytest.mark.parametrize("failing", ["write", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_no_partial_file_is_left(tmp_path, monkeypatch, failing, error):
    def fail(*_args, **_kwargs):
        raise error

    if failing == "write":
        opened = os.fdopen

        def fdopen(*args):
            stream = opened(*args)
            stream.write(b"half")
            stream.close()
            fail()

        monkeypatch.setattr(os, "fdopen", fdopen)
    else:
        monkeypatch.setattr(os, "replace", fail)
    (tmp_path / "old").write_bytes(b"old")
    expected = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    for name in ("old", "new"):
        with pytest.raises(expected):
            write_output(tmp_path / name, b"abc", overwrite=True)
    assert names(tmp_path) == ["old"]
    assert (tmp_path / "old").read_bytes() == b"old"


def test_a_link_planted_under_the_temporary_name_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "urandom", bytes)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / f".siftcli-{bytes(8).hex()}.tmp").symlink_to(victim)
    with pytest.raises(OutputError):
        write_output(tmp_path / "x.bin", b"abc")
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["none/x.bin", "file/x.bin", ".", "n" * 300, "nul\0"])
def test_places_that_cannot_be_written(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as caught:
        write_output(f"{tmp_path}/{name}", b"abc")
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["file"]
