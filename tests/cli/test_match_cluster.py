"""Matching and retrieval on a Dask cluster of other processes: the same rows, nothing lost."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from batches import ARGUMENTS, content, make_images
from distributed import Client

from siftcli.__main__ import run
from siftcli.matching.options import DEFAULT_PAIRS_MODEL, MatchOptions
from siftcli.workflows.match_collection import match_pairs, plan_pairs
from siftcli.workflows.retrieval import collection_names, index_images

pytestmark = pytest.mark.slow

KINDS = "similar:4+sequential:2"
MIN_INLIERS = 8
INDEX = Path("x.db.retrieval")


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """The address of a scheduler with two workers, which their nanny starts again when they die."""
    folder = tmp_path_factory.mktemp("cluster")
    file, quiet = folder / "scheduler.json", {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask, where = [sys.executable, "-m", "dask"], ["--scheduler-file", str(file), "--no-dashboard"]
    workers = ["--nworkers", "2", "--nthreads", "1", "--local-directory", str(folder)]
    started = [
        subprocess.Popen([*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", *where], **quiet),
        subprocess.Popen([*dask, "worker", *where, *workers], **quiet),
    ]
    try:
        until = time.monotonic() + 60
        while not file.exists() and time.monotonic() < until:
            time.sleep(0.05)
        with Client(scheduler_file=str(file), timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
            yield client.scheduler.address
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """A database of the features of 24 images."""
    folder = tmp_path_factory.mktemp("features")
    make_images(folder / "in", 24)
    assert run(["detect", str(folder / "in"), "-o", str(folder / "x.db"), "-q", *ARGUMENTS]) == 0
    return (folder / "x.db").read_bytes()


@pytest.fixture
def alone(tmp_path, monkeypatch, features):
    """The rows of one process; the collection is as it was before."""
    monkeypatch.chdir(tmp_path)
    fresh(features)
    found = rows("--jobs", "1")
    fresh(features)
    return found


def fresh(features):
    Path("x.db").write_bytes(features)
    INDEX.unlink(missing_ok=True)


def arguments(*more):
    return ["match", "--pairs", KINDS, "x.db", "--min-inliers", str(MIN_INLIERS), *more]


def rows(*engine):
    """All rows of the database and the vectors of the index, after a run that must succeed."""
    assert run(arguments("-q", *engine)) == 0
    with closing(sqlite3.connect(INDEX)) as index:
        return content(Path("x.db")), sorted(index.execute("SELECT name, digest, data FROM vectors"))


def test_every_engine_gives_the_same(alone, features, scheduler):
    for engine in (["--jobs", "2"], ["--dask", "local", "--jobs", "2"], ["--dask", scheduler]):
        fresh(features)
        assert rows(*engine) == alone
    assert rows("--dask", scheduler) == alone  # all is kept as it was


def test_workers_killed_in_the_middle_lose_nothing(alone, scheduler):
    def kill_a_worker():
        with Client(scheduler) as client:
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

    indexed = index_images("x.db", collection_names("x.db"), dask=scheduler)
    assert next(indexed).error is None
    kill_a_worker()
    assert [image.error for image in indexed] == [None] * 23
    options = MatchOptions(model=DEFAULT_PAIRS_MODEL)
    outcomes = match_pairs(plan_pairs("x.db", KINDS), options, min_inliers=MIN_INLIERS, dask=scheduler)
    assert next(outcomes).error is None
    kill_a_worker()
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    assert rows("--jobs", "1") == alone


def test_a_killed_run_is_resumed(alone, scheduler):
    command = [sys.executable, "-u", "-m", "siftcli", *arguments("--json", "--dask", scheduler)]
    for n_lines in (1, 5):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            for _ in range(n_lines):
                assert process.stdout.readline()
            process.kill()
        assert process.returncode == -signal.SIGKILL
    assert rows("--dask", scheduler) == alone


@pytest.mark.parametrize("full", ["x.db.retrieval", "x.db"])
def test_a_full_disk_ends_the_run_and_loses_nothing(alone, features, scheduler, full):
    assert rows("--jobs", "1") == alone
    room = INDEX.stat().st_size // 2 if full == INDEX.name else len(features)
    assert room < Path(full).stat().st_size
    fresh(features)
    if full == "x.db":
        assert all(image.error is None for image in index_images("x.db", collection_names("x.db")))
    done = subprocess.run(
        [sys.executable, "-m", "siftcli", *arguments("-q", "--dask", scheduler)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"{full} cannot be written" in done.stderr or f"{full}: disk I/O error; is it" in done.stderr
    assert rows("--dask", scheduler) == alone
