"""The drop-in beside OpenCV's own SIFT."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import siftcli
from siftcli._cv2 import import_cv2, unpacked_octaves
from siftcli.compat import SIFT_create
from siftcli.errors import ParameterError

cv2 = import_cv2()
SAMPLES = Path(__file__).parents[2] / "sample_images"


@pytest.fixture(scope="module")
def image():
    return cv2.imread(str(SAMPLES / "chelsea.png"))


@pytest.fixture(scope="module")
def found(image):
    return SIFT_create().detectAndCompute(image, None)


def program(create):
    """A program as its users write it; only the function that makes the detector changes."""
    grey = cv2.imread(str(SAMPLES / "camera.png"), cv2.IMREAD_GRAYSCALE)
    turned = cv2.rotate(grey, cv2.ROTATE_90_COUNTERCLOCKWISE)
    sift = create(nfeatures=400)
    keypoints_1, descriptors_1 = sift.detectAndCompute(grey, None)
    keypoints_2 = sift.detect(turned, None)
    keypoints_2, descriptors_2 = sift.compute(turned, keypoints_2)
    nearest = cv2.BFMatcher(sift.defaultNorm()).knnMatch(descriptors_1, descriptors_2, k=2)
    good = [m for m, n in nearest if m.distance < 0.75 * n.distance]
    first = np.float32([keypoints_1[m.queryIdx].pt for m in good]).reshape(-1, 1, 2)
    second = np.float32([keypoints_2[m.trainIdx].pt for m in good]).reshape(-1, 1, 2)
    model, mask = cv2.findHomography(first, second, cv2.RANSAC, 3.0)
    picture = cv2.drawMatches(
        grey, keypoints_1, turned, keypoints_2, good, None, matchesMask=mask.ravel().tolist(), flags=2
    )
    cv2.drawKeypoints(grey, keypoints_1, None, flags=cv2.DRAW_MATCHES_FLAGS_DRAW_RICH_KEYPOINTS)
    return model, int(mask.sum()), picture.shape


def test_a_program_written_against_opencv_runs_unchanged_and_finds_at_least_as_much():
    model, n_inliers, shape = program(SIFT_create)
    _, n_of_opencv, same_shape = program(cv2.SIFT_create)
    # rot90 of a 512 × 512 image: (x, y) goes to (y, 511 - x)
    np.testing.assert_allclose(model, [[0, 1, 0], [-1, 0, 511], [0, 0, 1]], atol=0.02)
    assert n_inliers >= n_of_opencv
    assert shape == same_shape


def test_names_and_defaults_are_opencv_s():
    ours, theirs = SIFT_create(), cv2.SIFT_create()
    getters = [name for name in dir(theirs) if name.startswith("get")]
    assert len(getters) >= 6
    for name in [*getters, "descriptorSize", "descriptorType", "defaultNorm", "empty"]:
        assert getattr(ours, name)() == getattr(theirs, name)(), name
    ours.clear()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NFeatures", 7),
        ("NOctaveLayers", 4),
        ("ContrastThreshold", 0.03),
        ("EdgeThreshold", 12.0),
        ("Sigma", 1.7),
    ],
)
def test_what_is_set_is_got(name, value):
    sift = SIFT_create()
    getattr(sift, f"set{name}")(value)
    assert getattr(sift, f"get{name}")() == value


def test_arguments_are_accepted_in_opencv_s_order(image):
    arguments = (50, 4, 0.03, 12, 1.5, True)
    ours, theirs = SIFT_create(*arguments), cv2.SIFT_create(*arguments)
    for name in ("getNFeatures", "getNOctaveLayers", "getContrastThreshold", "getEdgeThreshold", "getSigma"):
        assert getattr(ours, name)() == getattr(theirs, name)()
    assert len(ours.detect(image)) == 50


def test_keypoints_are_those_of_detect_in_opencv_s_units(image, found):
    keypoints, descriptors = found
    features = siftcli.detect(image[:, :, ::-1], siftcli.SiftParams.classic())  # RGB
    assert isinstance(keypoints, tuple)
    assert isinstance(keypoints[0], cv2.KeyPoint)
    assert descriptors.dtype == np.float32
    np.testing.assert_array_equal(descriptors, features.descriptors)
    np.testing.assert_array_equal([k.pt for k in keypoints], features.xy)
    np.testing.assert_array_equal([k.size for k in keypoints], 2 * features.scale)
    np.testing.assert_allclose([k.angle for k in keypoints], np.rad2deg(features.orientation), rtol=1e-6)
    assert all(0 <= k.angle < 360 for k in keypoints)
    alone = SIFT_create().detect(image)
    assert [(k.pt, k.size, k.angle) for k in alone] == [(k.pt, k.size, k.angle) for k in keypoints]


def test_octaves_are_packed_as_opencv_packs_them(image, found):
    keypoints, _ = found
    theirs = cv2.SIFT_create(enable_precise_upscale=True).detect(image, None)
    compared = 0
    for k in theirs:
        near = [
            o for o in keypoints
            if np.hypot(o.pt[0] - k.pt[0], o.pt[1] - k.pt[1]) < 0.1 and abs(np.log2(o.size / k.size)) < 0.01
        ]  # fmt: skip
        for o in near:
            assert o.octave & 0xFFFF == k.octave & 0xFFFF
            assert abs((o.octave >> 16) - (k.octave >> 16)) <= 0.01 * 3 * 255 + 2
            compared += 1
    assert compared > 100


@given(st.integers(-128, 127), st.integers(0, 255), st.integers(0, 255))
def test_octaves_survive_packing(octave, layer, offset):
    assert unpacked_octaves([(octave & 255) | (layer << 8) | (offset << 16)]).tolist() == [octave]


def test_given_keypoints_are_described_as_when_they_were_found(image, found):
    keypoints, descriptors = found
    some = list(keypoints[::3])
    same, again = SIFT_create().compute(image, some)
    assert [k.pt for k in same] == [k.pt for k in some]
    # degrees and radians in single precision differ in the last bit, which may move a byte by one
    assert np.abs(again - descriptors[::3]).max() <= 1


def test_opencv_s_keypoints_are_described_as_opencv_describes_them(image):
    theirs = cv2.SIFT_create(nfeatures=300, enable_precise_upscale=True)
    keypoints, descriptors = theirs.detectAndCompute(image, None)
    _, ours = SIFT_create().compute(image, keypoints)
    cosine = (
        (ours * descriptors).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(descriptors, axis=1)
    )
    assert np.median(cosine) > 0.98


@given(st.floats(20, 200), st.floats(20, 200), st.floats(2, 40), st.floats(-1, 360))
@settings(max_examples=15, deadline=None)
def test_a_keypoint_made_by_hand_is_described(image, x, y, size, angle):
    keypoints, descriptors = SIFT_create().compute(image, [cv2.KeyPoint(x, y, size, angle)])
    assert len(keypoints) == 1
    assert descriptors.shape == (1, 128)
    assert np.isfinite(descriptors).all()


def test_a_mask_is_respected(image):
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[100:200, 150:300] = 255
    keypoints = SIFT_create().detect(image, mask)
    assert len(keypoints) > 10
    for k in keypoints:
        assert 149.5 <= k.pt[0] <= 299.5
        assert 99.5 <= k.pt[1] <= 199.5


def test_grey_colour_and_alpha_are_the_image_that_opencv_sees(image):
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    sift = SIFT_create()
    of_colour = [k.pt for k in sift.detect(image)]
    of_alpha = [k.pt for k in sift.detect(cv2.cvtColor(image, cv2.COLOR_BGR2BGRA))]
    assert of_colour == of_alpha
    assert len(sift.detect(grey)) == pytest.approx(len(of_colour), rel=0.05)


def test_a_list_of_images_gives_a_tuple_each(image):
    sift = SIFT_create(nfeatures=20)
    both = sift.detect([image, image[:100]], [None, None])
    assert [k.pt for k in both[0]] == [k.pt for k in sift.detect(image)]
    assert [k.pt for k in both[1]] == [k.pt for k in sift.detect(image[:100])]


def test_nothing_found_is_what_opencv_returns():
    flat = np.full((64, 64), 128, np.uint8)
    ours, theirs = SIFT_create(), cv2.SIFT_create()
    assert ours.detect(flat) == theirs.detect(flat) == ()
    for (keypoints, found), (_, expected) in (
        (ours.detectAndCompute(flat, None), theirs.detectAndCompute(flat, None)),
        (ours.compute(flat, []), theirs.compute(flat, [])),
    ):
        assert keypoints == ()
        if expected is None:  # until OpenCV 5.0
            assert found is None
        else:
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype) == ((0, 128), np.float32)


def test_bytes_on_request(image):
    _, descriptors = SIFT_create(nfeatures=5, descriptorType=cv2.CV_8U).detectAndCompute(image, None)
    assert descriptors.dtype == np.uint8


def test_a_wrong_value_is_refused():
    with pytest.raises(ParameterError, match="descriptorType"):
        SIFT_create(descriptorType=3)
    with pytest.raises(ParameterError, match="levels_per_octave"):
        SIFT_create(nOctaveLayers=0)


def test_it_is_reached_from_the_package():
    assert siftcli.compat.SIFT_create is SIFT_create
