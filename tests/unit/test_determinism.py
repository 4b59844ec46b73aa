"""The same bytes: from two runs, 1 and 2 threads, with and without a cache, in any process, by any way in."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SAMPLES

import siftcli
from siftcli.__main__ import run
from siftcli.formats import encode

IMAGES = [path for path in SAMPLES if path.name in ("chelsea.png", "coffee16.png")]
THREADS = (1, 2)


def digests() -> list[str]:
    """One for each image and number of threads, of all features and of the matches of the two images."""
    found = []
    for threads in THREADS:
        features = [siftcli.detect(path, threads=threads) for path in IMAGES]
        matches = siftcli.match(*features, ratio=0.95, threads=threads)
        data = [encode(f, "npz") for f in features]
        data += [matches.pairs.tobytes() + matches.distance.tobytes() + matches.ratio.tobytes()]
        found.append(hashlib.sha256(b"".join(data)).hexdigest())
    return found


SCRIPT = f"""
import sys
sys.path[:0] = {[str(folder) for folder in Path(__file__).parents[:2]]!r}
from test_determinism import digests
print(*digests())
"""


def in_another_process(**environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.fixture(scope="module")
def here() -> list[str]:
    assert len(IMAGES) == 2
    return digests()


def test_one_and_two_threads_and_a_second_run(here):
    assert len(set(here)) == 1
    assert digests() == here


def test_another_process_with_another_hash_seed(here):
    assert in_another_process(PYTHONHASHSEED="1") == here


@pytest.mark.slow
def test_without_a_cache_of_kernels(here):
    # Below a file no folder can be made: the kernels are compiled anew.
    assert in_another_process(NUMBA_CACHE_DIR="/dev/null/nowhere", PYTHONHASHSEED="2") == here


def test_the_digest_tells_one_feature_from_another(here, monkeypatch):
    detect = siftcli.detect
    monkeypatch.setattr(siftcli, "detect", lambda *args, **how: detect(*args, **how).select(slice(5, None)))
    assert digests() != here


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_command_writes_the_same_bytes_as_the_api(tmp_path, jobs):
    args = ["detect", *map(str, IMAGES), "--jobs", jobs, "--threads", "1", "-q"]
    outputs = [tmp_path / "a", tmp_path / "b"]
    for output in outputs:
        assert run([*args, "-o", str(output), "--format", "csv"]) == 0
    for image in IMAGES:
        first, second = (path / f"{image.name}.csv" for path in outputs)
        assert first.read_bytes() == second.read_bytes() == encode(siftcli.detect(image), "csv")
