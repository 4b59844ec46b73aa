"""Bad images by the thousand: each gives features or one clear line, in bounded time and memory."""

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import hostile
import numpy as np
import pytest
from bounds import HANG_S, assert_one_clear_line, assert_valid, bounded, timed
from PIL import Image

import siftcli
from siftcli.__main__ import run
from siftcli.errors import InputError
from siftcli.io.suffixes import image_suffixes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning"),
]  # Pillow's, of damaged tags

MAX_PIXELS = 1_000_000
"""The limit that these tests run with, so that a claim just below it fits the bound on memory."""
CASES = list(hostile.cases())
KINDS = sorted({case.kind for case in CASES})
N_COMMAND = 400
"""Cases that go through the real command, too, spread over all."""


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    monkeypatch.setenv("SIFTCLI_MAX_PIXELS", str(MAX_PIXELS))
    monkeypatch.setenv("SIFTCLI_PIPE_WAIT_S", "1")


def outcome(path):
    """Features that are valid, or nothing when it was refused in one clear line."""
    try:
        with timed():
            features = siftcli.detect(path, threads=1)
    except InputError as error:
        assert_one_clear_line(str(error), str(path))
        return None
    assert_valid(features)
    return features


def test_there_are_as_many_cases_as_were_promised():
    assert len(CASES) >= 2000
    assert len(set(CASES)) > 0.98 * len(CASES)
    assert min(Counter(case.kind for case in CASES).values()) >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_every_case_gives_features_or_one_clear_line(tmp_path, kind):
    siftcli.detect(np.zeros((20, 20)), threads=1)  # what is loaded once is no case's memory
    with bounded():
        for case in CASES:
            if case.kind == kind:
                path = tmp_path / case.name
                path.write_bytes(case.data)
                outcome(path)


