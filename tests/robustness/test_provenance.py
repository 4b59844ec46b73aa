"""Which file features are of: another picture of the same name is refused; names below a root."""

import json
import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from batches import ARGUMENTS, OUTPUTS, content
from conftest import SAMPLES
from PIL import Image

from siftcli import load
from siftcli.__main__ import run
from siftcli.formats import npz
from siftcli.formats._collections import open_reader
from siftcli.io.provenance import Provenance

COLLECTIONS = [output for output in OUTPUTS.values() if output != "out"]


@pytest.fixture(params=OUTPUTS)
def output(request):
    return OUTPUTS[request.param]


@pytest.fixture(params=COLLECTIONS)
def collection(request):
    return request.param


def picture(path, sample="camera.png", box=(100, 100, 260, 220), **options):
    """A crop of a sample image, saved under this name."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    source = next(p for p in SAMPLES if p.name == sample)
    Image.open(source).convert("L").crop(box).save(path, **options)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Two folders of different pictures that have the same names, and a third picture in the second."""
    monkeypatch.chdir(tmp_path)
    for i in (1, 2):
        picture(f"cam0/{i}.png", "camera.png", (100, 40 * i, 260, 40 * i + 120))
        picture(f"cam1/{i}.png", "brick.png", (100, 40 * i, 260, 40 * i + 120))
    picture("cam1/3.png", "astronaut.png")
    return tmp_path


def go(*args):
    return run(["detect", *args, *ARGUMENTS])


def features(output, name):
    return load(Path("out", f"{name}.npz")) if output == "out" else load(output, image=name)


def rows(database, query):
    connection = sqlite3.connect(database)
    found = connection.execute(query).fetchall()
    connection.close()
    return found


# --- another picture of the same name --------------------------------------------------------------------


@pytest.mark.parametrize("appends", [False, True])
def test_a_second_folder_is_refused_before_any_work(here, capsys, output, appends):
    options = ["--append"] if appends and output != "out" else []
    assert go("cam0", "-o", output) == 0
    before = content(Path(output))
    capsys.readouterr()
    assert go("cam1", "-o", output, *options) == 2
    err = capsys.readouterr().err
    line = next(line for line in err.splitlines() if line.startswith("siftcli: "))
    assert f"1.png is of {here}/cam0/1.png, not of {here}/cam1/1.png (2 such names: 1.png, 2.png)" in line
    assert f"run on {here} or with --image-root {here}" in line
    assert ("--append --overwrite" in line) == (output != "out")
    assert "--overwrite to replace them" in line
    assert content(Path(output)) == before  # 3.png, which is in nobody's way, was not begun either


def test_one_image_is_refused_too(here, capsys, output):
    assert go("cam0/1.png", "-o", f"{output}/" if output == "out" else output) == 0
    before = content(Path(output))
    assert go("cam1/1.png", "-o", f"{output}/" if output == "out" else output) == 2
    assert "(1 such name: 1.png)" in capsys.readouterr().err
    assert content(Path(output)) == before


def test_a_few_of_many_are_named(here, capsys):
    for i in range(9):
        picture(f"a/{i}.png", "camera.png", (10 * i, 0, 10 * i + 90, 90))
        picture(f"b/{i}.png", "brick.png", (10 * i, 0, 10 * i + 90, 90))
    assert go("a", "-o", "x.db") == 0
    assert go("b", "-o", "x.db") == 2
    assert "(9 such names: 0.png, 1.png, 2.png, ...)" in capsys.readouterr().err


def test_overwrite_replaces_them(here, output):
    assert go("cam0", "-o", output) == 0
    assert go("cam1", "-o", output, "--overwrite", *(["--append"] if output != "out" else [])) == 0
    assert go("cam1/1.png", "-o", "alone.npz") == 0
    found, alone = features(output, "1.png"), load("alone.npz")
    assert len(found) == len(alone)
    np.testing.assert_allclose(found.xy, alone.xy, atol=1e-4)
    assert len(features(output, "3.png"))


