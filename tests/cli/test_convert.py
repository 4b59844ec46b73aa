"""``siftcli convert``, ``siftcli formats``, collections on the command line, ``siftcli match --pairs``."""

import json
import sqlite3

import cv2
import h5py
import numpy as np
import pytest
from conftest import SAMPLES
from test_foreign_formats import one
from test_formats import assert_same

from siftcli import SiftParams
from siftcli.__main__ import run
from siftcli.formats import FORMATS, load, save
from siftcli.formats._collections import WriteOptions, open_reader, open_writer


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with three small views of one picture, one of them in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    image = cv2.imread(str(next(p for p in SAMPLES if p.name == "camera.png")), cv2.IMREAD_GRAYSCALE)
    (tmp_path / "in/sub").mkdir(parents=True)
    cv2.imwrite("in/a.png", image[100:300, 100:350])
    cv2.imwrite("in/b c.png", image[110:310, 112:362])
    cv2.imwrite("in/sub/d.png", image[120:320, 90:340])
    return tmp_path


NAMES = ["a.png", "b c.png", "sub/d.png"]


def names_in(path):
    with open_reader(path) as reader:
        return reader.names()


# --- detect --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["f.h5", "f.db", "f.parquet"])
def test_detect_a_folder_into_a_collection(here, capfd, output):
    assert run(["detect", "in", "-o", output]) == 0
    assert names_in(output) == NAMES
    assert f"3 images, 0 failed -> {output}" in capfd.readouterr().err
    assert run(["detect", "in", "-o", output]) == 0
    assert "3 kept as they were" in capfd.readouterr().err
    assert run(["detect", "in", "-o", output, "--max-features", "9"]) == 2
    assert "--max-features was not given, is now 9" in capfd.readouterr().err
    assert run(["convert", "in/../" + output, f"other-{output}", "--images", "in"]) == 0
    capfd.readouterr()
    assert run(["detect", "in", "-o", f"other-{output}"]) == 2
    assert "--append" in capfd.readouterr().err
    assert run(["detect", "in", "-o", output, "--append"]) == 0
    assert "3 kept as they were" in capfd.readouterr().err
    assert run(["detect", "in/a.png", "-o", output, "--overwrite", "-q"]) == 0
    assert names_in(output) == ["a.png"]
    assert run(["detect", "in", "-o", output, "--append", "--json"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line.get("was_there", False) for line in lines] == [True, False, False]
    assert names_in(output) == NAMES


def test_descriptors_are_those_that_readers_expect(here):
    ours = "rootsift" if SiftParams().rootsift else "sift"
    for output, kind in (("f.db", "rootsift"), ("f.h5", ours), ("f.npz", ours)):
        assert run(["detect", "in/a.png", "-o", output, "-q"]) == 0
        assert load(output).descriptor_kind == kind
    assert run(["detect", "in/a.png", "-o", "g.db", "-q", "--no-rootsift"]) == 0
    assert load("g.db").descriptor_kind == "sift"
    text = ["-o", "a.txt", "--format", "colmap-text", "-q"]
    assert run(["detect", "in/a.png", *text, "--no-rootsift"]) == 0
    np.testing.assert_array_equal(load("a.txt", "colmap-text").descriptors, load("g.db").descriptors)


@pytest.mark.parametrize("name", [name for name, entry in FORMATS.items() if not entry.is_collection])
def test_every_format_in_a_folder(here, capfd, name):
    assert run(["detect", "in", "-o", "out", "--format", name, "--max-features", "50"]) == 0
    suffix = FORMATS[name].file_suffix or FORMATS[name].suffixes[0]
    expected = "sub/d" if name == "openmvg" else "sub/d.png"
    assert (here / "out" / (expected + suffix)).is_file()
    said = capfd.readouterr().err
    assert (f"{name} carries no" in said) == bool(FORMATS[name].lacks)


def test_stems_that_collide_are_refused_before_any_work(here, capfd):
    cv2.imwrite("in/a.jpg", cv2.imread("in/a.png"))
    assert run(["detect", "in", "-o", "out", "--format", "openmvg"]) == 2
    assert "a.jpg and a.png would both be out/a.feat" in capfd.readouterr().err
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["in/a.png", "-o", "f.npz", "--append"], "--append expects a collection"),
        (["in/a.png", "-o", "-", "--format", "hloc"], "hloc is a collection"),
        (["in", "-o", "in", "--format", "hloc"], "expected a file"),
        (["in", "-o", "missing/f.h5"], "make it first"),
        (["in", "-o", "f.db", "--camera", "two"], "two"),
    ],
)
def test_wrong_use_of_detect(here, capfd, args, said):
    assert run(["detect", *args]) == 2
    assert said in capfd.readouterr().err


def test_a_failed_image_leaves_the_others(here, capfd):
    (here / "in/broken.png").write_bytes(b"no image")
    assert run(["detect", "in", "-o", "f.db"]) == 1
    assert names_in("f.db") == NAMES
    assert "broken.png" in (here / "failures.csv").read_text()