@pytest.mark.parametrize("name", [name for name in hostile.seeds() if not name.startswith("bit")])
def test_the_whole_files_that_the_cases_are_made_of_are_read(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(hostile.seeds()[name])
    found = outcome(path)
    assert found is None if name.endswith(".gif") else found is not None
    if found is not None and "transparent" not in name and "bit" not in name:
        assert len(found) > 0


def test_damaged_exif_is_no_reason_to_refuse_the_pixels(tmp_path):
    for case in hostile.broken_exif():
        (tmp_path / case.name).write_bytes(case.data)
        assert len(outcome(tmp_path / case.name)) > 0


@pytest.mark.parametrize("case", list(hostile.swollen()), ids=lambda case: case.name)
def test_a_stream_never_swells_beyond_what_its_header_states(tmp_path, case):
    (tmp_path / case.name).write_bytes(case.data)
    with bounded(64 << 20):
        assert outcome(tmp_path / case.name) is None


def test_no_case_is_refused_for_its_suffix(tmp_path):
    by_content = {}
    for case in hostile.whole_files():
        (tmp_path / case.name).write_bytes(case.data)
        found = outcome(tmp_path / case.name)
        n = None if found is None else len(found)
        assert by_content.setdefault(case.data, n) == n


# --- the real command ------------------------------------------------------------------------------------


def command(*args, **options):
    return subprocess.run(
        [sys.executable, "-m", "siftcli", "detect", *args],
        capture_output=True,
        timeout=5 * HANG_S,
        check=False,
        **options,
    )


def lines_of(stream: bytes) -> list[str]:
    return stream.decode().splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of cases with numbers before their names, as several have the same name."""
    folder = tmp_path_factory.mktemp("cases") / "in"
    folder.mkdir()
    step = len(CASES) // N_COMMAND
    for i, case in enumerate(CASES[::step]):
        (folder / f"{i:04}-{case.name}").write_bytes(case.data)
    return folder


def image_names(folder):
    return sorted(p.name for p in folder.iterdir() if p.name.endswith(image_suffixes()))


def test_hundreds_of_cases_through_the_command(folder, tmp_path):
    done = command(str(folder), "-o", str(tmp_path / "out"), "--json", "--jobs", "2", "--threads", "1")
    found = [json.loads(line) for line in lines_of(done.stdout)]
    failed = [one for one in found if "error" in one]
    assert done.returncode == 1
    assert [Path(one["image"]).name for one in found] == image_names(folder)
    assert len(found) >= 300
    assert 50 < len(failed) < len(found) - 50
    for one in failed:
        assert_one_clear_line(one["error"], one["image"])
    *said, summary = lines_of(done.stderr)
    complaints = [line for line in said if line.startswith("siftcli: ")]
    assert complaints == [f"siftcli: {one['error']}" for one in failed]
    # How far it is, when slow, stands between them; before and after, what was skipped and what is advised.
    notes = [line for line in said if line not in complaints and " images, " not in line]
    n_gif = len(list(folder.glob("*.gif")))
    assert notes[0] == f"skipped {n_gif}: {n_gif} .gif (not read; convert them)"
    assert notes[1].startswith("memory: up to ")
    assert all(note.endswith(("--page chooses another", "--stretch percentile")) for note in notes[2:]), notes
    assert len(notes) <= 4
    assert f"{len(found)} images, {len(failed)} failed" in summary
    listed = list(csv.reader((tmp_path / "out/failures.csv").open()))[1:]
    assert [row[0] for row in listed] == [one["image"] for one in failed]


@pytest.mark.parametrize("name", ["group4.tif", "tiff_lzw.tif", "deep.png"])
def test_what_decoders_print_themselves_is_not_said(tmp_path, name):
    data = hostile.seeds()[name]
    (tmp_path / name).write_bytes(data[: len(data) // 2] + bytes(60) + data[len(data) // 2 + 60 : -20])
    done = command(str(tmp_path / name), "-q")
    assert done.returncode in (0, 1)
    assert done.stdout == b""
    assert len(lines_of(done.stderr)) == done.returncode


# --- names, and what is no file --------------------------------------------------------------------------

NAMES = (
    b"line\nbreak.png",
    b"\x1b[31mred\x1b]0;title\x07.png",
    b"\xff\xfe not utf-8.png",
    b"=cmd|' C calc'!A0.png",
    b"-o.png",
    b"tab\tand\rreturn.png",
    "right\u202eto left.png".encode(),
    b"x" * 240 + b".png",
)


@pytest.fixture
def oddities(tmp_path):
    """Images with names that nobody would choose, and things named like images that are none."""
    odd = tmp_path / "in"
    odd.mkdir()
    for name in NAMES:
        (odd / os.fsdecode(name)).write_bytes(hostile.seeds()["grey.png"])
    (odd / "folder.png").mkdir()
    os.mkfifo(odd / "pipe.png")
    (odd / "loop.png").symlink_to("loop.png")
    (odd / "one.png").symlink_to("two.png")
    (odd / "two.png").symlink_to("one.png")
    (odd / "broken.png").symlink_to("nowhere")
    (odd / "endless.png").symlink_to("/dev/zero")
    (odd / "up").symlink_to("..", target_is_directory=True)
    return odd


BAD = {"pipe.png", "loop.png", "one.png", "two.png", "broken.png", "endless.png"}


@pytest.mark.parametrize("output", [[], ["-o", "out"], ["-o", "out.h5"], ["-o", "out.db"]], ids=" ".join)
def test_odd_names_and_things_that_are_no_files(oddities, tmp_path, output):
    done = command("in", "--json", "-q", *output, cwd=tmp_path)
    found = {one["image"]: one for one in map(json.loads, lines_of(done.stdout))}
    failed = {Path(name).name for name, one in found.items() if "error" in one}
    # HDF5 takes UTF-8 only, which is told
    assert failed - BAD <= ({os.fsdecode(NAMES[2])} if output[-1:] == ["out.h5"] else set())
    assert failed >= BAD
    assert {Path(name).name for name in found} == BAD | {os.fsdecode(name) for name in NAMES}
    said = lines_of(done.stderr)
    assert len(said) == len(failed)
    assert all(line.startswith("siftcli: in/") or "HDF5" in line for line in said)
    assert all(line.isprintable() for line in said)
    assert done.returncode == 1


@pytest.mark.parametrize("name", sorted(BAD | {"folder.png"}))
def test_each_of_them_alone(oddities, monkeypatch, capsys, name):
    monkeypatch.chdir(oddities)
    with timed():
        assert run(["detect", name, "-o", "x.npz"]) in (1, 2)
    assert_one_clear_line(capsys.readouterr().err.removesuffix("\n"), name)
    assert not Path("x.npz").exists()


def test_a_pipe_that_nobody_writes_to_is_given_up(oddities):
    with timed(), pytest.raises(InputError, match=r"got a pipe into which nothing .* SIFTCLI_PIPE_WAIT_S"):
        siftcli.detect(oddities / "pipe.png")


def test_a_pipe_that_somebody_writes_to_is_read(tmp_path):
    image = tmp_path / "x.png"
    Image.fromarray(hostile.GREY).save(image)
    script = f"{sys.executable} -m siftcli detect <(cat {image}) --json"
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=HANG_S, check=False)
    assert json.loads(done.stdout)["n_keypoints"] > 0


@pytest.mark.parametrize("name", ["n" * 300 + ".png", "d/" * 3000 + "x.png", "nul\0.png"])
def test_names_that_no_file_can_have(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    assert run(["detect", name]) in (1, 2)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("siftcli: ")
    assert "output" not in err