def test_names_from_the_common_parent_differ(here, output):
    assert go("cam0", "cam1", "-o", output) == 0
    names = ["cam0/1.png", "cam0/2.png", "cam1/1.png", "cam1/2.png", "cam1/3.png"]
    with open_reader(output) as reader:
        assert reader.names() == names


def test_a_folder_that_was_moved_is_done(here, capsys, output):
    assert go("cam0", "-o", output) == 0
    before = content(Path(output))
    Path("cam0").rename("moved")
    for path in Path("moved").iterdir():
        os.utime(path, (1, 1))
    capsys.readouterr()
    assert go("moved", "-o", output) == 0
    assert "2 images, 0 failed, 2 kept as they were" in capsys.readouterr().err
    assert content(Path(output)) == before


def test_same_size_and_time_at_another_path_are_not_taken_for_the_same(here, capsys):
    for folder, value in (("a", 0), ("b", 255)):
        Path(folder).mkdir()
        Image.new("L", (96, 96), value).save(f"{folder}/1.pgm")
        os.utime(f"{folder}/1.pgm", (1, 1))
    assert Path("a/1.pgm").stat().st_size == Path("b/1.pgm").stat().st_size
    assert go("a", "-o", "x.db") == 0
    assert go("b", "-o", "x.db") == 2
    assert "other images of the same names" in capsys.readouterr().err


def test_an_image_that_changed_in_its_place_is_redone(here, capsys, output):
    assert go("cam0", "-o", output) == 0
    shutil.copy("cam1/1.png", "cam0/1.png")
    capsys.readouterr()
    assert go("cam0", "-o", output) == 0
    assert "1 kept as they were" in capsys.readouterr().err


def test_the_same_file_by_another_way_of_writing_its_path(here, capsys, output):
    assert go("cam0", "-o", output) == 0
    capsys.readouterr()
    assert go(f"{here}/cam1/../cam0", "-o", output) == 0
    assert "2 kept as they were" in capsys.readouterr().err


def test_provenance_tells_the_paths_of_image_and_mask(here):
    Path("masks").mkdir()
    Image.new("L", (160, 120), 255).save("masks/1.png.png")
    assert go("cam0", "-o", "out", "--mask", "masks", "--mask-optional") == 0
    provenance = Provenance.from_json(npz.read_provenance(Path("out/1.png.npz")))
    assert provenance.image.path == f"{here}/cam0/1.png"
    assert provenance.mask.path == f"{here}/masks/1.png.png"


def test_another_mask_of_the_same_image_is_no_conflict(here, capsys):
    for folder, value in (("m0", 255), ("m1", 255), ("m2", 0)):
        Path(folder).mkdir()
        for i in (1, 2):
            Image.new("L", (160, 120), value).save(f"{folder}/{i}.png.png")
    assert go("cam0", "-o", "x.db", "--mask", "m0") == 0
    capsys.readouterr()
    assert go("cam0", "-o", "x.db", "--mask", "m1") == 0
    assert "2 kept" in capsys.readouterr().err
    assert go("cam0", "-o", "x.db", "--mask", "m2") == 0
    assert "kept" not in capsys.readouterr().err
    assert len(load("x.db", image="1.png")) == 0


def test_provenance_without_a_path_is_not_taken_for_the_same(here, capsys):
    """Only its content can say that it is."""
    assert go("cam0", "-o", "x.db") == 0
    connection = sqlite3.connect("x.db", isolation_level=None)
    for name, text in connection.execute("SELECT name, origin FROM siftcli_images").fetchall():
        record = json.loads(text)
        del record["image"]["path"]
        connection.execute("UPDATE siftcli_images SET origin = ? WHERE name = ?", (json.dumps(record), name))
    connection.close()
    assert go("cam0", "-o", "x.db") == 0
    assert "2 kept" in capsys.readouterr().err
    assert go("cam1", "-o", "x.db") == 2
    assert "of an unknown file, not of" in capsys.readouterr().err


