"""Models recovered from matches whose geometry is known."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from siftcli._cv2 import import_cv2
from siftcli.errors import ParameterError
from siftcli.features import Features, Matches
from siftcli.matching import random_search
from siftcli.matching.cameras import Camera, RelativePose
from siftcli.matching.options import MIN_MATCHES, MODELS
from siftcli.matching.random_search import CONFIDENCE, enough_iterations, fundamental, relative_pose
from siftcli.matching.residuals import sampson_errors, transfer_errors
from siftcli.matching.verification import verify

SIZE = (641, 481)
CENTRE = np.array([320.0, 240.0])


def features(xy, scale=None):
    n = len(xy)
    one = np.ones(n)
    return Features(
        xy=np.reshape(xy, (n, 2)), scale=one if scale is None else scale, orientation=0 * one, response=one,
        sign=one, octave=0 * one, descriptors=np.zeros((n, 128)), image_size=SIZE,
    )  # fmt: skip


def row_by_row(n):
    one = np.ones(n, np.float32)
    return Matches(pairs=np.column_stack([np.arange(n)] * 2).astype(np.int32), distance=one, ratio=one)


def random_points(n, seed=0):
    return np.random.default_rng(seed).uniform((0, 0), SIZE, (n, 2))


def similarity(deg, scale, shift=(0.0, 0.0)):
    """Counter-clockwise on the screen about the centre, y down."""
    c, s = scale * math.cos(math.radians(deg)), scale * math.sin(math.radians(deg))
    linear = np.array([[c, s], [-s, c]])
    return np.vstack([np.column_stack([linear, CENTRE + shift - linear @ CENTRE]), [0, 0, 1]])


def mapped(xy, model):
    h = np.column_stack([xy, np.ones(len(xy))]) @ model.T
    return h[:, :2] / h[:, 2:]


def with_outliers(xy, n, seed=9):
    xy = xy.copy()
    xy[:n] = random_points(n, seed)
    return xy


@given(
    st.floats(-179.9, 180),
    st.floats(0.2, 5),
    st.tuples(st.floats(-300, 300), st.floats(-300, 300)),
    st.sampled_from(["similarity", "homography"]),
)
@settings(max_examples=60, deadline=None)
def test_turn_scale_and_shift_are_recovered_in_the_documented_sense(deg, scale, shift, model):
    first = random_points(80)
    truth = mapped(first, similarity(deg, scale, shift))
    second = with_outliers(truth, 25)
    # An outlier that by chance lies where it belongs is an inlier, a wrong one.
    assume(np.linalg.norm(second[:25] - truth[:25], axis=1).min() > 10)
    found = verify(features(first), features(second), row_by_row(80), model)
    assert found.inliers[25:].all()
    assert found.n_inliers < 65
    # single-precision coordinates up to some thousands of pixels carry errors near 1e-4 px
    assert abs((found.rotation_deg - deg + 180) % 360 - 180) < 1e-2
    assert found.scale == pytest.approx(scale, rel=2e-4)
    np.testing.assert_allclose(found.shift, shift, atol=0.05)
    assert -180 < found.rotation_deg <= 180


def test_a_quarter_turn_counter_clockwise_is_positive():
    # numpy.rot90 turns counter-clockwise on the screen: (x, y) goes to (y, width - 1 - x).
    x, y = random_points(20).T
    found = verify(features(np.c_[x, y]), features(np.c_[y, SIZE[0] - 1 - x]), row_by_row(20), "similarity")
    assert found.rotation_deg == pytest.approx(90, abs=1e-4)


def test_a_homography_is_recovered_and_its_turn_is_that_at_the_image_centre():
    tilt = np.array([[1, 0, 0], [0, 1, 0], [4e-4, -2e-4, 1.0]])
    to_centre = np.array([[1, 0, -320], [0, 1, -240], [0, 0, 1.0]])
    model = np.linalg.inv(to_centre) @ tilt @ to_centre @ similarity(33, 1.2)
    first = random_points(60)
    second = with_outliers(mapped(first, model), 20)
    found = verify(features(first), features(second), row_by_row(60))
    np.testing.assert_allclose(found.model / found.model[2, 2], model / model[2, 2], rtol=1e-3, atol=1e-6)
    assert found.inliers[20:].all()
    # at the centre the tilt's Jacobian is the identity
    assert found.rotation_deg == pytest.approx(33, abs=0.01)
    assert found.scale == pytest.approx(1.2, rel=1e-4)


def test_a_fundamental_matrix_separates_a_scene_in_depth_from_outliers():
    rng = np.random.default_rng(1)
    points = np.column_stack([rng.uniform(-2, 2, (90, 2)), rng.uniform(4, 9, 90)])
    first = 500 * points[:, :2] / points[:, 2:] + CENTRE
    moved = points + np.array([0.7, 0.1, 0.3])
    second = with_outliers(500 * moved[:, :2] / moved[:, 2:] + CENTRE, 25)
    found = verify(features(first), features(second), row_by_row(90), "fundamental", max_error=1.0)
    assert found.inliers[25:].all()
    assert found.n_inliers < 75
    lines = np.column_stack([first, np.ones(90)]) @ found.model.T
    off = np.abs((lines * np.column_stack([second, np.ones(90)])).sum(axis=1)) / np.hypot(*lines[:, :2].T)
    assert off[25:].max() < 0.1
    assert (found.rotation_deg, found.scale, found.shift) == (None, None, None)


@pytest.mark.parametrize("model", ["similarity", "homography"])
def test_inliers_are_the_matches_within_the_error_of_the_model(model):
    first = random_points(60)
    noise = np.random.default_rng(4).normal(0, 1.5, (60, 2))
    f, g = features(first), features(mapped(first, similarity(20, 1.1)) + noise)
    found = verify(f, g, row_by_row(60), model)
    assert 30 < found.n_inliers < 60
    error = np.hypot(*(mapped(f.xy, found.model) - g.xy).T)
    np.testing.assert_array_equal(found.inliers, error <= 3.0)
    assert verify(f, g, row_by_row(60), model, max_error=50.0).inliers.all()


def test_the_least_squares_fit_of_a_similarity_trusts_small_keypoints():
    first = random_points(40)
    second = mapped(first, similarity(0, 1.0))
    second[:20] += [2.0, 0.0]  # keypoints of σ = 30 px, displaced
    scale = np.r_[np.full(20, 30.0), np.ones(20)]
    found = verify(features(first, scale), features(second, scale), row_by_row(40), "similarity")
    assert found.inliers.all()
    assert abs(found.shift[0]) < 2.0 * 20 / 30**2


@pytest.mark.parametrize("model", MODELS)
def test_the_model_is_the_same_whatever_opencv_s_random_state(model):
    first, second = random_points(80, 1), random_points(80, 2)
    second[:20] = mapped(first[:20], similarity(10, 1.0))
    results = []
    for seed in (1, 2):
        import_cv2().setRNGSeed(seed)
        results.append(verify(features(first), features(second), row_by_row(80), model))
    np.testing.assert_array_equal(results[0].model, results[1].model)
    np.testing.assert_array_equal(results[0].inliers, results[1].inliers)


@pytest.mark.parametrize("model", MODELS)
def test_too_few_matches_are_counted_in_the_reason(model):
    for n in range(MIN_MATCHES[model]):
        found = verify(features(random_points(n)), features(random_points(n)), row_by_row(n), model)
        assert found.model is None
        assert found.reason.startswith(f"not enough matches: {n}, a {model}")
        assert found.reason.endswith(f" needs {MIN_MATCHES[model]}")
        assert found.inliers.shape == (n,)
        assert not found.inliers.any()
        assert found.guide() is None


def test_the_reason_reads_as_documented():
    found = verify(features(random_points(3)), features(random_points(3)), row_by_row(3))
    assert found.reason == "not enough matches: 3, a homography needs 4"


@pytest.mark.parametrize("model", ["similarity", "homography"])
def test_matches_that_all_share_one_place_have_no_model(model):
    xy = np.full((20, 2), 50.0)
    found = verify(features(xy), features(xy), row_by_row(20), model)
    assert found.model is None
    assert found.reason == f"no {model} fits the 20 matches"


@pytest.mark.parametrize("model", MODELS)
def test_degenerate_matches_are_a_result(model):
    line = np.column_stack([np.arange(30.0), np.arange(30.0)])
    found = verify(features(line), features(line[::-1]), row_by_row(30), model)
    assert found.inliers.shape == (30,)
    assert (found.model is None) == bool(found.reason)


@pytest.mark.parametrize("model", ["similarity", "homography"])
def test_repeated_places_do_no_harm(model):
    first = np.repeat(random_points(20), 3, axis=0)
    found = verify(features(first), features(mapped(first, similarity(70, 1.0))), row_by_row(60), model)
    assert found.n_inliers == 60
    assert found.rotation_deg == pytest.approx(70, abs=1e-3)


def test_a_mirror_image_is_not_said_to_have_turned():
    first = random_points(30)
    second = np.column_stack([SIZE[0] - 1 - first[:, 0], first[:, 1]])
    assert verify(features(first), features(second), row_by_row(30)).rotation_deg is None


def test_identical_matches_move_nothing():
    xy = random_points(30)
    for model in ("similarity", "homography"):
        found = verify(features(xy), features(xy), row_by_row(30), model)
        assert found.rotation_deg == pytest.approx(0, abs=1e-6)
        np.testing.assert_allclose(found.shift, 0, atol=1e-6)


@pytest.mark.parametrize(
    ("option", "message"), [({"model": "affine"}, "model"), ({"max_error": 0}, "max_error")]
)
def test_what_cannot_be_meant_is_refused(option, message):
    f = features(random_points(9))
    with pytest.raises(ParameterError, match=message):
        verify(f, f, row_by_row(9), **option)


# --- known cameras --------------------------------------------------------------------------------------


def turn_about_y(deg):
    c, s = math.cos(math.radians(deg)), math.sin(math.radians(deg))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


CAMERAS = (Camera.centred(300.0, SIZE), Camera(fx=320.0, fy=325.0, cx=324.0, cy=240.0))


def seen(points, pose, cameras=CAMERAS, n_wrong=0):
    """(N, 2) positions twice of points (N, 3) given in the first camera's axes."""
    places = []
    for camera, at in zip(cameras, (points, points @ pose.rotation.T + pose.direction), strict=True):
        projected = at @ camera.matrix.T
        places.append(projected[:, :2] / projected[:, 2:])
    places[1][:n_wrong] = random_points(n_wrong, seed=3)
    return places


