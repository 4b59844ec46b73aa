"""Views against their stated geometry."""

import numpy as np
import pytest

from siftcli.errors import InputError
from siftcli.views.pairs import Frame, rotatable_frame
from siftcli.views.planar import Region, map_angles, map_points
from siftcli.views.rendering import Interpolated
from siftcli.views.transforms import (
    TRANSFORMS,
    Blur,
    Brightness,
    Canvas,
    Contrast,
    Jpeg,
    Lossless,
    Mirror,
    Noise,
    Perspective,
    Rotation,
    Scale,
)

BLOB_SIGMA = 3.0
BLOBS = [(x, y) for x in (200.3, 255.0, 307.8) for y in (196.6, 252.4, 301.9)]


def blobs(shape=(500, 521)) -> Interpolated:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    grey = sum(np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * BLOB_SIGMA**2)) for u, v in BLOBS)
    return Interpolated((0.2 + 0.5 * grey).astype(np.float32))


def texture(shape, seed=0) -> Interpolated:
    """A random texture with detail at every scale."""
    rng = np.random.default_rng(seed)
    grey = np.zeros(shape)
    for side in (1, 4, 16):
        small = rng.standard_normal((shape[0] // side + 1, shape[1] // side + 1))
        grey += np.kron(small, np.ones((side, side)))[: shape[0], : shape[1]]
    return Interpolated((0.5 + 0.1 * grey).clip(0, 1).astype(np.float32))


@pytest.fixture(scope="module")
def blob_source() -> Interpolated:
    return blobs()


def centroid(picture: np.ndarray, near: np.ndarray, radius: float) -> np.ndarray:
    """Centre of mass above the background around a place, iterated until it stays."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float64)
    above = picture - np.median(picture)
    for _ in range(10):
        weight = above * np.exp(-((x - near[0]) ** 2 + (y - near[1]) ** 2) / (2 * radius**2))
        near = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
    return near


@pytest.mark.parametrize(
    "transform",
    [
        *(Rotation(deg) for deg in (0, 15, 90, 215)),
        *(Canvas(deg) for deg in (0, 30, 90, 215)),
        *(Lossless(deg) for deg in (90, 180, 270)),
        *(Scale(zoom) for zoom in (0.5, 0.7, 1.4, 2)),
        *(Perspective(deg) for deg in (10, 20, 40)),
        Mirror(),
        Blur(1),
        Noise(3),
        Jpeg(80),
        Brightness(30),
        Contrast(0.7),
    ],
    ids=lambda transform: transform.label,
)
def test_ground_truth_against_rendered_blobs(transform, blob_source):
    pair = transform.pair(blob_source)
    to_reference = np.eye(3)
    if pair.reference.shape != blob_source.shape:
        frame = Frame(len(pair.reference), pair.source_px)
        to_reference = np.linalg.inv(frame.to_source(blob_source))
    expected_in_reference = map_points(to_reference, np.array(BLOBS))
    expected_in_view = map_points(pair.matrix, expected_in_reference)
    zoom = transform.value if isinstance(transform, Scale) else 1.0
    sigma = BLOB_SIGMA / pair.source_px
    for picture, expected, radius in (
        (pair.reference, expected_in_reference, sigma),
        (pair.view, expected_in_view, sigma * zoom),
    ):
        found = np.array([centroid(picture.astype(np.float64), place, radius) for place in expected])
        # Nine blobs; noise moves a centroid by about 0.01 px, a tilt of 40° its mean by 0.015 px.
        np.testing.assert_allclose((found - expected).mean(axis=0), 0, atol=0.02)
        np.testing.assert_allclose(found, expected, atol=0.06)


def test_a_quarter_turn_of_the_camera_is_a_quarter_turn_of_the_view():
    source = texture((300, 340))
    frame = rotatable_frame(source)
    np.testing.assert_allclose(frame.levels(source, 90), np.rot90(frame.levels(source)), atol=1e-8)
    np.testing.assert_allclose(frame.levels(source, 180), np.rot90(frame.levels(source), 2), atol=1e-8)


def test_a_turn_takes_orientations_down_by_its_angle():
    pair = Rotation(30).pair(texture((120, 130)))
    angle = map_angles(pair.matrix, np.array([[10.0, 20.0]]), np.deg2rad([75.0]))
    np.testing.assert_allclose(np.rad2deg(angle), [45])


def test_no_view_is_sharper_than_another():
    source = texture((500, 500))
    frame = rotatable_frame(source)

    def sharpness(deg: float) -> float:
        levels = frame.levels(source, deg)
        y, x = np.indices(levels.shape) - (frame.side - 1) / 2
        disc = (x**2 + y**2 < (frame.side / 2 - 2) ** 2)[1:-1, 1:-1]
        laplacian = 4 * levels[1:-1, 1:-1] - levels[:-2, 1:-1] - levels[2:, 1:-1] - levels[1:-1, :-2]
        return float(np.std((laplacian - levels[1:-1, 2:])[disc]))

    sharp = [sharpness(deg) for deg in (0, 15, 30, 45)]
    # A bilinear warp loses a fifth at 45°; here the texture's square grid leaves a few per cent.
    assert max(sharp) / min(sharp) < 1.08


@pytest.mark.parametrize("shape", [(40, 51), (41, 50), (64, 64)])
@pytest.mark.parametrize("transform", [Lossless(90), Lossless(180), Lossless(270), Mirror(), Canvas(90)])
def test_lossless_turns_move_every_pixel(transform, shape):
    pair = transform.pair(texture(shape))
    y, x = np.indices(shape)
    points = np.column_stack([x.ravel(), y.ravel()])
    moved = map_points(pair.matrix, points)
    whole = np.rint(moved).astype(int)
    np.testing.assert_array_equal(moved, whole)
    np.testing.assert_array_equal(pair.view[whole[:, 1], whole[:, 0]], pair.reference.ravel())


def test_pictures_depend_on_pixels_value_and_seed_only():
    once, again = Rotation(15).pair(texture((150, 160)), 3), Rotation(15).pair(texture((150, 160)), 3)
    np.testing.assert_array_equal(once.view, again.view)
    np.testing.assert_array_equal(once.reference, again.reference)
    other = Rotation(15).pair(texture((150, 160)), 4)
    assert (once.view != other.view).any()
    still = Rotation(0).pair(texture((150, 160)), 3)
    np.testing.assert_array_equal(still.reference, once.reference)
    assert (still.view != still.reference).any()


def test_every_view_has_noise_of_one_grey_level():
    flat = Interpolated(np.full((200, 200), 100.4 / 255, np.float32))
    for transform in (Rotation(30), Scale(2), Noise(1)):
        pair = transform.pair(flat)
        for picture in (pair.reference, pair.view):
            # Variance 1 of the noise and 1/12 of rounding.
            assert picture.std() == pytest.approx(np.sqrt(13 / 12), rel=0.05)
            assert picture.mean() == pytest.approx(100.4, abs=0.05)


@pytest.mark.parametrize(
    ("side", "view_side", "source_px"), [(300, 209, 1), (512, 256, 1.4), (1411, 400, 2.5)]
)
def test_views_shrink_the_source_where_it_is_large_enough(side, view_side, source_px):
    frame = rotatable_frame(Interpolated(np.zeros((side, side + 7), np.float32)))
    assert frame.side == view_side
    assert frame.source_px == pytest.approx(source_px, abs=0.02)


def test_turned_views_stay_inside_the_source():
    source = texture((150, 400))
    frame = rotatable_frame(source)
    for deg in range(0, 360, 15):
        corners = map_points(frame.to_source(source, deg), Region.whole(frame.shape).corners)
        assert Region.whole(source.shape).depth(corners).min() >= 1.99


def test_canvas_holds_the_whole_image():
    source = texture((100, 60))
    for deg in (15, 45, 100):
        pair = Canvas(deg).pair(source)
        depth = Region.whole(pair.view.shape).depth(pair.view_region.corners)
        assert depth.min() >= -1e-9
        inside = pair.view_region.mask(pair.view.shape).sum()
        assert inside == pytest.approx(100 * 60, rel=0.02)


def test_depth_is_the_distance_to_the_nearest_side():
    region = Region.whole((10, 20))
    points = np.array([(9.5, 4.5), (0.0, 4.5), (25.5, 4.5)])
    np.testing.assert_allclose(region.depth(points), [5, 0.5, -6])
    mirrored = Region(region.corners[::-1])
    np.testing.assert_allclose(mirrored.depth(points), [5, 0.5, -6])


def test_zoom_by_one_side_or_the_other():
    source = texture((300, 320))
    for value in (0.5, 4):
        reference, view = Scale(value).frames(source)
        assert reference.source_px / view.source_px == pytest.approx(value)
        assert min(reference.source_px, view.source_px) >= 1


@pytest.mark.parametrize("transform", [Rotation(10), Scale(4), Blur(1)])
def test_too_small_an_image_is_refused(transform):
    with pytest.raises(InputError, match="20 × 30"):
        transform.pair(texture((30, 20)))


def test_only_quarter_turns_are_lossless():
    with pytest.raises(InputError, match="multiples of 90"):
        Lossless(45).pair(texture((50, 50)))


def test_every_sweep_has_a_name():
    assert all(cls.sweep == name for name, cls in TRANSFORMS.items())
