"""The promises of the pipeline, on the sample images and on images whose answer is known."""

import gc
import math
from functools import partial
from types import GeneratorType

import cv2
import numpy as np
import pytest
from conftest import SAMPLES, blobs, grey, texture
from scipy.spatial import cKDTree

import siftcli
from siftcli import Features, SiftParams, detection
from siftcli.detectors import create
from siftcli.presets import PRESETS
from siftcli.sift import pipeline
from siftcli.sift import selection as selecting
from siftcli.sift.extrema import find_extrema
from siftcli.sift.scale_space import gaussian_strips
from siftcli.views.metrics import agreement

POSITION_PX, SCALE, ORIENTATION_RAD, DESCRIPTOR = 0.01, 0.01, math.radians(0.1), 0.01


def turned_back(features: Features, quarter_turns: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and orientations of features of an image that np.rot90 turned, in the frame before."""
    (x, y), theta = features.xy.T.astype(float), features.orientation.astype(float)
    width, height = features.image_size
    for _ in range(quarter_turns):
        x, y, theta = height - 1 - y, x, theta + math.pi / 2
        width, height = height, width
    return np.stack((x, y), 1), theta


def n_lost(a, a_frame, b, b_frame, *, mirrored=False) -> int:
    """Features of a without one in b at the same place and scale and, unless mirrored, the same rest."""
    (xy_a, theta_a), (xy_b, theta_b) = a_frame, b_frame
    lost = 0
    for i, near in enumerate(cKDTree(xy_b).query_ball_point(xy_a, POSITION_PX)):
        same = np.abs(b.scale[near] / a.scale[i] - 1) <= SCALE
        if not mirrored:
            away = (theta_b[near] - theta_a[i] + math.pi) % (2 * math.pi) - math.pi
            difference = b.descriptors[near].astype(float) - a.descriptors[i]
            same &= np.abs(away) <= ORIENTATION_RAD
            same &= np.linalg.norm(difference, axis=1) <= DESCRIPTOR * np.linalg.norm(
                a.descriptors[i].astype(float)
            )
        lost += not same.any()
    return lost


@pytest.fixture(scope="module")
def all_samples():
    return {path.name: (image := grey(path), detection.detect(image, SiftParams())) for path in SAMPLES}


@pytest.mark.parametrize(
    ("preset", "options"),
    [
        *((p, {}) for p in PRESETS),
        ("default", {"orientation": "learned"}),
        ("default", {"dsp": True}),
        ("default", {"max_features": 200}),
        ("default", {"max_features": 200, "selection": "even"}),
    ],
)
def test_turned_and_mirrored_images_have_the_turned_and_mirrored_features(all_samples, preset, options):
    params = SiftParams.preset(preset, **options)
    n_features = n_lost_of_all = 0
    for name, (image, _) in all_samples.items():
        features = detection.detect(image, params)
        views = [(np.rot90(image, k), k, False) for k in (1, 2, 3)] + [(image[:, ::-1], 0, True)]
        for view, quarter_turns, mirrored in views:
            other = detection.detect(np.ascontiguousarray(view), params)
            frame, back = turned_back(features, 0), turned_back(other, quarter_turns)
            if mirrored:
                back[0][:, 0] = image.shape[1] - 1 - back[0][:, 0]
            there = n_lost(features, frame, other, back, mirrored=mirrored)
            and_back = n_lost(other, back, features, frame, mirrored=mirrored)
            for lost, total in ((there, len(features)), (and_back, len(other))):
                assert lost <= max(2, 0.002 * total), f"{name}, {quarter_turns} quarter turns"
                n_features, n_lost_of_all = n_features + total, n_lost_of_all + lost
    assert n_lost_of_all <= 0.001 * n_features


def test_half_turns_and_mirrors_change_no_bit():
    # Blur sums mirror samples first, so here not even rounding differs; the mean of equals aside.
    image = texture((157, 212), smoothness=0.8)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    params = SiftParams(upright=True, selection="strongest")
    features, other = (detection.detect(view, params) for view in (image, mirrored))
    assert len(features) == len(other) > 50
    np.testing.assert_array_equal(np.sort(features.response), np.sort(other.response))
    # Distances between places that were rounded to single precision differ by as little.
    features, other = (detection.detect(view, SiftParams(upright=True)) for view in (image, mirrored))
    np.testing.assert_allclose(np.sort(features.response), np.sort(other.response), rtol=1e-3)


def test_classic_agrees_with_opencv(all_samples):
    opencv, classic = create("opencv-precise"), create("siftcli-classic")
    agreed = agreement([(opencv.detect(image), classic.detect(image)) for image, _ in all_samples.values()])
    # OpenCV drops a border of 5 samples an octave, so it finds fewer of ours than we of its.
    assert agreed.found_in_b >= 0.90
    assert agreed.found_in_a >= 0.78
    assert agreed.descriptor_cosine >= 0.98


@pytest.mark.parametrize("preset", PRESETS)
def test_blobs_are_found_where_and_as_large_as_they_are(preset):
    errors = []
    for s in (2.0, 2.8, 4.0, 5.7, 8.0, 11.3):
        # Sub-pixel positions on a grid wide enough that neighbours do not matter.
        pitch, n = int(14 * s), 3
        ticks = np.arange(n) * pitch + pitch / 2
        offsets = np.random.default_rng(7).uniform(-0.5, 0.5, (n * n, 2))
        centres = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2) + offsets
        image = blobs((n * pitch, n * pitch), centres, [s] * n * n)
        features = detection.detect(image, SiftParams.preset(preset, upright=True))
        distance, nearest = cKDTree(features.xy).query(centres)
        assert np.all(distance <= max(0.05, 0.06 * s)), f"s = {s}"
        # The lower of the two levels whose difference is taken: 2^(−1/(2S))·s.
        np.testing.assert_allclose(features.scale[nearest], 2 ** (-1 / 6) * s, rtol=0.03)
        errors.append(features.xy[nearest] - centres)
    # The bias that OpenCV's default has is 0.25 px.
    assert np.all(np.abs(np.concatenate(errors).mean(axis=0)) < 0.01)


def test_a_dark_structure_is_positive_and_a_bright_one_negative():
    image = blobs((80, 160), [(40, 40)], [5.0]) - blobs((80, 160), [(120, 40)], [5.0], background=0.0)
    features = detection.detect(np.ascontiguousarray(image), SiftParams(upright=True))
    sign_at = {int(x > 80): int(sign) for (x, _), sign in zip(features.xy, features.sign, strict=True)}
    assert sign_at == {0: -1, 1: 1}


@pytest.mark.parametrize("refinement", ["lowe", "least-squares"])
def test_roundness_leaves_the_response_of_a_round_blob_and_lowers_that_of_a_long_one(refinement):
    y, x = np.mgrid[:120, :240].astype(float)
    long = np.exp(-((x - 60) ** 2) / 32 - (y - 60) ** 2 / 72)
    short = np.exp(-((x - 180) ** 2 + (y - 60) ** 2) / 48)
    image = (0.2 + 0.5 * (long + short)).astype(np.float32)
    by_x = []
    for power in (0.0, 1.0):
        params = SiftParams(
            ranking_roundness=power,
            refinement=refinement,
            edge_threshold=10,
            upright=True,
            selection="strongest",
            sigma=1.7,  # at finer scales weak ones lie on the flanks of the long one
        )
        features = detection.detect(image, params, with_descriptors=False)
        assert len(features) == 2
        by_x.append(features.response[np.argsort(features.xy[:, 0])])
    of_long, of_round = by_x[1] / by_x[0]
    assert of_round == pytest.approx(1, abs=0.001)
    assert 0.5 < of_long < 0.95


def test_places_do_not_depend_on_where_a_scale_lies_between_the_levels():
    rng = np.random.default_rng(5)
    spots = np.column_stack(
        (rng.uniform(20, 180, (150, 2)), rng.uniform(2, 6, 150), rng.choice([-0.1, 0.1], 150))
    )

    def found_at(zoom):
        y, x = (np.mgrid[: round(200 * zoom), : round(200 * zoom)] + 0.5) / zoom - 0.5
        image = 0.5 + sum(a * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * s**2)) for cx, cy, s, a in spots)
        # Faint ones, which an image without noise shows too, are moved by their neighbours.
        params = SiftParams(upright=True, clean_contrast=1)
        features = detection.detect(image.astype(np.float32), params, with_descriptors=False)
        return (features.xy + 0.5) / zoom - 0.5, features.scale / zoom

    xy, scale = found_at(1)
    # A sixth of an octave is half a level; a parabola through three planes gives 0.016 and 0.017.
    for zoom in (2 ** (1 / 6), 2**0.5):
        other_xy, other_scale = found_at(zoom)
        distance = np.linalg.norm(xy[:, None] - other_xy, axis=2) / scale[:, None]
        distance[np.abs(np.log2(scale[:, None] / other_scale)) > 0.4] = np.inf
        nearest = distance.min(axis=1)
        assert np.mean(nearest < 0.5) > 0.95
        assert np.quantile(nearest[nearest < 0.5], 0.9) < 0.014


def test_the_response_grows_with_a_power_of_the_scale(all_samples):
    image, _ = all_samples["coffee16.png"]
    (flat, weighted) = (
        detection.detect(image, SiftParams(ranking_power=p, selection="strongest")) for p in (0.0, 1.5)
    )
    order = [np.lexsort((f.orientation, f.scale, *f.xy.T)) for f in (flat, weighted)]
    expected = flat.response * flat.scale**1.5
    np.testing.assert_allclose(weighted.response[order[1]], expected[order[0]], rtol=1e-5)


@pytest.mark.parametrize("n", [1, 7, 100, 10**6])
def test_max_features_gives_exactly_so_many_of_the_strongest(all_samples, n):
    image, everything = all_samples["chelsea.png"]
    features = detection.detect(image, SiftParams(max_features=n))
    assert len(features) == min(n, len(everything))
    np.testing.assert_array_equal(features.response, everything.response[:n])
    np.testing.assert_array_equal(features.descriptors, everything.descriptors[:n])


def test_max_features_counts_after_the_mask(all_samples):
    image, _ = all_samples["camera.png"]
    mask = np.zeros(image.shape, bool)
    mask[:, 300:] = True
    strongest = detection.detect(image, SiftParams(selection="strongest"))
    for selection, everything in (
        ("strongest", strongest.select(strongest.xy[:, 0] >= 299.5)),
        ("spread", detection.detect(image, SiftParams(), mask=mask)),  # distances, too, are those behind it
    ):
        features = detection.detect(image, SiftParams(max_features=40, selection=selection), mask=mask)
        assert len(features) == 40 < len(everything)
        np.testing.assert_array_equal(features.xy, everything.xy[:40])


def test_rows_are_ordered_strongest_first_then_by_scale_y_and_x(all_samples):
    # Copies of one picture side by side have equal responses.
    tile = all_samples["chelsea.png"][0][:150, :150]
    tile = np.concatenate((tile, tile[:, ::-1]), 1)
    features = detection.detect(np.tile(tile, (2, 2)).copy(), SiftParams(upright=True))
    keys = np.stack((-features.response, features.scale, features.xy[:, 1], features.xy[:, 0]), 1)
    np.testing.assert_array_equal(np.lexsort(keys.T[::-1]), np.arange(len(features)))


@pytest.mark.parametrize("options", [{}, {"dsp": True, "max_features": 200, "selection": "even"}])
def test_same_bytes_for_any_number_of_threads_and_from_run_to_run(all_samples, options):
    image, params = all_samples["brick.png"][0], SiftParams(**options)
    features = detection.detect(image, params)
    for threads in (1, 2, 5):
        again = detection.detect(image, params, threads=threads)
        for name in ("xy", "scale", "orientation", "response", "sign", "octave", "descriptors"):
            assert getattr(again, name).tobytes() == getattr(features, name).tobytes()


@pytest.mark.parametrize("preset", ["default", "classic"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_features": 200},
        {"max_features": 200, "selection": "even"},
        {"max_features": 200, "selection": "strongest"},
        {"dsp": True},
    ],
)
def test_same_bytes_for_any_height_of_the_strips(all_samples, monkeypatch, preset, options):
    image = all_samples["rocket.jpg"][0]
    params = SiftParams.preset(preset, contrast_threshold=0.02, **options)
    features = detection.detect(image, params)
    given = features.select(np.arange(0, len(features), 2))
    for strip_bytes in (1, 9_000_000):
        monkeypatch.setattr(pipeline, "gaussian_strips", partial(gaussian_strips, strip_bytes=strip_bytes))
        again = detection.detect(image, params, threads=2)
        for name in ("xy", "scale", "orientation", "response", "sign", "octave", "descriptors"):
            assert getattr(again, name).tobytes() == getattr(features, name).tobytes()
        assert again.removed == features.removed
        np.testing.assert_array_equal(pipeline.describe(image, given, params).descriptors, given.descriptors)


@pytest.mark.parametrize("likely", [0, 0.3, 2, 1e6])
def test_same_bytes_described_before_the_choice_or_after(all_samples, monkeypatch, likely):
    image, params = all_samples["rocket.jpg"][0], SiftParams(max_features=200)
    features = detection.detect(image, params)
    monkeypatch.setattr(selecting, "_LIKELY", likely)
    calls = []

    def strips(*given, **options):
        calls.append(options.get("only_described", False))
        return gaussian_strips(*given, **options, strip_bytes=1_000_000)

    monkeypatch.setattr(pipeline, "gaussian_strips", strips)
    again = detection.detect(image, params, threads=2)
    for name in ("xy", "scale", "orientation", "response", "sign", "octave", "descriptors"):
        assert getattr(again, name).tobytes() == getattr(features, name).tobytes()
    assert calls == ([False] if likely >= 2 else [False, True])


def test_a_row_of_places_is_none_whatever_the_height_of_the_strips(monkeypatch):
    # Fits beside a bar settle a sample from each other, from its top to its bottom.
    image = np.full((900, 60), 0.2, np.float32)
    image[:, 18:42] = 0.8
    image[450, 30] = 0.3
    params = SiftParams(
        edge_threshold=math.inf,
        fit_tolerance=0,
        stability_threshold=0,
        stability_roundness=0,
        first_octave=0,
        upright=True,
    )
    features = detection.detect(image, params)
    assert 0 < len(features) < 200 < features.removed["duplicate"]
    monkeypatch.setattr(pipeline, "gaussian_strips", partial(gaussian_strips, strip_bytes=1))
    again = detection.detect(image, params)
    assert again.xy.tobytes() == features.xy.tobytes()
    assert again.descriptors.tobytes() == features.descriptors.tobytes()


@pytest.mark.parametrize(
    "options", [{}, {"rootsift": False}, {"levels_per_octave": 4}, {"first_octave": 0}, {"dsp": True}]
)
def test_describe_gives_the_bytes_of_detect(all_samples, options):
    image = all_samples["coffee16.png"][0]
    params = SiftParams(**options)
    features = detection.detect(image, params)
    some = features.select(np.arange(0, len(features), 3))
    np.testing.assert_array_equal(pipeline.describe(image, some, params).descriptors, some.descriptors)


def test_without_descriptors_all_else_is_the_same(all_samples):
    image = all_samples["coffee16.png"][0]
    features, bare = (detection.detect(image, SiftParams(), with_descriptors=w) for w in (True, False))
    assert features.descriptors.any()
    assert not bare.descriptors.any()
    for name in ("xy", "scale", "orientation", "response", "sign", "octave", "descriptors"):
        assert getattr(bare, name).shape == getattr(features, name).shape
    for name in ("xy", "scale", "orientation", "response", "sign", "octave"):
        assert getattr(bare, name).tobytes() == getattr(features, name).tobytes()


def test_counts_of_the_filters_add_up(all_samples):
    image, _ = all_samples["astronaut.png"]
    mask = np.ones(image.shape, bool)
    mask[100:200] = False
    params = SiftParams(max_features=50, upright=True, candidate_fraction=0.5)
    features = detection.detect(image, params, mask=mask)
    counts = dict(features.removed)
    assert counts.pop("candidates") == sum(counts.values()) + len(features)
    assert counts["too_small"] == 0  # a filter of earlier versions
    assert min(n for name, n in counts.items() if name != "too_small") > 0
    assert set(counts) == {
        "unstable",
        "low_contrast",
        "edge",
        "duplicate",
        "too_small",
        "low_response",
        "masked",
        "over_limit",
    }


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 2), (5, 5), (64, 64)])
def test_images_without_structure_have_no_features(shape):
    features = siftcli.detect(np.full(shape, 128, np.uint8))
    assert len(features) == 0
    assert features.descriptors.shape == (0, 128)
    assert features.image_size == (shape[1], shape[0])
    assert len(siftcli.describe(np.full(shape, 128, np.uint8), features)) == 0


def test_options_reach_the_parameters_and_unknown_ones_are_refused():
    image = (texture((120, 120), smoothness=0.8) * 255).astype(np.uint8)
    assert siftcli.detect(image, max_features=3).params == SiftParams(max_features=3)
    assert siftcli.detect(image, rootsift=False).descriptor_kind == "sift"
    with pytest.raises(siftcli.SiftcliError, match="did you mean 'max_features'"):
        siftcli.detect(image, max_feature=3)


def test_rootsift_is_the_square_root_of_the_shares(all_samples):
    image = all_samples["chelsea.png"][0]
    plain, root = (
        detection.detect(image, SiftParams(rootsift=r, descriptor_clip=1.0)) for r in (False, True)
    )
    shares = plain.descriptors / plain.descriptors.sum(axis=1, keepdims=True, dtype=float)
    unsaturated = (plain.descriptors < 255) & (root.descriptors < 255) & (plain.descriptors > 20)
    expected = 512 * np.sqrt(shares)
    # The shares come from bytes; saturated ones would distort their sum.
    rows = (plain.descriptors < 255).all(axis=1)
    error = np.abs(root.descriptors - expected)[rows][unsaturated[rows]]
    assert np.median(error) < 2
    assert root.descriptor_kind == "rootsift"


def test_opencv_reads_our_descriptors_as_its_own():
    # The end a user cares for: brute-force matching against OpenCV's own features.
    image = np.rint(grey(next(p for p in SAMPLES if p.name == "camera.png")) * 255).astype(np.uint8)
    keypoints, descriptors = cv2.SIFT_create(enable_precise_upscale=True).detectAndCompute(image, None)
    ours = siftcli.detect(image, SiftParams.classic())
    matches = cv2.BFMatcher(cv2.NORM_L2, crossCheck=True).match(
        ours.descriptors.astype(np.float32), descriptors
    )
    distance = [np.hypot(*(np.array(keypoints[m.trainIdx].pt) - ours.xy[m.queryIdx])) for m in matches]
    assert np.mean(np.array(distance) < 1) > 0.85


EDGES = {
    "noise": lambda shape, rng: rng.integers(0, 256, shape).astype(np.uint8),
    "checkerboard": lambda shape, rng: (np.indices(shape).sum(axis=0) % 2 * 255).astype(np.uint8),
    "one white pixel": lambda shape, rng: np.eye(*shape, k=1, dtype=np.uint8) * 255,
    "black and white": lambda shape, rng: (rng.random(shape) > 0.5).astype(np.float32),
    "tiny values": lambda shape, rng: (rng.random(shape) * 1e-6).astype(np.float32),
}
PARAMS = [
    SiftParams(),
    SiftParams.classic(),
    SiftParams(contrast_threshold=0),
    SiftParams(levels_per_octave=1, first_octave=1),
    SiftParams(levels_per_octave=8, sigma=1.0),
]


@pytest.mark.parametrize("kind", EDGES)
@pytest.mark.parametrize("shape", [(6, 6), (7, 40), (13, 64), (64, 64)])
def test_whatever_the_image_the_features_are_finite_and_in_range(kind, shape):
    image = EDGES[kind](shape, np.random.default_rng(0))
    for params in PARAMS:
        f = siftcli.detect(image, params)
        for values in (f.xy, f.scale, f.orientation, f.response):
            assert np.all(np.isfinite(values))
        assert np.all((f.orientation >= 0) & (f.orientation < np.float32(2 * np.pi)))
        assert np.all((f.xy > -0.5) & (f.xy < np.array(f.image_size) - 0.5))
        assert np.all(f.scale > 0)
        # Unit length times 512, less what saturates, plus what rounding adds.
        assert np.all(np.linalg.norm(f.descriptors.astype(float), axis=1) < 520)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_after_an_error_nothing_is_kept_and_the_next_image_is_as_ever(all_samples, monkeypatch, threads):
    image = all_samples["chelsea.png"][0]
    expected = detection.detect(image, SiftParams())

    def fail_in_a_coarse_octave(strip, *given):
        if strip.number == 1:
            raise MemoryError
        return find_extrema(strip, *given)

    gc.collect()
    with monkeypatch.context() as patched, pytest.raises(MemoryError):
        patched.setattr(pipeline, "find_extrema", fail_in_a_coarse_octave)
        detection.detect(image, SiftParams(), threads=threads)
    left = [o for o in gc.get_objects() if type(o) is GeneratorType and o.__name__ == "_strips"]
    assert [generator for generator in left if generator.gi_frame is not None] == []
    again = detection.detect(image, SiftParams(), threads=threads)
    assert again.descriptors.tobytes() == expected.descriptors.tobytes()