def scene(n=120):
    rng = np.random.default_rng(11)
    return np.column_stack([rng.uniform(-2, 2, n), rng.uniform(-1.5, 1.5, n), rng.uniform(4, 9, n)])


def unit(vector):
    return np.array(vector) / np.linalg.norm(vector)


POSE = RelativePose(rotation=turn_about_y(12), direction=unit([-0.8, 0.1, 0.2]))


def test_known_cameras_give_the_relative_pose():
    first, second = seen(scene(), POSE, n_wrong=40)
    f, g = features(first), features(second)
    found = verify(f, g, row_by_row(120), "essential", cameras=CAMERAS)
    assert found.inliers[40:].all()
    assert found.n_inliers < 100
    # A few wrong matches are within the tolerance of their line, by chance.
    np.testing.assert_allclose(found.pose.rotation, POSE.rotation, atol=1e-3)
    np.testing.assert_allclose(found.pose.direction, POSE.direction, atol=5e-3)
    assert found.pose.angle_deg == pytest.approx(12, abs=0.05)
    np.testing.assert_allclose(found.pose.axis, (0, 1, 0), atol=5e-3)
    assert not found.pose.is_rotation
    assert sampson_errors(first[40:], second[40:], found.model).max() < 0.2
    assert found.guide().kind == "fundamental"
    assert (found.rotation_deg, found.scale, found.shift) == (None, None, None)
    again = verify(f, g, row_by_row(120), "essential", cameras=CAMERAS)
    np.testing.assert_array_equal(again.model, found.model)


