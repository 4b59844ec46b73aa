"""``siftcli match --pairs``: any number of processes, resumed, refused, failing."""

import os
import re
import resource
import signal
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from batches import ARGUMENTS, content, failures, make_images
from killing import end, forked_match

from siftcli.__main__ import run
from siftcli.errors import InputError
from siftcli.io.locks import locked
from siftcli.matching.options import MatchOptions
from siftcli.workflows import match_collection as collection
from siftcli.workflows.match_collection import match_pairs, plan_pairs
from siftcli.workflows.pair_selection import select_pairs

N_PAIRS = 8 * 7 // 2
TARGETS = ("x.db", "m.h5")


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """A database of the features of eight images."""
    folder = tmp_path_factory.mktemp("features")
    make_images(folder / "in", 8)
    assert run(["detect", str(folder / "in"), "-o", str(folder / "x.db"), "-q", *ARGUMENTS]) == 0
    return (folder / "x.db").read_bytes()


@pytest.fixture
def here(tmp_path, monkeypatch, features):
    monkeypatch.chdir(tmp_path)
    Path("x.db").write_bytes(features)
    return tmp_path


def match(target, *args):
    return run(["match", "--pairs", "exhaustive", "x.db", "-o", target, "--min-inliers", "8", *args])


@pytest.mark.parametrize("target", TARGETS)
def test_one_and_two_processes_give_the_same(here, features, target, capsys):
    found = []
    for jobs in ("1", "2"):
        Path("x.db").write_bytes(features)
        assert match(target, "--jobs", jobs, "--overwrite") == 0
        assert f"{N_PAIRS} pairs" in capsys.readouterr().err
        found.append(content(Path(target)))
    assert found[0] == found[1]
    assert match(target) == 0
    assert f"{N_PAIRS} kept as they were" in capsys.readouterr().err


@pytest.mark.parametrize("target", TARGETS)
def test_killed_at_random_moments(here, features, target):
    assert match(target, "--jobs", "1", "-q") == 0
    whole = content(Path(target))
    Path("x.db").write_bytes(features)
    if target == "m.h5":
        Path(target).unlink()
    struck = 0
    for k in range(10):
        process = forked_match("x.db", target)
        time.sleep(0.02 + 0.03 * k)  # each dies somewhere in what the one before left
        process.kill()
        struck += end(process) == -signal.SIGKILL
    assert struck >= 1
    assert match(target, "--jobs", "1", "-q") == 0
    assert content(Path(target)) == whole


@pytest.mark.parametrize("room", [6_000, 20_000])
def test_a_full_disk_ends_the_run_and_loses_nothing(here, features, room):
    assert match("x.db", "--jobs", "1", "-q") == 0
    whole = content(Path("x.db"))
    Path("x.db").write_bytes(features)
    most = len(features) + room
    command = [
        sys.executable,
        "-m",
        "siftcli",
        "match",
        "--pairs",
        "exhaustive",
        "x.db",
        "--min-inliers",
        "8",
    ]
    done = subprocess.run(
        [*command, "--jobs", "1"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "is it in use, full, or not writable?" in done.stderr
    assert match("x.db", "--jobs", "1", "-q") == 0
    assert content(Path("x.db")) == whole
    assert not Path("x.db-wal").exists()


class DeadlyMatcher(collection.Matcher):
    """Kills its process at one pair, always."""

    def __call__(self, pair, /):
        if pair == ("000/00001.jpg", "000/00003.jpg"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(pair)


def test_a_pair_that_kills_its_worker_is_given_up(here, monkeypatch):
    monkeypatch.setattr(collection, "Matcher", DeadlyMatcher)
    plan = plan_pairs("x.db", "exhaustive", output="m.h5")
    outcomes = {o.names: o.error for o in match_pairs(plan, MatchOptions(), min_inliers=8, jobs=2)}
    failed = {names: error for names, error in outcomes.items() if error}
    assert len(outcomes) == N_PAIRS
    assert list(failed) == [("000/00001.jpg", "000/00003.jpg")]
    assert "the process that worked on it died" in failed["000/00001.jpg", "000/00003.jpg"]


def test_an_interruption_finishes_what_is_in_hand(here):
    plan = plan_pairs("x.db", "exhaustive", output="m.h5")
    outcomes = []
    for outcome in match_pairs(plan, MatchOptions(), min_inliers=8, jobs=2, stop=lambda: len(outcomes) >= 3):
        outcomes.append(outcome)
    assert 3 <= len(outcomes) < N_PAIRS
    assert not any(outcome.skipped or outcome.error for outcome in outcomes)
    again = list(match_pairs(plan, MatchOptions(), min_inliers=8))
    assert [outcome.skipped for outcome in again].count(True) == len(outcomes)


def test_ctrl_c(here):
    args = ["match", "--pairs", "exhaustive", "x.db", "-o", "m.h5", "--jobs", "1", "--json"]
    command = [sys.executable, "-u", "-m", "siftcli", *args]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, **pipes)
    assert process.stdout.readline(), process.stderr.read()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    found = re.search(r"(\d+) pairs?, .*, (\d+) not begun", err)
    assert found is not None
    n_done, n_left = map(int, found.groups())
    assert n_left > 0
    assert n_done + n_left == N_PAIRS
    assert f"interrupted, {n_left} not begun; run the same command again to resume" in err


def test_failures_are_listed_and_tried_again(here, capsys):
    assert run(["convert", "x.db", "f"]) == 0
    damaged = sorted(Path("f").rglob("*.npz"))[0]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:1000])
    name = str(damaged.relative_to("f").with_suffix(""))
    args = ["match", "--pairs", "exhaustive", "f", "-o", "f/m.h5", "--min-inliers", "8"]
    for _ in range(2):
        assert run(args) == 1
        listed = failures(Path("f/match-failures.csv"))
        assert len(listed) == 7
        assert all(name in row[:2] and "damaged" in row[2] for row in listed)
    damaged.write_bytes(whole)
    capsys.readouterr()
    assert run(args) == 0
    assert f"{N_PAIRS - 7} kept as they were" in capsys.readouterr().err
    assert not Path("f/match-failures.csv").exists()


