"""Files of several pages: which is taken, and each as an image of its own."""

import json
from pathlib import Path

import numpy as np
import pytest
from batches import content
from conftest import texture
from PIL import Image

from siftcli import describe, detect, load
from siftcli.__main__ import run
from siftcli.errors import InputError, ParameterError
from siftcli.image import count_pages, read_image
from siftcli.workflows.detect_plan import make_plan

PAGES = [np.rint(255 * texture((80, 90), seed=seed)).astype(np.uint8) for seed in range(3)]


def save_stack(path, pages=PAGES):
    images = [Image.fromarray(page) for page in pages]
    images[0].save(path, "TIFF", save_all=True, append_images=images[1:])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A stack of three pages, and an image of one."""
    (tmp_path / "in").mkdir()
    save_stack(tmp_path / "in/s.tif")
    Image.fromarray(PAGES[2]).save(tmp_path / "in/one.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def same(a, b):
    return len(a) > 5 and np.array_equal(a.xy, b.xy) and np.array_equal(a.descriptors, b.descriptors)


@pytest.mark.parametrize("suffix", ["tif", "png", "webp"])
def test_each_page_is_read(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    images = [Image.fromarray(page) for page in PAGES]
    images[0].save(path, save_all=True, append_images=images[1:], lossless=True)
    assert count_pages(path) == 3
    for i, page in enumerate(PAGES):
        np.testing.assert_array_equal(read_image(path, page=i).grey, read_image(page).grey)
        assert read_image(path, page=i).n_pages == 3
    with pytest.raises(InputError, match="expected a page from 1 to 3, got 4"):
        read_image(path, page=3)


def test_a_page_in_python(here):
    features = detect("in/s.tif", page=2)
    assert same(features, detect(PAGES[1]))
    np.testing.assert_array_equal(describe("in/s.tif", features, page=2).descriptors, features.descriptors)
    assert same(detect("in/s.tif"), detect(PAGES[0]))
    for page in (0, -1, 1.5, True, "all"):
        with pytest.raises(ParameterError, match="page must be a whole number"):
            detect("in/s.tif", page=page)
    with pytest.raises(InputError, match="one page"):
        detect(PAGES[0], page=2)


def test_the_first_of_several_is_taken_and_told(here, capsys):
    assert run(["detect", "in/s.tif", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["n_keypoints"] == len(detect(PAGES[0]))
    assert err == "in/s.tif: read the first of 3 pages; --page chooses another\n"
    save_stack("in/t.tif")
    assert run(["detect", "in"]) == 0
    assert "pages (others like it: 1); --page" in capsys.readouterr().err
    for args in (["in/one.png"], ["in/s.tif", "-q"], ["in/s.tif", "--page", "2"]):
        assert run(["detect", *args]) == 0
        assert "pages" not in capsys.readouterr().err


def test_another_page(here, capsys):
    assert run(["detect", "in/s.tif", "--page", "3", "-o", "x.npz"]) == 0
    assert same(load("x.npz"), detect(PAGES[2]))
    assert run(["detect", "in/one.png", "--page", "2"]) == 1
    assert "siftcli: in/one.png: expected a page from 1 to 1, got 2; " in capsys.readouterr().err
    for page in ("0", "-1", "two", "1.5", "١"):
        assert run(["detect", "in/s.tif", "--page", page]) == 2
        assert "expected a whole number of at least 1, or all" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_all_pages_in_a_folder(here, capsys, jobs):
    assert run(["detect", "in", "--page", "all", "-o", "out", "--jobs", jobs]) == 0
    names = ["one.png", "s.tif[1]", "s.tif[2]", "s.tif[3]"]
    assert sorted(path.name for path in Path("out").iterdir()) == [f"{name}.npz" for name in names]
    for name, page in zip(names, (PAGES[2], *PAGES), strict=True):
        features = load(f"out/{name}.npz")
        assert same(features, detect(page))
        assert features.image_name == name
    assert "pages" not in capsys.readouterr().err


@pytest.mark.parametrize("output", ["x.h5", "x.db", "x.parquet"])
def test_all_pages_in_a_collection(here, output):
    for jobs, folder in (("1", "a"), ("2", "b")):
        Path(folder).mkdir()
        assert run(["detect", "in", "--page", "all", "-o", f"{folder}/{output}", "-q", "--jobs", jobs]) == 0
    assert content(Path("a", output)) == content(Path("b", output))
    for i, page in enumerate(PAGES, 1):
        # 1e-5: COLMAP's coordinates are half a pixel larger
        np.testing.assert_allclose(load(f"a/{output}", image=f"s.tif[{i}]").xy, detect(page).xy, atol=1e-5)


def test_a_run_on_all_pages_is_taken_up_again(here, capsys):
    args = ["detect", "in", "--page", "all", "-o", "x.h5"]
    assert run([args[0], "in/s.tif", *args[2:]]) == 0
    capsys.readouterr()
    assert run(args) == 0
    assert "4 images, 0 failed, 3 kept as they were" in capsys.readouterr().err
    save_stack("in/s.tif", PAGES[::-1])
    assert run(args) == 0
    assert "1 kept as they were" in capsys.readouterr().err
    assert np.array_equal(load("x.h5", image="s.tif[1]").xy, detect(PAGES[2]).xy)
    assert run([*args[:3], "2", *args[4:]]) == 2
    assert "page was all, is now 2" in capsys.readouterr().err


def test_each_page_is_told_by_its_name(here, capsys):
    assert run(["detect", "in/s.tif", "--page", "all", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["image"] for one in found] == [f"in/s.tif[{i}]" for i in (1, 2, 3)]
    assert [one["image_name"] for one in found] == [f"s.tif[{i}]" for i in (1, 2, 3)]


def test_pages_in_formats_that_replace_the_suffix(here):
    assert run(["detect", "in/s.tif", "--page", "all", "-o", "out", "--format", "openmvg", "-q"]) == 0
    names = {f"s[{i}].{suffix}" for i in (1, 2, 3) for suffix in ("feat", "desc")}
    assert {path.name for path in Path("out").iterdir()} == names


def test_a_file_that_cannot_be_read_fails_alone(here, capsys):
    Path("in/bad.tif").write_bytes(b"II*\0 no image")
    assert run(["detect", "in", "--page", "all", "-o", "out"]) == 1
    assert "5 images, 1 failed" in capsys.readouterr().err


def test_a_file_that_is_named_as_a_page_would_be(here):
    save_stack("in/s.tif[2]", PAGES[:1])
    with pytest.raises(ParameterError, match=r"in/s\.tif\[2\] would both be s\.tif\[2\]"):
        make_plan(["in/s.tif", "in/s.tif[2]"], page="all")


def masks_of(page):
    plan = make_plan(["in/s.tif"], mask="masks", page=page, mask_optional=True)
    return [job.mask and job.mask.name for job in plan.jobs]


def test_masks_of_pages(here):
    Path("masks").mkdir()
    Path("masks/s.png").touch()
    assert masks_of("all") == ["s.png"] * 3
    Path("masks/s.tif[2].png").touch()
    assert masks_of("all") == ["s.png", "s.tif[2].png", "s.png"]
    assert masks_of(2) == ["s.png"]


def test_drawings_of_pages(here):
    assert run(["detect", "in/s.tif", "--page", "all", "--draw", "drawn", "-q"]) == 0
    first, second = (np.asarray(Image.open(f"drawn/s.tif[{i}].png")) for i in (1, 2))
    assert first.shape == second.shape
    assert (first != second).any()


def test_match_takes_a_page_of_both(here, capsys):
    save_stack("t.tif", [PAGES[0], PAGES[2]])
    assert run(["match", "in/s.tif", "t.tif", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["precision"] == 1  # both have the same first page
    assert err.count("\n") == 1
    assert "read the first of 3 pages (others like it: 1)" in err
    assert run(["match", "in/s.tif", "t.tif", "--page", "2", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "precision" not in json.loads(out)
    assert json.loads(out)["n_features_b"] == len(detect(PAGES[2]))
    assert err == ""
    assert run(["match", "in/s.tif", "t.tif", "--page", "all"]) == 2
    assert "expected a whole number of at least 1; got 'all'" in capsys.readouterr().err


def test_evaluate_says_that_the_first_was_taken(here, capsys):
    args = ["evaluate", "in", "-o", "e", "--sweep", "mirror", "--detectors", "opencv", "--jobs", "1"]
    for _ in range(2):  # also when nothing is left to do
        assert run(args) == 0
        assert "s.tif: read the first of 3 pages\n" in capsys.readouterr().err
