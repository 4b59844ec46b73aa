"""Images whose rows are read when strips ask for them: the same bytes, each row once a pass, and few held."""

from functools import partial

import numpy as np
import pytest
from conftest import SAMPLES, grey, texture

from siftcli import SiftParams, detection
from siftcli.kernels.threads import Threads
from siftcli.sift import pipeline
from siftcli.sift.blur import Source, blur, changed_side, rows_read
from siftcli.sift.blur_lines import DOUBLE, KEEP
from siftcli.sift.gaussian import gaussian_taps
from siftcli.sift.noise import noise_share
from siftcli.sift.rows import Window, window_on
from siftcli.sift.scale_space import gaussian_strips, strips_bytes

COLUMNS = ("xy", "scale", "orientation", "response", "sign", "octave", "descriptors")


class Rows:
    """An array's rows in blocks, with a count of the passes and of the rows that were asked for."""

    def __init__(self, array, n_rows):
        self.array, self.n_rows = array, n_rows
        self.shape, self.working_bytes = array.shape, 0
        self.n_passes = self.n_read = self.n_open = 0

    def blocks(self):
        self.n_passes += 1
        self.n_open += 1
        try:
            for first in range(0, len(self.array), self.n_rows):
                block = self.array[first : first + self.n_rows].copy()
                self.n_read += len(block)
                yield block
                block[:] = np.nan  # whoever keeps it must have copied it
        finally:
            self.n_open -= 1


@pytest.mark.parametrize(("n_rows", "strip_bytes"), [(1, 1), (7, 9_000_000), (64, 1), (5000, 1 << 30)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_features": 200},
        {"max_features": 200, "selection": "strongest"},
        {"first_octave": 0},
        {"first_octave": 1, "dsp": True},
    ],
)
def test_the_same_bytes_as_of_the_array(monkeypatch, n_rows, strip_bytes, options):
    image = grey(SAMPLES[0].with_name("rocket.jpg"))
    params = SiftParams(contrast_threshold=0.02, **options)
    expected = detection.detect(image, params)
    monkeypatch.setattr(pipeline, "gaussian_strips", partial(gaussian_strips, strip_bytes=strip_bytes))
    rows = Rows(image, n_rows)
    found = detection.detect(rows, params, threads=2)
    for name in COLUMNS:
        assert getattr(found, name).tobytes() == getattr(expected, name).tobytes()
    assert (found.removed, found.image_size) == (expected.removed, expected.image_size)
    assert rows.n_open == 0
    # The noise, the keypoints and perhaps the descriptors; the last rows may not be needed again for those.
    assert rows.n_passes in (2, 3)
    assert rows.n_read == rows.n_passes * len(image)


@pytest.mark.parametrize("shape", [(5, 9), (64, 33), (65, 40), (66, 20), (67, 20), (1900, 1752)])
@pytest.mark.parametrize("n_rows", [1, 2, 3, 64])
def test_the_noise_of_rows_is_that_of_the_array(shape, n_rows):
    image = texture(shape)
    with Threads(2) as threads:
        share = noise_share(image, threads)
        assert share < 1 or min(shape) < 20
        assert noise_share(Rows(image, n_rows), threads) == share


def test_of_large_octaves_only_strips_are_held(monkeypatch):
    made, image = [], texture((4000, 120))
    of_shape = Window.__init__

    def remember(self, *args):
        of_shape(self, *args)
        made.append(self)

    monkeypatch.setattr(Window, "__init__", remember)
    with Threads(1) as threads:
        large = next(gaussian_strips(Rows(image, 16), SiftParams(), threads, halo=10, strip_bytes=1))
        numbers = [strip.number for strip in large]
    assert set(numbers) >= {-1, 0, 1, 2}
    # In turns: each octave begins long before the one before it ends.
    assert numbers.index(2) < len(numbers) / 4
    assert all(len(window.rows.samples) < 300 for window in made[:-1])


@pytest.mark.parametrize("change", [DOUBLE, KEEP])
def test_rows_that_are_not_read_may_hold_anything(change):
    image, taps = texture((90, 20)), [gaussian_taps(1.0), gaussian_taps(3.0)]
    height = changed_side(90, change)
    with Threads(1) as threads:
        whole = np.zeros((2, height, 64), np.float32)
        blur(Source(image, 0, image.shape), change, taps, whole, 0, (0, height), threads)
        for rows in ((0, 5), (1, 2), (31, 60), (height - 1, height), (height - 7, height), (0, height)):
            start, stop = rows_read(90, change, taps, rows)
            assert stop - start < 90 or rows == (0, height)
            part = np.full((2, height, 64), np.nan, np.float32)
            blur(Source(image[start:stop], start, image.shape), change, taps, part, 0, rows, threads)
            filled = (slice(None), slice(*rows), slice(changed_side(20, change)))
            np.testing.assert_array_equal(part[filled], whole[filled])


def test_a_window_grows_where_it_was_made_too_small():
    image = texture((50, 8))
    window = window_on(Rows(image, 5), 3)
    assert list(window.until(0, 20)) == []
    np.testing.assert_array_equal(window.rows.samples[:20], image[:20])
    assert list(window.until(18, 50)) == []
    first = window.rows.first_row
    assert first <= 18
    np.testing.assert_array_equal(window.rows.samples[18 - first : 50 - first], image[18:])
    window.close()


def test_the_estimate_grows_with_the_width_and_hardly_with_the_height():
    params = SiftParams()
    wide, higher = (strips_bytes((height, 30_000), params, 70) for height in (33_000, 66_000))
    assert wide < 1.8e9
    assert higher < 1.1 * wide
    assert strips_bytes((33_000, 30_000), params.override(first_octave=0), 70) < 0.6 * wide


def test_strips_of_large_octaves_are_given_back_before_keypoints_are_described(monkeypatch):
    held, frames_of_chosen = [], pipeline._frames_of_chosen

    def remember(found, *rest):
        held.extend((strip.is_whole, strip.levels.size) for f in found for strip in f.strips)
        return frames_of_chosen(found, *rest)

    monkeypatch.setattr(pipeline, "_frames_of_chosen", remember)
    monkeypatch.setattr(pipeline, "gaussian_strips", partial(gaussian_strips, strip_bytes=9_000_000))
    found = detection.detect(grey(SAMPLES[0].with_name("rocket.jpg")), SiftParams(max_features=50))
    assert len(found) == 50
    assert {is_whole for is_whole, _ in held} == {True, False}
    assert all((n_samples > 0) == is_whole for is_whole, n_samples in held)
