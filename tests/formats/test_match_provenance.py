"""``siftcli match --pairs`` and ``convert``: features that were replaced, names that fall on one."""

import json
import shutil
import sqlite3
from pathlib import Path

import h5py
import numpy as np
import pytest
from batches import content
from conftest import SAMPLES
from PIL import Image
from test_collections import hloc_matches
from test_foreign_formats import one

from siftcli.__main__ import run
from siftcli.formats import load, save
from siftcli.formats._collections import WriteOptions, open_reader, open_writer

LIMITED = ("--max-features", "150")
"""As many features in every image, so that their number does not tell that they are others."""


def view(path, left, top=100, sample="camera.png", exif=None):
    """A part of a sample image; those of one sample overlap."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    source = next(p for p in SAMPLES if p.name == sample)
    picture = Image.open(source).convert("L").crop((left, top, left + 250, top + 200))
    picture.save(path, exif=exif or Image.Exif())


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Three views of one scene."""
    monkeypatch.chdir(tmp_path)
    for i in range(3):
        view(f"in/{i}.png", 100 + 10 * i)
    return tmp_path


def detect(*args):
    return run(["detect", *args, *LIMITED, "-q"])


def match(source, target, *args):
    return run(["match", "--pairs", "exhaustive", source, "-o", target, *args])


def write_all(path, names):
    with open_writer(path, None, WriteOptions(images=dict.fromkeys(names))) as writer:
        for name in names:
            writer.write(name, one(image_name=name))


# --- features that were replaced -------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["f.h5", "f.db", "f.parquet", "f"])
def test_pairs_of_replaced_features_are_matched_again(here, capsys, source):
    assert detect("in", "-o", source) == 0
    assert match(source, "m.h5") == 0
    assert match(source, "m.h5", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["was_there"] for line in lines] == [True] * 3
    view("in/1.png", 105, 105)
    assert detect("in", "-o", source) == 0
    assert match(source, "m.h5", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["image_a"], line["image_b"], line.get("was_there", False)) for line in lines] == [
        ("0.png", "2.png", True),
        ("0.png", "1.png", False),
        ("1.png", "2.png", False),
    ]
    assert match(source, "fresh.h5", "-q") == 0
    assert content(Path("m.h5")) == content(Path("fresh.h5"))


def test_the_other_order_of_a_stale_pair_goes_with_it(here, capsys):
    """Hloc looks for a pair in both orders: an old group of the reversed names would be found."""
    Path("pairs.txt").write_text("1.png 0.png\n")
    assert detect("in", "-o", "f.h5") == 0
    assert run(["match", "--pairs", "pairs.txt", "f.h5", "-o", "m.h5"]) == 0
    assert match("f.h5", "m.h5") == 0
    assert "2 pairs matched now, 2 verified, 0 failed, 1 kept as they were" in capsys.readouterr().err
    view("in/1.png", 105, 105)
    assert detect("in", "-o", "f.h5") == 0
    assert match("f.h5", "m.h5", "-q") == 0
    with h5py.File("m.h5") as file:
        assert "0.png/1.png/matches0" in file
        assert "1.png/0.png" not in file
    first, second = (load("f.h5", image=name) for name in ("0.png", "1.png"))
    pairs, _ = hloc_matches("m.h5", "1.png", "0.png")
    shift = second.xy[pairs[:, 0]] - first.xy[pairs[:, 1]]
    np.testing.assert_allclose(np.median(shift, axis=0), (-5, -5), atol=0.1)


def test_matches_of_another_collection_are_not_replaced(here, capsys):
    for i in range(3):
        view(f"other/{i}.png", 100 + 10 * i, sample="brick.png")
    assert detect("in", "-o", "f.h5") == 0
    assert detect("other", "-o", "g.h5") == 0
    assert match("f.h5", "m.h5", "-q") == 0
    before = content(Path("m.h5"))
    assert match("g.h5", "m.h5") == 2
    err = capsys.readouterr().err
    assert f"those of 0.png and 1.png were found in {here}/f.h5, not in {here}/g.h5" in err
    assert "(3 such pairs); pass --overwrite" in err
    assert content(Path("m.h5")) == before
    shutil.copy("f.h5", "copy.h5")
    assert match("copy.h5", "m.h5") == 0  # the same features in another place
    assert "3 kept as they were" in capsys.readouterr().err
    assert match("g.h5", "m.h5", "--overwrite", "-q") == 0
    assert content(Path("m.h5")) != before


