"""What ``siftcli detect`` tells about memory and cores before a batch."""

from __future__ import annotations

import pytest
from batches import ARGUMENTS, make_images
from PIL import Image

from siftcli.__main__ import run
from siftcli.cli import _output
from siftcli.image.header import size_of
from siftcli.params import SiftParams
from siftcli.workflows import detect_memory
from siftcli.workflows.detect_memory import PROCESS_BYTES, Forecast, forecast
from siftcli.workflows.detect_plan import make_plan


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path / "in", 3)
    return tmp_path


def of(n_pixels, **options):
    Image.new("L", (n_pixels, 100)).save("in/wide.png")
    usual = {"jobs": 2, "threads": None, "max_image_size": None}
    return forecast(make_plan(["in"]), SiftParams(), **{**usual, **options})


def test_a_batch_tells_its_memory_first(folder, capsys):
    assert run(["detect", "in", "-o", "out", "--jobs", "2", *ARGUMENTS]) == 0
    first, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith("memory: up to 0.")
    assert " in 2 processes (the largest image has " in first
    assert first.endswith(" available")
    assert run(["detect", "in", "-o", "out2", "--jobs", "2", "-q", *ARGUMENTS]) == 0
    assert capsys.readouterr().err == ""
    assert run(["detect", "in", "-o", "out3", "--jobs", "1", *ARGUMENTS]) == 0
    assert "memory" not in capsys.readouterr().err


def test_one_image_and_a_limit(folder, capsys, monkeypatch):
    assert run(["detect", "in/000/00000.jpg", "-o", "a.npz", *ARGUMENTS]) == 0
    assert "memory" not in capsys.readouterr().err
    monkeypatch.setenv("SIFTCLI_MAX_MEMORY", "500000000")
    assert run(["detect", "in", "-o", "out", "--jobs", "3", *ARGUMENTS]) == 0
    assert "0.5 GB available, which may not suffice: use --jobs 2" in capsys.readouterr().err


def test_memory_grows_with_the_image_and_the_processes(folder):
    small, large = of(200), of(20_000)
    assert (small.size, large.size, large.is_of_all) == ((200, 100), (20_000, 100), True)
    assert large.n_bytes > small.n_bytes > 3 * PROCESS_BYTES
    assert of(20_000, max_image_size=1000).n_bytes < large.n_bytes
    assert of(20_000, jobs=4).n_bytes == large.n_bytes + 2 * large.job_bytes
    assert of(20_000, jobs=64).jobs == 4  # no more than images
    alone = of(200, jobs=1)
    assert PROCESS_BYTES < alone.n_bytes < 2 * PROCESS_BYTES


def test_only_some_headers_of_many_are_read(folder, monkeypatch):
    monkeypatch.setattr(detect_memory, "MOST_HEADERS", 2)
    found = of(20_000)
    assert not found.is_of_all
    assert "the largest of 2 images" in str(found)


def test_what_to_do_where_it_does_not_fit():
    def advice(available):
        return str(Forecast((10, 10), True, 4, 100, 50, available)).partition("use ")[2]

    assert [advice(n) for n in (450, 449, 150, 149, 0)] == [
        *("", "--jobs 3", "--jobs 1", "--jobs 1 or --max-image-size", "--jobs 1 or --max-image-size")
    ]


def test_sizes_that_no_header_tells(folder):
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.new("L", (30, 20)).save("raw.tif")
    (folder / "raw.tif").rename("raw.dng")
    assert [size_of(name) for name in ("broken.png", "missing.png", "in", "raw.dng")] == [None] * 4
    assert forecast(make_plan(["broken.png"]), SiftParams(), jobs=1, threads=1, max_image_size=None) is None


def test_threads_are_told_as_they_are(monkeypatch, capsys):
    monkeypatch.setattr(_output, "usable_cores", lambda: 2)
    told = []
    for threads, jobs in ((None, 1), (1, 2), (8, 1), (2, 4)):
        _output.print_circumstances(threads, jobs=jobs)
        told.append(capsys.readouterr().err.splitlines()[-1])
    assert told == [
        "threads: 2",
        "threads: 1 in each of 2 processes",
        "threads: 8 on 2 usable cores",
        "threads: 2 in each of 4 processes on 2 usable cores",
    ]
