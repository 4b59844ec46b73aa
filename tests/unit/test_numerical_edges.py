"""Images at the edge of numbers: finite features in their ranges, and each stage equal to its naive twin."""

import math

import naive
import numpy as np
from conftest import texture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import siftcli
from siftcli import SiftParams
from siftcli.formats import npz
from siftcli.image import FLOAT_RANGE
from siftcli.kernels.threads import Threads
from siftcli.sift import descriptor, orientation
from siftcli.sift.extrema import find_extrema
from siftcli.sift.frame_columns import frames_of
from siftcli.sift.keypoints import Keypoints
from siftcli.sift.octave import Strip
from siftcli.sift.refinement import refine
from siftcli.sift.scale_space import gaussian_octaves

edge = settings(max_examples=60, suppress_health_check=list(HealthCheck))
twins = settings(max_examples=60, suppress_health_check=list(HealthCheck))

QUANTUM, SATURATED = 512, 255
NORM = QUANTUM + 6
"""Longest descriptor: 512, and half a unit of rounding in each of its 128 numbers, sqrt(128) / 2."""

PARAMS = (
    SiftParams(),
    SiftParams.classic(),
    SiftParams(contrast_threshold=0),
    SiftParams(contrast_threshold=0, edge_threshold=1e6, first_octave=0, peak_ratio=0.1),
    SiftParams(levels_per_octave=1, rootsift=False),
    SiftParams(contrast_threshold=0, dsp=True, max_features=9, selection="even"),
)


# --- images ----------------------------------------------------------------------------------------------


def _constant_areas(rng, shape):
    image = np.full(shape, rng.random())
    for _ in range(3):
        y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        image[y : y + 9, x : x + 7] = rng.random()
    return image


