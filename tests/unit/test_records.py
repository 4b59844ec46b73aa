"""What features, matches and results are in Python: a line, a small picture, rows, tables, OpenCV's types."""

import copy
import pickle
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest

import siftcli
from siftcli import SiftParams
from siftcli._notebook import histogram_html, keypoints_html
from siftcli.compat import from_cv2
from siftcli.errors import MissingDependencyError, ParameterError
from siftcli.features import Features, Matches, array_fields

SAMPLES = Path(__file__).parents[2] / "sample_images"
CAMERA = SAMPLES / "camera.png"


@pytest.fixture(scope="module")
def f():
    return siftcli.detect(CAMERA, max_features=300)


@pytest.fixture(scope="module")
def matches(f):
    return siftcli.match(f, f, ratio=0.8)


@pytest.fixture(scope="module")
def none():
    return siftcli.detect(np.zeros((40, 50), np.uint8))


def same(a, b):
    return all(np.array_equal(getattr(a, field.name), getattr(b, field.name)) for field in array_fields())


# --- rows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [slice(3, 40, 2), np.arange(300) % 3 == 0, np.array([5, 1, 1, -1]), [2, 0]])
def test_rows_are_those_of_every_array(f, rows):
    chosen = f[rows]
    assert isinstance(chosen, Features)
    assert len(chosen) == len(f.scale[rows])
    for field in array_fields():
        np.testing.assert_array_equal(getattr(chosen, field.name), getattr(f, field.name)[rows])
    assert same(chosen, f.select(rows))
    assert (chosen.image_name, chosen.image_size, chosen.params) == (f.image_name, f.image_size, f.params)


@pytest.mark.parametrize("rows", [slice(2, 9), np.array([4, 0]), [True] + [False] * 299])
def test_rows_of_matches(matches, rows):
    rows = rows[: len(matches)] if isinstance(rows, list) else rows
    chosen = matches[rows]
    assert isinstance(chosen, Matches)
    np.testing.assert_array_equal(chosen.pairs, matches.pairs[rows])
    np.testing.assert_array_equal(chosen.distance, matches.distance[rows])
    np.testing.assert_array_equal(chosen.ratio, matches.select(rows).ratio)


def test_inliers_choose_matches(f, matches):
    verified = siftcli.verify(f, f, matches)
    assert len(matches[verified.inliers]) == verified.n_inliers > 100


def test_no_rows(f, none):
    for rows in ([], slice(0, 0), np.zeros(300, bool), np.zeros(0, np.int64)):
        assert len(f[rows]) == 0
    assert len(none[[]]) == len(none[:5]) == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (3, r"one row is \[3:4\]"),
        (1.5, "rows must be a slice"),
        ("x", "rows must be a slice"),
        (np.zeros((2, 2), int), r"got an array of int64, shape \(2, 2\)"),
        (np.array([0.0, 1.0]), "an array of whole numbers; got an array of float64"),
        (np.ones(300, np.uint8), "rows of uint8 may be a mask or numbers"),
        (np.ones(299, bool), "a mask of 300 rows must have as many values; got 299"),
        ([0, 300], "rows must be below 300, the number of rows; got 300"),
        ([-301], "got -301"),
    ],
)
def test_wrong_rows_are_refused(f, rows, message):
    with pytest.raises(ParameterError, match=message):
        f[rows]


# --- one line -------------------------------------------------------------------------------------------


def test_features_and_matches_in_one_line(f, matches, none):
    low, high = f.scale.min(), f.scale.max()
    expected = f"300 keypoints of 'camera.png', 512 x 512 px, sigma {low:.3g} to {high:.3g} px, rootsift"
    assert repr(f) == f"<Features: {expected}>"
    assert repr(f[:1]).startswith("<Features: 1 keypoint of ")
    assert repr(none) == "<Features: 0 keypoints, 50 x 40 px, rootsift>"
    assert repr(matches).startswith(f"<Matches: {len(matches)} pairs, distance 0 to ")
    assert repr(matches[[]]) == "<Matches: 0 pairs>"


