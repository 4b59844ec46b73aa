"""What is done on Windows and macOS, tried by telling a module of ``siftcli.system`` that it runs there."""

from __future__ import annotations

import io
import ntpath
import os
import re
import signal
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftcli.errors import InputError
from siftcli.formats._folder import FolderReader
from siftcli.io import work_list
from siftcli.system import cores, files, locks, memory, names, pipes, program
from siftcli.workflows import convert

SYSTEMS = ("linux", "darwin", "win32")


def on(monkeypatch, system, module, **more):
    """Let a module see another ``sys.platform``."""
    monkeypatch.setattr(module, "sys", SimpleNamespace(platform=system, **more))


# --- names --------------------------------------------------------------------------------------


def is_fit_for_windows(part):
    # CPython 3.13 has a function of ntpath instead of the method, which 3.15 has no longer.
    is_reserved = getattr(ntpath, "isreserved", None) or PureWindowsPath.is_reserved
    return not (
        re.search(r'[\x00-\x1f<>:"|?*\\/]', part) or part[-1] in ". " or is_reserved(PureWindowsPath(part))
    )


hostile_parts = st.one_of(
    st.sampled_from(
        ["con", "CON.jpg", "aux.", "lpt9 .x", "com¹", "a:b", "a.", "a ", ".", "CONOUT$", "nul.tar.gz"]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Co"], exclude_characters="\0/"), min_size=1, max_size=8),
)


@given(st.lists(hostile_parts, min_size=1, max_size=3).map("/".join))
def test_names_for_windows_are_fit_and_reversible(name):
    mapped = names._for_windows(name)
    assert all(is_fit_for_windows(part) for part in mapped.split("/") if part not in ("", ".", ".."))
    assert names.original_name(mapped) == name


@pytest.mark.parametrize(
    "name", ["a.jpg", "sub/b c.jpg", "ü.png", "console.jpg", "auxiliary", "a\uf0ff", "com10.png", ".x"]
)
def test_usual_names_stay(monkeypatch, name):
    assert names.original_name(name) == name
    for system in SYSTEMS:
        on(monkeypatch, system, names)
        assert names.file_name(name) == name


def test_names_are_changed_on_windows_only(monkeypatch):
    for system in SYSTEMS:
        on(monkeypatch, system, names)
        assert (names.file_name("sub/con.jpg") == "sub/con.jpg") == (system != "win32")


def test_a_name_that_was_not_changed_is_not_changed_back():
    # Private characters that nothing was mapped to: "x" needs no mapping.
    assert names.original_name("\uf078.jpg") == "\uf078.jpg"


def test_what_is_the_same_file(monkeypatch):
    pairs = [("A.jpg", "a.jpg"), ("caf\u00e9", "cafe\u0301"), ("a", "b")]
    for system, same in (
        ("linux", [False, False, False]),
        ("win32", [True, True, False]),
        ("darwin", [True, True, False]),
    ):
        on(monkeypatch, system, names)
        assert [names.same_file_key(a) == names.same_file_key(b) for a, b in pairs] == same


def test_a_folder_of_features_from_windows_has_the_names_of_the_images(tmp_path):
    mapped = names._for_windows("sub/a:b.jpg")
    (tmp_path / "sub").mkdir()
    (tmp_path / f"{mapped}.npz").write_bytes(b"")
    assert FolderReader(tmp_path, None).names() == ["sub/a:b.jpg"]


def test_names_that_lead_elsewhere_on_windows(monkeypatch):
    monkeypatch.setattr(convert, "PurePath", PureWindowsPath)
    for name in ("C:a", "C:/a", "/a", "\\a", "..\\a", "\\\\host\\share\\a"):
        assert not convert.is_inside(name)
    assert convert.is_inside("sub/a.jpg")
    on(monkeypatch, "win32", names)
    assert all(convert.is_inside(names.file_name(name)) for name in ("C:a", "\\a", "..\\a"))
    assert not convert.is_inside(names.file_name("../a"))


@pytest.mark.parametrize(("separators", "folders"), [(("/", None), {"a/"}), (("\\", "/"), {"a/", "a\\"})])
def test_what_names_a_folder(monkeypatch, separators, folders):
    monkeypatch.setattr(names, "os", SimpleNamespace(sep=separators[0], altsep=separators[1]))
    assert {text for text in ("a", "a/", "a\\", "") if names.names_folder(text)} == folders


def test_inputs_on_two_drives_are_refused(monkeypatch, tmp_path):
    def on_two_drives(_):
        raise ValueError("Paths don't have the same drive")

    (tmp_path / "a.png").write_bytes(b"")
    monkeypatch.setattr(work_list.os.path, "commonpath", on_two_drives)
    with pytest.raises(InputError, match="one drive"):
        work_list.find_images([tmp_path / "a.png"])


# --- files --------------------------------------------------------------------------------------


def test_long_paths_of_windows(monkeypatch):
    def absolute(path):
        return path if path.startswith("\\\\") else f"C:\\{path}"

    monkeypatch.setattr(files, "os", SimpleNamespace(path=SimpleNamespace(abspath=absolute)))
    on(monkeypatch, "win32", files)
    long = "x" * 300
    assert files.extended("short") == "short"
    assert files.extended(long) == f"\\\\?\\C:\\{long}"
    assert files.extended(f"\\\\host\\share\\{long}") == f"\\\\?\\UNC\\host\\share\\{long}"
    assert files.extended(f"\\\\?\\C:\\{long}") == f"\\\\?\\C:\\{long}"
    on(monkeypatch, "linux", files)
    assert files.extended(long) == long


@pytest.mark.parametrize("no_follow", [files._NO_FOLLOW, 0])
@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "folder"])
def test_only_regular_files_are_opened(monkeypatch, tmp_path, kind, no_follow):
    monkeypatch.setattr(files, "_NO_FOLLOW", no_follow)
    path, victim = tmp_path / "x", tmp_path / "victim"
    victim.write_bytes(b"precious")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(victim if kind == "link" else tmp_path / "nowhere")
    with pytest.raises(OSError):
        files.open_regular(path, os.O_RDWR | os.O_CREAT)
    assert not (tmp_path / "nowhere").exists()
    os.close(files.open_regular(victim, os.O_RDONLY))