def _checkerboard(rng, shape):
    y, x = np.indices(shape)
    side = rng.integers(1, 6)
    return ((y // side + x // side) % 2).astype(float)


def _white_pixel(rng, shape):
    image = np.zeros(shape)
    image[rng.integers(0, shape[0]), rng.integers(0, shape[1])] = 1
    return image


def _stripes(rng, shape):
    return np.broadcast_to(rng.random(shape[1]) > 0.5, shape).astype(float)


KINDS = {
    "constant": lambda rng, shape: np.full(shape, rng.random()),
    "constant areas": _constant_areas,
    "noise": lambda rng, shape: rng.random(shape),
    "black and white": lambda rng, shape: (rng.random(shape) > 0.5).astype(float),
    "checkerboard": _checkerboard,
    "stripes": _stripes,
    "white pixel": _white_pixel,
    "extremes": lambda rng, shape: rng.choice(FLOAT_RANGE, shape),
    "step": lambda rng, shape: np.where(np.arange(shape[1]) > shape[1] // 2, *FLOAT_RANGE) * np.ones(shape),
    "tiny": lambda rng, shape: 0.5 + 1e-7 * rng.random(shape),
    "denormal": lambda rng, shape: 1e-42 * rng.random(shape),
    "smooth": lambda rng, shape: texture((41, 41), int(rng.integers(1000)), 0.7)[: shape[0], : shape[1]],
}


@st.composite
def images(draw, low=1, high=40):
    """(H, W) float32 of any of these kinds, some with a few samples replaced."""
    shape = draw(st.tuples(st.integers(low, high), st.integers(low, high)))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    image = np.array(KINDS[draw(st.sampled_from(sorted(KINDS)))](rng, shape), np.float32)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))
        image[at] = draw(st.floats(*FLOAT_RANGE, width=32))
    return np.ascontiguousarray(image)


# --- whole features --------------------------------------------------------------------------------------


def assert_in_range(f) -> None:
    for values in (f.xy, f.scale, f.orientation, f.response):
        assert np.isfinite(values).all()
    assert ((f.orientation >= 0) & (f.orientation < np.float32(2 * np.pi))).all()
    assert ((f.xy > -0.5) & (f.xy < np.array(f.image_size) - 0.5)).all()
    assert (f.scale > 0).all()
    assert (f.response >= 0).all()
    assert np.isin(f.sign, (-1, 1)).all()
    assert (np.diff(f.response) <= 0).all()


def assert_norms_in_bounds(f) -> None:
    """Unit length times 512; less where a number is saturated, or where there is no gradient at all."""
    norm = np.linalg.norm(f.descriptors.astype(float), axis=1)
    whole = (f.descriptors < SATURATED).all(axis=1) & (norm > 0)
    assert (norm < NORM).all()
    assert (norm[whole] > QUANTUM - (NORM - QUANTUM)).all()


@edge
@given(image=images(), params=st.sampled_from(PARAMS))
def test_features_are_finite_and_in_range(image, params):
    f = siftcli.detect(image, params, threads=1)
    assert_in_range(f)
    assert_norms_in_bounds(f)
    assert npz.decode(npz.encode(f)).features.xy.tobytes() == f.xy.tobytes()


def test_a_value_of_exactly_zero_has_a_sign_and_can_be_read_again():
    # Refinement can end at exactly 0; of which image does so, the last bit of a level decides.
    keypoints = Keypoints(
        np.zeros(3, np.int16), np.full((3, 2), 20.0), np.full(3, 2.0), np.array([-1e-9, 0, 1]), np.ones(3)
    )
    frames = frames_of(keypoints, np.arange(3), np.zeros(3))
    assert frames["sign"].tolist() == [-1, 1, 1]
    del frames["keypoint"]
    f = siftcli.Features(**frames, descriptors=np.zeros((3, 128), np.uint8), image_size=(40, 40))
    assert npz.decode(npz.encode(f)).features.sign.tolist() == [-1, 1, 1]


@edge
@given(image=images(), params=st.sampled_from(PARAMS), seed=st.integers(0, 10**6))
def test_descriptors_of_any_frames_are_in_bounds(image, params, seed):
    rng, n = np.random.default_rng(seed), 12
    height, width = image.shape
    frames = siftcli.Features(
        xy=rng.uniform(-50, 90, (n, 2)),
        scale=10.0 ** rng.uniform(-3, 4, n),
        orientation=rng.uniform(0, 2 * np.pi, n),
        response=np.zeros(n),
        sign=np.ones(n),
        octave=rng.integers(-5, 9, n),
        descriptors=np.zeros((n, 128)),
        image_size=(width, height),
    )
    f = siftcli.describe(image, frames, params, threads=1)
    assert_norms_in_bounds(f)
    np.testing.assert_array_equal(f.xy, frames.xy)


@edge
@given(image=images(low=8), gain=st.sampled_from([2.0**-8, 2.0**-3, 0.5]))
def test_a_power_of_two_of_contrast_changes_only_the_response(image, gain):
    # Scaling by a power of two is exact in floating point, but for denormal numbers.
    params = {"contrast_threshold": 0.0, "threads": 1}
    image = np.where(np.abs(image) < 1e-20, 0, image).astype(np.float32)
    f, g = siftcli.detect(image, **params), siftcli.detect(image * np.float32(gain), **params)
    strong = f.response > 1e-4
    assert strong.sum() <= len(g)
    both = [set(map(tuple, np.round(np.c_[h.xy, h.scale], 3).tolist())) for h in (f.select(strong), g)]
    assert len(both[0] - both[1]) <= 0.05 * len(both[0])


# --- stages, against their twins -------------------------------------------------------------------------


def first_octave(image: np.ndarray) -> Strip | None:
    with Threads(1) as threads:
        return next(gaussian_octaves(image, SiftParams(first_octave=0), threads), None)


@twins
@given(
    image=images(low=12, high=22),
    threshold=st.sampled_from([0.0, 1e-4, 0.04]),
    nearest_only=st.booleans(),
    refinement=st.sampled_from(["lowe", "least-squares"]),
)
def test_extrema_equal_their_twin(image, threshold, nearest_only, refinement):
    octave = first_octave(image)
    params = SiftParams(
        contrast_threshold=threshold,
        stability_threshold=0,
        nearest_only=nearest_only,
        edge_threshold=15,
        refinement=refinement,
    )
    n_scales = len(octave.unpadded) - 3
    least = np.float32(params.contrast_threshold * params.candidate_fraction / n_scales)
    with Threads(1) as threads:
        found = find_extrema(octave, params, threads)
    expected = naive.extrema(octave.unpadded, least, nearest_only, 0 if refinement == "lowe" else 60 / 256)
    assert set(map(tuple, found.tolist())) == set(expected)


LIMITS = {
    "contrast_threshold": 0.01,
    "stability_threshold": 0.0,
    "edge_threshold": 10.0,
    "refinement": "lowe",
}


def twin_of_refinement(octave, candidate, change=1.0):
    """What the twin says, with limits a little apart from the true ones."""
    contrast = LIMITS["contrast_threshold"] / (len(octave.unpadded) - 3)
    try:
        limits = 0.6 * change, 5, contrast * change, LIMITS["edge_threshold"] * change
        return naive.refine(octave.unpadded, candidate, *limits)
    except np.linalg.LinAlgError:  # a flat neighbourhood has no extremum
        return "unstable"


@twins
@given(image=images(low=14, high=24))
def test_refinement_equals_its_twin(image):
    octave, params = first_octave(image), SiftParams(first_octave=0, **LIMITS)
    with Threads(1) as threads:
        candidates = find_extrema(octave, params, threads)[:40]
        for i, candidate in enumerate(candidates.tolist()):
            around = [twin_of_refinement(octave, tuple(candidate), c) for c in (1 - 1e-5, 1.0, 1 + 1e-5)]
            fates = {a if isinstance(a, str) else "kept" for a in around}
            found, removed, _ = refine(octave, candidates[i : i + 1], params, threads)
            if len(fates) > 1 or is_nearly_singular(octave, candidate):
                continue  # on the edge of a decision rounding decides
            (fate,) = fates
            assert len(found) == (fate == "kept")
            assert fate == "kept" or removed[fate] == 1
            if fate == "kept":
                np.testing.assert_allclose(
                    found.xy[0], octave.to_input(np.array([around[1][:2]]))[0], atol=1e-5
                )


def is_nearly_singular(octave, candidate) -> bool:
    """Whether the quadratic at a candidate is so flat that its extremum is rounding alone."""
    s, y, x = candidate
    b = np.diff(octave.unpadded.astype(float), axis=0)[s - 1 : s + 2, y - 1 : y + 2, x - 1 : x + 2]
    gradients = np.gradient(b)
    hessian = [[np.gradient(g)[k][1, 1, 1] for k in range(3)] for g in gradients]
    return bool(np.linalg.cond(hessian) > 1e6)


@twins
@given(image=images(low=16, high=26), at=st.tuples(*[st.floats(2, 13)] * 2), sigma=st.floats(1.6, 3))
def test_orientations_equal_their_twin(image, at, sigma):
    octave, params = first_octave(image), SiftParams.classic(max_orientations=36)
    keypoints = Keypoints(
        np.zeros(1, np.int16), np.array([at]), np.array([sigma]), np.ones(1), np.ones(1, np.float32)
    )
    with Threads(1) as threads:
        _, angles = orientation.assign_orientations(octave, keypoints, params, threads)
    assert np.isfinite(angles).all()
    assert ((angles >= 0) & (angles <= 2 * np.pi)).all()
    level = octave.unpadded[octave.nearest_level(np.array([sigma]))[0]]
    histogram = naive.smooth(naive.orientation_histogram(level, *at, 1.5 * sigma, 4.5 * sigma, 36), 2)
    expected = naive.peaks(histogram, params.peak_ratio)
    if histogram.max() > 1e-3 and has_clear_peaks(histogram, params.peak_ratio):
        np.testing.assert_allclose(np.sort(angles), np.sort(expected), atol=2e-3)


def has_clear_peaks(histogram, ratio) -> bool:
    """Whether rounding can neither make nor unmake a peak, nor turn one over the end of the circle."""
    margin = 1e-4 * histogram.max()
    around = np.minimum(np.abs(histogram - np.roll(histogram, 1)), np.abs(histogram - np.roll(histogram, -1)))
    high = histogram > (ratio - 0.01) * histogram.max()
    clear = (around[high] > margin).all() and (np.abs(histogram - ratio * histogram.max()) > margin).all()
    return bool(clear and not high[[0, -1]].any())


@settings(twins, max_examples=8)
@given(
    image=images(low=20, high=28),
    at=st.tuples(*[st.floats(2, 17, width=32)] * 2),
    theta=st.floats(0, 6.25, width=32),
    rootsift=st.booleans(),
)
def test_descriptors_equal_their_twin(image, at, theta, rootsift):
    octave, sigma = first_octave(image), 2.25
    frames = np.array([at], np.float32), np.array([sigma], np.float32), np.array([theta], np.float32)
    params = SiftParams.classic(rootsift=rootsift)
    with Threads(1) as threads:
        (found,) = descriptor.describe_frames(octave, *frames, params, threads)
    level = octave.unpadded[octave.nearest_level(np.array([sigma]))[0]]
    contrast = float(np.ptp(level))
    expected = naive.descriptor(level, *at, sigma, theta, params.cell_width, params.descriptor_clip, rootsift)
    assert math.isfinite(float(np.sum(expected)))
    if contrast > 1e-3:  # below that a gradient is what single precision makes of it
        np.testing.assert_allclose(found, expected, atol=3)
