"""Orientation histograms and descriptors against naive twins, and their conventions."""

import math

import naive
import numpy as np
import pytest
from conftest import texture
from hypothesis import given
from hypothesis import strategies as st

from siftcli import SiftParams
from siftcli.kernels import vector_math as _functions
from siftcli.kernels.decorators import kernel
from siftcli.kernels.threads import Threads
from siftcli.kernels.vectors import LANES, load, store
from siftcli.sift import descriptor, orientation
from siftcli.sift.histogram_peaks import peaks
from siftcli.sift.keypoints import Keypoints
from siftcli.sift.octave import Strip
from siftcli.sift.scale_space import gaussian_octaves

finite = st.floats(-1e3, 1e3, width=32)


@kernel("void(float32[::1], float32[::1], float32[::1])")
def _direction(gy, gx, out):
    store(out, 0, _functions.direction(load(gy, 0), load(gx, 0)))


@kernel("void(float32[::1], float32[::1])")
def _gaussian(t2, out):
    store(out, 0, _functions.gaussian(load(t2, 0)))


def in_every_lane(function, *values) -> float:
    """The function of numbers, which must be the same in all lanes."""
    out = np.empty(LANES, np.float32)
    function(*(np.full(LANES, value, np.float32) for value in values), out)
    assert np.all(out == out[0])
    return float(out[0])


def first_octave(image) -> Strip:
    with Threads(1) as threads:
        return next(gaussian_octaves(np.ascontiguousarray(image), SiftParams(first_octave=0), threads))


def keypoints_at(positions, sigma) -> Keypoints:
    n = len(positions)
    return Keypoints(
        np.zeros(n, np.int16), np.array(positions, float), np.full(n, sigma), np.ones(n), np.ones(n)
    )


# Centre, sub-pixel, and within the window of every border.
PLACES = [(30.0, 25.0), (31.3, 26.8), (3.2, 25.1), (55.6, 40.2), (2.5, 2.25), (29.7, 46.5)]


@given(gy=finite, gx=finite)
def test_direction_is_the_arctangent(gy, gx):
    if math.hypot(gy, gx) < 1e-20:
        return
    expected = math.atan2(gy, gx) % (2 * math.pi)
    away = abs(in_every_lane(_direction, gy, gx) - expected)
    # Two roundings near 2π.
    assert min(away, 2 * math.pi - away) < 1e-6


def test_direction_of_nothing_is_zero():
    assert in_every_lane(_direction, 0, 0) == 0


@given(st.floats(0, 16, width=32))
def test_gaussian_is_the_exponential(t2):
    assert in_every_lane(_gaussian, t2) == pytest.approx(math.exp(-t2 / 2), rel=5e-6)


@given(st.floats(16, 100, width=32))
def test_gaussian_far_out_is_next_to_nothing(t2):
    assert in_every_lane(_gaussian, t2) == pytest.approx(math.exp(-t2 / 2), rel=0, abs=1e-9)


@pytest.mark.parametrize("isotropic", [False, True])
@pytest.mark.parametrize("sigma", [1.8, 3.1])
def test_orientations_equal_their_naive_twin(sigma, isotropic):
    octave = first_octave(texture((50, 60), seed=3))
    params = SiftParams.classic(isotropic_gradients=isotropic)
    gradient = naive.isotropic_gradient if isotropic else naive.gradient
    with Threads(1) as threads:
        rows, angles = orientation.assign_orientations(octave, keypoints_at(PLACES, sigma), params, threads)
    level = octave.unpadded[octave.nearest_level(np.array([sigma]))[0]]
    for i, (x, y) in enumerate(PLACES):
        histogram = naive.orientation_histogram(level, x, y, 1.5 * sigma, 4.5 * sigma, 36, gradient)
        expected = naive.peaks(naive.smooth(histogram, 2), 0.8)
        # Gradients are taken in single precision.
        np.testing.assert_allclose(angles[rows == i], expected, atol=1e-4)


