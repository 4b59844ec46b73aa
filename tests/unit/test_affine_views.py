"""Simulated views: their geometry, the way back, merging, masks, and what they are for."""

import math

import cv2
import numpy as np
import pytest
from conftest import SAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import siftcli
from siftcli import affine_views
from siftcli.__main__ import run
from siftcli.affine_views import View, mapped_back, merge_structures, simulated, views
from siftcli.errors import ParameterError
from siftcli.features import Features
from siftcli.formats._collections import open_reader
from siftcli.image import read_image
from siftcli.views.planar import map_points

CAMERA = next(p for p in SAMPLES if p.name == "camera.png")


@pytest.fixture(scope="module")
def grey():
    """A quarter of the photograph, so that the tests are quick."""
    return np.ascontiguousarray(read_image(CAMERA).grey[60:316, 120:376])


def features(xy, scale, orientation, descriptors=None, sign=None, image_size=(256, 256)):
    n = len(xy)
    return Features(
        xy=xy, scale=scale, orientation=orientation, response=np.ones(n),
        sign=np.ones(n) if sign is None else sign, octave=np.zeros(n),
        descriptors=np.zeros((n, 128)) if descriptors is None else descriptors, image_size=image_size,
    )  # fmt: skip


def columns_of(f):
    return {name: np.array(getattr(f, name)) for name in
            ("xy", "scale", "orientation", "response", "sign", "octave", "descriptors")}  # fmt: skip


def test_the_views_are_those_of_the_paper():
    # Morel and Yu, section 3.3: √2^k, and turns below 180° at steps of 72° / t.
    found = list(views(5))
    counts = [sum(math.isclose(view.tilt, math.sqrt(2) ** k) for view in found) for k in range(1, 6)]
    assert counts == [4, 5, 8, 10, 15]
    assert all(0 <= view.turn_rad < math.pi for view in found)
    assert [view.tilt for view in found] == sorted(view.tilt for view in found)
    assert list(views(0)) == []


@given(st.floats(1, 6), st.floats(0, 3.1), st.tuples(st.integers(5, 90), st.integers(5, 90)))
@settings(max_examples=60, deadline=None)
def test_a_view_shows_the_whole_image(tilt, turn, shape):
    _, to_view, _, (width, height) = View(tilt, turn).canvas(shape)
    corners = np.array([[x, y, 1] for x in (0, shape[1] - 1) for y in (0, shape[0] - 1)]) @ to_view.T
    assert (corners >= -1e-9).all()
    assert (corners <= np.array([width, height]) - 1 + 1e-9).all()
    assert np.linalg.det(to_view[:, :2]) == pytest.approx(1 / tilt)


def test_a_view_has_the_values_of_the_image_where_the_map_says():
    y, x = np.mgrid[:120, :150]
    smooth = (0.5 + 0.2 * np.sin(x / 25) + 0.2 * np.cos(y / 30)).astype(np.float32)
    image, _, room, to_view = simulated(smooth, None, None, View(2.0, 0.7))
    inside = np.argwhere(room > 8)[::37, ::-1].astype(float)
    there = map_points(np.linalg.inv(np.vstack([to_view, [0, 0, 1]])), inside)
    expected = 0.5 + 0.2 * np.sin(there[:, 0] / 25) + 0.2 * np.cos(there[:, 1] / 30)
    # the blur of the tilt lowers waves of this length by less than 0.2 %
    np.testing.assert_allclose(image[inside[:, 1].astype(int), inside[:, 0].astype(int)], expected, atol=2e-3)


def test_what_a_tilt_cannot_show_is_blurred_away():
    stripes = np.tile(np.array([0, 1], np.float32), (64, 32))
    image, _, room, _ = simulated(stripes, None, None, View(4.0, 0.0))
    assert np.ptp(image[room > 6]) < 0.01


