"""Registration: models, the fit, the adjustment, warping, canvases, and pictures of known truth."""

import re

import numpy as np
import pytest
from conftest import SAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import siftcli
from siftcli.alignment import models
from siftcli.alignment.adjustment import Pair, adjusted, chained
from siftcli.alignment.canvas import make_canvas
from siftcli.alignment.estimation import control_points
from siftcli.alignment.fitting import fit
from siftcli.alignment.intensities import CELL_PX, _spline, refined
from siftcli.alignment.models import Frame, mapped, matrix_of, parameters_of, rms_distance
from siftcli.alignment.options import MODELS, WarpOptions
from siftcli.alignment.warping import tiles, valid_pixels, warp_samples
from siftcli.errors import InputError, ParameterError
from siftcli.image import read_image
from siftcli.views.planar import similarity
from siftcli.views.rendering import GREY_LEVELS, Interpolated, render

SIDE = 256
SIZE = (SIDE, SIDE)
PARAMETERS = {
    "translation": [0.1, -0.05],
    "rigid": [0.2, 0.1, -0.05],
    "similarity": [0.95, 0.2, 0.1, -0.05],
    "affine": [1.02, 0.05, 0.1, -0.04, 0.97, -0.05],
    "homography": [1.02, 0.05, 0.1, -0.04, 0.97, -0.05, 0.03, -0.02],
}
TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64")


def picture(name: str = "astronaut") -> Interpolated:
    path = next(path for path in SAMPLES if name in path.name)
    return Interpolated(read_image(path).grey)


def frame_of(
    source: Interpolated, to_frame: np.ndarray, rng: np.random.Generator | None = None
) -> np.ndarray:
    """A frame of the picture, sampled by an exact spline, with noise; 8 bits."""
    levels = render(source, np.linalg.inv(to_frame), (SIDE, SIDE), 1.0, average=False)
    noise = 0 if rng is None else 2 * rng.standard_normal(levels.shape)
    return np.rint(np.clip(levels + noise, 0, GREY_LEVELS)).astype(np.uint8)


def true_map(model: str) -> np.ndarray:
    return Frame.of(SIZE).in_pixels(matrix_of(model, np.array(PARAMETERS[model])))