def test_what_others_have_written_is_kept_and_counted(here, capsys, collection):
    assert go("cam0/1.png", "-o", "one/") == 0
    assert run(["convert", "one", collection, "-q"]) == 0
    before = features(collection, "1.png")
    capsys.readouterr()
    assert go("cam1", "-o", collection, "--append") == 0
    err = capsys.readouterr().err
    assert "3 images, 0 failed, 1 kept as they were (1 without provenance: --append --overwrite" in err
    assert (features(collection, "1.png").xy == before.xy).all()
    assert go("cam1/1.png", "-o", collection, "--append") == 0
    assert "1 kept as they were (1 without provenance" in capsys.readouterr().err
    assert go("cam1", "-o", collection, "--append") == 0
    assert "3 kept as they were (1 without provenance" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["csv", "openmvg", "colmap-text"])
def test_folders_of_formats_without_provenance(here, capsys, name):
    assert go("cam0", "-o", "out", "--format", name) == 0
    before = content(Path("out"))
    assert go("cam1", "-o", "out", "--format", name) == 2
    assert "exists; pass --overwrite" in capsys.readouterr().err
    assert content(Path("out")) == before


def test_drawings_of_others_are_not_replaced(here, capsys, output):
    assert go("cam0", "-o", "a.db", "--draw", "drawn") == 0
    drawn = content(Path("drawn"))
    picture("cam2/9.png")
    assert go("cam2", "-o", output) == 0
    before = content(Path(output))
    assert go("cam1", "-o", output, "--draw", "drawn", *(["--append"] if output != "out" else [])) == 2
    assert "1.png.png exists; pass --overwrite" in capsys.readouterr().err
    assert (content(Path("drawn")), content(Path(output))) == (drawn, before)


def test_a_collection_with_drawings_is_taken_up_again(here, capsys, output):
    for kept in ("", ", 2 kept as they were"):
        capsys.readouterr()
        assert go("cam0", "-o", output, "--draw", "drawn") == 0
        assert f"2 images, 0 failed{kept} ->" in capsys.readouterr().err


# --- names relative to a folder that is named --------------------------------------------------------------


def test_two_flights_in_one_collection(here, capsys, output):
    assert go("cam0", "-o", output, "--image-root", ".") == 0
    assert go("cam1", "-o", output, "--image-root", ".", *(["--append"] if output != "out" else [])) == 0
    with open_reader(output) as reader:
        assert reader.names() == ["cam0/1.png", "cam0/2.png", "cam1/1.png", "cam1/2.png", "cam1/3.png"]
    capsys.readouterr()
    assert go("cam1", "-o", output, "--image-root", str(here)) == 0
    assert "3 images, 0 failed, 3 kept as they were" in capsys.readouterr().err
    whole = f"whole{Path(output).suffix}"
    assert go("cam0", "cam1", "-o", whole) == 0
    for name in ("cam0/1.png", "cam1/1.png"):
        a, b = (
            load(Path(o, f"{name}.npz")) if output == "out" else load(o, image=name) for o in (output, whole)
        )
        np.testing.assert_array_equal(a.xy, b.xy)
        np.testing.assert_array_equal(a.descriptors, b.descriptors)


def test_masks_are_found_by_the_names_below_the_root(here):
    Path("masks/cam0").mkdir(parents=True)
    for i in (1, 2):
        Image.new("L", (160, 120), 0).save(f"masks/cam0/{i}.png.png")
    assert go("cam0", "-o", "x.db", "--image-root", ".", "--mask", "masks") == 0
    assert len(load("x.db", image="cam0/1.png")) == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            ["cam0", "cam1", "--image-root", "cam1"],
            "cam0/1.png: expected an image inside the image root cam1",
        ),
        (["cam0", "--image-root", "missing"], "expected a folder as the image root, got 'missing'"),
        (["cam0", "--image-root", "cam0/1.png"], "expected a folder as the image root"),
        (["cam0", "--image-root", ""], "expected a folder as the image root"),
    ],
)
def test_wrong_roots(here, capsys, args, said):
    assert go(*args, "-o", "x.db") == 2
    assert said in capsys.readouterr().err
    assert not Path("x.db").exists()
