"""Drawings of saved features (``info --draw``), and of removed candidates (``detect --draw-rejected``)."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import siftcli
from siftcli.__main__ import run
from siftcli.drawing.rejected import COLOURS, MAX_DOTS, draw_rejected
from siftcli.explanation.rejected import FILTERS, rejected
from siftcli.image import read_image
from siftcli.params import SiftParams

SAMPLES = Path(__file__).parents[2] / "sample_images"
WORDS = {
    "unstable": "unstable",
    "low_contrast": "contrast",
    "edge": "edge",
    "low_response": "low response",
    "masked": "mask",
    "over_limit": "budget",
}
"""Filters of the trace of one keypoint."""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    whole = Image.open(SAMPLES / "camera.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    whole.crop((150, 100, 400, 300)).save("in/a.png")
    whole.crop((100, 120, 340, 320)).save("in/turned.png", exif=exif)
    return tmp_path


def same_picture(one, other):
    return np.array_equal(np.asarray(Image.open(one)), np.asarray(Image.open(other)))


@pytest.mark.parametrize("name", ["a.png", "turned.png"])
def test_saved_features_are_drawn_as_at_detection(here, capsys, name):
    assert run(["detect", f"in/{name}", "-o", "F/", "--draw", "then.png", "-q"]) == 0
    assert run(["info", f"F/{name}.npz", "--draw", "now.png"]) == 0
    assert capsys.readouterr().err == "-> now.png\n"
    assert same_picture("then.png", "now.png")
    siftcli.save(siftcli.detect(f"in/{name}"), "alone.npz")
    assert run(["info", "alone.npz", "--draw", "no.png"]) == 1
    assert "no image is recorded; name the folder of images with --images" in capsys.readouterr().err
    assert run(["info", "alone.npz", "--draw", "alone.png", "--images", "in"]) == 0
    assert same_picture("then.png", "alone.png")
    assert run(["info", "alone.npz", "--draw", "alone.png", "--images", "in"]) == 2
    assert "alone.png exists; pass --overwrite" in capsys.readouterr().err


def test_an_image_of_a_collection_is_drawn(here, capsys):
    assert run(["detect", "in", "-o", "x.h5", "-q"]) == 0
    assert run(["detect", "in/a.png", "--draw", "then.png", "--overwrite", "-q"]) == 0
    assert run(["info", "x.h5", "--draw", "now.png"]) == 1
    assert "--draw draws one image, of these 2; name it with --image" in capsys.readouterr().err
    for extra in ([], ["--images", "in"]):
        assert run(["info", "x.h5", "--image", "a.png", "--draw", "now.png", "--overwrite", *extra]) == 0
        assert Image.open("now.png").size == Image.open("then.png").size
    assert run(["info", "x.h5", "--image", "turned.png", "--draw", "turned.png"]) == 0
    width, height = Image.open("turned.png").size
    assert width > height - 200  # as stored, 240 x 200, and not turned: the legend is below


def test_matches_are_not_drawn_as_features(here, capsys):
    assert run(["match", "in/a.png", "--rotate", "20", "-o", "m.json", "-q"]) == 0
    assert run(["info", "m.json", "--draw", "m.png"]) == 2
    assert "m.json holds matches; draw a pair with siftcli match --show" in capsys.readouterr().err


def half(shape):
    mask = np.zeros(shape, bool)
    mask[:, shape[1] // 2 :] = True
    return mask


@pytest.mark.parametrize(
    ("changes", "has_mask"),
    [
        ({}, False),
        ({"contrast_threshold": 0.06}, True),
        ({"refinement": "lowe", "merge_distance": 0.0, "contrast_threshold": 0.05}, False),
        ({"max_features": 100}, True),
    ],
)
def test_every_candidate_is_told_and_by_the_right_filter(changes, has_mask):
    params = SiftParams().override(**changes)
    picture = read_image(SAMPLES / "camera.png")
    mask = half(picture.grey.shape) if has_mask else None
    found = rejected(picture, params, mask)
    told = {name: len(xy) for name, xy in found.xy.items()}
    as_image = None if mask is None else mask.view(np.uint8)
    features = siftcli.detect(SAMPLES / "camera.png", params, mask=as_image)
    assert list(told) == list(FILTERS)
    for name in FILTERS[:-1]:
        assert told[name] == features.removed[name]
    assert sum(told.values()) + found.n_kept == features.removed["candidates"]
    rows = np.column_stack([features.xy, features.scale])
    assert found.n_kept == len(np.unique(rows, axis=0))  # a keypoint with two orientations has two rows
    everything = np.concatenate(list(found.xy.values()))
    for name, word in WORDS.items():
        far = [
            xy
            for xy in found.xy[name]
            if np.count_nonzero(np.hypot(*(everything - xy).T) < 2) == 1
            and np.hypot(*(features.xy - xy).T).min() > 2
        ]
        for xy in far[:2]:
            explained = siftcli.explain(SAMPLES / "camera.png", params, at=tuple(xy), mask=as_image)
            failed = [verdict.filter for verdict in explained.view.verdicts if not verdict.passed]
            assert failed[-1:] == [word]


def test_dots_have_the_colour_of_their_filter():
    places = {name: np.array([[20.0 + 30 * i, 40.0]]) for i, name in enumerate(FILTERS)}
    picture = draw_rejected(np.full((100, 250), 0.5, np.float32), places, 5)
    factor = picture.shape[1] // 250
    for name, xy in places.items():
        x, y = ((xy[0] + 0.5) * factor - 0.5).round().astype(int)
        assert tuple(picture[y, x].tolist()) == COLOURS[name]


def test_of_many_candidates_some_are_drawn_of_each_filter():
    rng = np.random.default_rng(0)
    places = {"edge": rng.uniform(0, 1000, (20000, 2)), "low_response": rng.uniform(0, 1000, (60, 2))}
    picture = draw_rejected(np.full((1000, 1000), 0.5, np.float32), places, 5)[:1000]
    n_pixels = {name: int((picture == COLOURS[name]).all(axis=2).sum()) for name in places}
    assert n_pixels["edge"] < 20 * MAX_DOTS  # all would be five times as many
    assert n_pixels["low_response"] > 5 * 40  # all are drawn


def test_the_command_draws_what_was_removed(here, capsys):
    assert run(["detect", "in/a.png", "--draw-rejected", "r.png", "--max-image-size", "200"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "-> r.png\n"
    assert Image.open("r.png").size[0] == 1000
    assert run(["detect", "in/a.png", "--draw-rejected", "r.png"]) == 2
    assert "r.png exists; pass --overwrite" in capsys.readouterr().err
    assert run(["detect", "in", "--draw-rejected", "s.png"]) == 2
    assert "--draw-rejected expects one image, got several; name one" in capsys.readouterr().err
    assert run(["detect", "in/a.png", "--views", "1", "--draw-rejected", "s.png"]) == 2
    assert "drop --views" in capsys.readouterr().err
    assert run(["detect", "-", "--draw-rejected", "s.png"]) == 2
    assert not Path("s.png").exists()