def test_results_in_one_line(f, matches):
    verified = siftcli.verify(f, f, matches)
    n = len(matches)
    assert repr(verified) == (
        f"<Verification: homography, {n} of {n} matches, within 3 px, "
        "rotation 0.00 deg, scale 1.0000, shift (0.00, 0.00) px>"
    )
    refused = siftcli.verify(f, f, matches[:2])
    assert repr(refused) == "<Verification: no homography, not enough matches: 2, a homography needs 4>"
    assert repr(verified.guide()) == "<Guide: homography, within 3 px>"
    camera = siftcli.Camera.centred(500, (512, 512))
    essential = siftcli.verify(f, f, matches, "essential", cameras=(camera, camera))
    assert "\n" not in repr(essential)
    assert repr(essential.pose) == "<RelativePose: rotation 0.00 deg, without a direction>"
    pose = siftcli.RelativePose(rotation=np.eye(3), direction=np.array([1.0, 0, 0]))
    assert repr(pose) == "<RelativePose: rotation 0.00 deg, direction (1.000, 0.000, 0.000)>"


def test_alignments_in_one_line(none):
    aligned = siftcli.align(CAMERA, CAMERA, max_features=300)
    assert repr(aligned).startswith("<Alignment: 512 x 512 px at (0, 0), ")
    assert "\n" not in repr(aligned)
    nothing = siftcli.align(np.zeros((60, 60), np.uint8), CAMERA)
    assert repr(nothing).startswith("<Alignment: no transform, ")


def test_explanations_in_one_line(f):
    explained = siftcli.explain(CAMERA, keypoint=0)
    (x, y), sigma = f.xy[0], f.scale[0]
    expected = f"keypoint of 'camera.png' at ({x:.2f}, {y:.2f}), sigma {sigma:.2f} px"
    assert repr(explained) == f"<Explanation: {expected}>"


@pytest.mark.parametrize("preset", ["default", "classic", "dense"])
def test_parameters_are_shown_as_they_are_made(preset):
    params = SiftParams.preset(preset, max_features=7)
    assert eval(repr(params), {"SiftParams": SiftParams}) == params
    assert repr(SiftParams()) == "SiftParams()"


def test_names_cannot_break_the_line():
    named = Features(
        **{name: np.zeros((0, 2)) if name == "xy" else np.zeros(0) for name in NAMES},
        descriptors=np.zeros((0, 128)),
        image_size=(0, 0),
        image_name="a\n\x1b[31m.png",
    )
    assert repr(named) == r"<Features: 0 keypoints of 'a\n\x1b[31m.png', sift>"


NAMES = ("xy", "scale", "orientation", "response", "sign", "octave")


# --- pictures in notebooks ------------------------------------------------------------------------------


def parsed(html):
    """The HTML, which is well-formed XML too, without namespaces."""
    return ET.fromstring(html.replace(' xmlns="http://www.w3.org/2000/svg"', ""))


def test_keypoints_on_a_plain_ground(f):
    html = f._repr_html_()
    assert len(html) < 30_000
    assert html == f._repr_html_()
    figure = parsed(html)
    assert figure.find("figcaption").text == repr(f)[len("<Features: ") : -1]
    svg = figure.find("svg")
    assert svg.get("viewBox") == "-0.5 -0.5 512 512"
    assert (svg.get("width"), svg.get("height")) == ("320", "320")
    paths = [path.get("d") for path in svg.iter("path")]
    assert sum(path.count("M") for path in paths) == 200  # the strongest
    first = f[:1]
    [path] = parsed(first._repr_html_()).iter("path")
    x, y, rest = *path.get("d")[1:].split("l")[0].split(), path.get("d").split("l")[1]
    np.testing.assert_allclose([float(x), float(y)], first.xy[0], rtol=1e-5)
    dx, dy = map(float, rest.split("a")[0].split())
    assert np.hypot(dx, dy) == pytest.approx(3 * first.scale[0], rel=1e-3)
    assert np.arctan2(dy, dx) % (2 * np.pi) == pytest.approx(first.orientation[0], abs=1e-3)


def test_pictures_of_nothing(none, matches):
    assert parsed(none._repr_html_()).find("svg") is not None
    assert parsed(matches[[]]._repr_html_()).find("svg") is None


def test_names_are_escaped():
    html = keypoints_html("<script>alert('&\"')</script>", *np.zeros((4, 0, 2)), (0, 0))
    assert "<script" not in html
    assert parsed(html).find("figcaption").text == "<script>alert('&\"')</script>"
    assert "<b>" not in histogram_html("<b>", np.ones(1), 0, 1, "ratio")


