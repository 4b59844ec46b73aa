"""``siftcli match --show`` and ``--report``, and ``siftcli report`` of matches, as they are typed."""

import json
import shutil

import numpy as np
import pytest
from conftest import SAMPLES
from PIL import Image

from siftcli.__main__ import run

PAIR = ["--show", "a.png", "b.png"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    (folder / "in").mkdir()
    whole = Image.open(next(path for path in SAMPLES if path.name == "camera.png"))
    for name, x in (("a.png", 0), ("b.png", 40), ("c.png", 80)):
        whole.crop((x, 100, x + 300, 400)).save(folder / "in" / name)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, made, capsys):
    """A folder with images, and a database of matches that was made there."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made / "in", "in")
    assert run(["detect", "in", "-o", "x.db", "--max-features", "200", "-q"]) == 0
    assert run(["match", "x.db", "--pairs", "exhaustive", "-q"]) == 0
    capsys.readouterr()
    return tmp_path


def test_a_pair_is_shown_and_drawn(here, capsys):
    assert run(["match", "x.db", *PAIR, "--draw", "pair.png"]) == 0
    printed = capsys.readouterr()
    assert "inliers" in printed.out
    assert printed.err == "-> pair.png\n"
    with Image.open("pair.png") as picture:
        assert picture.size[0] > 1200  # two images of 300 px, enlarged twice, and a gap
    assert run(["match", "x.db", *PAIR, "--draw", "pair.png"]) == 2
    assert "pair.png exists; pass --overwrite" in capsys.readouterr().err
    assert run(["match", "x.db", *PAIR, "--draw", "pair.png", "--overwrite", "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_json_tells_what_is_stored(here, capsys):
    assert run(["match", "x.db", *PAIR, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["image_a"], found["n_features_a"], found["n_features_b"]) == ("a.png", 200, 200)
    assert found["n_matches"] >= found["n_inliers"] > 15
    assert found["is_verified"] is True


def test_the_verdict_of_a_pair_comes_first(here, capsys):
    assert run(["match", "x.db", *PAIR]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "A: a.png, B: b.png"
    assert lines[1].startswith("verified: ")
    assert run(["match", "x.db", "--pairs", "exhaustive", "--min-inliers", "5000", "--overwrite", "-q"]) == 0
    assert run(["match", "x.db", *PAIR]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("not verified: ")
    assert run(["detect", "in", "-o", "f.h5", "--max-features", "200", "-q"]) == 0
    none = ["match", "f.h5", "--pairs", "exhaustive", "--model", "none", "-o", "n.h5", "-q"]
    assert run(none) == 0
    assert run([*none[:3], "exhaustive", "-o", "m.h5", "-q"]) == 0
    assert run(["match", "n.h5", *PAIR]) == 0
    assert run(["match", "m.h5", *PAIR]) == 0
    verdicts = [
        line for line in capsys.readouterr().out.splitlines() if ": " in line and not line.startswith("A:")
    ]
    assert [line.partition(":")[0] for line in verdicts] == ["not checked", "verified"]


def test_the_drawing_does_not_depend_on_how_the_images_are_found(here, capsys):
    """Where they were at detection, and in a folder; a folder that is not theirs is not passed over."""
    assert run(["match", "x.db", *PAIR, "--draw", "one.png", "-q"]) == 0
    shutil.move("in", "moved")
    assert run(["match", "x.db", *PAIR, "--draw", "two.png", "-q"]) == 1
    said = capsys.readouterr().err
    assert "a.png: no image at" in said
    assert "name the folder of images with --images" in said
    assert run(["match", "x.db", *PAIR, "--draw", "two.png", "-q", "--images", "moved"]) == 0
    assert (here / "one.png").read_bytes() == (here / "two.png").read_bytes()
    Image.new("L", (20, 20)).save("moved/a.png")
    assert run(["match", "x.db", *PAIR, "--draw", "three.png", "--images", "moved"]) == 1
    assert "expected 300 x 300 pixels as the features state, got 20 x 20" in capsys.readouterr().err


def test_images_with_an_orientation_are_drawn_as_stored(here, capsys):
    """Collections hold features in the frame of the stored pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.png", "b.png"):
        Image.open(f"in/{name}").crop((0, 0, 300, 200)).save(f"in/{name}", exif=exif)
    for target in ("y.db", "f.h5"):
        assert run(["detect", "in", "-o", target, "--max-features", "200", "-q"]) == 0
    assert run(["match", "y.db", "--pairs", "exhaustive", "-q"]) == 0
    assert run(["match", "y.db", *PAIR, "--draw", "pair.png", "-q"]) == 0
    width, height = Image.open("pair.png").size
    assert width > 2 * height  # 300 x 200 twice, side by side, and not 200 x 300