# --- models --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_parameters_and_matrices_are_inverse(model):
    parameters = np.array(PARAMETERS[model])
    found = parameters_of(model, matrix_of(model, parameters))
    # The affine part of a homography near the origin is not asked for: it has all eight.
    np.testing.assert_allclose(found, parameters, atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_derivatives_are_those_of_small_steps(model):
    points, parameters = np.random.default_rng(1).normal(size=(7, 2)), np.array(PARAMETERS[model])
    found = models.derivatives(model, parameters, points)
    for k in range(len(parameters)):
        step = np.zeros(len(parameters))
        step[k] = 1e-6
        ahead, behind = (mapped(matrix_of(model, parameters + s * step), points) for s in (1, -1))
        np.testing.assert_allclose(found[:, :, k], (ahead - behind) / 2e-6, atol=1e-8)


def test_the_motion_of_a_similarity():
    centre = (127.5, 127.5)
    found = models.motion(similarity(1.25, 30, centre, (centre[0] + 4, centre[1] - 3)), SIZE)
    np.testing.assert_allclose([*found.shift, found.rotation_deg, found.scale], [4, -3, 30, 1.25], atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_the_fit_is_exact_for_exact_points_and_withstands_outliers(model):
    rng = np.random.default_rng(2)
    first = rng.uniform(0, SIDE, (80, 2))
    second = mapped(true_map(model), first)
    second[:8] += 2.5
    sigma = rng.uniform(1, 4, 80)
    found = fit(model, first, second, (sigma, sigma), np.eye(3), Frame.of(SIZE))
    # One in ten is off by 3.5 px: an unweighted mean would be by 0.35 px, Cauchy's loss forgets them.
    assert rms_distance(found, true_map(model), SIZE) < 1e-3


def test_exchanging_the_pictures_inverts_the_fit():
    rng = np.random.default_rng(3)
    first = rng.uniform(0, SIDE, (60, 2))
    second = mapped(true_map("affine"), first) + rng.normal(0, 0.3, (60, 2))
    sigma = rng.uniform(1, 4, 60), rng.uniform(1, 4, 60)
    there = fit("affine", first, second, sigma, true_map("affine"), Frame.of(SIZE))
    back = fit("affine", second, first, sigma[::-1], np.linalg.inv(true_map("affine")), Frame.of(SIZE))
    # Both minimise the same sum; what is left is the tolerance of the solver, 1e-9 of a radius of 181 px.
    assert rms_distance(np.linalg.inv(back), there, SIZE) < 1e-4


@given(st.integers(0, 1 << 30), st.integers(3, 40))
@settings(max_examples=30, deadline=None)
def test_control_points_carry_the_sum_of_squares(seed, n):
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 50, (n, 2))
    change = rng.normal(0, 0.1, (2, 3))

    def square_sum(p):
        return np.sum((p @ change[:, :2].T + change[:, 2]) ** 2)

    # For a change of an affine map, four points stand for all.
    assert n / 4 * square_sum(control_points(points)) == pytest.approx(square_sum(points), rel=1e-9)


# --- adjustment ----------------------------------------------------------------------------------------


def chain_of_pairs(
    n: int, noise_px: float, reach: int, rng: np.random.Generator
) -> tuple[list[Pair], list[np.ndarray]]:
    """Pairs of frames up to ``reach`` apart, and the true maps to the first frame."""
    maps = [similarity(1 + 0.001 * k, 0.5 * k, (128, 128), (128 + 2 * k, 128 - k)) for k in range(n)]
    corners = np.array([[30.0, 30], [220, 40], [210, 230], [40, 220]])
    pairs = []
    for i in range(n):
        for j in range(max(0, i - reach), i):
            exact = np.linalg.inv(maps[j]) @ maps[i]
            shift = np.eye(3)
            shift[:2, 2] = rng.normal(0, noise_px, 2)
            pairs.append(Pair(i, j, shift @ exact, corners, 100, 0.1, 0.01))
    return pairs, maps


def test_the_adjustment_of_exact_pairs_is_exact():
    pairs, maps = chain_of_pairs(12, 0.0, 3, np.random.default_rng(0))
    start = chained(pairs, 0)
    found = adjusted("similarity", pairs, 0, start, Frame.of(SIZE))
    assert max(rms_distance(found[i], maps[i], SIZE) for i in range(12)) < 1e-6


def test_the_adjustment_removes_drift_and_withstands_a_wrong_pair():
    rng = np.random.default_rng(1)
    pairs, maps = chain_of_pairs(40, 0.05, 4, rng)
    pairs[50] = Pair(
        pairs[50].moving,
        pairs[50].reference,
        similarity(1, 3, (0, 0), (9, 9)),
        pairs[50].control,
        60,
        0.1,
        0.01,
    )
    steps = [pair for pair in pairs if pair.moving - pair.reference == 1]
    drift = rms_distance(chained(steps, 0)[39], maps[39], SIZE)
    found = adjusted("similarity", pairs, 0, chained(steps, 0), Frame.of(SIZE))
    error = rms_distance(found[39], maps[39], SIZE)
    # Four neighbours: the error of 39 steps of 0.05 px, 0.3 px, should fall by half at least.
    assert error < 0.5 * drift
    assert np.array_equal(found[0], np.eye(3))


def test_frames_without_a_path_to_the_root_are_left_out():
    pairs, _ = chain_of_pairs(6, 0.0, 1, np.random.default_rng(0))
    broken = [pair for pair in pairs if pair.moving != 3]
    assert sorted(chained(broken, 0)) == [0, 1, 2]


# --- warping -------------------------------------------------------------------------------------------


def random_samples(dtype: str, n_samples: int = 1) -> np.ndarray:
    rng = np.random.default_rng(4)
    if np.dtype(dtype).kind == "f":
        return rng.normal(0, 3, (40, 50, n_samples)).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, (40, 50, n_samples), dtype=dtype, endpoint=True)


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic", "lanczos"])
@pytest.mark.parametrize("dtype", TYPES)
def test_whole_pixels_are_moved_without_change(dtype, interpolation):
    samples = random_samples(dtype, 3)
    matrix = np.array([[1, 0, 5], [0, 1, -3], [0, 0, 1.0]])
    found, valid = warp_samples(samples, matrix, (50, 40), WarpOptions(interpolation=interpolation))
    assert found.dtype == samples.dtype
    expected = np.zeros_like(samples)
    expected[:37, 5:] = samples[3:, :45]
    assert valid.sum() == 37 * 45
    if interpolation == "nearest" or np.dtype(dtype).itemsize < 4 or dtype == "uint8":
        np.testing.assert_array_equal(found, expected)
    else:  # single precision: OpenCV's weights of whole positions are not exactly 0
        scale = float(np.abs(samples.astype(np.float64)).max())
        assert np.abs(found.astype(np.float64) - expected).max() <= 1e-5 * scale


