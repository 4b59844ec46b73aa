"""Metrics on cases worked by hand."""

import math

import numpy as np
import pytest

from siftcli.evaluation.measure import counted, measure
from siftcli.features import Features, Matches
from siftcli.views import metrics
from siftcli.views.pairs import Pair
from siftcli.views.planar import Region, jacobians, local_scale, map_angles, map_points, similarity


def places(*rows: tuple[float, float, float]) -> metrics.Locations:
    """Locations from (x, y, σ)."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return metrics.Locations(table[:, :2], table[:, 2], np.arange(len(table)))


def features(xy, scale=2.0, orientation=0.0, descriptors=None, size=(100, 100)) -> Features:
    n = len(xy)
    if descriptors is None:
        descriptors = np.eye(n, 128, dtype=np.uint8) * 255
    return Features(
        xy=np.array(xy, dtype=np.float32).reshape(-1, 2),
        scale=np.broadcast_to(np.float32(scale), n),
        orientation=np.broadcast_to(np.float32(orientation), n),
        response=np.ones(n, np.float32),
        sign=np.ones(n, np.int8),
        octave=np.zeros(n, np.int16),
        descriptors=descriptors,
        image_size=size,
    )


def test_nearest_pair_is_taken_first_and_each_keypoint_once():
    first = places((0, 0, 2), (1, 0, 2), (50, 50, 2))
    second = places((0.9, 0, 2), (2, 0, 2))
    found = metrics.correspondences(first, second, np.eye(3))
    # (1, 0)-(0.9, 0) is nearest and takes both; (0, 0) is left with (2, 0), 2 px away.
    assert found.pairs.tolist() == [[1, 0], [0, 1]]
    np.testing.assert_allclose(found.distance, [0.1, 2.0])


def test_scales_must_agree_within_half_an_octave():
    first = places((0, 0, 2))
    for scale, expected in ((2.8, 1), (2.83, 0), (1.42, 1), (1.41, 0)):
        assert len(metrics.correspondences(first, places((0, 0, scale)), np.eye(3))) == expected


def test_scale_ratio_follows_the_map():
    zoom = similarity(3.0, 0.0, (0, 0), (0, 0))
    assert len(metrics.correspondences(places((2, 1, 2)), places((6, 3, 6)), zoom)) == 1
    assert len(metrics.correspondences(places((2, 1, 2)), places((6, 3, 2)), zoom)) == 0


def test_repeatability_at_each_tolerance():
    first = places(*((100 * i, 0, 2) for i in range(5)))
    second = places(*((100 * i + d, 0, 2) for i, d in enumerate((0.1, 0.4, 0.9, 2.5))))
    found = metrics.correspondences(first, second, np.eye(3))
    assert metrics.repeatability(found, 5, 4) == {0.25: 0.25, 0.5: 0.5, 1.0: 0.75, 1.5: 0.75, 3.0: 1.0}
    assert metrics.localisation_errors(found) == pytest.approx([0.1, 0.4, 0.9])


def test_nothing_repeats_nothing():
    found = metrics.correspondences(places(), places((0, 0, 1)), np.eye(3))
    assert set(metrics.repeatability(found, 0, 1).values()) == {0.0}
    assert metrics.overlap_repeatability(places(), places(), np.eye(3)) == 0.0


def test_overlap_error_of_circles():
    distance = np.array([0.0, 0.0, 30.0, 70.0])
    ratio = np.array([1.0, 2.0, 1.0, 1.0])
    lens = 2 * math.pi / 3 - math.sqrt(3) / 2  # of two unit circles a radius apart
    expected = [0.0, 0.75, 1 - lens / (2 * math.pi - lens), 1.0]
    np.testing.assert_allclose(metrics.overlap_error(distance, ratio), expected, atol=1e-9)


def test_overlap_repeatability_counts_by_region():
    first = places((0, 0, 2), (100, 0, 2), (200, 0, 2))
    second = places((5, 0, 2), (100, 0, 4), (225, 0, 2))
    # 5 px apart: error 0.19; twice the size: 0.75; 25 px apart: 0.68.
    assert metrics.overlap_repeatability(first, second, np.eye(3)) == pytest.approx(1 / 3)


def test_several_orientations_at_a_place_are_one_location():
    found = metrics.locations(features([(3, 4), (1, 2), (3, 4)], orientation=[0, 1, 2]))
    assert found.xy.tolist() == [[1, 2], [3, 4]]
    assert found.of_feature.tolist() == [1, 0, 1]


def test_matching_score_counts_places():
    f = features([(3, 4), (3, 4), (1, 2), (9, 9)])
    g = features([(3, 4), (3, 4), (1, 2), (8, 8), (7, 7)])
    correct = np.array([[0, 0], [1, 1], [2, 2]])
    # Two of the three matches are at one place; the smaller image has three places.
    assert metrics.matching_score(correct, metrics.locations(f), metrics.locations(g)) == pytest.approx(2 / 3)


def test_distance_and_orientation_of_matches():
    turn = similarity(1.0, 90.0, (0, 0), (0, 0))  # counter-clockwise: +x goes to -y
    f = features([(10, 0), (0, 10)], orientation=0.0)
    g = features([(0, -10), (10, 3)], orientation=[3 * math.pi / 2, 0.0])
    matches = Matches(pairs=np.array([[0, 0], [1, 1]]), distance=np.zeros(2), ratio=np.zeros(2))
    np.testing.assert_allclose(metrics.match_distances(f, g, matches, turn), [0, 3], atol=1e-6)
    np.testing.assert_allclose(metrics.orientation_errors_deg(f, g, matches.pairs, turn), [0, 90], atol=1e-4)


def test_angles_wrap():
    difference = metrics.angle_difference(np.deg2rad([359, 10, 90]), np.deg2rad([1, 350, 270]))
    np.testing.assert_allclose(np.rad2deg(difference), [2, 20, 180])


def test_directions_under_a_mirror_are_mirrored():
    mirror = np.diag([-1.0, 1.0, 1.0])
    angles = np.deg2rad([0.0, 30.0])
    np.testing.assert_allclose(np.rad2deg(map_angles(mirror, np.zeros((2, 2)), angles)), [180, 150])


def test_jacobian_of_a_homography_is_its_derivative():
    matrix = np.array([[1.1, 0.2, 5], [-0.1, 0.9, 3], [1e-3, -2e-3, 1]])
    point, step = np.array([[20.0, 30.0]]), 1e-5
    columns = [
        (map_points(matrix, point + step * unit) - map_points(matrix, point - step * unit)) / (2 * step)
        for unit in np.eye(2)
    ]
    np.testing.assert_allclose(jacobians(matrix, point)[0], np.concatenate(columns).T, rtol=1e-6)
    np.testing.assert_allclose(
        local_scale(matrix, point), math.sqrt(abs(np.linalg.det(np.concatenate(columns)))), rtol=1e-6
    )


def test_agreement_is_counted_both_ways():
    a = features([(0, 0), (10, 10), (20, 20), (30, 30)], orientation=0.1)
    b = features(
        [(0.5, 0), (10, 10), (20, 20), (0.2, 0), (90, 90)],
        scale=[2, 2, 3, 2, 2],
        orientation=[0, 1.0, 0, 0, 0],
        descriptors=np.full((5, 128), 7, np.uint8),
    )
    found = metrics.agreement([(a, b), (a, a)])
    # With b only (0, 0) has counterparts, two of them; the others differ in angle, scale and place.
    assert metrics.counterparts(a, b).tolist() == [3, -1, -1, -1]
    assert (found.n_a, found.n_b) == (8, 9)
    assert found.found_in_b == pytest.approx(5 / 8)
    assert found.found_in_a == pytest.approx(6 / 9)
    assert found.descriptor_cosine == pytest.approx(1.0)
    alone = metrics.agreement([(a, b)])
    assert alone.descriptor_cosine == pytest.approx(1 / math.sqrt(128))


def pair_of(matrix, shape=(100, 100), **options) -> Pair:
    blank = np.zeros(shape, np.uint8)
    return Pair(blank, blank, matrix, Region.whole(shape), Region.whole(shape), **options)


def test_only_what_both_views_see_counts():
    shifted = np.array([[1.0, 0, 50], [0, 1, 0], [0, 0, 1]])
    pair = pair_of(shifted, margin_px=10.0)
    f = features([(30, 50), (45, 50), (5, 50), (30, 5)])
    kept = counted(f, pair.reference_region, pair.view_region, pair.matrix, pair)
    # Mapped to x = 80 (in), 95 (less than the margin from the edge); the others are near their own edge.
    assert kept.xy.tolist() == [[30, 50]]


def test_support_must_lie_inside():
    pair = pair_of(np.eye(3), margin_px=0.0, support_sigmas=4.5)
    f = features([(20, 50), (20, 50)], scale=[4, 5])
    kept = counted(f, pair.reference_region, pair.view_region, pair.matrix, pair)
    assert kept.scale.tolist() == [4]


def test_a_perfect_detector_scores_perfectly():
    matrix = similarity(1.0, 30.0, (49.5, 49.5), (49.5, 49.5))
    xy = np.array([(40, 40), (60, 45), (50, 62), (35, 55)])
    f = features(xy, orientation=2.0)
    g = features(map_points(matrix, xy), orientation=2.0 - math.radians(30))
    row = measure(pair_of(matrix), f, g)
    assert (row.n_reference, row.n_view, row.n_putative, row.n_correct) == (4, 4, 4, 4)
    for value in (row.repeatability_025px, row.overlap_repeatability, row.precision, row.matching_score):
        assert value == 1.0
    assert row.localisation_median_px < 1e-5
    assert row.orientation_median_deg < 1e-4
    assert row.orientation_within_5deg == 1.0
    assert row.localisation_histogram[0] == row.orientation_histogram[0] == 4


def test_a_detector_that_finds_nothing_scores_nothing():
    row = measure(pair_of(np.eye(3)), features([]), features([(50, 50)]))
    assert row.repeatability_3px == row.matching_score == row.precision == 0.0
    assert math.isnan(row.localisation_median_px)