def test_a_file_that_was_exchanged_meanwhile_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "_NO_FOLLOW", 0)
    path, other = tmp_path / "x", tmp_path / "other"
    path.write_bytes(b"1")
    other.write_bytes(b"2")
    opened = os.open
    monkeypatch.setattr(files.os, "open", lambda _path, *rest: opened(other, *rest))
    with pytest.raises(OSError, match="not a regular file"):
        files.open_regular(path, os.O_RDONLY)


class InUseError(PermissionError):
    winerror = 32


def test_a_target_in_use_is_tried_again(monkeypatch, tmp_path):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    left, replaced = [3], os.replace

    def busy(*paths):
        if left[0]:
            left[0] -= 1
            raise InUseError
        replaced(*paths)

    monkeypatch.setattr(files.os, "replace", busy)
    monkeypatch.setattr(files, "_PAUSE_S", 0)
    files.replace(source, target)
    assert (target.read_bytes(), left) == (b"new", [0])
    monkeypatch.setattr(files, "_PATIENCE_S", -1)
    left[0] = 1
    with pytest.raises(InUseError):
        files.replace(target, source)


def test_a_target_that_may_not_be_written_is_not_tried_again(monkeypatch, tmp_path):
    n = []

    def refused(*_):
        n.append(1)
        raise PermissionError

    monkeypatch.setattr(files.os, "replace", refused)
    with pytest.raises(PermissionError):
        files.replace(tmp_path / "a", tmp_path / "b")
    assert n == [1]


def test_whose_a_file_is(monkeypatch, tmp_path):
    tmp_path.chmod(0o777)
    found = tmp_path.stat()
    assert not files.is_only_ours(found)
    on(monkeypatch, "win32", files)
    assert files.is_only_ours(found)


def test_reading_and_writing_at_a_place(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(range(10)))
    descriptor = os.open(path, os.O_RDWR)
    files.write_at(descriptor, b"abc", 8)
    assert files.read_at(descriptor, 4, 7) == b"\x07abc"
    assert files.read_at(descriptor, 10, 9) == b"bc"
    os.close(descriptor)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_lock_is_held_and_goes_away(monkeypatch, tmp_path, system):
    on(monkeypatch, system, locks)
    path = tmp_path / ".lock"
    for _ in range(2):
        with locks.lock_file(path):
            with pytest.raises(BlockingIOError), locks.lock_file(path):
                pass
            assert path.exists()
        assert not path.exists()