@pytest.mark.parametrize("model", MODELS)
def test_cubic_interpolation_is_near_the_exact_spline(model):
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    samples = 100 + 40 * np.sin(x / 5 + y / 9) * np.cos(y / 6)
    found, valid = warp_samples(samples[:, :, None], true_map(model), SIZE, WarpOptions())
    source = mapped(np.linalg.inv(true_map(model)), np.stack([x.ravel(), y.ravel()], axis=1)).T
    u, v = source.reshape(2, SIDE, SIDE)
    exact = 100 + 40 * np.sin(u / 5 + v / 9) * np.cos(v / 6)
    inner = ndimage.binary_erosion(valid, iterations=4)
    assert inner.mean() > 0.5
    # Keys' cubic is of third order: for waves of 30 px of this height it is off by 0.02.
    assert np.abs(found[:, :, 0] - exact)[inner].max() < 0.05


def test_a_ramp_shows_that_coordinates_are_not_rounded():
    ramp = np.tile(np.arange(64.0), (64, 1))[:, :, None]
    matrix = similarity(1.0, 0, (0, 0), (0.013, 0))
    found, _ = warp_samples(ramp, matrix, (64, 64), WarpOptions())
    # OpenCV's cubic rounds to 1/32 px and would not move it at all.
    np.testing.assert_allclose(found[5:-5, 5:-5, 0], ramp[5:-5, 5:-5, 0] - 0.013, atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_valid_pixels_are_those_that_map_into_the_picture(model):
    inverse = np.linalg.inv(true_map(model))
    y, x = np.mgrid[10:90, 5:120]
    u, v = mapped(inverse, np.stack([x.ravel(), y.ravel()], axis=1).astype(float)).T
    expected = (u >= -0.5) & (u <= 69.5) & (v >= -0.5) & (v <= 59.5)
    found = valid_pixels(inverse, (5, 10, 120, 90), (70, 60))
    np.testing.assert_array_equal(found, expected.reshape(found.shape))
    assert 0 < found.sum() < found.size


@pytest.mark.parametrize("fill", [7.0, "nan", "mirror"])
def test_fills(fill):
    samples = random_samples("float32")
    matrix = np.array([[1, 0, 5], [0, 1, 0], [0, 0, 1.0]])
    found, valid = warp_samples(samples, matrix, (50, 40), WarpOptions(fill=fill, interpolation="nearest"))
    outside = found[:, :5, 0]
    assert not valid[:, :5].any()
    if fill == "nan":
        assert np.isnan(outside).all()
    elif fill == "mirror":
        np.testing.assert_array_equal(outside, samples[:, 5:0:-1, 0])
    else:
        assert (outside == fill).all()


def test_the_rim_has_no_fill_mixed_in():
    samples = np.full((40, 50, 1), 200, np.uint8)
    found, valid = warp_samples(samples, similarity(1, 17, (25, 20), (25, 20)), (50, 40), WarpOptions())
    assert set(np.unique(found[valid])) == {200}
    assert set(np.unique(found[~valid])) == {0}


def test_colours_are_weighted_by_alpha():
    samples = np.zeros((40, 40, 4), np.uint8)
    samples[:, :20] = [250, 10, 10, 255]  # the colour of transparent pixels, black, must not bleed in
    found, _ = warp_samples(
        samples, similarity(1, 0, (0, 0), (0.5, 0)), (40, 40), WarpOptions(), alpha="straight"
    )
    seen = found[5:35, 2:38]
    assert (np.abs(seen[seen[..., 3] > 20][:, :3].astype(int) - [250, 10, 10]) <= 1).all()
    assert (seen[..., 3] == 0).any()


def test_shrinking_is_free_of_aliasing():
    checks = np.indices((160, 160)).sum(axis=0) % 2 * 200.0
    found, _ = warp_samples(checks[:, :, None], similarity(0.3, 0, (0, 0), (0, 0)), (48, 48), WarpOptions())
    # Without the blur, single pixels of 0 or 200 would be picked.
    assert np.ptp(found[4:-4, 4:-4]) < 20


def test_tiles_make_the_whole(monkeypatch):
    samples = random_samples("uint16", 2)
    matrix = true_map("homography")
    whole, valid = warp_samples(samples, matrix, (90, 70), WarpOptions())
    monkeypatch.setattr("siftcli.alignment.warping.TILE_PX", 17)
    parts, parts_valid = warp_samples(samples, matrix, (90, 70), WarpOptions())
    np.testing.assert_array_equal(valid, parts_valid)
    # Positions are computed in single precision, from another corner in each tile.
    assert np.abs(whole.astype(int) - parts).max() <= 2
    assert sorted(tiles((40, 20), 17))[0] == (0, 0, 17, 17)


@pytest.mark.parametrize(
    ("matrix", "fill", "dtype", "error"),
    [
        (np.zeros((3, 3)), 0, "uint8", InputError),
        (np.eye(3), 300, "uint8", ParameterError),
        (np.eye(3), 0.5, "uint8", ParameterError),
        (np.eye(3), "nan", "uint16", ParameterError),
        (np.eye(3), 0, "complex64", InputError),
        (np.eye(3), 0, "int64", InputError),
        (np.full((3, 3), np.nan), 0, "uint8", InputError),
    ],
)
def test_what_cannot_be_warped_is_refused(matrix, fill, dtype, error):
    with pytest.raises(error):
        siftcli.warp(np.ones((20, 20), dtype), matrix, fill=fill)


# --- canvas --------------------------------------------------------------------------------------------


def test_the_union_holds_all_pictures_and_the_intersection_lies_in_all():
    pictures = [
        (similarity(1, 20, (50, 40), (60, 35)), (100, 80)),
        (similarity(0.9, -5, (50, 40), (50, 50)), (100, 80)),
    ]
    union = make_canvas("union", (100, 80), pictures)
    common = make_canvas("intersection", (100, 80), pictures)
    everything = np.full((80, 100, 1), 9, np.uint8)
    n_pixels = []
    for matrix, _ in [*pictures, (np.eye(3), None)]:
        _, valid = warp_samples(everything, matrix, union.size, WarpOptions(), origin=union.origin)
        assert not valid[0].all() and valid.sum() > 0
        _, larger = warp_samples(everything, matrix, (400, 400), WarpOptions(), origin=(-150, -150))
        n_pixels.append((valid.sum(), larger.sum()))
        assert warp_samples(everything, matrix, common.size, WarpOptions(), origin=common.origin)[1].all()
    assert all(inside == total for inside, total in n_pixels)
    # A rectangle of more than half the reference is common to these three.
    assert common.size[0] * common.size[1] > 0.4 * 100 * 80


def test_the_intersection_of_aligned_pictures_is_exact():
    shift = similarity(1, 0, (0, 0), (7, -3))
    found = make_canvas("intersection", (100, 80), [(shift, (100, 80))])
    assert (found.size, found.origin) == ((93, 77), (7, 0))


def test_pictures_without_a_common_pixel():
    far = similarity(1, 0, (0, 0), (500, 0))
    with pytest.raises(InputError, match="no rectangle in common"):
        make_canvas("intersection", (100, 80), [(far, (100, 80))])
    with pytest.raises(InputError, match="union would have"):
        make_canvas("union", (100, 80), [(similarity(30, 0, (0, 0), (0, 0)), (100, 80))])


# --- known truth ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_the_transform_of_two_frames_of_known_truth(model):
    source, rng = picture(), np.random.default_rng(6)
    place = similarity(1, 25, (255.5, 255.5), (127.5, 127.5))
    truth = true_map(model)
    reference, moving = frame_of(source, place, rng), frame_of(source, np.linalg.inv(truth) @ place, rng)
    darker = np.rint(0.7 * moving + 20).astype(np.uint8)
    found = siftcli.align(reference, darker, model)
    # What the program promises: 0.05 px up to similarities, 0.1 px beyond.
    assert rms_distance(found.matrix, truth, SIZE) < (0.1 if model in ("affine", "homography") else 0.05)
    assert found.image.shape == reference.shape and found.image.dtype == np.uint8
    back = (found.image[found.valid].astype(float) - 20) / 0.7
    # Noise of 2.8 levels in the difference, and interpolation at edges.
    assert np.median(np.abs(back - reference[found.valid])) < 4


def pair_of_frames(model: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two frames and the map from the second to the first."""
    source, place, truth = picture(), similarity(1, 25, (255.5, 255.5), (127.5, 127.5)), true_map(model)
    return frame_of(source, place, rng), frame_of(source, np.linalg.inv(truth) @ place, rng), truth


@pytest.mark.parametrize("model", MODELS)
def test_intensities_are_more_exact_than_features(model):
    reference, moving, truth = pair_of_frames(model, np.random.default_rng(7))
    curve = np.rint(255 * (moving / 255) ** 0.8 * 0.8 + 10).astype(np.uint8)
    features, both = (siftcli.align(reference, curve, model, refine=how) for how in ("none", "ecc"))
    assert both.reason == ""
    errors = [rms_distance(found.matrix, truth, SIZE) for found in (features, both)]
    assert errors[1] < errors[0] and errors[1] < 0.02


@pytest.mark.parametrize("trouble", ["blur", "object", "no value"])
def test_intensities_withstand(trouble):
    reference, moving, truth = pair_of_frames("rigid", np.random.default_rng(7))
    sides = [reference.astype(np.float32), moving.astype(np.float32)]
    if trouble == "blur":
        sides[1] = ndimage.gaussian_filter(sides[1], 1.5)
    elif trouble == "object":  # a tenth of the frame, which stays where it is
        thing = np.random.default_rng(9).integers(0, 255, (10, 10)).repeat(8, 0).repeat(8, 1)
        for side in sides:
            side[90:170, 90:170] = thing
    else:
        sides[0][100:140, 60:200] = sides[1][20:60, 60:200] = np.nan
    features, both = (
        siftcli.align(sides[0], sides[1], "rigid", refine=how, stretch="percentile")
        for how in ("none", "ecc")
    )
    errors = [rms_distance(found.matrix, truth, SIZE) for found in (features, both)]
    # Not worse than the features by more than the error of a sharp pair.
    assert errors[1] < errors[0] + 0.01 and errors[1] < 0.05


@pytest.mark.parametrize(("cell_px", "least", "most"), [(CELL_PX, 0.0, 0.0015), (SIDE, 0.003, 0.008)])
def test_cells_leave_out_a_soft_object_that_moves(monkeypatch, cell_px, least, most):
    """Many of its pixels are within the noise; together they are not, and one cell for all sees nothing."""
    monkeypatch.setattr("siftcli.alignment.intensities.CELL_PX", cell_px)
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:SIDE, :SIDE]
    ground = frame_of(picture(), similarity(1, 25, (255.5, 255.5), (127.5, 127.5)))
    sides = []
    for shift in (0, 1):
        waves = 90 + 20 * (np.sin((x - shift) / 6) + np.sin((y - 0.7 * shift) / 5))
        is_object = (np.abs(x - 128 - shift) < 40) & (np.abs(y - 128 - shift) < 40)
        levels = np.where(is_object, waves, ground) + rng.normal(0, 2, ground.shape)
        sides.append(read_image(np.rint(np.clip(levels, 0, 255)).astype(np.uint8)))
    start = similarity(1, 0, (0, 0), (0.1, 0.05))
    found, _ = refined("translation", start, *sides, np.array([[60.0, 60], [190, 190]]), 0.5)
    assert least <= rms_distance(found.matrix, np.eye(3), SIZE) < most


def test_the_spline_is_that_of_scipy():
    grey = np.random.default_rng(3).random((40, 50), dtype=np.float32)
    exact = ndimage.spline_filter(grey, 3, mode="mirror")
    # Single precision, and a filter that is cut off where its taps are 2e-6.
    assert np.abs(_spline(grey) - exact).max() < 1e-5


def test_intensities_that_disagree_with_the_features_are_not_followed():
    reference, moving, _ = pair_of_frames("translation", np.random.default_rng(7))
    pictures = [read_image(image) for image in (moving, reference)]
    features = siftcli.align(reference, moving, "translation", refine="none").matrix
    control = np.array([[60.0, 60], [190, 60], [190, 190], [60, 190]])
    off = similarity(1, 0, (0, 0), (0.5, 0)) @ features
    found, reason = refined("translation", off, *pictures, control, 0.05)
    assert found is None and "would move by 0.5" in reason
    found, reason = refined("translation", off, *pictures, control, 0.1)
    assert reason == "" and rms_distance(found.matrix, features, SIZE) < 0.05


@pytest.mark.parametrize(
    ("moving", "reason"),
    [
        (np.full((SIDE, SIDE), 90, np.uint8), "no transform|more exact|would move"),
        (
            np.random.default_rng(1).integers(0, 256, (SIDE, SIDE), np.uint8),
            "no transform|more exact|would move",
        ),
        (np.zeros((12, 12), np.uint8), "too little structure"),
    ],
    ids=["blank", "noise", "tiny"],
)
def test_intensities_that_lead_nowhere(moving, reason):
    reference, _, _ = pair_of_frames("rigid", np.random.default_rng(7))
    control = np.array([[60.0, 60], [190, 60], [190, 190], [60, 190]])
    found, said = refined("rigid", np.eye(3), read_image(moving), read_image(reference), control, 0.05)
    assert found is None and re.search(reason, said)


@pytest.mark.parametrize("other", ["blank", "noise", "another"])
def test_pictures_that_do_not_show_the_same(other):
    reference = frame_of(picture(), similarity(1, 0, (255.5, 255.5), (127.5, 127.5)))
    moving = {
        "blank": np.full((SIDE, SIDE), 90, np.uint8),
        "noise": np.random.default_rng(8).integers(0, 256, (SIDE, SIDE), dtype=np.uint8),
        "another": frame_of(picture("chelsea"), similarity(1, 0, (225, 150), (127.5, 127.5))),
    }[other]
    found = siftcli.align(reference, moving)
    assert found.matrix is None and found.image is None and found.reason


def test_a_model_that_does_not_fit_is_refused():
    source = picture()
    reference = frame_of(source, similarity(1, 0, (255.5, 255.5), (127.5, 127.5)))
    turned = frame_of(source, similarity(1, 40, (255.5, 255.5), (127.5, 127.5)))
    found = siftcli.align(reference, turned, "translation")
    assert found.matrix is None
    assert "agree with a translation" in found.reason


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "spline"},
        {"refine": "x"},
        {"interpolation": "x"},
        {"canvas": "x"},
        {"fill": "x"},
        {"max_error": 0},
    ],
)
def test_wrong_options(wrong):
    image = np.zeros((30, 30), np.uint8)
    with pytest.raises(ParameterError):
        siftcli.align(image, image, **wrong)
