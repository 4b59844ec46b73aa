"""The centred pyramid: its grids, its blur, and that it turns with the image."""

import math

import naive
import numpy as np
import pytest
from conftest import blobs, texture
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from siftcli import SiftParams
from siftcli.sift import scalespace
from siftcli.sift._threads import Threads
from siftcli.sift.scalespace import DOUBLE, HALVE, KEEP, gaussian_octaves

# Sums of up to 40 products of values below 1, in single precision.
ROUNDING = 1e-6

CLASSIC = {"sigma": 1.6, "doubling": "linear", "assumed_variance": 0.25}

CHANGES = {"double": DOUBLE, "keep": KEEP, "halve": HALVE}


def octaves(image, n_threads=1, **options):
    with Threads(n_threads) as threads:
        return list(gaussian_octaves(np.ascontiguousarray(image), SiftParams(**options), threads))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("shape", [(13, 16), (16, 13), (7, 40), (1, 9), (2, 5)])
def test_blur_equals_its_naive_twin_on_every_grid(change, shape):
    # Sides shorter than the kernel mirror again and again.
    image = texture((40, 40))[: shape[0], : shape[1]].copy()
    kernel = scalespace._gaussian_taps(2.4, 1.0)
    expected = naive.blur(image, change, kernel)
    result = np.zeros(expected.shape, np.float32)
    with Threads(1) as threads:
        scalespace._blur(image, result, CHANGES[change], kernel, threads)
    np.testing.assert_allclose(result, expected, atol=ROUNDING)


@given(sigma=st.floats(0.5, 8), spacing=st.sampled_from([0.5, 1.0]))
def test_taps_sum_to_one_over_both_sides_and_reach_four_sigma(sigma, spacing):
    for offset, taps in zip((0.0, 0.5), scalespace._gaussian_taps(sigma, spacing), strict=True):
        assert 2 * taps.sum(dtype=float) == pytest.approx(1, abs=1e-6)
        reach = (np.count_nonzero(taps) - 1 + offset) * spacing
        assert 4 * sigma - spacing <= reach <= 4 * sigma + spacing


def test_linear_doubling_equals_interpolation_followed_by_a_blur():
    # The cascade that the classic preset is defined by (Lowe, section 3.3), in double precision.
    image = texture((60, 60)).astype(float)
    doubled = np.zeros((119, 119))
    doubled[::2, ::2] = image
    doubled[1::2] = (doubled[:-2:2] + doubled[2::2]) / 2
    doubled[:, 1::2] = (doubled[:, :-2:2] + doubled[:, 2::2]) / 2
    levels = octaves(image.astype(np.float32), **CLASSIC)[0].levels
    for i, level in enumerate(levels):
        sigma = math.sqrt((1.6 * 2 ** (i / 3)) ** 2 - 1)
        expected = gaussian_filter(doubled, sigma, mode="mirror", radius=int(4 * sigma + 0.5))
        # Each phase is normalised over its own taps, which a kernel that is cut off does not do by itself.
        np.testing.assert_allclose(level, expected, atol=1e-4)


@pytest.mark.parametrize("doubling", ["linear", "direct"])
@pytest.mark.parametrize("first_octave", [-1, 0])
def test_levels_have_the_blur_they_are_said_to_have(doubling, first_octave):
    # A blob of standard deviation s, assumed to have been blurred by 0.5 px, has variance
    # s² − 0.25 + σ² at a level of blur σ (all in input pixels); linear interpolation adds a little.
    s, size = 6.0, 161
    image = blobs((size, size), [(80, 80)], [s], background=0.0)
    options = CLASSIC | {"doubling": doubling, "first_octave": first_octave}
    for octave in octaves(image, **options)[:3]:
        for i, level in enumerate(octave.levels):
            sigma = 1.6 * 2 ** (i / 3) * octave.step
            weights = level.astype(float)
            x, _ = octave.to_input(
                np.stack(np.meshgrid(*map(np.arange, level.shape[::-1])), -1).reshape(-1, 2)
            ).T
            variance = np.sum(weights.ravel() * (x - 80) ** 2) / weights.sum()
            assert variance == pytest.approx(s**2 + sigma**2 - 0.25, rel=0.01)


@given(height=st.integers(1, 90), width=st.integers(1, 90))
@settings(max_examples=25, deadline=None)
def test_grids_are_symmetric_about_the_image_centre(height, width):
    for octave in octaves(np.zeros((height, width), np.float32)):
        _, n_rows, n_columns = octave.levels.shape
        for n, origin, side in zip((n_columns, n_rows), octave.origin, (width, height), strict=True):
            last = origin + (n - 1) * octave.step
            assert origin == side - 1 - last
        assert min(n_rows, n_columns) >= 12


@pytest.mark.parametrize("shape", [(40, 64), (41, 64), (47, 33)])
def test_levels_turn_with_the_image(shape):
    image = texture(shape)
    straight = octaves(image)
    for k in (1, 2, 3):
        for a, b in zip(straight, octaves(np.rot90(image, k)), strict=True):
            # Rows are blurred before columns or after: the last bits may differ after a quarter turn.
            atol = 0 if k == 2 else ROUNDING
            np.testing.assert_allclose(np.rot90(a.levels, k, (1, 2)), b.levels, atol=atol, rtol=0)
    for a, b in zip(straight, octaves(image[:, ::-1]), strict=True):
        np.testing.assert_array_equal(a.levels[:, :, ::-1], b.levels)


def test_threads_change_no_bit():
    image = texture((300, 211))
    for a, b in zip(octaves(image, 1), octaves(image, 3), strict=True):
        np.testing.assert_array_equal(a.levels, b.levels)


def test_later_first_octave_gives_the_same_later_octaves():
    image = texture((200, 160))
    everything, later = octaves(image, first_octave=0), octaves(image, first_octave=2)
    assert [o.number for o in later] == [o.number for o in everything][2:]
    np.testing.assert_array_equal(everything[2].levels, later[0].levels)


def test_level_and_sigma_are_inverse():
    octave = octaves(texture((64, 64)))[1]
    sigma = octave.sigma_of(np.array([0.6, 1.0, 2.4, 3.4]))
    assert octave.nearest_level(sigma).tolist() == [1, 1, 2, 3]
    classic = octaves(texture((64, 64)), **CLASSIC)[1]
    assert classic.sigma_of(np.array([1.0]))[0] == pytest.approx(1.6 * 2 ** (1 / 3) * octave.step)