def test_a_camera_that_only_rotates_has_no_direction_of_translation():
    still = RelativePose(rotation=turn_about_y(12), direction=np.zeros(3))
    first, second = seen(scene(), still, n_wrong=20)
    # Without noise, and with the translation of the noise, the essential matrix would be arbitrary.
    second = second + np.random.default_rng(2).normal(0, 0.2, second.shape)
    found = verify(features(first), features(second), row_by_row(120), "essential", cameras=CAMERAS)
    assert found.pose.is_rotation
    np.testing.assert_allclose(found.pose.rotation, still.rotation, atol=5e-3)


def test_four_matches_determine_no_relative_pose():
    f, g = (features(xy) for xy in seen(scene(4), POSE))
    found = verify(f, g, row_by_row(4), "essential", cameras=CAMERAS)
    assert (found.model, found.pose) == (None, None)
    assert found.reason == "not enough matches: 4, a relative pose needs 5"


def test_unrelated_matches_give_no_relative_pose():
    f, g = features(random_points(200, 1)), features(random_points(200, 2))
    found = verify(f, g, row_by_row(200), "essential", cameras=CAMERAS)
    assert found.model is None
    assert "which chance explains" in found.reason


def test_cameras_are_for_a_relative_pose_and_for_nothing_else():
    f, g = (features(xy) for xy in seen(scene(), POSE))
    with pytest.raises(ParameterError, match="cameras must be given"):
        verify(f, g, row_by_row(120), "essential")
    with pytest.raises(ParameterError, match="got cameras for 'fundamental'"):
        verify(f, g, row_by_row(120), "fundamental", cameras=CAMERAS)
    with pytest.raises(ParameterError, match="fx"):
        Camera.centred(0.0, SIZE)
    with pytest.raises(ParameterError, match="cx and cy"):
        Camera(fx=1.0, fy=1.0, cx=math.nan, cy=0.0)