# --- pipes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_pipe_is_read_within_its_time(monkeypatch, system):
    on(monkeypatch, system, pipes)
    reading, writing = os.pipe()
    assert pipes.read_within(reading, 10, 0.05) is None
    os.write(writing, b"abc")
    if system == "win32":
        return  # the thread that was left behind has taken it; a silent pipe is given up
    assert pipes.read_within(reading, 10, 5) == b"abc"
    os.close(writing)
    assert pipes.read_within(reading, 10, 5) == b""
    os.close(reading)


def test_a_pipe_is_read_by_another_thread(monkeypatch):
    on(monkeypatch, "win32", pipes)
    reading, writing = os.pipe()
    os.write(writing, b"abcd")
    assert pipes.read_within(reading, 3, 5) == b"abc"
    assert pipes.read_within(reading, 3, 5) == b"d"
    os.close(writing)
    assert pipes.read_within(reading, 3, 5) == b""
    os.close(reading)
    with pytest.raises(OSError):
        pipes.read_within(os.open(Path.cwd(), os.O_RDONLY), 3, 5)


# --- machine ------------------------------------------------------------------------------------


def test_cores_where_affinity_is_unknown(monkeypatch):
    monkeypatch.setattr(cores, "cores_allowed", lambda: None)
    monkeypatch.delattr(os, "sched_getaffinity")
    on(monkeypatch, "darwin", cores, version_info=(3, 11))
    assert cores.usable_cores() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores.usable_cores() == 1
    on(monkeypatch, "win32", cores, version_info=(3, 11))
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda _self: [0, 2, 3])
    assert cores.usable_cores() == 3
    cores.start_on(0)  # does nothing there
    monkeypatch.setattr(cores, "_core", lambda: 2)
    turn = cores.cores_from_the_next()
    assert [next(turn) for _ in range(4)] == [3, 0, 3, 0]


def test_cores_that_python_is_told_of(monkeypatch):
    monkeypatch.setattr(cores, "cores_allowed", lambda: None)
    monkeypatch.setattr(cores, "_core_numbers", lambda: [0, 1, 2, 3])
    on(monkeypatch, "linux", cores, version_info=(3, 13))
    monkeypatch.setattr(os, "process_cpu_count", lambda: 3, raising=False)
    assert cores.usable_cores() == 3
    monkeypatch.setattr(os, "process_cpu_count", lambda: None)
    assert cores.usable_cores() == 4


def test_a_processor_without_a_name(monkeypatch):
    assert cores.processor_name()
    monkeypatch.setattr(cores, "Path", lambda _: Path("nowhere"))
    monkeypatch.setattr(cores.platform, "machine", lambda: "arm64")
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_name", lambda: "apple-m1")
    assert cores.processor_name() == "arm64 apple-m1"
    assert cores._core() == -1


def test_memory_of_other_systems(monkeypatch):
    monkeypatch.setattr(memory, "memory_allowed", lambda: None)
    expected = memory.total_memory()
    on(monkeypatch, "darwin", memory)
    assert memory.peak_memory() > 0
    monkeypatch.delattr(os, "sysconf")
    assert memory.total_memory() == expected
    on(monkeypatch, "win32", memory)
    monkeypatch.setattr(psutil.Process, "memory_info", lambda _self: SimpleNamespace(peak_wset=7))
    assert memory.peak_memory() == 7


# --- the program --------------------------------------------------------------------------------


def test_requests_to_end(monkeypatch):
    monkeypatch.setattr(signal, "SIGBREAK", 21, raising=False)
    noted = {}
    monkeypatch.setattr(signal, "signal", noted.__setitem__)
    program.on_termination(print)
    assert noted == {signal.SIGTERM: print, 21: print}


@pytest.mark.parametrize(("system", "encoded"), [("linux", b"\\u03c3"), ("win32", "σ".encode())])
def test_streams_take_every_character(monkeypatch, system, encoded):
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="cp1252", errors="strict")
    on(monkeypatch, system, program, stdout=out, stderr=None)
    program.prepare_streams()
    out.write("σ")
    out.flush()
    assert raw.getvalue() == encoded


def test_image_names_have_slashes(monkeypatch, tmp_path):
    monkeypatch.setattr(
        work_list,
        "absolute",
        lambda path: PureWindowsPath("C:\\in") / PurePosixPath(path).relative_to(tmp_path),
    )
    monkeypatch.setattr(work_list.os.path, "commonpath", lambda _: "C:\\in")
    monkeypatch.setattr(work_list, "_shared_folder", lambda _: PureWindowsPath("C:\\in"))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.png").write_bytes(b"")
    assert [image.name for image in work_list.find_images([tmp_path])] == ["sub/a.png"]
