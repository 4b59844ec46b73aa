"""What ``max_features`` keeps: the radii against a naive twin, and the promises of an even selection."""

import math

import naive
import numpy as np
import pytest
from conftest import SAMPLES, grey
from hypothesis import given
from hypothesis import strategies as st

import siftcli
from siftcli import Features, SiftParams, detection
from siftcli.sift.selection import FARTHEST, ROBUSTNESS, SPREAD_POWER, suppression_radii

COLUMNS = ("xy", "scale", "orientation", "response", "sign", "octave", "descriptors")


@pytest.fixture(scope="module")
def image():
    return grey(next(p for p in SAMPLES if p.name == "rocket.jpg"))


def occupied(features: Features, n_cells: int = 8) -> float:
    """Share of the cells of a grid over the image that hold a feature."""
    cells = (features.xy + 0.5) * n_cells // np.array(features.image_size)
    return len(np.unique(cells, axis=0)) / n_cells**2


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 60),
    st.sampled_from([(0, 0), (0, 300), (2, 2), (40, 9), (5000, 3000)]),
    st.integers(1, 8),
)
def test_radii_equal_their_naive_twin(seed, n, extent, n_responses):
    # Few different responses and positions make ties and places that coincide.
    rng = np.random.default_rng(seed)
    xy = (rng.integers(0, 50, (n, 2)) / 50 * extent).astype(np.float32)
    response = np.sort(rng.choice(rng.random(n_responses) * 0.1, n).astype(np.float32))[::-1]
    np.testing.assert_allclose(
        suppression_radii(xy, response), naive.suppression_radii(xy, response, ROBUSTNESS), rtol=1e-12
    )


def test_of_no_keypoints_there_are_no_radii():
    assert len(suppression_radii(np.empty((0, 2)), np.empty(0))) == 0


def test_a_weak_keypoint_far_from_all_others_outlives_a_strong_one_among_stronger():
    xy = np.array([[0, 0], [3, 4], [100, 0], [100, 1]], np.float32)
    response = np.array([1.0, 0.8, 0.2, 0.19], np.float32)
    # The last is 0.95 as strong as its neighbour: not clearly weaker.
    np.testing.assert_allclose(suppression_radii(xy, response), [np.inf, 5, np.hypot(97, 4), np.hypot(97, 3)])


@pytest.mark.parametrize("n", [1, 7, 100, 333, 10**6])
@pytest.mark.parametrize("first_column", [0, 200])
def test_exactly_so_many_of_the_largest_radii_are_kept_strongest_first(image, n, first_column):
    mask = np.zeros(image.shape, bool)
    mask[:, first_column:] = True
    everything = detection.detect(image, SiftParams(selection="strongest"), mask=mask)
    features = detection.detect(image, SiftParams(max_features=n, selection="even"), mask=mask)
    # Orientations of a keypoint have one radius, and are neighbours in the order.
    radius = naive.suppression_radii(everything.xy, everything.response, ROBUSTNESS)
    expected = everything.select(np.sort(np.argsort(-np.array(radius), kind="stable")[:n]))
    assert len(features) == min(n, len(everything))
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(features, name), getattr(expected, name))
    strongest = detection.detect(image, SiftParams(max_features=n, selection="strongest"), mask=mask)
    assert features.removed == strongest.removed


def test_a_spread_selection_ranks_by_response_times_a_power_of_the_radius(image):
    strongest = detection.detect(image, SiftParams(selection="strongest"))
    spread = detection.detect(image, SiftParams())
    farthest = FARTHEST * math.hypot(*strongest.image_size)
    radius = np.minimum(naive.suppression_radii(strongest.xy, strongest.response, ROBUSTNESS), farthest)
    expected = strongest.response * (radius / farthest) ** SPREAD_POWER
    columns = zip(*strongest.xy.T, strongest.scale, strongest.orientation, strict=True)
    of_frame = dict(zip(columns, expected, strict=True))
    found = [of_frame[frame] for frame in zip(*spread.xy.T, spread.scale, spread.orientation, strict=True)]
    assert len(spread) == len(strongest) == len(of_frame)
    np.testing.assert_allclose(spread.response, found, rtol=1e-5)
    assert np.all(np.diff(spread.response) <= 0)


@pytest.mark.parametrize("n", [1, 7, 333])
def test_a_limit_keeps_the_first_of_a_spread_selection(image, n):
    everything, features = (detection.detect(image, SiftParams(max_features=k)) for k in (None, n))
    assert len(features) == n
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(features, name), getattr(everything, name)[:n])


def test_features_cover_more_of_the_image():
    shares = []
    for path in SAMPLES:
        picture = grey(path)
        features = (
            detection.detect(picture, SiftParams(max_features=100, selection=s))
            for s in ("strongest", "spread", "even")
        )
        shares.append([occupied(f) for f in features])
        # Where texture fills the image the strongest are as even by themselves.
        assert shares[-1][2] >= shares[-1][0] - 0.1, path.name
    strongest, spread, even = np.mean(shares, axis=0)
    assert even > strongest + 0.1
    assert spread > strongest + 0.05


def test_without_a_limit_all_are_kept(image):
    even, strongest = (siftcli.detect(image, selection=s) for s in ("even", "strongest"))
    np.testing.assert_array_equal(even.xy, strongest.xy)
