"""The folder of compiled kernels: what is shown, what is removed, and what a first run says."""

import ast
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import siftcli
from siftcli.__main__ import run
from siftcli.kernels import ahead, cache, upkeep
from siftcli.kernels.ahead import MODULES
from siftcli.kernels.notice import TEXT, Notice

PACKAGE = Path(siftcli.__file__).parent
DIGEST = "0123456789abcdef"
OURS = {
    f"siftcli.sift.blur._blur_rows-{DIGEST}.kernel": 1000,
    f"siftcli.sift.blur._blur_rows-{DIGEST[::-1]}.kernel": 2000,
    f"siftcli.sift.noise._count-{DIGEST}.{DIGEST}": 30,  # left by a process that was killed
    f"numba-{DIGEST}/noise_1/noise._count-81.py311.nbi": 400,
    f"numba-{DIGEST}/noise_1/noise._count-81.py311.1.nbc": 5000,
}
FOREIGN = ["notes.txt", f"numba-{DIGEST[1:]}/x.nbi", "__pycache__/x.nbi", "a.kernel"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "kernels"
    monkeypatch.setattr("siftcli.workflows.kernel_cache.cache_folder", lambda: str(folder))
    folder.mkdir()
    for name, size in {**OURS, **dict.fromkeys(FOREIGN, 7)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(size))
    target = tmp_path / "precious"
    target.write_bytes(bytes(10**6))
    (folder / f"siftcli.x-{DIGEST}.kernel").symlink_to(target)
    (folder / f"numba-{DIGEST}" / "link.nbi").symlink_to(target)
    return folder


def files(folder):
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_every_kernel_is_warmed():
    with_kernels = set()
    for path in PACKAGE.rglob("*.py"):
        calls = (
            node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)
        )
        marks = (mark for node in calls for mark in node.decorator_list if isinstance(mark, ast.Call))
        if any(getattr(mark.func, "id", "") == "kernel" for mark in marks):
            with_kernels.add(".".join(path.relative_to(PACKAGE).with_suffix("").parts))
    # The first is imported by a module of the list; the second only measures a processor.
    imported = {"learned.patches", "bench.roofline"}
    assert with_kernels - imported == set(MODULES)


