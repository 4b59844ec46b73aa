"""``siftcli match``: the library behind it, its files, its picture and the command itself."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import siftcli
from siftcli.__main__ import run
from siftcli.drawing.matches import INLIER_COLOUR, MAX_LINES, OUTLIER_COLOUR, draw_matches, evenly_spread
from siftcli.errors import InputError, ParameterError
from siftcli.features import Matches
from siftcli.matching.options import MatchOptions
from siftcli.views.canvas import rotated
from siftcli.views.planar import map_points
from siftcli.workflows.match_images import match_images
from siftcli.workflows.match_text import verdict

SAMPLES = Path(__file__).parents[2] / "sample_images"
CHELSEA, CAMERA, ROCKET, RETINA = (
    str(SAMPLES / name) for name in ("chelsea.png", "camera.png", "rocket.jpg", "retina.jpg")
)
SIMILARITY = MatchOptions(model="similarity")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.open(CHELSEA).crop((100, 40, 340, 220)).save("a.png")
    Image.new("L", (60, 50), 128).save("flat.png")
    return tmp_path


def printed_json(capfd, *args):
    assert run([*args, "--json"]) == 0
    out = capfd.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


# --- turning the second image ---------------------------------------------------------------------------


@pytest.mark.parametrize("deg", [0, 90, 180, 270, -90, 450])
def test_quarter_turns_move_pixels(deg):
    grey = np.random.default_rng(0).random((7, 10)).astype(np.float32)
    picture, matrix = rotated(grey, deg)
    np.testing.assert_array_equal(picture, np.rot90(grey, deg // 90))
    x, y = map_points(matrix, np.array([[9.0, 2.0]]))[0]
    assert picture[round(y), round(x)] == grey[2, 9]


@given(st.floats(-400, 400), st.sampled_from([0.3, 0.7, 1.0, 1.9]), st.integers(20, 40), st.integers(20, 40))
@settings(max_examples=40, deadline=None)
def test_the_canvas_holds_all_of_the_image_and_the_map_is_that_of_the_pixels(deg, scale, height, width):
    y, x = np.mgrid[:height, :width]
    grey = (0.2 + 0.6 * (x / width + y / height) / 2).astype(np.float32)  # a plane, which splines keep
    picture, matrix = rotated(grey, deg, scale)
    corners = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [-0.5, height - 0.5], [width - 0.5, height - 0.5]])
    mapped = map_points(matrix, corners)
    assert (mapped > -0.5 - 1e-6).all()
    assert (mapped < np.array(picture.shape[::-1]) - 0.5 + 1e-6).all()
    middle = np.array([[(width - 1) / 2, (height - 1) / 2]])
    u, v = np.rint(map_points(matrix, middle))[0].astype(int)
    back = map_points(np.linalg.inv(matrix), np.array([[u, v]], float))[0]
    expected = 0.2 + 0.6 * (back[0] / width + back[1] / height) / 2
    # mirrored borders bend the spline of a plane a little, ten pixels away by about 1e-3
    assert picture[v, u] == pytest.approx(expected, abs=2e-3)


def test_a_canvas_too_large_is_refused():
    with pytest.raises(ParameterError, match="smaller --scale"):
        rotated(np.zeros((2000, 2000), np.float32), 10, 20)


# --- known truth ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("deg", [15, 45, 90, 135, 200])
@pytest.mark.parametrize("image", [CHELSEA, CAMERA])
def test_the_turn_is_recovered(image, deg):
    result = match_images(image, rotate=deg, options=SIMILARITY).to_dict()
    assert result["precision"] >= 0.98
    assert abs(result["rotation_error_deg"]) < 0.01
    assert abs(result["scale_error"]) < 2e-4
    assert result["n_correct"] > 400
    assert result["repeatability"] > 0.7


@pytest.mark.parametrize("deg", [15, 45, 90, 135, 200])
def test_an_image_of_flat_ridges_matches_precisely(deg):
    # Some of its large structures are ridges, oblique in position and scale: one round misplaces them.
    result = match_images(RETINA, rotate=deg, options=SIMILARITY).to_dict()
    assert result["precision"] >= 0.98
    assert result["n_correct"] > 80
    assert abs(result["rotation_error_deg"]) < 0.01
    assert abs(result["scale_error"]) < 2e-4


def test_quarter_turns_are_exact():
    result = match_images(CHELSEA, rotate=90, options=SIMILARITY).to_dict()
    assert result["precision"] == result["repeatability"] == 1
    assert result["n_matches"] == result["n_features_b"]
    assert abs(result["rotation_error_deg"]) < 1e-5


def test_the_scale_is_recovered():
    result = match_images(CHELSEA, rotate=-20, scale=0.6, options=SIMILARITY).to_dict()
    assert result["scale_recovered"] == pytest.approx(0.6, rel=1e-3)
    assert result["precision"] > 0.95


def test_identical_images_match_completely_without_a_turn():
    result = match_images(CHELSEA, CHELSEA).to_dict()
    assert result["n_matches"] == result["n_features_a"] == result["n_correct"]
    assert result["rotation_recovered_deg"] == pytest.approx(0, abs=1e-6)


def test_without_truth_the_turn_is_told_relative_to_what_was_asked():
    grey = np.asarray(Image.open(CHELSEA).convert("L"))
    result = match_images(np.rot90(grey), grey, rotate=30, options=SIMILARITY).to_dict()
    assert result["rotation_recovered_deg"] == pytest.approx(-60, abs=0.01)
    assert result["rotation_relative_deg"] == pytest.approx(-90, abs=0.01)
    assert "precision" not in result


def test_features_with_their_support_outside_the_picture_are_dropped():
    result = match_images(CHELSEA, rotate=45)
    width, height = siftcli.detect(CHELSEA).image_size
    x, y = map_points(np.linalg.inv(result.transform.matrix), result.b.features.xy).T
    depth = np.minimum.reduce([x, y, width - 1 - x, height - 1 - y]) + 0.5
    assert (depth >= 4.5 * result.b.features.scale - 1e-3).all()
    assert result.transform.n_dropped > 0


def test_matches_are_reported_in_both_frames():
    result = match_images(CHELSEA, rotate=45, options=SIMILARITY)
    a = result.a.features.xy[result.matches.pairs[:, 0]]
    off = np.hypot(*(result.xy_b_original - a).T)
    assert np.median(off) < 0.2
    np.testing.assert_array_equal(off <= 2, result.truth.correct)


def test_guided_matching_finds_more_and_they_agree():
    # A loose ratio, of a photograph of which some matches are wrong then.
    astronaut = str(Path(CAMERA).with_name("astronaut.png"))
    plain = match_images(astronaut, rotate=30, options=MatchOptions(ratio=0.95)).to_dict()
    guided = match_images(astronaut, rotate=30, options=MatchOptions(ratio=0.95, guided=True)).to_dict()
    assert guided["n_inliers"] == guided["n_matches"]
    assert guided["n_correct"] >= 0.98 * plain["n_correct"]
    assert guided["precision"] > plain["precision"]


# --- the command ----------------------------------------------------------------------------------------

JSON_KEYS = {
    "schema", "image_a", "image_b", "n_features_a", "n_features_b", "n_dropped_b", "n_matches", "n_inliers",
    "is_verified", "model_direction", "corners",
    "rotation_asked_deg", "rotation_recovered_deg", "scale_asked", "scale_recovered", "shift", "model_matrix",
    "reason", "ratio", "mutual", "model", "max_error", "guided",
    "focal_px", "pose_rotation", "pose_angle_deg", "pose_axis", "pose_direction", "pose_note",
}  # fmt: skip
TRUTH_KEYS = {
    "n_correct", "precision", "repeatability", "correct_within_px", "repeatable_within_px",
    "rotation_error_deg", "scale_error",
}  # fmt: skip


def test_json_has_the_documented_keys(here, capfd):
    known = printed_json(capfd, "match", "a.png", "--rotate", "30")
    assert set(known) == JSON_KEYS | TRUTH_KEYS
    assert known["rotation_asked_deg"] == 30
    assert known["rotation_recovered_deg"] == pytest.approx(30, abs=0.1)
    unknown = printed_json(capfd, "match", "a.png", CHELSEA)
    assert set(unknown) == JSON_KEYS | {"rotation_relative_deg", "scale_relative"}
    assert unknown["shift"] == pytest.approx([100, 40], abs=0.2)  # where it was cut out


def test_a_summary_is_printed(here, capfd):
    assert run(["match", "a.png", "--rotate", "30", "--model", "similarity"]) == 0
    out = capfd.readouterr().out
    for word in ("features of A", "inliers", "rotation recovered", "30°", "precision"):
        assert word in out
    assert run(["match", "a.png", "--rotate", "30", "-q"]) == 0
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("model", "n_inliers"),
    [("none", False), ("similarity", True), ("homography", True), ("fundamental", True)],
)
def test_every_model(here, capfd, model, n_inliers):
    result = printed_json(capfd, "match", "a.png", "--rotate", "90", "--model", model)
    assert (result["n_inliers"] is not None) == n_inliers
    assert (result["rotation_recovered_deg"] is not None) == (model in ("similarity", "homography"))


def test_nothing_in_an_image_is_a_result(here, capfd):
    for names in (["a.png", "flat.png"], ["flat.png", "a.png"], ["flat.png", "flat.png"]):
        result = printed_json(capfd, "match", *names, "--draw", "x.png", "--overwrite", "-o", "x.csv")
        assert result["n_matches"] == 0
        assert result["reason"] == "not enough matches: 0, a homography needs 4"
        assert result["rotation_recovered_deg"] is None
    assert result["precision"] is None
    assert len(Path("x.csv").read_text().splitlines()) == 1


def test_one_feature_only_is_a_result(here, capfd):
    result = printed_json(capfd, "match", "a.png", "--rotate", "90", "--max-features", "1", "--guided")
    assert result["n_features_a"] == 1
    assert result["reason"].startswith("not enough matches")


def test_feature_files_are_matched(here, capfd):
    for name in ("f.npz", "f.json", "f.csv"):
        siftcli.save(siftcli.detect("a.png"), name)
    of_images = printed_json(capfd, "match", "a.png", CHELSEA)
    of_files = printed_json(capfd, "match", "f.npz", CHELSEA)
    for key in JSON_KEYS - {"image_a"}:
        assert of_files[key] == of_images[key]
    assert printed_json(capfd, "match", "f.csv", "f.json")["n_inliers"] == len(siftcli.load("f.npz"))


def test_matches_are_written_in_three_formats(here, capfd):
    for name in ("m.json", "m.csv", "m.npz"):
        assert run(["match", "a.png", "--rotate", "30", "-q", "-o", name]) == 0
    content = json.loads(Path("m.json").read_text())
    rows = list(csv.DictReader(io.StringIO(Path("m.csv").read_text())))
    with np.load("m.npz") as arrays:
        table = dict(arrays)
    assert len(rows) == len(content["matches"]) == content["n_matches"] > 20
    summary = json.loads(str(table.pop("summary")))
    assert summary == {key: value for key, value in content.items() if key != "matches"}
    for key, column in table.items():
        np.testing.assert_array_equal(
            column, np.array([row[key] for row in content["matches"]], column.dtype)
        )
        np.testing.assert_array_equal(
            [float(row[key]) for row in rows], [row[key] for row in content["matches"]]
        )
    assert int(table["inlier"].sum()) == content["n_inliers"]
    assert int(table["correct"].sum()) == content["n_correct"]
    features = siftcli.detect("a.png")
    np.testing.assert_array_equal(table["x_a"], features.xy[table["row_a"], 0])


def test_standard_output(here, capfdbinary):
    assert run(["match", "a.png", "--rotate", "30", "-o", "-", "--format", "csv"]) == 0
    assert capfdbinary.readouterr().out.startswith(b"row_a,row_b,x_a")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["a.png"], "--rotate or --scale"),
        (["f.npz", "--rotate", "5"], "feature file"),
        (["a.png", "--rotate", "nan"], "--rotate must be a finite"),
        (["a.png", "--scale", "0"], "--scale must be from 0.05 to 20"),
        (["a.png", "--rotate", "5", "--ratio", "1.5"], "--ratio must be"),
        (["a.png", "--rotate", "5", "--max-error", "0"], "--max-error must be above 0"),
        (["a.png", "--rotate", "5", "--model", "affine"], "affine"),
        (["a.png", "--rotate", "5", "--model", "none", "--guided"], "--guided"),
        (["a.png", "--rotate", "5", "-o", "x.txt"], ".json, .csv or .npz"),
        (["a.png", "--rotate", "5", "-o", "a.png", "--format", "csv"], "--overwrite"),
        (["a.png", "--rotate", "5", "--draw", "x.jpg"], ".png"),
        (["a.png", "--rotate", "5", "-o", "no/x.csv"], "not a folder"),
        (["a.png", "--rotate", "5", "-o", "-"], "--format"),
        (["a.png", "--rotate", "5", "-o", "-", "--format", "csv", "--json"], "--json"),
        (["a.png", "--rotate", "5", "-v", "-q"], "-v or -q"),
    ],
)
def test_wrong_use_is_found_before_any_work(here, capfd, args, message):
    before = sorted(path.name for path in here.iterdir())
    assert run(["match", *args]) == 2
    err = capfd.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert sorted(path.name for path in here.iterdir()) == before


@pytest.mark.parametrize("other", ["missing.png", "broken.npz", "."])
def test_an_input_that_cannot_be_read_is_named(here, capfd, other):
    Path("broken.npz").write_bytes(b"PK")
    assert run(["match", "a.png", other]) == 1
    assert other in capfd.readouterr().err


def test_descriptors_of_different_kinds_are_refused(here, capfd):
    siftcli.save(siftcli.detect("a.png", rootsift=False), "plain.npz")
    assert run(["match", "plain.npz", "a.png"]) == 2
    assert "sift and rootsift" in capfd.readouterr().err
    assert run(["match", "plain.npz", "a.png", "--no-rootsift", "-q"]) == 0


def test_an_unreadable_array_is_refused():
    with pytest.raises(InputError):
        match_images(np.zeros((2, 2, 2, 2)), rotate=3)


# --- the picture ----------------------------------------------------------------------------------------


def test_the_picture_shows_inliers_and_outliers_of_images_of_any_shape():
    f, g = siftcli.detect(CHELSEA, max_features=30), siftcli.detect(ROCKET, max_features=30)
    a, b = np.full((300, 451), 0.5, np.float32), np.full((900, 640), 0.5, np.float32)
    rows = np.arange(30, dtype=np.int32)
    matches = Matches(pairs=np.c_[rows, rows], distance=np.ones(30), ratio=np.ones(30))
    picture = draw_matches(a, b, f, g, matches, rows < 20, "caption\nof two lines")
    assert picture.dtype == np.uint8
    assert picture.shape[0] > 900
    assert picture.shape[1] > 451 + 640
    for colour in (INLIER_COLOUR, OUTLIER_COLOUR):
        assert (picture == colour).all(axis=2).sum() > 300
    unverified = draw_matches(a, b, f, g, matches)
    assert not (unverified == OUTLIER_COLOUR).all(axis=2).any()


def test_the_command_draws(here):
    assert run(["match", "a.png", "--rotate", "30", "--draw", "x.png", "-q"]) == 0
    with Image.open("x.png") as picture:
        assert picture.mode == "RGB"
        assert picture.width > 1000
    first = Path("x.png").read_bytes()
    assert (
        run(["match", "a.png", "--rotate", "30", "--draw", "x.png", "-q", "--overwrite", "--threads", "1"])
        == 0
    )
    assert Path("x.png").read_bytes() == first


@given(st.integers(0, 400), st.integers(1, 60), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_thinning_keeps_at_most_n_and_leaves_no_region_out(n_points, n, seed):
    xy = np.random.default_rng(seed).uniform(0, (300, 200), (n_points, 2))
    chosen = evenly_spread(xy, n)
    assert len(chosen) == min(n, n_points)
    assert len(set(chosen.tolist())) == len(chosen)
    np.testing.assert_array_equal(chosen, evenly_spread(xy, n))


def test_thinning_is_even_where_matches_are_not():
    rng = np.random.default_rng(0)
    crowd, sparse = rng.uniform(0, 10, (5000, 2)), rng.uniform(0, 100, (300, 2))
    chosen = evenly_spread(np.vstack([crowd, sparse]), MAX_LINES)
    x, y = np.vstack([crowd, sparse])[chosen].T
    quadrants = np.histogram2d(x, y, bins=2, range=[[0, 100], [0, 100]])[0]
    assert quadrants.min() > 0.5 * quadrants.max()


def test_all_at_one_place_can_be_thinned():
    assert len(evenly_spread(np.full((500, 2), 3.0), 50)) == 50
    assert len(evenly_spread(np.c_[np.arange(500.0), np.zeros(500)], 50)) == 50


def test_a_result_without_a_turn_is_told(here):
    result = match_images("a.png", "flat.png")
    assert verdict(result.to_dict()) == "not verified: not enough matches: 0, a homography needs 4"
