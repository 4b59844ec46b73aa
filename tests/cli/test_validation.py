"""What is wrong with a request is told before anything is made: folders, processes, results."""

import json

import numpy as np
import pytest
from PIL import Image

from siftcli.__main__ import run
from siftcli.parallel import processes, sharing


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name in ("a.png", "b.png", "c.png"):
        small = Image.fromarray(random.integers(0, 256, (16, 20), np.uint8))
        small.resize((80, 64), Image.Resampling.BICUBIC).save(name)
    (tmp_path / "text.txt").write_text("hello\nworld\n")
    (tmp_path / "some.txt").write_text("a.png\n\nhello\n")
    (tmp_path / "patterns.txt").write_text("a.png\nno*.jpg\n")
    (tmp_path / "text.png").write_text("hello")
    return tmp_path


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["NOFOLDER"], "NOFOLDER: no such file or folder; check the path"),
        (["a.png", "NOFOLDER"], "NOFOLDER: no such file or folder; check the path"),
        (["text.png"], "text.png: expected a PNG"),
        (["text.txt"], "text.txt, line 1: expected the name of an image, got 'hello'; no line of the list"),
        (["some.txt"], "some.txt, line 3: hello: no such file or folder; check the path"),
        (["a.png", "--detectors", "nosuch"], "unknown detector 'nosuch'"),
        *((["NO", "--dataset", name], "NO: no such file or folder") for name in ("oxford", "csv", "poses")),
    ],
)
def test_an_evaluation_that_cannot_begin_leaves_nothing(here, capsys, args, said):
    before = sorted(here.iterdir())
    assert run(["evaluate", *args]) in (1, 2)
    assert capsys.readouterr().err.startswith(f"siftcli: {said}")
    assert sorted(here.iterdir()) == before


def test_the_corrected_command_runs(here):
    how = ["--detectors", "opencv", "--angles", "0,90", "-q", "--jobs", "1"]
    assert run(["evaluate", "NOFOLDER", *how]) == 1
    assert run(["evaluate", "a.png", *how]) == 0
    assert (here / "siftcli-evaluation" / "report.html").exists()


@pytest.mark.parametrize("command", ["detect", "align", "bench", "evaluate"])
def test_a_list_that_is_text_is_told_with_its_name_and_line(here, capsys, command):
    assert run([command, "text.txt"]) == 1
    assert capsys.readouterr().err == (
        "siftcli: text.txt, line 1: expected the name of an image, got 'hello'; no line of the list names a "
        "file or folder that is there; names are relative to the present folder\n"
    )


def test_a_line_that_names_no_file_is_told_and_the_others_are_done(here, capsys):
    assert run(["detect", "some.txt", "--json"]) == 1
    printed = capsys.readouterr()
    assert printed.err == "siftcli: some.txt, line 3: hello: no such file; check the path\n"
    assert [json.loads(line)["image"] for line in printed.out.splitlines()] == ["a.png", "hello"]
    assert run(["detect", "patterns.txt"]) == 1
    assert "patterns.txt, line 2: no*.jpg: no file matches this pattern" in capsys.readouterr().err


def test_a_damaged_image_that_a_list_names_is_told_as_any_other(here, capsys):
    (here / "list.txt").write_text("text.png\n")
    assert run(["detect", "list.txt"]) == 1
    assert capsys.readouterr().err.startswith("siftcli: text.png: expected a PNG")


@pytest.mark.parametrize(
    ("n_tasks", "cores", "gigabytes", "most"),
    [(0, 8, 64, 1), (1, 8, 64, 1), (5, 8, 64, 5), (1000, 8, 64, 16), (1000, 8, 1, 6), (1000, 8, 0.1, 1)],
)
def test_processes_by_work_cores_and_memory(monkeypatch, n_tasks, cores, gigabytes, most):
    monkeypatch.setattr(sharing, "usable_cores", lambda: cores)
    monkeypatch.setenv("SIFTCLI_MAX_MEMORY", str(int(gigabytes * 1e9)))
    assert sharing.most_processes(n_tasks) == most


class Counted(processes._Worker):
    """A worker process that is counted."""

    n = 0

    def __init__(self, work):
        super().__init__(work)
        Counted.n += 1


@pytest.mark.parametrize(
    ("n", "started", "used"), [(1, 0, "1 process used, for 1 image"), (3, 3, "3 processes used")]
)
def test_a_thousand_jobs_start_no_more_processes_than_there_are_images(
    here, capsys, monkeypatch, n, started, used
):
    monkeypatch.setattr(processes, "_Worker", Counted)
    monkeypatch.setattr(Counted, "n", 0)
    monkeypatch.setattr(sharing, "PROCESSES_PER_CORE", 4)
    assert run(["detect", *("a.png", "b.png", "c.png")[:n], "--jobs", "1000", "--max-features", "9"]) == 0
    assert Counted.n == started
    assert f"--jobs 1000: {used}" in capsys.readouterr().err
