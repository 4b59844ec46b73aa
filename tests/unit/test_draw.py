"""Pictures of keypoints."""

import io

import numpy as np
import pytest
from PIL import Image

import siftcli
from siftcli.drawing import keypoints as drawing
from siftcli.drawing.density import TINT, tinted
from siftcli.drawing.keypoints import BRIGHT_COLOUR, DARK_COLOUR, UNKNOWN_COLOUR, draw_png
from siftcli.drawing.legend import DARK, LIGHT, Entry, strip
from siftcli.errors import InputError, ParameterError
from siftcli.features import Features, Matches
from siftcli.image import read_image


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


def draw_keypoints(image, features, **options):
    """The picture without its legend, unless asked for."""
    return drawing.draw_keypoints(image, features, **{"legend": False, **options})


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
        assert (image.format, image.mode, image.width) == ("PNG", "RGB", 1700)
        assert image.height > 4  # the legend


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((2, 2, 4)), np.zeros((0, 2)), np.zeros((2, 2), int)])
def test_no_picture(array):
    with pytest.raises(InputError):
        draw_keypoints(array, NONE)


# --- thousands of keypoints -----------------------------------------------------------------------------


def crowd(n=2000, seed=3):
    """Weak keypoints in the right half of 400 x 300, and three strong ones in the left."""
    rng = np.random.default_rng(seed)
    xy = np.vstack([rng.uniform((210, 10), (390, 290), (n, 2)), [[50, 50], [50, 150], [50, 250]]])
    features = keypoints(xy, 2.0)
    return features.select(slice(None)), np.r_[np.ones(n), np.full(3, 9.0)]


def with_response(features, response):
    return Features(
        **{name: getattr(features, name) for name in ("xy", "scale", "orientation", "sign", "octave")},
        response=response,
        descriptors=features.descriptors,
        image_size=features.image_size,
    )


def test_only_the_strongest_are_circles_and_the_others_a_tint():
    features = with_response(*crowd())
    picture = draw_keypoints(np.full((300, 400), 0.5), features, max_circles=3).astype(int)
    left, right = picture[:, : 4 * 190], picture[:, 4 * 215 :]
    yellow = (left[..., 0] > 200) & (left[..., 2] < 120)
    assert yellow.any()
    assert not ((right[..., 0] > 200) & (right[..., 2] < 120)).any()
    # Purple: more red and blue than green, where the weak ones are; grey elsewhere.
    assert np.median(right[..., 0] - right[..., 1]) > 30
    away = left[:, : 4 * 20]
    assert (away.max(axis=2) == away.min(axis=2)).all()


def test_all_circles_on_demand():
    features = with_response(*crowd(600))
    grey = np.full((300, 400), 0.5)
    every = draw_keypoints(grey, features, max_circles=None)
    assert not np.array_equal(every, draw_keypoints(grey, features))
    np.testing.assert_array_equal(every, draw_keypoints(grey, features, max_circles=len(features)))


def test_the_tint_counts_points():
    canvas = np.full((560, 560, 3), 128, np.uint8)
    spread = np.stack(np.meshgrid(np.arange(0, 560, 5), np.arange(0, 560, 5)), -1).reshape(-1, 2) + 0.0
    picture, most, cell_px = tinted(canvas, spread, 1)
    assert cell_px == 10
    assert most == pytest.approx(4, rel=1e-3)  # 2 x 2 points in 10 x 10 px, everywhere
    expected = 128 + 0.6 * (np.array(TINT) - 128)
    assert np.abs(picture - expected).max() <= 1
    outside = np.array([[-1e30, 5], [np.nan, 5], [600, 5]])
    nothing, most, _ = tinted(canvas, outside, 1)
    assert most == 0
    np.testing.assert_array_equal(nothing, canvas)


def test_the_legend_tells_what_is_drawn():
    features = with_response(*crowd())
    grey = np.full((300, 400), 0.5)
    plain = draw_keypoints(grey, features)
    whole = drawing.draw_keypoints(grey, features)
    np.testing.assert_array_equal(whole[: len(plain)], plain)
    below = whole[len(plain) :]
    assert (below == DARK[0]).all(axis=2).any()
    assert (np.abs(below.astype(int) - DARK_COLOUR).max(axis=2) < 12).any()
    assert not (np.abs(below.astype(int) - BRIGHT_COLOUR).max(axis=2) < 12).any()  # there is none
    assert (np.abs(below.astype(int) - TINT).max(axis=2) < 12).any()


def test_a_keypoint_of_unknown_sign_is_white():
    picture = draw_keypoints(np.zeros((300, 400)), keypoints([[200, 150]], 20.0, sign=0))
    brightest = picture.reshape(-1, 3)[picture.reshape(-1, 3).sum(axis=1).argmax()]
    np.testing.assert_allclose(brightest, UNKNOWN_COLOUR, atol=10)