def test_appending_to_what_is_no_collection(here, capfd):
    (here / "f.db").write_bytes(b"something else")
    (here / "f.h5").write_bytes(b"something else")
    for name in ("f.db", "f.h5"):
        assert run(["detect", "in", "-o", name, "--append"]) == 1
        assert capfd.readouterr().err.count("\n") <= 2
        assert (here / name).read_bytes() == b"something else"


# --- convert -------------------------------------------------------------------------------------------


def test_convert_a_file(here, capfd):
    assert run(["detect", "in/a.png", "-o", "a.png.npz", "-q"]) == 0
    f = load("a.png.npz")
    for name in ("x.csv", "x.json", "x.jsonl", "x.parquet"):
        assert run(["convert", "a.png.npz", name, "-q"]) == 0
        assert_same(load(name), f)
    assert capfd.readouterr().err == ""
    assert run(["convert", "a.png.npz", "a.key"]) == 0
    assert "lowe carries no response, sign" in capfd.readouterr().err
    assert run(["convert", "a.key", "a.png.feat"]) == 0
    np.testing.assert_allclose(load("a.png.feat").xy, f.xy)
    assert run(["convert", "a.png.feat", "y.db", "--images", "in"]) == 0
    assert (load("y.db").image_name, load("y.db").image_size) == ("a.png", (250, 200))
    assert run(["convert", "a.key", "z.db"]) == 1
    assert "size of the image" in capfd.readouterr().err


def test_the_list_of_failures_in_a_folder_is_no_feature_file(here, capfd):
    (here / "bad.png").touch()
    assert run(["detect", ".", "-o", "out", "-q"]) == 1
    assert (here / "out/failures.csv").exists()
    assert run(["convert", "out", "f.h5"]) == 0
    (here / "out/failures.csv").write_text("something else")
    assert run(["convert", "out", "g.h5"]) == 1


def test_convert_collections_and_folders(here):
    assert run(["detect", "in", "-o", "f.h5", "-q", "--rootsift"]) == 0
    assert run(["convert", "f.h5", "g.db", "--camera", "single", "-q"]) == 0
    assert run(["convert", "g.db", "out", "-q"]) == 0
    assert run(["convert", "out", "h.h5", "-q"]) == 0
    assert names_in("f.h5") == names_in("g.db") == names_in("out") == names_in("h.h5") == NAMES
    for name in NAMES:
        f, g = load("f.h5", image=name), load("h.h5", image=name)
        np.testing.assert_allclose(g.xy, f.xy, atol=1e-4)
        np.testing.assert_allclose(g.scale, f.scale, rtol=1e-5)
        assert np.abs(g.descriptors.astype(int) - f.descriptors).max() <= 1
    assert (here / "out/sub/d.png.npz").is_file()
    assert run(["convert", "f.h5", "texts", "--to", "colmap-text", "-q"]) == 0
    assert sorted(path.name for path in (here / "texts").rglob("*.txt")) == [
        "a.png.txt",
        "b c.png.txt",
        "d.png.txt",
    ]


def test_names_that_leave_the_folder_are_refused(here, capfd):
    names = ["../outside.png", "/tmp/siftcli-outside.png", "good.png", "a/../../b.png"]
    with open_writer("f.db", None, WriteOptions(images=dict.fromkeys(names))) as writer:
        for name in names:
            writer.write(name, one(image_name=name))
    (here / "deep").mkdir()
    assert run(["convert", "f.db", "deep/out"]) == 1
    said = capfd.readouterr().err
    assert said.count("would lie outside") == 3
    assert [path.name for path in (here / "deep").rglob("*.npz")] == ["good.png.npz"]
    assert not list(here.glob("outside*"))


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["missing.npz", "x.csv"], 1, "no such file"),
        (["f.npz", "f.npz"], 2, "is the input"),
        (["f.npz", "g.csv"], 2, "--overwrite"),
        (["f.npz", "x.txt"], 2, "suffix"),
        (["f.npz", "x.csv", "--append"], 2, "--append"),
        (["many.h5", "x.csv"], 2, "several images need a folder"),
        (["f.npz", "x.csv", "--from", "csv"], 1, "csv file"),
        (["x.yml", "x.csv"], 1, "no such file"),
        (["f.npz", "-"], 2, "give one"),
        (["/dev/null", "x.csv", "--from", "hloc"], 1, "pipe or device"),
        ([".", "x.h5", "--from", "lowe"], 1, "found none"),
    ],
)
def test_wrong_use_of_convert(here, capfd, args, status, said):
    save(one(), "f.npz")
    save(one(), "g.csv")
    with open_writer("many.h5", None, WriteOptions()) as writer:
        for name in "ab":
            writer.write(name, one())
    assert run(["convert", *args]) == status
    err = capfd.readouterr().err
    assert said in err
    assert "Traceback" not in err


# --- formats, info ------------------------------------------------------------------------------------------