def test_matches_that_do_not_say_what_they_are_of(here, capsys):
    assert detect("in", "-o", "f.h5") == 0
    assert match("f.h5", "m.h5", "-q") == 0
    with h5py.File("m.h5", "a") as file:
        del file["0.png/2.png"].attrs["siftcli_found_in"]
    before = content(Path("m.h5"))
    assert match("f.h5", "m.h5") == 2
    assert "those of 0.png and 2.png were found in a file that was not recorded" in capsys.readouterr().err
    assert content(Path("m.h5")) == before


@pytest.mark.parametrize("names", [["x", "y"], ["0.png", "0.png"], ["0.png"], 7])
def test_records_of_other_content(here, capsys, names):
    assert detect("in", "-o", "f.h5") == 0
    assert match("f.h5", "m.h5", "-q") == 0
    with h5py.File("m.h5", "a") as file:
        record = json.loads(file["0.png/2.png"].attrs["siftcli_found_in"])
        text = json.dumps({**record, "names": names})
        file["0.png/2.png"].attrs["siftcli_found_in"] = np.bytes_(text)
    assert match("f.h5", "m.h5") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_database_with_other_keypoints_takes_no_matches(here, capsys):
    assert detect("in", "-o", "f.h5") == 0
    assert run(["convert", "f.h5", "x.db", "-q"]) == 0
    assert match("f.h5", "x.db") == 0
    view("in/1.png", 105, 105)
    assert detect("in", "-o", "f.h5", "--append") == 0
    assert {len(load(file, image="1.png")) for file in ("f.h5", "x.db")} == {150}
    capsys.readouterr()
    assert match("f.h5", "x.db", "--overwrite", "--json") == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("error") for line in lines] == [
        "x.db: expected the 150 features of 1.png that were matched, has 150 others; write them there again",
        None,
        "x.db: expected the 150 features of 1.png that were matched, has 150 others; write them there again",
    ]
    assert run(["convert", "f.h5", "x.db", "--append", "--overwrite", "-q"]) == 0
    assert match("f.h5", "x.db", "-q") == 0


def test_models_are_in_the_frame_of_the_database(here):
    """Npz files have the features of a turned photograph as it is shown, a database as it is stored."""
    turned = Image.Exif()
    turned[0x0112] = 6
    for i in range(3):
        view(f"in/{i}.jpg", 100 + 10 * i, exif=turned)
        Path(f"in/{i}.png").unlink()
    assert detect("in", "-o", "f") == 0
    assert load("f/0.jpg.npz").exif_orientation == 6
    for file in ("x.db", "y.db"):
        assert run(["convert", "f", file, "-q"]) == 0
    options = ["--model", "homography", "-q"]
    assert match("f", "x.db", *options) == 0
    assert match("y.db", "y.db", *options) == 0
    found = []
    for file in ("x.db", "y.db"):
        connection = sqlite3.connect(file)
        found.append(connection.execute("SELECT H FROM two_view_geometries ORDER BY pair_id").fetchall())
        connection.close()
    for (ours,), (theirs,) in zip(*found, strict=True):
        a, b = (np.frombuffer(model).reshape(3, 3) for model in (ours, theirs))
        np.testing.assert_allclose(a / a[2, 2], b / b[2, 2], atol=1e-3)
        assert abs(a[0, 2] / a[2, 2]) > 5  # the views are 10 and 20 pixels apart in x of the stored picture
        assert abs(a[1, 2] / a[2, 2]) < 5


# --- names that fall on one --------------------------------------------------------------------------------


