"""Nothing is without effect in silence: what an output holds, images given twice, folders without images."""

import shlex
import sqlite3

import numpy as np
import pytest
from PIL import Image

from siftcli.__main__ import run


def texture(path, seed):
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (24, 32), np.uint8))
    small.resize((128, 96), Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with three images in ``in`` and another in ``new``."""
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(("in/a.png", "in/b.png", "in/c.png", "new/d.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        texture(tmp_path / name, i)
    return tmp_path


def go(*args):
    return run([*args, *(["--max-features", "50"] if args[0] == "detect" else [])])


def refused(capsys, *args):
    """What is said of a command that is refused, without a change of any file."""
    capsys.readouterr()
    assert go(*args) == 2
    return capsys.readouterr().err


def n_cameras(path):
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT count(DISTINCT camera_id) FROM images").fetchone()[0]


def has_priors(path):
    with sqlite3.connect(path) as connection:
        query = "SELECT count(*) FROM sqlite_master WHERE name = 'pose_priors'"
        return connection.execute(query).fetchone()[0] == 1


def test_another_camera_for_a_database_is_refused_with_the_command_that_makes_it(here, capsys):
    assert go("detect", "in", "-o", "x.db") == 0
    said = refused(capsys, "detect", "in", "-o", "x.db", "--camera", "single")
    assert said.startswith("siftcli: x.db was made with --camera per-image, which its images keep")
    command = said.partition("to change it: siftcli ")[2].partition(", or pass")[0]
    assert n_cameras("x.db") == 3
    assert run(shlex.split(command)) == 0
    assert n_cameras("NEW.db") == 1
    assert go("detect", "in", "-o", "x.db", "--camera", "single", "--overwrite") == 0
    assert n_cameras("x.db") == 1


@pytest.mark.parametrize(
    ("options", "was"),
    [
        (["--camera-model", "OPENCV"], "--camera-model SIMPLE_RADIAL"),
        (["--no-pose-priors"], "--pose-priors"),
        (["--no-pose-priors", "--camera", "single"], "--camera per-image --pose-priors"),
    ],
)
@pytest.mark.parametrize("how", [[], ["--append"], ["--append", "--overwrite"]])
def test_what_would_change_no_image_is_refused(here, capsys, options, was, how):
    assert go("detect", "in", "-o", "x.db") == 0
    said = refused(capsys, "detect", "in", "-o", "x.db", *options, *how)
    assert f"x.db was made with {was}, which" in said
    assert go("detect", "in", "-o", "x.db", *how) == 0


def test_images_that_are_added_may_have_another_camera(here, capsys):
    assert go("detect", "in", "-o", "x.db") == 0
    assert go("detect", "new", "-o", "x.db", "--append", "--camera", "single") == 0
    assert n_cameras("x.db") == 4


def test_a_conversion_into_a_database_is_refused_alike(here, capsys):
    assert go("detect", "in", "-o", "f.h5") == 0
    assert run(["convert", "f.h5", "x.db"]) == 0
    said = refused(capsys, "convert", "f.h5", "x.db", "--append", "--overwrite", "--camera", "single")
    assert "x.db was made with --camera per-image" in said


def test_a_database_that_does_not_tell_counts_as_made_with_the_defaults(here, capsys):
    assert go("detect", "in", "-o", "x.db") == 0
    with sqlite3.connect("x.db") as connection:
        connection.execute("DELETE FROM siftcli WHERE name = 'made with'")
    assert go("detect", "in", "-o", "x.db") == 0
    assert "--camera per-image" in refused(capsys, "detect", "in", "-o", "x.db", "--camera", "single")


@pytest.mark.parametrize("output", ["x.h5", "x.db", "x.parquet"])
def test_new_images_enter_a_collection_only_with_append(here, capsys, output):
    assert go("detect", "in", "-o", output) == 0
    said = refused(capsys, "detect", "new", "-o", output)
    assert said == (
        f"siftcli: {output} holds 3 other images, and not d.png (1 new image); pass --append to add to it, "
        "--overwrite to replace all of it, or choose another output\n"
    )
    assert go("detect", "new", "-o", output, "--append") == 0
    (here / "new" / "d.png").rename(here / "in" / "d.png")
    texture(here / "in" / "e.png", 9)
    assert go("detect", "in", "-o", output) == 0  # all that it holds is in this run: as after an interruption
    assert "5 images, 0 failed, 4 kept as they were" in capsys.readouterr().err


def test_an_image_given_twice_is_told(here, capsys):
    assert go("detect", "in/a.png", "./in/a.png", "-o", "two.npz") == 0
    said = capsys.readouterr().err.splitlines()[0]
    assert said == "in/a.png: given more than once, read once (1 such image)"
    assert go("detect", "in", "in/b.png", "in/c.png", "--json") == 0
    assert capsys.readouterr().err == "in/b.png: given more than once, read once (2 such images)\n"


def test_a_folder_of_images_without_effect_is_refused(here, capsys):
    assert go("detect", "in", "-o", "f.h5") == 0
    assert go("detect", "in/a.png", "-o", "a.npz") == 0
    assert "--images must be a folder; got NO" in refused(capsys, "convert", "f.h5", "x.db", "--images", "NO")
    for source in ("f.h5", "a.npz"):
        said = refused(capsys, "convert", source, "x.db", "--images", "new", "-q")
        assert said.startswith(
            "siftcli: --images has no effect: new has no image of the source, such as a.png"
        )
        assert not (here / "x.db").exists()
    (here / "new" / "a.png").write_bytes((here / "in" / "a.png").read_bytes())
    assert run(["convert", "f.h5", "x.db", "--images", "new"]) == 0
    assert "2 of 3 images not in new\n" in capsys.readouterr().err


def test_a_page_of_pairs_with_a_folder_that_is_none_is_refused(here, capsys):
    assert go("detect", "in", "-o", "x.db") == 0
    how = ("--report", "x.html", "--images", "NO")
    said = refused(capsys, "match", "x.db", "--pairs", "exhaustive", *how)
    assert said.startswith("siftcli: --images must be a folder; got NO")
    assert run(["match", "x.db", "--pairs", "exhaustive"]) == 0
    assert "--images must be a folder" in refused(capsys, "report", "x.db", "--images", "NO")
    assert not (here / "x.html").exists()


@pytest.mark.parametrize("target", [[], ["-o", "m.h5"]])
def test_other_options_of_matching_are_named(here, capsys, target):
    assert go("detect", "in", "-o", "x.db") == 0
    assert run(["match", "x.db", "--pairs", "exhaustive", *target]) == 0
    options = ("--ratio", "0.6", "--no-mutual")
    said = refused(capsys, "match", "x.db", "--pairs", "exhaustive", *target, *options)
    assert "(--no-mutual was off, is now on; --ratio was 0.8, is now 0.6); pass --overwrite" in said


def test_check_needs_an_output_that_is_resumed(here, capsys):
    assert "--check has no effect without" in refused(capsys, "detect", "in", "--check")
    assert "--check has no effect without" in refused(
        capsys, "detect", "in", "-o", "x", "--format", "csv", "--check"
    )
    assert go("detect", "in", "-o", "x", "--check") == 0