def test_wild_numbers_make_no_wild_picture():
    xy = np.array([[np.nan, 1], [1e30, 2], [5, 5]], np.float32)
    columns = np.ones(3, np.float32), np.array([0, np.inf, 1], np.float32), np.ones(3, np.int8)
    for size in ((0, 0), (30, 20)):
        html = keypoints_html("wild", xy, *columns, size)
        assert "nan" not in html
        assert "inf" not in html
        parsed(html)


def test_an_unknown_size_is_that_of_the_keypoints():
    html = keypoints_html(
        "x", np.array([[100.0, 50]]), np.array([2.0]), np.zeros(1), np.ones(1, np.int8), (0, 0)
    )
    assert parsed(html).find("svg").get("viewBox") == "94 44 12 12"


def test_ratios_as_a_histogram(matches):
    figure = parsed(matches._repr_html_())
    bars = list(figure.find("svg").iter("rect"))
    heights = np.array([float(bar.get("height")) for bar in bars])
    counts = np.histogram(matches.ratio, 20, (0, 1))[0]
    np.testing.assert_allclose(heights, 80 * counts[counts > 0] / counts.max(), atol=0.06)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_an_aligned_picture_is_shown_small(dtype, channels):
    whole = np.asarray(cv2.imread(str(CAMERA), cv2.IMREAD_GRAYSCALE))
    image = whole.astype(dtype) * {np.uint8: 1, np.uint16: 256, np.float32: 1 / 255}[dtype]
    stack = np.repeat(image[:, :, None], channels, axis=2) if channels > 1 else image
    aligned = siftcli.align(stack, stack, "translation", refine="none", max_features=100)
    if channels in (2, 4):
        assert aligned.image is not None
    html = aligned._repr_html_()
    assert len(html) < 250_000
    assert parsed(html).find("img").get("src").startswith("data:image/png;base64,")


def test_no_aligned_picture():
    nothing = siftcli.align(np.zeros((60, 60), np.uint8), CAMERA)
    assert parsed(nothing._repr_html_()).find("img") is None


# --- tables ---------------------------------------------------------------------------------------------


def test_features_as_a_table(f):
    table = f.to_pandas()
    assert list(table) == ["x", "y", "scale", "orientation", "response", "sign", "octave"]
    assert len(table) == 300
    np.testing.assert_array_equal(table[["x", "y"]], f.xy)
    for name in ("scale", "orientation", "response", "sign", "octave"):
        np.testing.assert_array_equal(table[name], getattr(f, name))
        assert table[name].dtype == getattr(f, name).dtype
    whole = f.to_pandas(descriptors=True)
    np.testing.assert_array_equal(whole[[f"d{i}" for i in range(128)]], f.descriptors)


def test_a_table_is_a_copy(f):
    table = f.to_pandas()
    table.loc[0, "x"] = -1.0
    assert f.xy[0, 0] != -1
    assert not f.xy.flags.writeable


def test_matches_as_a_table(f, matches):
    assert list(matches.to_pandas()) == ["row_a", "row_b", "distance", "ratio"]
    table = matches.to_pandas(f, f)
    np.testing.assert_array_equal(table[["x_a", "y_a"]], f.xy[matches.pairs[:, 0]])
    np.testing.assert_array_equal(table[["x_b", "y_b"]], f.xy[matches.pairs[:, 1]])
    with pytest.raises(ParameterError, match="rows must be below 5"):
        matches.to_pandas(f[:5], f)


