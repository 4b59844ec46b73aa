"""Progress as plain lines where standard error is no terminal, and nothing of it on standard output."""

import contextlib
import json
import sys
import threading

import pytest
from PIL import Image

from siftcli.__main__ import run
from siftcli.cli import _progress as module
from siftcli.cli._progress import Lines, counter, progress, waiting


def lines_at(*times):
    """Progress whose clock shows these times: when it is made, and at every call."""
    clock = iter(times)
    return Lines("images", clock=lambda: next(clock))


def told(capsys):
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()


def test_a_line_now_and_then_with_the_rate_and_the_time_left(capsys):
    lines = lines_at(0, 0, 4, 11, 12, 22)
    for done in range(5):
        lines.reach(done, 100)
    assert told(capsys) == [
        "2 of 100 images, 5.5 s each, 0:08:59 left",
        "4 of 100 images, 5.5 s each, 0:08:48 left",
    ]


def test_images_of_an_earlier_run_do_not_count_for_long(capsys):
    """The rate is that of the last minute."""
    lines = lines_at(0, 0, *range(10, 90, 10))
    for done in (0, 990, *range(1000, 1070, 10)):
        lines.reach(done, 10000)
    rates = [line.split(", ")[1] for line in told(capsys)]
    assert rates == ["99.0/s", "50.0/s", "33.7/s", "25.5/s", "20.6/s", "17.3/s", "1.0/s", "1.0/s"]


def test_items_that_come_in_bunches_have_one_rate(capsys):
    lines = lines_at(0, 0, 10, 20, 30, 40)
    lines.reach(0, 100)
    for done in (20, 20, 40, 40):
        lines.reach(done, 100)
    assert [line.split(", ")[1] for line in told(capsys)] == ["2.0/s", "1.0/s", "1.3/s", "1.0/s"]


def test_slow_ones_have_their_time_each(capsys):
    lines = lines_at(0, 0, 40)
    lines.reach(0, 3)
    lines.reach(1, 3)
    assert told(capsys) == ["1 of 3 images, 40.0 s each, 0:01:20 left"]


def test_what_takes_long_is_said_to_go_on(capsys):
    lines = lines_at(0, 10, 11, 21, 24, 31, 40, 41)
    lines.beat()  # nothing is known yet
    lines.reach(0, 2)
    lines.beat()
    lines.reach(1, 2)
    lines.beat()
    lines.reach(2, 2)
    lines.beat()
    assert told(capsys) == [
        "preparing images, 0:00:10 so far",
        "0 of 2 images, 0:00:21 so far",
        "1 of 2 images, 20.0 s each, 0:00:20 left",
        "2 of 2 images, finishing, 0:00:41 so far",
    ]


def test_nothing_is_said_twice_within_the_interval(capsys):
    lines = lines_at(0, 0, 12, 13, 15)
    lines.reach(0, 4)
    lines.reach(1, 4)
    lines.beat()
    lines.reach(2, 4)
    assert len(told(capsys)) == 1


@pytest.fixture
def quick(monkeypatch):
    """A line for every item: the interval is nothing."""
    monkeypatch.setattr(module, "LOG_INTERVAL_S", 0.0)
    monkeypatch.setattr(module, "_every", lambda _seconds, _act: contextlib.nullcontext())


def test_items_pass_and_are_counted(quick, capsys):
    with progress("abc", 3, show=True, unit="pairs") as items:
        assert list(items) == list("abc")
    assert [line.partition(",")[0] for line in told(capsys)] == ["1 of 3 pairs", "2 of 3 pairs"]
    with progress("abc", 3, show=False) as items:
        assert list(items) == list("abc")
    with counter("views", show=False) as follow:
        follow(1, 2)
    assert told(capsys) == []


def test_the_thread_beats_and_ends_also_with_an_error(monkeypatch, capsys):
    """The interval is nothing, so that it beats at once; it is waited for, not timed."""
    monkeypatch.setattr(module, "LOG_INTERVAL_S", 0.0)
    has_beaten = threading.Event()
    monkeypatch.setattr(module, "note", lambda line: (print(line, file=sys.stderr), has_beaten.set()))
    with pytest.raises(KeyError), waiting("writing the report", show=True):
        assert has_beaten.wait(60)
        raise KeyError
    assert "progress" not in [thread.name for thread in threading.enumerate()]
    assert told(capsys)[0] == "writing the report, 0:00:00 so far"


@pytest.mark.parametrize(
    ("arguments", "unit"),
    [
        (
            ["evaluate", "a.png", "--angles", "30,60", "--detectors", "siftcli", "-o", "out", "--jobs", "1"],
            "views",
        ),
        (["bench", "a.png", "--pairs", "1", "--threads", "1", "--detectors", "siftcli"], "measurements"),
        (["align", "a.png", "b.png", "c.png"], "frames"),
        (["match", "x.db", "--pairs", "similar:1"], "images"),
        (["match", "x.db", "--pairs", "exhaustive", "--jobs", "1"], "pairs"),
        (["detect", "a.png", "b.png", "-o", "F/", "--jobs", "1"], "images"),
    ],
)
def test_long_commands_tell_how_far_they_are(quick, tmp_path, monkeypatch, capsys, arguments, unit):
    if "similar:1" in arguments:
        pytest.importorskip("faiss")
    monkeypatch.chdir(tmp_path)
    whole = Image.effect_noise((260, 200), 90).resize((520, 400), Image.Resampling.BICUBIC)
    for name, x in (("a.png", 0), ("b.png", 20), ("c.png", 40)):
        whole.crop((x, 0, x + 400, 400)).save(name)
    if "x.db" in arguments:
        assert run(["detect", "a.png", "b.png", "c.png", "-o", "x.db", "--max-features", "100", "-q"]) == 0
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    printed = capsys.readouterr()
    assert any(f" {unit}, " in line and line.endswith(" left") for line in printed.err.splitlines())
    for line in printed.out.splitlines():
        json.loads(line)  # a program reads standard output


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["match", "a.png", "--rotate", "10", "-q"], ""),
        (["match", "a.png", "--rotate", "10"], "matching"),
        (["explain", "a.png"], "explaining"),
        (["detect", "a.png", "--draw-rejected", "r.png"], "drawing candidates"),
    ],
)
def test_work_on_one_picture_is_said_to_go_on(tmp_path, monkeypatch, capsys, arguments, what):
    def beat_once(_seconds, act):
        act()
        return contextlib.nullcontext()

    monkeypatch.setattr(module, "_every", beat_once)
    monkeypatch.chdir(tmp_path)
    Image.effect_noise((160, 120), 90).resize((320, 240), Image.Resampling.BICUBIC).save("a.png")
    assert run(arguments) == 0
    printed = capsys.readouterr()
    assert (f"{what}, 0:00:00 so far" in printed.err) == bool(what)
    assert "so far" not in printed.out
