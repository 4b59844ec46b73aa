"""The centred pyramid: its grids, its blur, and that it turns with the image."""

import math
from itertools import chain

import naive
import numpy as np
import pytest
from conftest import blobs, texture
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from siftcli import SiftParams
from siftcli.kernels.buffers import borrowed
from siftcli.kernels.threads import Threads
from siftcli.kernels.vectors import LANES
from siftcli.sift.blur import _CACHE_BYTES, Source, blur, changed_side
from siftcli.sift.blur_lines import DOUBLE, HALVE, KEEP, cut_out
from siftcli.sift.gaussian import gaussian_taps
from siftcli.sift.octave import MIN_SIDE
from siftcli.sift.scale_space import gaussian_octaves, gaussian_strips

# Sums of up to 40 products of values below 1, in single precision.
ROUNDING = 1e-6

CLASSIC = {"sigma": 1.6, "doubling": "linear", "assumed_variance": 0.25}

CHANGES = {"double": DOUBLE, "keep": KEEP, "halve": HALVE}


def octaves(image, n_threads=1, **options):
    with Threads(n_threads) as threads:
        return list(gaussian_octaves(np.ascontiguousarray(image), SiftParams(**options), threads))


def room_for(shape):
    """Zeros of that shape, rows filled up to whole vectors."""
    return np.zeros((*shape[:-1], -(-shape[-1] // LANES) * LANES), np.float32)


@given(st.integers(1, 70), st.integers(-60, 69), st.integers(1, 150))
def test_a_line_is_mirrored_at_its_ends_as_often_as_it_takes(width, first, n):
    first = min(first, width - 1)
    source = np.arange(3 * 80, dtype=np.float32).reshape(3, 80)
    segment = np.full(160, -1, np.float32)
    cut_out(source, 1, 2, width, first, segment, n)
    mirrored = np.pad(source[1, :width], (60, 220), "reflect" if width > 1 else "edge")
    np.testing.assert_array_equal(segment[:n], mirrored[60 + first : 60 + first + n])
    assert (segment[n:] == -1).all()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("shape", [(13, 16), (16, 13), (7, 40), (1, 9), (2, 5)])
def test_blur_equals_its_naive_twin_on_every_grid(change, shape):
    # Sides shorter than the kernel mirror again and again.
    image = texture((40, 40))[: shape[0], : shape[1]].copy()
    kernels = [gaussian_taps(sigma) for sigma in (0.0, 0.4, 0.9, 2.4)]
    expected = np.stack([naive.blur(image, change, (k.at_integers, k.at_halves)) for k in kernels])
    result = room_for(expected.shape)
    with Threads(1) as threads:
        blur(
            Source(image, 0, image.shape), CHANGES[change], kernels, result, 0, (0, result.shape[1]), threads
        )
    np.testing.assert_allclose(result[:, :, : expected.shape[2]], expected, atol=ROUNDING)
    with pytest.raises(ValueError, match="do not fit"), Threads(1) as threads:
        blur(
            Source(image, 0, image.shape),
            CHANGES[change],
            kernels,
            result[:, :, :-LANES].copy(),
            0,
            (0, 1),
            threads,
        )


@pytest.mark.parametrize("change", CHANGES)
def test_rows_of_a_blur_do_not_depend_on_what_is_computed_beside_them(change):
    # Wider than a tile, higher than a block of rows; from some rows of the source, into some of the result.
    image, kernels = texture((330, 700)), [gaussian_taps(sigma) for sigma in (0.8, 2.0)]
    shape = tuple(changed_side(n, CHANGES[change]) for n in image.shape)
    whole, part = room_for((2, *shape)), room_for((2, 40, shape[1] + 9))
    with Threads(1) as threads:
        blur(Source(image, 0, image.shape), CHANGES[change], kernels, whole, 0, (0, shape[0]), threads)
        first = shape[0] // 2 - 20
        source_first = image.shape[0] // 2 - 60
        source = image[source_first : source_first + 120]
        rows = first + 3, first + 36
        blur(Source(source, source_first, image.shape), CHANGES[change], kernels, part, first, rows, threads)
    np.testing.assert_array_equal(part[:, 3:36, : shape[1]], whole[:, first + 3 : first + 36, : shape[1]])
    assert not part[:, :3].any()
    assert not part[:, 36:].any()


@pytest.mark.parametrize("change", [DOUBLE, KEEP])
def test_what_is_stored_past_the_caches_is_the_same(change):
    image, kernels = texture((901, 700)), [gaussian_taps(s) for s in (0.9, 1.2, 1.7, 2.3, 2.9, 3.4)]
    shape = tuple(changed_side(n, change) for n in image.shape)
    with Threads(2) as threads, borrowed(len(kernels), shape[0], -(-shape[1] // LANES) * LANES) as large:
        blur(Source(image, 0, image.shape), change, kernels, large, 0, (0, shape[0]), threads)
        # Rows that do not begin on a cache line go the usual way.
        elsewhere = np.empty(large.size + LANES + 1, np.float32)
        start = 1 + -elsewhere.ctypes.data % 64 // 4
        elsewhere = elsewhere[start : start + large.size].reshape(large.shape)
        blur(Source(image, 0, image.shape), change, kernels, elsewhere, 0, (0, shape[0]), threads)
        assert large.nbytes > _CACHE_BYTES
        assert large.ctypes.data % 64 == 0 != elsewhere.ctypes.data % 64
        np.testing.assert_array_equal(large[..., : shape[1]], elsewhere[..., : shape[1]])


@given(sigma=st.floats(0.5, 8))
def test_taps_sum_to_one_over_both_sides_and_reach_four_sigma(sigma):
    kernel = gaussian_taps(sigma)
    for offset, taps in ((0.0, kernel.at_integers), (0.5, kernel.at_halves)):
        assert 2 * taps.sum() == pytest.approx(1, abs=1e-12)
        reach = len(taps) - 1 + offset
        assert 4 * sigma - 1 <= reach <= 4 * sigma + 1


def test_linear_doubling_equals_interpolation_followed_by_a_blur():
    # The cascade that the classic preset is defined by (Lowe, section 3.3), in double precision.
    image = texture((60, 60)).astype(float)
    doubled = np.zeros((119, 119))
    doubled[::2, ::2] = image
    doubled[1::2] = (doubled[:-2:2] + doubled[2::2]) / 2
    doubled[:, 1::2] = (doubled[:, :-2:2] + doubled[:, 2::2]) / 2
    levels = octaves(image.astype(np.float32), **CLASSIC)[0].unpadded
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
        for i, level in enumerate(octave.unpadded):
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
        _, n_rows, n_columns = octave.unpadded.shape
        for n, origin, side in zip((n_columns, n_rows), octave.origin, (width, height), strict=True):
            last = origin + (n - 1) * octave.step
            assert origin == side - 1 - last
        assert min(n_rows, n_columns) >= MIN_SIDE


@pytest.mark.parametrize("shape", [(40, 64), (41, 64), (47, 33)])
def test_levels_turn_with_the_image(shape):
    image = texture(shape)
    straight = octaves(image)
    for k in (1, 2, 3):
        for a, b in zip(straight, octaves(np.rot90(image, k)), strict=True):
            # Rows are blurred before columns or after: the last bits may differ after a quarter turn.
            atol = 0 if k == 2 else ROUNDING
            np.testing.assert_allclose(np.rot90(a.unpadded, k, (1, 2)), b.unpadded, atol=atol, rtol=0)
    for a, b in zip(straight, octaves(image[:, ::-1]), strict=True):
        np.testing.assert_array_equal(a.unpadded[:, :, ::-1], b.unpadded)


def test_threads_change_no_bit():
    image = texture((300, 211))
    for a, b in zip(octaves(image, 1), octaves(image, 3), strict=True):
        np.testing.assert_array_equal(a.unpadded, b.unpadded)


def test_later_first_octave_gives_the_same_later_octaves():
    image = texture((200, 160))
    everything, later = octaves(image, first_octave=0), octaves(image, first_octave=2)
    assert [o.number for o in later] == [o.number for o in everything][2:]
    np.testing.assert_array_equal(everything[2].unpadded, later[0].unpadded)


def test_level_and_sigma_are_inverse():
    octave = octaves(texture((64, 64)))[1]
    sigma = octave.sigma_of(np.array([0.6, 1.0, 2.4, 3.4]))
    assert octave.nearest_level(sigma).tolist() == [1, 1, 2, 3]
    classic = octaves(texture((64, 64)), **CLASSIC)[1]
    assert classic.sigma_of(np.array([1.0]))[0] == pytest.approx(1.6 * 2 ** (1 / 3) * octave.step)


@pytest.mark.parametrize("shape", [(230, 61), (231, 64), (130, 300)])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_strips_of_any_height_are_rows_of_the_whole_octaves(shape, n_threads):
    image, halo = texture(shape), 12
    whole = {octave.number: octave for octave in octaves(image)}
    for strip_bytes in (1, 200_000, 1 << 30):
        ends: dict[int, int] = {}
        with Threads(n_threads) as threads:
            by_octave = gaussian_strips(image, SiftParams(), threads, halo=halo, strip_bytes=strip_bytes)
            for strip in chain.from_iterable(by_octave):
                (start, stop), (height, _) = strip.rows, strip.shape
                assert start == ends.get(strip.number, 0)
                ends[strip.number] = stop
                # The rows that are its own, and as many around them as were asked for.
                assert strip.first_row <= max(0, start - halo)
                at_hand = strip.unpadded
                assert strip.first_row + at_hand.shape[1] >= min(height, stop + halo)
                rows = slice(strip.first_row, strip.first_row + at_hand.shape[1])
                np.testing.assert_array_equal(at_hand, whole[strip.number].unpadded[:, rows])
        assert ends == {number: octave.shape[0] for number, octave in whole.items()}