@pytest.mark.parametrize("width", [360, 800, 2600])
def test_no_entry_of_a_legend_is_cut_off(width):
    entries = [Entry(f"entry number {i} of a legend", ((255, 0, 0),)) for i in range(12)]
    found = strip(width, "", entries)
    assert found.shape[1] == width
    ink = (found != LIGHT[0]).any(axis=2)
    assert not ink[:, -2:].any()
    red = (found == (255, 0, 0)).all(axis=2)
    bars = red.any(axis=0)[None] & red
    n_pixels = bars.sum()
    assert n_pixels % 12 == 0  # twelve whole bars of one size
    assert n_pixels > 0


def test_a_narrow_picture_has_a_legible_legend():
    whole = drawing.draw_keypoints(np.zeros((900, 20)), keypoints([[10, 10]], 2.0, size=(20, 900)))
    assert whole.shape[1] == 360
    assert (whole[:900, 40:] == DARK[0]).all()


# --- the functions of the package -----------------------------------------------------------------------

CAMERA = "sample_images/camera.png"


def test_a_path_and_its_array_give_the_same_picture():
    features = siftcli.detect(CAMERA, max_features=40)
    by_path = siftcli.draw_keypoints(CAMERA, features)
    np.testing.assert_array_equal(by_path, siftcli.draw_keypoints(read_image(CAMERA).grey, features))
    assert by_path.dtype == np.uint8


def test_an_array_of_three_colours_is_shown_in_colour():
    rgb = np.zeros((300, 400, 3), np.uint8)
    rgb[..., 0] = 200
    picture = siftcli.draw_keypoints(rgb, NONE, legend=False)
    assert picture[5, 5].tolist() == np.rint(127.5 + (rgb[0, 0] - 127.5) * 0.8).tolist()
    np.testing.assert_array_equal(
        picture, siftcli.draw_keypoints((rgb.astype(np.uint16) << 8) | 7, NONE, legend=False)
    )


def test_a_turned_photograph_is_drawn_in_the_frame_of_its_features(tmp_path):
    pixels = np.asarray(Image.open(CAMERA).convert("L").resize((200, 100)))
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    upright = siftcli.detect(tmp_path / "turned.png")
    stored = siftcli.detect(tmp_path / "turned.png", exif_orientation="ignore")
    assert siftcli.draw_keypoints(tmp_path / "turned.png", upright, legend=False).shape == (1600, 800, 3)
    assert siftcli.draw_keypoints(tmp_path / "turned.png", stored, legend=False).shape == (800, 1600, 3)


def test_matches_are_drawn_from_paths():
    f = siftcli.detect(CAMERA, max_features=300)
    matches = siftcli.match(f, f)
    verified = siftcli.verify(f, f, matches)
    picture = siftcli.draw_matches(CAMERA, CAMERA, f, f, matches, verified.inliers, caption="the same")
    few = siftcli.draw_matches(CAMERA, CAMERA, f, f, matches, verified.inliers, max_lines=5)
    assert picture.dtype == np.uint8
    gap = np.s_[:512, 514:520]  # only lines cross the gap between the images
    assert (picture[gap] != 255).sum() > 3 * (few[gap] != 255).sum() > 0


def pairs(*rows):
    rows = np.array(rows, np.int32).reshape(-1, 2)
    return Matches(pairs=rows, distance=np.ones(len(rows)), ratio=np.ones(len(rows)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: siftcli.draw_keypoints(np.zeros((9, 9)), f), "expected 400 x 300 pixels"),
        (lambda f: siftcli.draw_keypoints(np.zeros((300, 400)), f, max_circles=-1), "max_circles"),
        (lambda f: siftcli.draw_keypoints(np.zeros((300, 400)), f, page=0), "page must be"),
        (lambda f: siftcli.draw_keypoints("nothing.png", f), "no such file"),
        (lambda f: both(f, pairs((0, 1))), "refer to row 1 of the second image's features, which are 1"),
        (lambda f: both(f, pairs((-1, 0))), "refer to row -1 of the first"),
        (lambda f: both(f, pairs((0, 0)), np.ones(2, bool)), r"inliers must have shape \(1,\); got \(2,\)"),
        (lambda f: both(f, pairs((0, 0)), max_lines=0), "max_lines must be at least 1"),
    ],
)
def test_wrong_use_is_refused(call, message):
    with pytest.raises((InputError, ParameterError), match=message):
        call(keypoints([[50, 50]], 2.0))


def both(features, matches, inliers=None, **options):
    grey = np.zeros((300, 400))
    return siftcli.draw_matches(grey, grey, features, features, matches, inliers, **options)