def test_pages_of_a_file_are_found(here):
    pages = [Image.open(f"in/{name}") for name in ("a.png", "b.png")]
    (here / "stack").mkdir()
    pages[0].save("stack/s.tif", save_all=True, append_images=pages[1:])
    assert run(["detect", "stack", "-o", "s.db", "--page", "all", "--max-features", "200", "-q"]) == 0
    assert run(["match", "s.db", "--pairs", "exhaustive", "-q"]) == 0
    pair = ["--show", "s.tif[1]", "s.tif[2]", "-q"]
    assert run(["match", "s.db", *pair, "--draw", "recorded.png"]) == 0
    assert run(["match", "s.db", *pair, "--draw", "folder.png", "--images", "stack"]) == 0
    assert (here / "recorded.png").read_bytes() == (here / "folder.png").read_bytes()
    drawn = np.asarray(Image.open("recorded.png"))[:600]
    assert not np.array_equal(drawn[:, :600], drawn[:, -600:])  # two pages, and not one of them twice


def test_the_page_after_matching_and_later(here, capsys):
    pairs = ["match", "x.db", "--pairs", "exhaustive"]
    assert run([*pairs, "--report", "graph.html", "--pictures", "1"]) == 0
    assert "report: graph.html" in capsys.readouterr().err
    assert run(["report", "x.db", "--pictures", "1"]) == 0
    assert "report: x.html" in capsys.readouterr().err
    assert (here / "graph.html").read_bytes() == (here / "x.html").read_bytes()
    assert run([*pairs, "--report", "nowhere/graph.html"]) == 2
    assert "nowhere is not a folder" in capsys.readouterr().err


def test_a_page_of_hlocs_matches(here):
    assert run(["detect", "in", "-o", "f.h5", "--max-features", "200", "-q"]) == 0
    assert run(["match", "f.h5", "--pairs", "sequential:1", "-o", "m.h5", "-q"]) == 0
    assert run(["report", "m.h5", "-o", "m.html", "--pictures", "1", "-q"]) == 0
    assert "data:image/jpeg;base64," in (here / "m.html").read_text()
    assert run(["match", "m.h5", *PAIR, "--draw", "pair.png", "-q"]) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["match", "x.db", "--show", "a.png", "q.png"], 1, "its 3 images, got 'q.png'"),
        (["match", "none.db", *PAIR], 1, "none.db: no such file"),
        (["match", "x.db", "y.db", *PAIR], 2, "expected one collection with --show, got y.db too"),
        (["match", "x.db", *PAIR, "--draw", "pair.jpg"], 2, "expected a name that ends in .png"),
        (["match", "x.db", *PAIR, "--pairs", "exhaustive"], 2, "--pairs has no effect with --show"),
        (["match", "in/a.png", *PAIR], 1, "expected a suffix"),
        (["report", "x.db", "x.db"], 2, "expected one file of matches, got 2 inputs"),
        (["report", "none.h5"], 1, "none.h5: no such file"),
        (["report", "in", "--pictures", "3"], 2, "--pictures has no effect without a file of matches"),
    ],
)
def test_wrong_usage(here, capsys, arguments, status, said):
    assert run(arguments) == status
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1