def test_modules_of_the_list_import_the_rest():
    program = (
        "import sys\nfrom importlib import import_module\nfrom siftcli.kernels.ahead import MODULES\n"
        "for module in MODULES:\n    import_module(f'siftcli.{module}')\n"
        "print({'siftcli.learned.patches'} - sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_show_counts_regular_files_of_ours(folder, capsys):
    assert run(["cache", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["schema"], shown["folder"], shown["unused_days"]) == (1, str(folder), 90)
    assert shown["n_bytes"] == sum(OURS.values())
    kernels = {k["name"]: (k["n_variants"], k["n_files"], k["n_bytes"]) for k in shown["kernels"]}
    assert kernels == {
        "siftcli.sift.blur._blur_rows": (2, 2, 3000),
        "siftcli.sift.noise._count": (1, 1, 30),
        upkeep.NUMBAS_CACHE: (1, 2, 5400),
    }


def test_show_tells_when_each_was_last_used(folder, capsys):
    noon = 1_700_000_000
    os.utime(folder / f"siftcli.sift.blur._blur_rows-{DIGEST}.kernel", (noon, noon))
    run(["cache", "show"])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "_blur_rows" in line)
    day = time.strftime("%Y-%m-%d", time.localtime(noon))
    assert line.split()[1:4] == ["2", "3", "KB"]
    assert line.split()[5] == day


def test_clear_removes_ours_and_nothing_else(folder, tmp_path, capsys):
    assert run(["cache", "clear"]) == 0
    assert capsys.readouterr().out == f"removed 5 files, 8 KB, from {folder}\n"
    assert files(folder) == set(FOREIGN)
    assert (tmp_path / "precious").stat().st_size == 10**6
    assert (folder / f"siftcli.x-{DIGEST}.kernel").is_symlink()


def test_an_empty_folder_says_how_to_fill_it(folder, capsys):
    run(["cache", "clear"])
    capsys.readouterr()
    assert run(["cache"]) == 0
    assert capsys.readouterr().out == f"{folder}: empty; 'siftcli cache warm' fills it\n"


def test_what_is_unused_for_long_is_removed(folder):
    now, long_ago = time.time(), time.time() - 91 * cache.DAY_S
    for path in [folder / f"numba-{DIGEST}", *folder.rglob("*")]:
        os.utime(path, (now, long_ago), follow_symlinks=False)
    used = f"siftcli.sift.blur._blur_rows-{DIGEST}.kernel"
    cache.mark_used(folder / used)
    upkeep.remove_unused(folder)
    assert files(folder) == {used, *FOREIGN}


def test_what_is_used_now_and_then_stays(folder):
    nearly = time.time() - 89 * cache.DAY_S
    for path in folder.rglob("*"):
        os.utime(path, (nearly, nearly), follow_symlinks=False)
    upkeep.remove_unused(folder)
    assert files(folder) == {*OURS, *FOREIGN}


def test_use_is_noted_once_a_day(tmp_path):
    path = tmp_path / "x"
    path.touch()
    hour_ago = time.time() - 3600
    os.utime(path, (hour_ago, hour_ago))
    cache.mark_used(path)
    assert path.stat().st_mtime == pytest.approx(hour_ago, abs=1)
    cache.mark_used(tmp_path / "gone")  # another process has removed it


def test_a_numba_cache_is_as_young_as_its_youngest_file(folder):
    long_ago = time.time() - 91 * cache.DAY_S
    for path in [folder / f"numba-{DIGEST}", *folder.rglob("*")]:
        os.utime(path, (long_ago, long_ago), follow_symlinks=False)
    os.utime(folder / f"numba-{DIGEST}" / "noise_1" / "noise._count-81.py311.nbi")
    upkeep.remove_unused(folder)
    assert files(folder) == {*FOREIGN, *(name for name in OURS if name.startswith("numba"))}


def test_nowhere_to_keep_kernels_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr("siftcli.workflows.kernel_cache.cache_folder", lambda: None)
    for action in ("show", "warm", "clear"):
        assert run(["cache", action]) == 1
        assert "set NUMBA_CACHE_DIR to a writable folder" in capsys.readouterr().err


def test_nothing_is_warmed_without_the_compiler(monkeypatch, capsys):
    monkeypatch.setattr("siftcli.workflows.kernel_cache.IS_COMPILED", False)
    assert run(["cache", "warm", "-q"]) == 2
    assert "NUMBA_DISABLE_JIT" in capsys.readouterr().err


@pytest.mark.slow
def test_after_warming_nothing_is_compiled(tmp_path):
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def siftcli_says(*arguments):
        command = [sys.executable, "-m", "siftcli", *map(str, arguments)]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True)

    done = siftcli_says("cache", "warm", "--jobs", "2")
    assert "compiling its kernels" not in done.stderr
    assert "kernels compiled in" in done.stdout
    assert not done.stdout.splitlines()[-1].startswith("0 kernels")
    image = PACKAGE.parent / "sample_images" / "camera.png"
    for preset in ("default", "classic", "dense"):
        for orientation in ("histogram", "learned"):
            how = ["--preset", preset, "--orientation", orientation, "-q", "--max-features", "50"]
            assert siftcli_says("detect", image, *how).stderr == ""
    assert siftcli_says("match", image, "--rotate", "30", "-q").stderr == ""
    assert siftcli_says("cache", "warm", "-q").stdout == ""
    assert siftcli_says("cache", "warm").stdout.splitlines()[-1].startswith("0 kernels")


# --- what a first run says -----------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def blur():
    """A stand-in for a kernel."""


blur.__module__ = "siftcli.sift.blur"


def screen(text):
    """What is left on a line that is written again and again."""
    return text.rpartition("\x1b[K")[2]


