"""The matcher against its definition, computed in float64."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_matching import brute_force_match, pairs_near_epipolar_lines, pairs_near_homography

import siftcli
from siftcli.errors import ParameterError
from siftcli.features import Features
from siftcli.matching.nearest import Guide, match

SAMPLES = Path(__file__).parents[2] / "sample_images"


def features(descriptors, xy=None, kind="sift", seed=0):
    n = len(descriptors)
    if xy is None:
        xy = np.random.default_rng(seed).uniform(0, 100, (n, 2))
    one = np.ones(n)
    return Features(
        xy=np.reshape(xy, (n, 2)), scale=one, orientation=0 * one, response=one, sign=one, octave=0 * one,
        descriptors=np.reshape(descriptors, (n, 128)), image_size=(100, 100), descriptor_kind=kind,
    )  # fmt: skip


def unit(*components):
    """Descriptors that are zero but for their first component."""
    descriptors = np.zeros((len(components), 128), np.uint8)
    descriptors[:, 0] = components
    return descriptors


@st.composite
def crowded_features(draw):
    """Few distinct descriptors at few distinct places, so that ties and shared places abound."""
    n = draw(st.integers(0, 120))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    top = draw(st.sampled_from([2, 4, 256]))
    words = rng.integers(0, top, (draw(st.integers(1, 12)), 128)) * (255 // (top - 1))
    places = rng.integers(0, 6, (n, 2))
    descriptors = words[rng.integers(0, len(words), n)]
    noisy = rng.integers(0, 2, n)[:, None] * rng.integers(0, 2, (n, 128))
    return features(np.clip(descriptors + noisy, 0, 255), places)


RATIOS = st.sampled_from([None, 0.5, 0.8, 1.0])


@given(crowded_features(), crowded_features(), RATIOS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_same_pairs_as_brute_force_in_float64(f, g, ratio, mutual):
    found = match(f, g, ratio=ratio, mutual=mutual, threads=1).pairs
    np.testing.assert_array_equal(found, brute_force_match(f, g, ratio, mutual))


@pytest.mark.parametrize("kind", ["sift", "rootsift"])
def test_same_pairs_as_brute_force_on_real_descriptors_whatever_the_threads(kind):
    f, g = (
        siftcli.detect(
            SAMPLES / name, siftcli.SiftParams.classic(max_features=1500, rootsift=kind == "rootsift")
        )
        for name in ("brick.png", "gravel.png")
    )
    # repeated rows tie, in f across the rows that different threads search
    f, g = f.select(np.r_[0 : len(f), 0 : len(f) : 5]), g.select(np.r_[0 : len(g), 0 : len(g) : 7])
    expected = brute_force_match(f, g, 0.95)
    assert len(expected) > 15
    for threads in (1, 2, 3):
        np.testing.assert_array_equal(match(f, g, ratio=0.95, threads=threads).pairs, expected)


def test_extreme_descriptors_are_exact():
    # |a - b|² reaches 128 · 255²; one grey level of difference must still decide.
    black, white = np.zeros((1, 128), np.uint8), np.full((2, 128), 255, np.uint8)
    white[0, 0] = 254
    matches = match(features(black), features(white, [(0, 0), (9, 9)]), ratio=None)
    assert matches.pairs.tolist() == [[0, 0]]
    assert matches.distance[0] == np.float32(np.sqrt(127 * 255**2 + 254**2))


def test_distances_and_ratios_are_those_of_the_definition():
    matches = match(features(unit(10)), features(unit(13, 20, 200)))
    assert matches.distance.tolist() == [3.0]
    assert matches.ratio[0] == np.float32(0.3)


def test_a_second_orientation_of_the_same_keypoint_does_not_fail_the_ratio_test():
    f, g = features(unit(10)), unit(14, 14, 100)
    assert len(match(f, features(g, [(5, 5), (5, 5), (50, 50)]))) == 1
    assert len(match(f, features(g, [(5, 5), (6, 5), (50, 50)]))) == 0


def test_without_mutual_the_closest_suitor_is_kept():
    f, g = features(unit(11, 10, 9)), features(unit(10, 200))
    assert match(f, g, mutual=False).pairs.tolist() == [[1, 0]]
    f = features(unit(11, 9))
    assert match(f, g, mutual=False).pairs.tolist() == [[0, 0]]


def test_identical_features_match_themselves():
    f = features(np.random.default_rng(3).integers(0, 256, (300, 128)))
    matches = match(f, f)
    np.testing.assert_array_equal(matches.pairs, np.repeat(np.arange(300), 2).reshape(-1, 2))
    assert not matches.distance.any()
    assert not matches.ratio.any()


def test_indistinguishable_descriptors_are_ambiguous():
    f = features(unit(7, 7))
    assert len(match(f, f)) == 0


@pytest.mark.parametrize(("n", "k"), [(0, 0), (0, 3), (3, 0)])
def test_no_features_no_matches(n, k):
    matches = match(features(unit(*range(n))), features(unit(*range(k))))
    assert matches.pairs.shape == (0, 2)
    assert matches.pairs.dtype == np.int32
    assert matches.distance.shape == matches.ratio.shape == (0,)


def test_a_single_candidate_has_no_second_neighbour():
    matches = match(features(unit(0)), features(unit(255)))
    assert matches.pairs.tolist() == [[0, 0]]
    assert matches.ratio.tolist() == [0.0]


@given(crowded_features(), crowded_features())
@settings(max_examples=50, deadline=None)
def test_mutual_matches_without_ratio_are_symmetric_where_nothing_ties(f, g):
    distances = ((f.descriptors[:, None].astype(int) - g.descriptors[None].astype(int)) ** 2).sum(axis=2)
    forth = {tuple(p) for p in match(f, g, ratio=None).pairs}
    back = {(i, j) for j, i in match(g, f, ratio=None).pairs}
    for i, j in forth ^ back:
        assert (distances[i] == distances[i, j]).sum() > 1 or (distances[:, j] == distances[i, j]).sum() > 1


GUIDES = [
    (np.array([[0.9, -0.3, 20], [0.3, 0.9, -10], [1e-3, 2e-3, 1]]), "homography"),
    (np.array([[0.0, 0, 30], [0, 1, 5], [0, 0, 1]]), "similarity"),
    (np.array([[1e-6, 3e-6, -2e-3], [-4e-6, 1e-6, 3e-2], [1e-3, -2.7e-2, 0.1]]), "fundamental"),
]


@pytest.mark.parametrize(("model", "kind"), GUIDES)
@pytest.mark.parametrize("mutual", [True, False])
def test_guided_pairs_compete_only_within_the_tolerance(model, kind, mutual):
    rng = np.random.default_rng(5)
    f, g = (features(rng.integers(0, 256, (90, 128)), seed=seed) for seed in (1, 2))
    near = pairs_near_epipolar_lines if kind == "fundamental" else pairs_near_homography
    allowed = near(f, g, model, 12.0)
    assert 0 < allowed.sum() < allowed.size
    guide = Guide(model=model, kind=kind, tolerance_px=12.0)
    expected = brute_force_match(f, g, 0.95, mutual, allowed)
    assert len(expected) > 3
    np.testing.assert_array_equal(match(f, g, ratio=0.95, mutual=mutual, guide=guide).pairs, expected)


def test_a_point_mapped_to_infinity_has_no_candidates():
    f, g = features(unit(1), [(10, 0)]), features(unit(1), [(10, 0)])
    assert len(match(f, g, guide=Guide(model=np.array([[1, 0, 0], [0, 1, 0], [-0.1, 0, 1.0]])))) == 0


@pytest.mark.parametrize("ratio", [0, -1, 1.01, float("nan")])
def test_a_ratio_out_of_range_is_refused(ratio):
    with pytest.raises(ParameterError, match="ratio must be above 0"):
        match(features(unit(1)), features(unit(1)), ratio=ratio)


def test_more_features_than_can_be_numbered_are_refused(monkeypatch):
    monkeypatch.setattr("siftcli.matching.nearest.MAX_FEATURES", 2)
    with pytest.raises(ParameterError, match="at most 2 features an image, got 3; detect fewer"):
        match(features(unit(1)), features(unit(1, 2, 3)))


def test_descriptors_of_different_kinds_are_refused():
    with pytest.raises(ParameterError, match="sift and rootsift"):
        match(features(unit(1)), features(unit(1), kind="rootsift"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": np.eye(2)}, "3, 3"),
        ({"model": np.full((3, 3), np.nan)}, "finite"),
        ({"model": np.eye(3), "kind": "affine"}, "kind"),
        ({"model": np.eye(3), "tolerance_px": 0}, "tolerance_px"),
    ],
)
def test_a_guide_that_cannot_be_meant_is_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        Guide(**options)


MATCH = """
import sys
import numpy as np
import siftcli
found = siftcli.match(siftcli.load(sys.argv[1]), siftcli.load(sys.argv[2]), ratio=None)
np.savez(sys.argv[3], pairs=found.pairs, distance=found.distance, ratio=found.ratio)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [{"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}, {"NUMBA_DISABLE_JIT": "1"}],
    ids=["without vector instructions", "without the compiler"],
)
def test_matches_are_the_same_by_other_instructions(environment, tmp_path):
    f, g = (features(np.random.default_rng(seed).integers(0, 256, (61, 128)), seed=seed) for seed in (1, 2))
    g = g.select(np.r_[0 : len(g), 0:9])
    for name, side in (("f", f), ("g", g)):
        siftcli.save(side, tmp_path / f"{name}.npz")
    subprocess.run(
        [sys.executable, "-c", MATCH, tmp_path / "f.npz", tmp_path / "g.npz", tmp_path / "found.npz"],
        env=os.environ | environment | {"NUMBA_CACHE_DIR": str(tmp_path)},
        check=True,
    )
    expected, found = match(f, g, ratio=None), np.load(tmp_path / "found.npz")
    assert len(expected) > 20
    for name in ("pairs", "distance", "ratio"):
        np.testing.assert_array_equal(found[name], getattr(expected, name))