def test_the_inverse_pose_is_that_of_the_exchanged_images():
    first, second = seen(scene(), POSE)
    inverse = POSE.inverse
    assert sampson_errors(second, first, inverse.fundamental(*CAMERAS[::-1])).max() < 1e-9
    np.testing.assert_allclose(inverse.inverse.direction, POSE.direction, atol=1e-12)
    w, x, y, z = POSE.quaternion
    np.testing.assert_allclose((w, x, y, z), (math.cos(math.radians(6)), 0, math.sin(math.radians(6)), 0))


def test_errors_broadcast_to_all_pairs():
    first, second = seen(scene(9), POSE)
    for errors, model in (
        (sampson_errors, POSE.fundamental(*CAMERAS)),
        (transfer_errors, POSE.far_map(*CAMERAS)),
    ):
        pairs = errors(first[:, None], second[None], model)
        assert pairs.shape == (9, 9)
        for i in range(9):
            # equal up to the order of sums
            np.testing.assert_allclose(
                pairs[i], errors(np.repeat(first[i : i + 1], 9, 0), second, model), rtol=1e-9, atol=1e-9
            )


def test_small_features_decide_where_large_ones_are_inexact():
    """Positions of features are uncertain in proportion to σ; knowing it gives better models."""
    first, exact = seen(scene(300), POSE)
    scale = np.tile([1.0, 12.0, 12.0], 100)  # mixed, so that no order tells which are exact
    errors = {"known": [], "unknown": []}
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(0, 1, exact.shape)
        second = exact + 0.05 * scale[:, None] * noise
        for name, given_scale in (("known", scale), ("unknown", np.ones(300))):
            model = fundamental(first, second, given_scale, 3.0)
            errors[name].append(np.median(sampson_errors(first, exact, model)))
    # measured: 0.0084 and 0.0183 px
    assert np.mean(errors["known"]) < 0.8 * np.mean(errors["unknown"])


@pytest.mark.parametrize("is_calibrated", [False, True])
def test_all_matches_refine_what_some_of_them_find(is_calibrated):
    """A search uses 1,000 of the 5,000 matches. Five times the matches halve the error, by √5."""
    first, exact = seen(scene(5000), POSE)

    def error(second, rows):
        given = first[rows], second[rows], np.ones(5000)[rows], 3.0
        model = relative_pose(*given, CAMERAS).fundamental(*CAMERAS) if is_calibrated else fundamental(*given)
        return np.median(sampson_errors(first, exact, model))

    errors = {"all": [], "a fifth": []}
    for seed in range(5):
        second = exact + np.random.default_rng(seed).normal(0, 0.1, exact.shape)
        errors["all"].append(error(second, slice(None)))
        errors["a fifth"].append(error(second, slice(None, None, 5)))
    # measured: 0.0018 and 0.0046 px
    assert np.mean(errors["all"]) < 0.6 * np.mean(errors["a fifth"])


# --- how long a model is searched for -------------------------------------------------------------------


@given(st.integers(7, 200), st.data())
def test_iterations_draw_a_sample_of_inliers_with_confidence(n, data):
    k = data.draw(st.integers(7, n))
    share = math.comb(k, 7) / math.comb(n, 7)
    iterations = enough_iterations(n, k, 7)
    assert iterations <= random_search.MAX_ITERATIONS
    if 1 < iterations < random_search.MAX_ITERATIONS:
        draws = iterations / random_search.PATIENCE
        assert (1 - share) ** draws <= (1 - CONFIDENCE) * 1.0001
        assert (1 - share) ** (draws - 1) > 1 - CONFIDENCE


@pytest.mark.parametrize(
    ("n", "model", "fewest", "most"),
    [
        (9, "fundamental", 20, 20),  # even nine inliers of nine do not beat chance
        (20, "fundamental", 300, 1_000),
        (300, "fundamental", 10_000, 10_000),
        (5, "homography", 100, 100),
        (12, "homography", 500, 1_500),
    ],
)
def test_the_search_ends_when_no_model_would_be_accepted(monkeypatch, n, model, fewest, most):
    poselib, limits = random_search.import_poselib(), []

    class Watched:
        def __getattr__(self, name):
            function = getattr(poselib, name)

            def called(first, second, options, *more):
                limits.append(options["max_iterations"])
                return function(first, second, options, *more)

            return called if name.startswith("estimate") else function

    monkeypatch.setattr(random_search, "import_poselib", Watched)
    verify(features(random_points(n)), features(random_points(n, 5)), row_by_row(n), model)
    assert fewest <= limits[0] <= most