def test_a_second_run_is_refused(here, capsys):
    with locked(Path("m.h5"), is_folder=False):
        assert match("m.h5") == 2
    assert "being written by another siftcli" in capsys.readouterr().err
    assert not Path("m.h5").exists()


def test_an_unexpected_error_fails_one_pair(here, monkeypatch, capsys):
    def fail(*_args, **_kwargs):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("siftcli.matching.search.search", fail)
    assert match("m.h5", "--jobs", "1") == 1
    assert "ZeroDivisionError in siftcli (a bug); please report it" in capsys.readouterr().err


def test_verbose_prints_versions_and_the_time(here, capsys):
    assert match("m.h5", "--jobs", "1", "-v", "--threads", "1") == 0
    err = capsys.readouterr().err
    assert "siftcli " in err
    assert "NumPy " in err
    assert re.search(r"^threads: 1; \d+\.\d{3} s$", err, re.MULTILINE)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_of_pairs_with_a_byte_order_mark(tmp_path, encoding):
    path = tmp_path / "pairs.txt"
    path.write_bytes("ä.jpg b.jpg\r\nb.jpg c.jpg\r\n".encode(encoding))
    pairs = select_pairs(["ä.jpg", "b.jpg", "c.jpg"], str(path))
    assert list(pairs.without(np.empty(0, np.int64))) == [("b.jpg", "c.jpg"), ("ä.jpg", "b.jpg")]
    path.write_bytes(b"\xff\xfea")
    with pytest.raises(InputError, match=r"pairs\.txt: .*UTF-16"):
        select_pairs(["a", "b"], str(path))


def all_pairs(chosen):
    return list(chosen.without(np.empty(0, np.int64)))


@pytest.mark.parametrize("pairs", ["exhaustive", "sequential:40"])
def test_pairs_are_ordered_so_that_images_are_seldom_read(pairs):
    chosen = all_pairs(select_pairs([f"{i:03}.jpg" for i in range(200)], pairs))
    ordered = list(collection.in_blocks(chosen))
    assert sorted(ordered) == sorted(chosen)
    read = lru_cache(collection.CACHED_IMAGES)(str)
    for pair in ordered:
        for name in pair:
            read(name)
    assert read.cache_info().misses < 0.1 * len(chosen)


def test_few_pairs_stay_in_their_order():
    chosen = all_pairs(select_pairs([f"{i}.jpg" for i in range(8)], "exhaustive"))
    assert list(collection.in_blocks(chosen)) == chosen