def test_a_terminal_shows_a_line_that_renews_and_goes(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("COLUMNS", "120")
    notice = Notice(clock)
    notice.begin(blur)
    assert screen(terminal.getvalue()) == f"{TEXT}: blur, 0 s"
    clock.now += 3.2
    notice.begin(blur)  # a subroutine
    assert screen(terminal.getvalue()) == f"{TEXT}: blur, 3 s"
    notice.end()
    assert screen(terminal.getvalue()) == f"{TEXT}: blur, 3 s"
    notice.end()
    assert screen(terminal.getvalue()) == ""
    assert "\n" not in terminal.getvalue()
    assert notice.n_compiled == 1


def test_the_line_renews_now_and_then_only(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    notice = Notice(clock)
    notice.begin(blur)
    for _ in range(1000):
        clock.now += 0.001
        notice.begin(blur)
        notice.end()
    assert 5 <= terminal.getvalue().count("\r") <= 12


@pytest.mark.parametrize("columns", [20, 60])
def test_the_line_does_not_wrap(monkeypatch, clock, columns):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("COLUMNS", str(columns))
    Notice(clock).begin(blur)
    assert len(screen(terminal.getvalue())) == columns - 1


def test_a_pipe_gets_one_plain_line(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", pipe := io.StringIO())
    notice = Notice(clock)
    for _ in range(3):
        notice.begin(blur)
        clock.now += 5
        notice.begin(blur)
        notice.end()
        notice.end()
    assert pipe.getvalue() == f"{TEXT} ...\n"
    assert notice.n_compiled == 3


def test_a_worker_that_warms_says_nothing(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    notice = Notice(clock)
    notice.is_silent = True
    notice.begin(blur)
    notice.end()
    assert terminal.getvalue() == ""


def test_a_library_starts_no_processes(monkeypatch):
    monkeypatch.setattr(ahead, "side_by_side", lambda *_: pytest.fail("started"))
    assert not ahead.compile_package("siftcli.sift.blur")


@pytest.mark.parametrize("reason", [OSError("no semaphores"), RuntimeError("a process died"), None])
def test_what_processes_cannot_compile_is_left_to_this_one(monkeypatch, reason):
    def side_by_side(modules, n_processes):
        assert {"sift.blur", "sift.least_squares"} <= set(modules)
        assert (n_processes, {module.partition(".")[0] for module in modules}) == (2, {"sift"})
        yield ahead.Done(modules[0], 1, 0.5)
        if reason is not None:
            raise reason

    monkeypatch.setattr(ahead, "side_by_side", side_by_side)
    monkeypatch.setattr(ahead, "may_start_processes", lambda: True)
    monkeypatch.setattr(ahead, "usable_cores", lambda: 2)
    monkeypatch.setattr(ahead, "_tried", set())
    assert ahead.compile_package("siftcli.sift.blur")
    assert not ahead.compile_package("siftcli.sift.extrema")  # once
    assert not ahead.compile_package("siftcli.matching.tiles")  # one module alone


def test_what_few_need_is_not_compiled_beside(monkeypatch):
    def side_by_side(modules, n_processes):
        assert "sift.lowe" in ahead.MODULES
        assert "sift.lowe" not in modules
        yield None

    monkeypatch.setattr(ahead, "side_by_side", side_by_side)
    monkeypatch.setattr(ahead, "may_start_processes", lambda: True)
    monkeypatch.setattr(ahead, "usable_cores", lambda: 2)
    monkeypatch.setattr(ahead, "_tried", set())
    assert not ahead.compile_package("siftcli.sift.lowe")
    assert ahead.compile_package("siftcli.sift.blur")


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("import atexit; atexit.register(print, 'end'); print('work'); leave(3)", 3),
        ("import threading; threading.Thread(target=lambda: print('work\\nend')).start(); leave(3)", 3),
        ("import os; print('work\\nend'); sys.stdout.flush(); os.close(1); print('x'); leave(3)", 120),
    ],
)
def test_a_program_that_leaves_loses_nothing(program, status):
    program = f"import sys; from siftcli.system.program import leave; {program}"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=buffered
    )
    assert (done.stdout, done.returncode) == ("work\nend\n", status)


def test_a_command_imports_numpy_after_it_has_turned_off_the_threads_of_blas():
    program = (
        "import sys, siftcli.cli.detect, siftcli.cli._options\nprint('numpy' in sys.modules)\n"
        "from pathlib import Path\nthreads = lambda: len(list(Path('/proc/self/task').glob('*')))\n"
        "from siftcli.system.program import without_blas_threads\nwithout_blas_threads()\n"
        "before = threads()\nimport numpy\nprint(threads() - before)"
    )
    free = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=free
    )
    assert done.stdout.split() == ["False", "0"]