def test_formats_lists_what_is_read_and_written(capfd):
    assert run(["formats"]) == 0
    text = capfd.readouterr().out
    assert run(["formats", "--json"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [row["name"] for row in rows] == list(FORMATS)
    assert all(name in text for name in FORMATS)
    assert {row["name"] for row in rows if not row["can_read"]} == {"opencv"}


def test_info_of_an_image_of_a_collection(here, capfd):
    assert run(["detect", "in", "-o", "f.h5", "-q"]) == 0
    assert run(["info", "f.h5", "--image", "sub/d.png", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["image_size"] == [250, 200]


# --- match --pairs ----------------------------------------------------------------------------------------


def test_match_a_database_into_itself(here, capfd):
    assert run(["detect", "in", "-o", "f.db", "-q"]) == 0
    assert run(["match", "--pairs", "exhaustive", "f.db"]) == 0
    assert "3 pairs, 3 verified, 0 failed -> f.db" in capfd.readouterr().err
    connection = sqlite3.connect("f.db")
    query = "SELECT pair_id, rows, config, length(F) FROM two_view_geometries ORDER BY pair_id"
    rows = connection.execute(query).fetchall()
    assert [row[0] for row in rows] == [2147483647 * i + j for i, j in ((1, 2), (1, 3), (2, 3))]
    assert all(n > 15 and config == 3 and length == 72 for _, n, config, length in rows)
    assert run(["match", "--pairs", "exhaustive", "f.db", "--json"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["was_there"] for line in lines] == [True] * 3
    assert run(["match", "--pairs", "exhaustive", "f.db", "--ratio", "0.7"]) == 2
    assert "other options" in capfd.readouterr().err
    assert run(["match", "--pairs", "sequential:1", "f.db", "--overwrite", "--model", "homography"]) == 0
    assert (
        connection.execute("SELECT config, length(H), F FROM two_view_geometries").fetchall()
        == [(6, 72, None)] * 2
    )
    connection.close()


def test_match_features_into_hlocs_file(here, capfd):
    (here / "pairs.txt").write_text("a.png b c.png\nsub/d.png a.png\n")
    assert run(["detect", "in", "-o", "f.h5", "-q"]) == 0
    assert run(["match", "--pairs", "pairs.txt", "f.h5", "-o", "m.h5", "--json"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [(line["image_a"], line["image_b"], line["is_verified"]) for line in lines] == [
        ("a.png", "b c.png", True),
        ("sub/d.png", "a.png", True),
    ]
    with h5py.File("m.h5") as file:
        assert set(file) == {"a.png", "sub-d.png"}
        assert np.count_nonzero(file["sub-d.png/a.png/matches0"][()] >= 0) == lines[1]["n_inliers"]
    assert run(["match", "--pairs", "exhaustive", "f.h5", "-o", "n.h5", "--model", "none", "-q"]) == 0


def test_matches_of_features_elsewhere_into_a_database(here, capfd):
    assert run(["detect", "in", "-o", "f.h5", "-q"]) == 0
    assert run(["match", "--pairs", "exhaustive", "f.h5", "-o", "f.db"]) == 2
    assert "siftcli convert f.h5 f.db" in capfd.readouterr().err
    assert run(["convert", "f.h5", "f.db", "-q"]) == 0
    assert run(["match", "--pairs", "exhaustive", "f.h5", "-o", "f.db", "--min-inliers", "100000"]) == 0
    connection = sqlite3.connect("f.db")
    assert (
        connection.execute("SELECT rows, config, F FROM two_view_geometries").fetchall() == [(0, 1, None)] * 3
    )
    assert min(connection.execute("SELECT min(rows) FROM matches").fetchone()) > 15
    connection.close()


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["f.h5"], 2, "expected -o"),
        (["f.h5", "-o", "f.h5"], 2, "contains the features"),
        (["f.h5", "-o", "m.csv"], 2, ".h5 or .db"),
        (["f.h5", "-o", "-"], 2, "standard output"),
        (["f.h5", "g.h5", "-o", "m.h5"], 2, "got g.h5 too"),
        (["f.h5", "-o", "m.h5", "--rotate", "3"], 2, "--rotate"),
        (["f.h5", "-o", "m.h5", "--sigma", "1.7"], 2, "--sigma"),
        (["missing.h5", "-o", "m.h5"], 1, "no such file"),
        (["one.npz", "-o", "m.h5"], 1, "collection"),
    ],
)
def test_wrong_use_of_pairs(here, capfd, args, status, said):
    with open_writer("f.h5", None, WriteOptions()) as writer:
        for name in "ab":
            writer.write(name, one())
    save(one(), "one.npz")
    assert run(["match", "--pairs", "exhaustive", *args]) == status
    assert said in capfd.readouterr().err


def test_pairs_of_images_without_features(here, capfd):
    with open_writer("f.h5", None, WriteOptions()) as writer:
        for name in "ab":
            writer.write(name, one().select(slice(0)))
    assert run(["match", "--pairs", "exhaustive", "f.h5", "-o", "m.h5"]) == 0
    assert "1 pair, 0 verified" in capfd.readouterr().err