def test_gradient_to_the_right_has_orientation_zero_and_down_a_quarter_turn():
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    for image, expected in (
        (ramp, 0.0),
        (ramp.T, math.pi / 2),
        (ramp[:, ::-1], math.pi),
        (ramp.T[::-1], 1.5 * math.pi),
    ):
        with Threads(1) as threads:
            keypoints = keypoints_at([(31.5, 31.5)], 2.0)
            _, angles = orientation.assign_orientations(first_octave(image), keypoints, SiftParams(), threads)
        away = abs(angles[0] - expected)
        assert min(away, 2 * math.pi - away) < 1e-3


def worst_direction(isotropic) -> float:
    """Degrees, of waves that run half-way between the axes and the diagonals."""
    y, x = np.mgrid[-32.0:32, -32:32] + 0.5
    params, errors = SiftParams(isotropic_gradients=isotropic), []
    for degrees in (22.5, 67.5, 112.5, 157.5):
        angle = math.radians(degrees)
        wave = np.sin(0.5 * (x * math.cos(angle) + y * math.sin(angle)))
        with Threads(1) as threads:
            octave, keypoints = first_octave(np.float32(0.5 + 0.4 * wave)), keypoints_at([(31.5, 31.5)], 2.0)
            _, found = orientation.assign_orientations(octave, keypoints, params, threads)
        errors.append(np.abs((np.rad2deg(found) - degrees + 90) % 180 - 90).min())
    return max(errors)


def test_isotropic_gradients_lean_towards_no_axis():
    # Of a wave of k radians a sample, central differences by k² / 24 radians.
    assert worst_direction(isotropic=False) == pytest.approx(math.degrees(0.5**2 / 24), rel=0.1)
    assert worst_direction(isotropic=True) < 0.03


def test_upright_and_the_limit_on_orientations():
    octave, keypoints = first_octave(texture((80, 80), seed=5)), keypoints_at([(40.2, 39.1)] * 3, 3.0)
    with Threads(1) as threads:
        rows, angles = orientation.assign_orientations(octave, keypoints, SiftParams(upright=True), threads)
        assert rows.tolist() == [0, 1, 2]
        assert not angles.any()
        options = {"peak_ratio": 0.1, "orientation_smoothing": 0}
        all_rows, every = orientation.assign_orientations(octave, keypoints, SiftParams(**options), threads)
        rows, angles = orientation.assign_orientations(
            octave, keypoints, SiftParams(max_orientations=1, **options), threads
        )
    assert np.all(np.bincount(all_rows) > 1)
    assert rows.tolist() == [0, 1, 2]
    # The strongest comes first.
    assert angles[0] == every[0]


def test_two_equal_bins_give_one_peak_between_them():
    angles, heights, n_bins = np.empty(4), np.empty(4), 36
    histogram = np.zeros(n_bins + 2 * LANES, np.float32)
    histogram[LANES + np.array([8, 9, 10, 11])] = 1.0, 5.0, 5.0, 1.0
    assert peaks(histogram, np.empty(n_bins, np.int64), 0.8, angles, heights) == 1
    assert angles[0] == pytest.approx(9.5 * math.pi / 18)


@pytest.mark.parametrize("rootsift", [False, True])
@pytest.mark.parametrize(("x", "y"), PLACES)
def test_descriptor_equals_its_naive_twin(x, y, rootsift):
    octave = first_octave(texture((50, 60), seed=4))
    sigma, theta = 2.3, 0.7 + x
    with Threads(1) as threads:
        frames = np.array([[x, y]], np.float32), np.array([sigma], np.float32), np.array([theta], np.float32)
        (found,) = descriptor.describe_frames(octave, *frames, SiftParams.classic(rootsift=rootsift), threads)
    level = octave.unpadded[octave.nearest_level(np.array([sigma]))[0]]
    (x, y), sigma, theta = (
        (float(frames[0][0, 0]), float(frames[0][0, 1])),
        float(frames[1][0]),
        float(frames[2][0]),
    )
    expected = naive.descriptor(level, x, y, sigma, theta, 3.0, 0.2, rootsift)
    assert expected.any()
    # Half a unit of rounding, and single precision in the sums.
    np.testing.assert_allclose(found, expected, atol=0.6)