@given(st.floats(1, 6), st.floats(0, 3.1), st.floats(0, 6.28))
@settings(max_examples=60, deadline=None)
def test_the_way_back_is_the_inverse_of_the_map(tilt, turn, angle):
    _, to_view, _, _ = View(tilt, turn).canvas((256, 256))
    xy = np.array([[100.0, 60.0]])
    direction = to_view[:, :2] @ [math.cos(angle), math.sin(angle)]
    in_view = features(
        xy @ to_view[:, :2].T + to_view[:, 2], [3.0], [math.atan2(direction[1], direction[0]) % (2 * np.pi)]
    )
    back = mapped_back(in_view, to_view)
    np.testing.assert_allclose(back.xy, xy, atol=1e-3)  # single precision
    assert back.scale[0] == pytest.approx(3 * math.sqrt(tilt), rel=1e-5)
    assert math.cos(back.orientation[0] - angle) == pytest.approx(1, abs=1e-6)


def test_features_of_one_structure_share_its_position_and_duplicates_go():
    descriptors = np.zeros((5, 128), np.uint8)
    descriptors[2, 0] = 250  # another look of the same structure
    xy = [[50, 50], [50.5, 50], [50.2, 50.3], [60, 50], [50.1, 50]]
    columns = columns_of(features(xy, [4, 4.2, 3.9, 4, 4], [1, 1.1, 0.9, 1, 3], descriptors))
    assert merge_structures(columns, np.arange(5)).tolist() == [0, 2, 3, 4]
    np.testing.assert_array_equal(columns["xy"][2], columns["xy"][0])
    np.testing.assert_array_equal(columns["xy"][[3, 4]], np.float32([[60, 50], [50.1, 50]]))


@pytest.mark.parametrize(
    "changed",
    [{"scale": [4, 5.5]}, {"orientation": [1, 1.4]}, {"sign": [1, -1]}, {"xy": [[50, 50], [52.2, 50]]}],
)
def test_different_structures_are_not_merged(changed):
    base = {"xy": [[50, 50], [50, 50]], "scale": [4, 4], "orientation": [1, 1]}
    assert merge_structures(columns_of(features(**base)), np.arange(2)).tolist() == [0]
    assert merge_structures(columns_of(features(**base)), np.zeros(2, int)).tolist() == [0, 1]  # one view
    assert merge_structures(columns_of(features(**{**base, **changed})), np.arange(2)).tolist() == [0, 1]


def test_views_add_features_and_keep_those_of_the_image(grey):
    plain, found = siftcli.detect(grey), siftcli.detect(grey, views=1)
    frames = [
        {tuple(row) for row in np.column_stack([f.xy, f.scale, f.orientation]).tolist()}
        for f in (plain, found)
    ]
    assert frames[0] <= frames[1]
    assert len(found) > 1.5 * len(plain)
    assert found.params.views == 1
    assert found.removed["same_in_views"] > 0
    accounted = sum(n for name, n in found.removed.items() if name != "candidates")
    assert found.removed["candidates"] > accounted  # the others became features
    assert (np.diff(found.response) <= 0).all()
    assert (found.xy > -0.5).all()
    assert (found.xy < 255.5).all()


