"""Pictures of keypoints."""

import io

import numpy as np
import pytest
from PIL import Image

from siftcli.drawing.keypoints import BRIGHT_COLOUR, DARK_COLOUR, draw_keypoints, draw_png
from siftcli.errors import InputError
from siftcli.features import Features


def keypoints(xy, scale, orientation=0.0, sign=1, size=(400, 300)):
    n = len(xy)
    return Features(
        xy=xy,
        scale=np.full(n, scale),
        orientation=np.full(n, orientation),
        response=np.ones(n),
        sign=np.full(n, sign),
        octave=np.zeros(n),
        descriptors=np.zeros((n, 128)),
        image_size=size,
    )


NONE = keypoints(np.zeros((0, 2)), 1)


def coloured(picture):
    """Where there is colour, in a picture of a grey image."""
    return picture.max(axis=2).astype(int) - picture.min(axis=2) > 60


def test_circle_has_radius_three_sigma_around_the_keypoint():
    k = 4
    picture = draw_keypoints(np.full((300, 400), 0.5), keypoints([[200.25, 150.5]], 20.0))
    assert picture.shape == (300 * k, 400 * k, 3)
    assert picture.dtype == np.uint8
    y, x = np.nonzero(coloured(picture))
    centre = ((200.25 + 0.5) * k - 0.5, (150.5 + 0.5) * k - 0.5)
    # 1.5 px: half the width of an antialiased line
    assert (x.min() + x.max()) / 2 == pytest.approx(centre[0], abs=1.5)
    assert (y.min() + y.max()) / 2 == pytest.approx(centre[1], abs=1.5)
    assert (x.max() - x.min()) / 2 == pytest.approx(60 * k, abs=1.5)


@pytest.mark.parametrize(("orientation", "step"), [(0, (0, 1)), (np.pi / 2, (1, 0)), (np.pi, (0, -1))])
def test_line_points_along_the_orientation_y_down(orientation, step):
    picture = coloured(draw_keypoints(np.full((300, 400), 0.5), keypoints([[200, 150]], 20.0, orientation)))
    y, x = (round((c + 0.5) * 4 - 0.5) for c in (150, 200))
    half = 120
    assert picture[
        y + step[0] * half - 2 : y + step[0] * half + 3, x + step[1] * half - 2 : x + step[1] * half + 3
    ].any()
    assert not picture[
        y - step[0] * half - 2 : y - step[0] * half + 3, x - step[1] * half - 2 : x - step[1] * half + 3
    ].any()


@pytest.mark.parametrize("background", [0.0, 0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_legible_on_dark_and_light(background, sign):
    picture = draw_keypoints(np.full((300, 400), background), keypoints([[200, 150]], 20.0, sign=sign))
    luminance = picture @ np.array([0.2126, 0.7152, 0.0722])
    row = luminance[600, 800 - 250 : 800 - 230]  # across the circle, away from the line
    # 60 of 255 levels between the line and its surroundings, halo included
    assert row.max() - row.min() > 60


def test_colours_tell_the_sign():
    for sign, colour in ((1, DARK_COLOUR), (-1, BRIGHT_COLOUR)):
        picture = draw_keypoints(np.zeros((300, 400)), keypoints([[200, 150]], 20.0, sign=sign))
        brightest = picture.reshape(-1, 3)[picture.reshape(-1, 3).sum(axis=1).argmax()]
        np.testing.assert_allclose(brightest, colour, atol=10)


@pytest.mark.parametrize(("side", "factor"), [(1, 8), (60, 8), (512, 3), (1600, 1), (3000, 1)])
def test_small_pictures_are_enlarged(side, factor):
    assert draw_keypoints(np.zeros((1, side)), NONE).shape == (factor, side * factor, 3)


def test_colour_pictures_and_inputs_are_not_changed():
    rgb = np.random.default_rng(1).integers(0, 256, (30, 2000, 3), dtype=np.uint8)
    before = rgb.copy()
    picture = draw_keypoints(rgb, keypoints([[5, 5]], 2.0))
    np.testing.assert_array_equal(rgb, before)
    assert picture[20, 1000].tolist() == np.rint(127.5 + (rgb[20, 1000] - 127.5) * 0.8).tolist()


def test_keypoints_beyond_all_reason_are_left_out():
    grey = np.full((30, 2000), 0.5)
    wild = keypoints([[1e30, 0], [-1e9, 3], [5, 5]], 1.0).select(slice(0, 2))
    np.testing.assert_array_equal(draw_keypoints(grey, wild), draw_keypoints(grey, NONE))
    huge = keypoints([[5, 5]], 1e30)
    np.testing.assert_array_equal(draw_keypoints(grey, huge), draw_keypoints(grey, NONE))


def test_png():
    with Image.open(io.BytesIO(draw_png(np.zeros((4, 1700)), NONE))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (1700, 4))


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((2, 2, 4)), np.zeros((0, 2)), np.zeros((2, 2), int)])
def test_no_picture(array):
    with pytest.raises(InputError):
        draw_keypoints(array, NONE)