def test_without_pandas(f, matches, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    message = r"needs the Python package pandas.*pip install 'siftcli\[pandas\]'"
    with pytest.raises(MissingDependencyError, match=rf"Features.to_pandas\(\) {message}"):
        f.to_pandas()
    with pytest.raises(MissingDependencyError, match=rf"Matches.to_pandas\(\) {message}"):
        matches.to_pandas()


# --- OpenCV's types -------------------------------------------------------------------------------------


def test_there_and_back(f):
    keypoints, descriptors = f.to_cv2()
    assert all(isinstance(k, cv2.KeyPoint) for k in keypoints)
    assert descriptors.dtype == np.float32
    back = from_cv2(keypoints, descriptors, f.image_size, f.descriptor_kind)
    for name in ("xy", "scale", "response", "octave", "descriptors"):
        np.testing.assert_array_equal(getattr(back, name), getattr(f, name))
    # degrees in single precision
    np.testing.assert_allclose(back.orientation, f.orientation, rtol=3e-7)
    assert (back.image_size, back.descriptor_kind) == (f.image_size, f.descriptor_kind)
    assert not back.sign.any()


def test_the_dropin_and_the_features_have_the_same_keypoints():
    image = cv2.imread(str(CAMERA), cv2.IMREAD_GRAYSCALE)
    dropin, _ = siftcli.compat.SIFT_create(nfeatures=50).detectAndCompute(image, None)
    keypoints, _ = siftcli.detect(image, preset="classic", max_features=50).to_cv2()
    for a, b in zip(dropin, keypoints, strict=True):
        assert (a.pt, a.size, a.angle, a.response, a.octave) == (b.pt, b.size, b.angle, b.response, b.octave)


def test_opencv_draws_them(f, matches):
    keypoints, _ = f.to_cv2()
    image = cv2.imread(str(CAMERA))
    drawn = cv2.drawMatches(image, keypoints, image, keypoints, matches.to_cv2(), None)
    assert drawn.shape == (512, 1024, 3)
    first = matches.to_cv2()[0]
    assert [first.queryIdx, first.trainIdx] == matches.pairs[0].tolist()
    assert first.distance == matches.distance[0]


def test_features_of_opencv_can_be_matched(f):
    image = cv2.imread(str(CAMERA), cv2.IMREAD_GRAYSCALE)
    theirs = from_cv2(*cv2.SIFT_create(300).detectAndCompute(image, None), image_size=(512, 512))
    assert len(siftcli.match(theirs, theirs)) > 250
    with pytest.raises(ParameterError, match="different kinds"):
        siftcli.match(theirs, f)


def test_nothing_there_and_back(none):
    keypoints, descriptors = none.to_cv2()
    assert (keypoints, descriptors.shape) == ((), (0, 128))
    assert len(from_cv2([], None)) == len(from_cv2(*none.to_cv2())) == 0


@pytest.mark.parametrize(
    ("descriptors", "message"),
    [
        (np.zeros((2, 128)), r"must have shape \(1, 128\); got \(2, 128\)"),
        (np.zeros((1, 32), np.uint8), r"got \(1, 32\)"),
        (np.full((1, 128), 0.1), "whole numbers from 0 to 255"),
        (np.full((1, 128), 256), "whole numbers from 0 to 255"),
        (np.full((1, 128), -1), "whole numbers from 0 to 255"),
        (np.full((1, 128), np.nan), "whole numbers from 0 to 255"),
    ],
)
def test_other_descriptors_are_refused(descriptors, message):
    with pytest.raises(ParameterError, match=message):
        from_cv2([cv2.KeyPoint(1, 2, 3)], descriptors)


# --- presets --------------------------------------------------------------------------------------------


def test_a_preset_by_name():
    image = cv2.imread(str(CAMERA), cv2.IMREAD_GRAYSCALE)[100:250, 100:250]
    dense = siftcli.detect(image, preset="dense", max_features=200)
    assert same(dense, siftcli.detect(image, SiftParams.preset("dense", max_features=200)))
    assert dense.params == SiftParams.preset("dense", max_features=200)
    classic = siftcli.describe(image, dense, preset="classic")
    assert classic.params == SiftParams.classic()
    assert siftcli.explain(image, preset="classic").view.params.sigma == SiftParams.classic().sigma


@pytest.mark.parametrize("function", [siftcli.detect, siftcli.explain])
def test_a_preset_beside_parameters_is_refused(function):
    with pytest.raises(ParameterError, match=r"got both; SiftParams.preset\('dense', ...\)"):
        function(CAMERA, SiftParams(), preset="dense")
    with pytest.raises(ParameterError, match="unknown preset 'fast'; expected one of default"):
        function(CAMERA, preset="fast")
    with pytest.raises(ParameterError, match="got both"):
        siftcli.align(CAMERA, CAMERA, params=SiftParams(), preset="dense")


def test_records_are_copied_and_pickled(f, matches):
    assert same(pickle.loads(pickle.dumps(f)), f)
    assert same(copy.deepcopy(f[:9]), f[:9])
    assert repr(pickle.loads(pickle.dumps(matches))) == repr(matches)