def test_the_result_does_not_depend_on_threads_and_is_limited(grey):
    one, two = (siftcli.detect(grey, views=1, max_features=200, threads=n) for n in (1, 2))
    assert len(one) == 200
    for name in ("xy", "scale", "orientation", "response", "descriptors"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.removed["over_limit"] > 0


def test_without_descriptors_the_same_features_are_found(grey):
    full, bare = (siftcli.detect(grey, views=1, with_descriptors=on) for on in (True, False))
    np.testing.assert_array_equal(full.xy, bare.xy)
    assert not bare.descriptors.any()


def test_masks_and_pixels_without_a_value_hold_in_views(grey):
    mask = np.zeros(grey.shape, np.uint8)
    mask[:, 100:] = 255
    found = siftcli.detect(grey, views=1, mask=mask)
    assert len(found) > len(siftcli.detect(grey, mask=mask))
    assert (found.xy[:, 0] > 99.49).all()
    holed = grey.copy()
    holed[:, :100] = np.nan
    found = siftcli.detect(holed, views=1, nodata=math.nan)
    assert len(found) > len(siftcli.detect(holed, nodata=math.nan))
    assert (found.xy[:, 0] > 100).all()


def test_tiny_and_plain_images_have_no_features_in_views():
    assert len(siftcli.detect(np.zeros((3, 200), np.float32), views=6)) == 0
    assert len(siftcli.detect(np.full((40, 40), 0.5, np.float32), views=2)) == 0


def test_views_are_refused_where_they_cannot_work(grey):
    with pytest.raises(ParameterError, match="views must be 0 with upright"):
        siftcli.detect(grey, views=1, upright=True)
    with pytest.raises(ParameterError, match="views must be between 0 and 6"):
        siftcli.detect(grey, views=7)
    found = siftcli.detect(grey, views=1)
    with pytest.raises(ParameterError, match="cannot be described again"):
        siftcli.describe(grey, found)
    assert len(siftcli.describe(grey, found, views=0)) == len(found)


def test_memory_of_views_is_counted(monkeypatch, grey):
    base = affine_views.working_bytes(grey.shape, 0)
    assert base == 0 < affine_views.working_bytes(grey.shape, 1)
    # a view turned by 50.9° is √2 · 256 px wide, and a little more for its margin
    assert affine_views.working_bytes(grey.shape, 1) >= affine_views.BYTES_PER_PIXEL * 350**2


def tilted(image, deg):
    """The image as a tilted plane, each pixel the mean of 4 × 4 samples, and the map from the image."""
    height, width = image.shape
    angle, c, s = math.radians(deg), math.cos(0.3), math.sin(0.3)
    centre = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1]])
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    lean = np.array([[math.cos(angle), 0, 0], [0, 1, 0], [math.sin(angle) / (2 * width), 0, 1]])
    model = np.linalg.inv(centre) @ turn.T @ lean @ turn @ centre
    # pixel centres of the finer grid: (x + 0.5) · 4 - 0.5
    finer = np.array([[4, 0, 1.5], [0, 4, 1.5], [0, 0, 1]])
    large = cv2.warpPerspective(image, finer @ model, (4 * width, 4 * height), flags=cv2.INTER_LINEAR)
    return cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA), model


def n_correct(first, second, model):
    pairs = siftcli.match(first, second).pairs
    shift = map_points(model, first.xy[pairs[:, 0]].astype(float)) - second.xy[pairs[:, 1]]
    return int(np.count_nonzero(np.linalg.norm(shift, axis=1) < 3))


def test_views_match_where_plain_detection_fails(grey):
    view, model = tilted(grey, 70)
    plain = siftcli.detect(grey), siftcli.detect(view)
    found = siftcli.detect(grey, views=2), siftcli.detect(view, views=2)
    assert siftcli.verify(*plain, siftcli.match(*plain)).model is None
    verified = siftcli.verify(*found, siftcli.match(*found))
    corners = np.array([[0.0, 0], [255, 0], [0, 255], [255, 255]])
    assert np.abs(map_points(verified.model, corners) - map_points(model, corners)).max() < 3
    assert n_correct(*found, model) > 10 * max(n_correct(*plain, model), 1)


def test_the_command_detects_in_views(tmp_path, grey, capfd):
    Image.fromarray(np.uint8(255 * grey)).save(tmp_path / "a.png")
    Image.fromarray(np.uint8(255 * grey[:200])).save(tmp_path / "b.png")
    paths = [str(tmp_path / name) for name in ("a.png", "b.png")]
    for jobs, name in (("1", "one.db"), ("2", "two.db")):
        args = ["--views", "1", "--max-features", "300", "--jobs", jobs, "-q", "-o", str(tmp_path / name)]
        assert run(["detect", *paths, *args]) == 0
    found = []
    for name in ("one.db", "two.db"):
        with open_reader(tmp_path / name) as reader:
            found.append(reader.read("a.png").features)
    np.testing.assert_array_equal(found[0].descriptors, found[1].descriptors)
    plain = siftcli.detect(paths[0], max_features=300)
    assert not np.array_equal(found[0].xy, plain.xy)
    assert run(["detect", paths[0], "--views", "1", "--upright", "-o", str(tmp_path / "z.npz")]) == 2
    assert "--views has no effect with --upright" in capfd.readouterr().err