def test_names_that_hloc_cannot_tell_apart(here, capsys):
    for name in ("cam/1.png", "cam-1.png", "cam/2.png", "cam-2.png"):
        view(f"many/{name}", 100)
    assert detect("many", "-o", "f.h5") == 0
    assert match("f.h5", "m.h5") == 2
    err = capsys.readouterr().err
    assert "are both cam-1.png in hloc's file of matches" in err
    assert "cam/1.png" in err
    assert "rename one of them, or match into a COLMAP database" in err
    assert not Path("m.h5").exists()
    assert run(["convert", "f.h5", "x.db", "-q"]) == 0
    assert match("f.h5", "x.db") == 0
    assert "6 pairs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("pairs", "collides"),
    [
        ("a/1 b\na-1 b\n", True),
        ("a/1 b\nb a-1\n", True),  # hloc looks for a pair in both orders
        ("a/1 a-1\n", True),  # one group whose order cannot be told
        ("a/1 b/1\na-1 b-1\n", True),
        ("a/1 b\na-1 c\n", False),
        ("a/1 b\nb a/1\n", False),  # the same pair, given twice
    ],
)
def test_pairs_collide_where_both_names_do(here, capsys, pairs, collides):
    write_all("f.h5", ["a/1", "a-1", "b", "b/1", "b-1", "c"])
    Path("pairs.txt").write_text(pairs)
    status = run(["match", "--pairs", "pairs.txt", "f.h5", "-o", "m.h5"])
    told = capsys.readouterr().err
    assert ("a-1 and a/1 are both a-1" in told) == collides
    assert status == (2 if collides else 0), told
    if not collides:
        with h5py.File("m.h5") as file:
            n = sum(len(file[first]) for first in file)
        assert n == len({frozenset(line.split()) for line in pairs.splitlines()})


def test_names_that_collide_with_pairs_of_an_earlier_run(here, capsys):
    write_all("f.h5", ["a/1", "a-1", "b"])
    for text, status in (("a/1 b\n", 0), ("a-1 b\n", 2), ("b a-1\n", 2), ("a/1 b\n", 0)):
        Path("pairs.txt").write_text(text)
        assert run(["match", "--pairs", "pairs.txt", "f.h5", "-o", "m.h5"]) == status
        assert ("are both a-1" in capsys.readouterr().err) == (status == 2)
    with h5py.File("m.h5") as file:
        assert json.loads(file["a-1/b"].attrs["siftcli_found_in"])["names"] == ["a/1", "b"]


@pytest.mark.parametrize(
    ("names", "target", "said"),
    [
        (["a.png", "a.jpg"], ["out", "--to", "openmvg"], "a.jpg and a.png would both be a.feat in out"),
        (["a.png", "./a.png"], ["out"], "./a.png and a.png would both be a.png.npz in out"),
        (["a.png", "./a.png"], ["x.h5"], "./a.png and a.png would both be a.png in x.h5"),
        (["a.png", "/a.png"], ["x.h5"], "/a.png and a.png would both be a.png in x.h5"),
    ],
)
def test_images_that_a_conversion_would_make_one(here, capsys, names, target, said):
    write_all("f.db", names)
    for options in ([], ["--overwrite"]):
        assert run(["convert", "f.db", *target, *options]) == 2
        assert said in capsys.readouterr().err
        assert not Path(target[0]).exists()


def test_names_that_stay_distinct_are_converted(here):
    write_all("f.db", ["a.png", "./a.png", "a//b.png"])
    assert run(["convert", "f.db", "g.db", "-q"]) == 0
    with open_reader("g.db") as reader:
        assert reader.names() == ["./a.png", "a.png", "a//b.png"]


def test_a_conversion_replaces_nothing_of_the_same_name(here, capsys):
    for folder, sample in (("a", "camera.png"), ("b", "brick.png")):
        view(f"{folder}/1.png", 100, sample=sample)
        assert detect(folder, "-o", f"{folder}.h5") == 0
    assert run(["convert", "a.h5", "x.db", "-q"]) == 0
    before = content(Path("x.db"))
    assert run(["convert", "b.h5", "x.db", "--append"]) == 1
    assert "1.png has features already; pass --overwrite" in capsys.readouterr().err
    assert content(Path("x.db")) == before


def test_a_feature_file_of_the_same_name_is_not_replaced(here, capsys):
    save(one(), "one.npz")
    Path("out").mkdir()
    save(one(), "out/one.npz")
    assert run(["convert", "one.npz", "out/one.npz"]) == 2
    assert "exists; pass --overwrite" in capsys.readouterr().err