@pytest.mark.parametrize("rootsift", [False, True])
@pytest.mark.parametrize(("x", "y"), PLACES)
def test_pooled_descriptor_is_the_sum_over_its_domain_sizes(x, y, rootsift):
    octave = first_octave(texture((50, 60), seed=4))
    sigma, theta, ratio = np.float32(1.9), np.float32(0.7 + x), descriptor.DSP_RATIO
    frames = np.array([[x, y]], np.float32), sigma[None], theta[None]
    params = SiftParams.classic(rootsift=rootsift, dsp=True)
    with Threads(1) as threads:
        (found,) = descriptor.describe_frames(octave, *frames, params, threads)
    (nearest,) = octave.nearest_level(frames[1])
    # A ratio of 1.7 is nearest to two levels of three an octave; below the first there is only one.
    assert (nearest, octave.n_scales) == (1, 3)
    (x, y), sigma, theta = frames[0][0].tolist(), float(sigma), float(theta)
    cells = sum(
        naive.cells_of(octave.unpadded[level], x, y, size * sigma, theta, 3.0)
        for level, size in ((0, 1 / ratio), (1, 1), (3, ratio))
    )
    np.testing.assert_allclose(found, naive.normalised(cells, 0.2, rootsift), atol=0.6)


def test_pooling_equal_sizes_changes_nothing(monkeypatch):
    octave = first_octave(texture((50, 60), seed=4))
    frames = (
        np.array(PLACES, np.float32),
        np.full(len(PLACES), 2.3, np.float32),
        np.ones(len(PLACES), np.float32),
    )
    monkeypatch.setattr(descriptor, "DSP_RATIO", 1)
    with Threads(1) as threads:
        plain, pooled = (
            descriptor.describe_frames(octave, *frames, params, threads)
            for params in (SiftParams(), SiftParams(dsp=True))
        )
    # Three times the sums round otherwise.
    np.testing.assert_allclose(pooled, plain, atol=1)


def test_bins_step_counter_clockwise_on_the_screen():
    # Frame at orientation 0. A gradient towards +x lies in bin 0, one towards −y (up) in bin 2.
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    frame = np.array([[31.5, 31.5]], np.float32), np.array([2.0], np.float32), np.zeros(1, np.float32)
    for image, expected in ((ramp, 0), (ramp.T[::-1], 2), (ramp[:, ::-1], 4), (ramp.T, 6)):
        with Threads(1) as threads:
            (found,) = descriptor.describe_frames(first_octave(image), *frame, SiftParams(), threads)
        assert found.reshape(16, 8).sum(axis=0).argmax() == expected


def test_cells_are_rows_then_columns():
    # Texture only in the upper right quarter of the window.
    image = np.full((80, 80), 0.5, np.float32)
    image[:38, 42:] = texture((80, 80), smoothness=0.7)[:38, 42:]
    frame = np.array([[39.5, 39.5]], np.float32), np.array([2.5], np.float32), np.zeros(1, np.float32)
    with Threads(1) as threads:
        (found,) = descriptor.describe_frames(first_octave(image), *frame, SiftParams(), threads)
    by_cell = found.reshape(4, 4, 8).sum(axis=2, dtype=int)
    assert by_cell[:2, 2:].sum() > 10 * by_cell[2:, :2].sum()


def test_flat_neighbourhood_and_frames_far_outside_have_a_zero_descriptor():
    octave = first_octave(np.full((60, 60), 0.3, np.float32))
    xy = np.array([[30, 30], [-500, 20], [1e6, 1e6]], np.float32)
    with Threads(1) as threads:
        found = descriptor.describe_frames(
            octave, xy, np.full(3, 2, np.float32), np.zeros(3, np.float32), SiftParams(), threads
        )
    assert not found.any()


@pytest.mark.parametrize("frame", [(1e9, 5.0, 2.0), (5.0, -1e9, 2.0), (20.0, 20.0, 1e8), (np.nan, 5.0, 2.0)])
def test_a_frame_beyond_all_samples_has_an_empty_descriptor(frame):
    x, y, sigma = (np.array([value], np.float32) for value in frame)
    given = np.stack((x, y), axis=1), sigma, np.zeros(1, np.float32)
    with Threads(1) as threads:
        found = descriptor.describe_frames(first_octave(texture((50, 60))), *given, SiftParams(), threads)
    assert not found.any()
