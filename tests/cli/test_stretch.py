"""Faint pictures, and pixels without a value."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import SAMPLES, texture
from PIL import Image

from siftcli import SiftParams, describe, detect
from siftcli.__main__ import run
from siftcli.cli import _image_options
from siftcli.errors import InputError, ParameterError
from siftcli.evaluation.datasets import csv_list
from siftcli.evaluation.settings import Settings
from siftcli.evaluation.work import TaskRunner
from siftcli.image import read_image, stretch
from siftcli.image.decoded import Decoded
from siftcli.sift.descriptor import descriptor_radius
from siftcli.workflows.match_images import match_images

FAINT = np.rint(1000 + 3000 * texture((120, 150), seed=5)).astype(np.uint16)
"""A twentieth of the range of 16 bits."""
CAMERA = next(path for path in SAMPLES if path.name == "camera.png")


def linear(values, low, high):
    return np.clip((values.astype(np.float64) - low) / (high - low), 0, 1).astype(np.float32)


def test_minmax_maps_the_extremes_to_0_and_1():
    grey = read_image(FAINT, stretch="minmax").grey
    # 1e-7: sample over full scale is rounded in double precision before it is stretched
    np.testing.assert_allclose(grey, linear(FAINT, FAINT.min(), FAINT.max()), rtol=0, atol=1e-7)
    assert (grey.min(), grey.max(), grey.dtype) == (0, 1, np.float32)


def test_percentile_clips_a_thousandth_on_either_side():
    values = FAINT.copy()
    values[0, :5], values[1, :5] = 0, 65535  # dead and hot pixels
    grey = read_image(values, stretch="percentile").grey
    low, high = np.percentile(values, [0.1, 99.9])
    np.testing.assert_allclose(grey, linear(values, low, high), rtol=0, atol=1e-7)
    assert 900 < low < high < 4100


def test_a_colour_picture_is_stretched_by_its_grey():
    rgb = np.random.default_rng(1).integers(100, 130, (20, 30, 3)).astype(np.uint8)
    plain = read_image(rgb).grey
    # 1e-5: single precision of the plain grey, spread over the range
    expected = linear(plain, plain.min(), plain.max())
    np.testing.assert_allclose(read_image(rgb, stretch="minmax").grey, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["minmax", "percentile"])
def test_the_stretch_commutes_exactly_with_turns_and_mirrors(kind):
    values = FAINT.astype(np.float32)
    values[20:30, 40:45] = np.nan
    whole = read_image(values, stretch=kind)
    for k in range(4):
        for step in (1, -1):
            turned = read_image(np.rot90(values, k)[::step], stretch=kind)
            np.testing.assert_array_equal(turned.grey, np.rot90(whole.grey, k)[::step])
            np.testing.assert_array_equal(turned.left_out, np.rot90(whole.left_out, k)[::step])


def test_the_stretch_comes_before_the_reduction():
    whole = read_image(FAINT, stretch="percentile").grey
    reduced = read_image(FAINT, stretch="percentile", max_image_size=50)
    np.testing.assert_array_equal(reduced.grey, read_image(whole, max_image_size=50).grey)


def test_floats_of_any_range_keep_their_digits():
    kelvin = 1e6 + texture((30, 40), seed=2).astype(np.float64)
    # 1e-9: what double precision keeps of 1e6; in single precision steps would be 0.06
    np.testing.assert_allclose(
        read_image(kelvin, stretch="minmax").grey, read_image(kelvin - 1e6, stretch="minmax").grey, atol=1e-7
    )
    with pytest.raises(InputError, match="--stretch"):
        read_image(kelvin)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_left_out(value):
    values = FAINT.astype(np.float32)
    values[5:9, 7:20] = value
    picture = read_image(values, stretch="minmax")
    assert picture.left_out.sum() == 4 * 13
    rest = np.delete(values.ravel(), np.flatnonzero(picture.left_out))
    low, high = rest.min(), rest.max()
    assert np.unique(picture.grey[5:9, 7:20]) == linear(np.median(rest), low, high)
    np.testing.assert_allclose(picture.grey[20:], linear(values[20:], low, high), rtol=0, atol=1e-7)
    with pytest.raises(InputError, match="NaN or infinity; leave them out with --stretch"):
        read_image(values)


def test_nodata_is_left_out_of_any_kind_of_samples():
    for dtype, value in ((np.uint8, 0), (np.uint16, 65535), (np.float32, -3.4028234663852886e38)):
        values = np.full((9, 9, 3), 0.5 if dtype is np.float32 else 77, dtype)
        values[2, 3] = value
        values[4, 5, 0] = value if dtype is not np.float32 else 0.1  # one colour alone is no nodata
        for kind in ("none", "minmax"):
            left_out = read_image(values, nodata=value, stretch=kind).left_out
            assert np.argwhere(left_out).tolist() == [[2, 3]]
    assert read_image(np.zeros((9, 9), np.uint8), nodata=-9999).left_out is None
    assert read_image(np.zeros((9, 9), np.uint8), nodata=0.5).left_out is None


def test_nodata_without_a_stretch_leaves_the_other_values_as_they_are():
    values = FAINT.copy()
    values[:10] = 0
    picture = read_image(values, nodata=0)
    np.testing.assert_array_equal(picture.grey[10:], read_image(values).grey[10:])
    assert picture.left_out.sum() == 10 * 150
    floats = texture((30, 40))
    floats[3, 3] = -9999
    assert read_image(floats, nodata=-9999).left_out.sum() == 1


def test_the_nodata_value_that_the_file_states(monkeypatch):
    values = FAINT[:, :, np.newaxis].copy()
    values[7, 8] = 42
    monkeypatch.setattr("siftcli.image.decode", lambda *_, **__: Decoded(values, 65535, nodata=42))
    assert np.argwhere(read_image("x.tif", stretch="minmax").left_out).tolist() == [[7, 8]]
    assert read_image("x.tif").left_out is None
    assert read_image("x.tif", stretch="minmax", nodata=7).left_out is None


def test_transparent_pixels_are_left_out_of_a_stretch():
    rgba = np.full((20, 20, 4), 100, np.uint8)
    rgba[:, 10:, :3] = 110
    rgba[..., 3] = 255
    rgba[:3, :3, 3] = 0
    picture = read_image(rgba, stretch="minmax")
    assert picture.left_out.sum() == 9
    assert (picture.grey[5, 0], picture.grey[5, 15]) == (0, 1)


def test_pictures_of_one_value_or_nearly_so():
    assert not read_image(np.full((9, 9), 77, np.uint8), stretch="percentile").grey.any()
    stars = np.zeros((100, 100), np.uint16)
    stars[[10, 50], [20, 60]] = 50, 100
    np.testing.assert_array_equal(read_image(stars, stretch="percentile").grey[[10, 50], [20, 60]], [0.5, 1])


def test_what_cannot_be_stretched():
    with pytest.raises(InputError, match="every pixel"):
        read_image(np.full((9, 9), np.nan), stretch="minmax")
    with pytest.raises(InputError, match="every pixel"):
        read_image(np.full((9, 9), -1.0), nodata=-1)
    with pytest.raises(InputError, match="too far apart"):
        read_image(np.array([[-1e308, 1e308]]), stretch="minmax")
    for options in ({"stretch": "log"}, {"nodata": "0"}, {"nodata": True}):
        with pytest.raises(ParameterError, match=next(iter(options))):
            read_image(FAINT, **options)


def test_the_command_line_knows_the_same_choices():
    assert _image_options.STRETCHES == stretch.STRETCHES


# --- features ------------------------------------------------------------------------------------------


def rows(features):
    return {
        tuple(row) for row in np.column_stack([features.xy, features.scale, features.orientation]).tolist()
    }


def test_a_stretched_faint_picture_gives_the_features_of_the_bright_one():
    bright = linear(FAINT, FAINT.min(), FAINT.max())
    assert len(detect(FAINT)) < len(detect(bright)) / 2
    # Not all of them exactly: the two greys may differ in the last place.
    assert len(rows(detect(FAINT, stretch="minmax")) & rows(detect(bright))) > 0.9 * len(detect(bright))


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_features_that_are_kept_do_not_depend_on_what_is_left_out(fill):
    picture = read_image(CAMERA).grey[::2, ::2].copy()
    hole = np.s_[100:120, 90:130]
    picture[0, :2] = 0, 1  # so that minmax leaves the picture as it is
    with_hole = picture.copy()
    with_hole[hole] = np.nan
    kept = detect(with_hole, stretch="minmax")
    filled = picture.copy()
    filled[hole] = fill
    other = detect(filled)
    y, x = np.mgrid[hole]
    points = np.column_stack([x.ravel(), y.ravel()])
    distance = np.array([np.hypot(*(points - xy).T).min() for xy in kept.xy])
    assert (distance >= descriptor_radius(SiftParams()) * kept.scale - 1e-3).all()
    assert 50 < len(kept) < len(other)
    # Gaussians have tails: what is as far as the descriptor's reach still moves it a little.
    nearest = [np.abs(other.xy - xy).max(axis=1).argmin() for xy in kept.xy]
    assert np.abs(other.xy[nearest] - kept.xy).max() < 0.02
    assert kept.removed["masked"] > 0


def test_max_features_counts_after_what_is_left_out():
    picture = read_image(CAMERA).grey.copy()
    strongest = detect(picture, max_features=20).xy.mean(axis=0).astype(int)
    picture[strongest[1] - 60 : strongest[1] + 60, strongest[0] - 60 : strongest[0] + 60] = np.nan
    assert len(detect(picture, stretch="minmax", max_features=20)) == 20


def test_turned_pictures_keep_the_same_features_around_a_hole():
    picture = read_image(CAMERA).grey[::2, ::2].copy()
    picture[100:120, 90:130] = np.nan
    features = detect(picture, stretch="percentile")
    mirrored = detect(np.ascontiguousarray(picture[:, ::-1]), stretch="percentile")
    assert len(mirrored) == len(features)


def test_describe_with_a_stretch_gives_the_same_bytes():
    features = detect(FAINT, stretch="percentile")
    again = describe(FAINT, features, stretch="percentile")
    np.testing.assert_array_equal(again.descriptors, features.descriptors)


def test_matching_a_turned_picture_with_a_hole():
    picture = read_image(CAMERA).grey[::2, ::2].astype(np.float64) + 300
    picture[100:120, 90:130] = np.nan
    result = match_images(picture, rotate=30, stretch="minmax")
    assert result.verification.rotation_deg == pytest.approx(30, abs=0.05)
    assert result.verification.n_inliers > 50
    # No feature of the turned picture lies where the hole is.
    back = np.linalg.inv(result.transform.matrix)
    x, y = (result.b.features.xy @ back[:2, :2].T + back[:2, 2]).T
    assert not ((x > 88) & (x < 131) & (y > 98) & (y < 121)).any()


# --- the commands --------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch):
    Image.fromarray(FAINT // 4).save(tmp_path / "faint.png")
    Image.fromarray(np.rint(255 * texture((80, 90))).astype(np.uint8)).save(tmp_path / "bright.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_faint_picture_is_told_of(here, capsys):
    assert run(["detect", "faint.png", "--json"]) == 0
    out, err = capsys.readouterr()
    n = json.loads(out)["n_keypoints"]
    assert n < 10
    assert err == (
        f"faint.png: {n} keypoints; the image uses less than a quarter of its range; "
        "try --stretch percentile\n"
    )
    assert run(["detect", "faint.png", "--json", "--stretch", "percentile"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["n_keypoints"] > 50
    assert err == ""
    few = ["faint.png", "--contrast-threshold", "0.001", "--max-features", "5"]  # more are there
    for args in (["faint.png", "-q"], ["bright.png", "--contrast-threshold", "0.9"], few):
        assert run(["detect", *args]) == 0
        assert "--stretch" not in capsys.readouterr().err


def test_many_faint_pictures_are_told_of_once(here, capsys):
    for i in range(3):
        Path(f"faint{i}.png").write_bytes(Path("faint.png").read_bytes())
    assert run(["detect", ".", "-o", "out", "--jobs", "2"]) == 0
    err = capsys.readouterr().err
    assert err.count("--stretch percentile") == 1
    assert "(others like it: 3)" in err


def test_a_picture_of_one_value_is_not_called_faint(here, capsys):
    Image.fromarray(np.full((50, 60), 9, np.uint8)).save("flat.png")
    assert run(["detect", "flat.png"]) == 0
    assert capsys.readouterr().err == ""


def test_match_tells_of_faint_pictures_and_stretches_them(here, capsys):
    assert run(["match", "faint.png", "--rotate", "90", "--json"]) == 0
    assert capsys.readouterr().err.count("try --stretch percentile") == 1
    assert run(["match", "faint.png", "--rotate", "90", "--json", "--stretch", "minmax"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["rotation_recovered_deg"] == pytest.approx(90, abs=0.01)
    assert err == ""
    assert run(["match", "x.db", "--pairs", "exhaustive", "--stretch", "minmax"]) == 2
    assert "drop --stretch" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["out", "out.h5"])
def test_the_stretch_is_among_the_settings_that_a_run_must_share(here, capsys, output):
    args = ["detect", ".", "-o", output, "--nodata", "nan"]
    assert run([*args, "--stretch", "minmax"]) == 0
    assert run([*args, "--stretch", "minmax"]) == 0
    assert "2 kept as they were" in capsys.readouterr().err
    assert run([*args, "--stretch", "percentile"]) == 2
    assert "stretch was minmax, is now percentile" in capsys.readouterr().err
    assert run([*args[:-1], "7", "--stretch", "minmax"]) == 2
    assert "nodata was nan, is now 7.0" in capsys.readouterr().err


def test_drawings_show_the_stretched_picture(here):
    assert run(["detect", "faint.png", "--stretch", "minmax", "--draw", "x.png", "-q"]) == 0
    with Image.open("x.png") as drawing:
        shown = np.asarray(drawing.convert("L"))[: drawing.height * 4 // 5]  # without the legend
    assert np.ptp(shown) > 200


@pytest.mark.parametrize("args", [["--stretch", "log"], ["--nodata", "none"]])
def test_wrong_options(here, capsys, args):
    assert run(["detect", "faint.png", *args]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_evaluate_stretches_and_says_so(here):
    args = ["evaluate", "faint.png", "-o", "e", "--sweep", "lossless", "--detectors", "opencv", "-q"]
    assert run([*args, "--stretch", "minmax", "--jobs", "1"]) == 0
    stored = json.loads(Path("e/results.json").read_text())
    assert (stored["settings"]["stretch"], stored["settings"]["nodata"]) == ("minmax", None)
    assert all(row["n_reference"] > 20 for row in stored["rows"])
    assert run([*args, "--jobs", "1"]) == 2  # other settings


def test_both_pictures_of_a_dataset_s_pair_are_stretched(here):
    np.savetxt("h.txt", np.eye(3))
    Path("pairs.csv").write_bytes(b"\xef\xbb\xbfimage_a,image_b,homography\nfaint.png,faint.png,h.txt\n")
    Path("h.txt").write_bytes(b"\xef\xbb\xbf" + Path("h.txt").read_bytes())
    settings = Settings.for_dataset(["csv"], detectors=("opencv",), stretch="minmax")
    (job,) = csv_list(Path("pairs.csv"), settings.reading)
    pair, _, _ = TaskRunner(settings).detect_pair(job, "opencv")
    np.testing.assert_array_equal(pair.reference, pair.view)
    assert np.ptp(pair.view) == 255


def tagged(path, values, text, photometric="minisblack"):
    tifffile.imwrite(path, values, photometric=photometric, extratags=[(42113, "s", 0, text, True)])
    return path


@pytest.mark.parametrize(
    ("text", "expected"), [("-9999", [[7, 8]]), (" -9999.0 ", [[7, 8]]), ("nan", []), ("none", [])]
)
def test_gdal_s_nodata_tag(tmp_path, text, expected):
    values = FAINT.astype(np.float32)
    values[7, 8] = -9999
    path = tagged(tmp_path / "x.tif", values, text)
    left_out = read_image(path, stretch="minmax").left_out
    assert ([] if left_out is None else np.argwhere(left_out).tolist()) == expected
    with pytest.raises(InputError, match="--stretch"):
        read_image(path)


def test_gdal_s_nodata_tag_of_inverted_samples_is_not_compared_with_them(tmp_path):
    values = FAINT.copy()
    values[7, 8], values[9, 9] = 0, 65535
    picture = read_image(tagged(tmp_path / "x.tif", values, "0", "miniswhite"), stretch="minmax")
    assert picture.left_out is None
    assert (picture.grey[7, 8], picture.grey[9, 9]) == (1, 0)
