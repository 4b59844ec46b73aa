"""Extrema, their refinement, and the merging of equals, against naive twins."""

import math

import naive
import numpy as np
import pytest
from conftest import blobs, octave_of, texture
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import polynomial

from siftcli import SiftParams, detection
from siftcli.kernels.threads import Threads
from siftcli.sift import duplicates, local_filters, local_fit
from siftcli.sift.extrema import find_extrema
from siftcli.sift.octave import Strip
from siftcli.sift.refinement import refine
from siftcli.sift.response import border_factor, least_contrast, stability_of
from siftcli.sift.scale_space import gaussian_octaves


def first_octave(image, **options) -> Strip:
    with Threads(1) as threads:
        return next(gaussian_octaves(image, SiftParams(first_octave=0, **options), threads))


def candidates_of(octave, params=SiftParams(), n_threads=1):  # noqa: B008
    with Threads(n_threads) as threads:
        return find_extrema(octave, params, threads)


@pytest.mark.parametrize("steps", [4, 1000])
@pytest.mark.parametrize("width", [16, 45])
@pytest.mark.parametrize("nearest_only", [True, False])
@pytest.mark.parametrize("refinement", ["lowe", "least-squares"])
def test_extrema_equal_their_naive_twin(steps, width, nearest_only, refinement):
    # Few grey steps make many equal neighbours.
    rng = np.random.default_rng(1)
    levels = (np.round(rng.random((6, 20, width)) * steps) / steps).astype(np.float32)
    params = SiftParams(
        contrast_threshold=0.9,
        stability_threshold=0,
        nearest_only=nearest_only,
        edge_threshold=3,
        refinement=refinement,
    )
    threshold = np.float32(0.9 * params.candidate_fraction / 3)
    found = {tuple(c) for c in candidates_of(octave_of(levels), params).tolist()}
    # Only the least-squares fit wants no edges: curvatures of 1 to 3 are 4·3 / (3 + 1)² round.
    expected = naive.extrema(levels, threshold, nearest_only, 0 if refinement == "lowe" else 0.75)
    assert found == set(expected)
    assert len(expected) > 20


def test_a_small_keypoint_needs_more_contrast_than_a_large_one():
    octave = first_octave(0.2 * texture((150, 130), smoothness=0.8))
    params = SiftParams(
        contrast_threshold=0.02,
        stability_threshold=1.5,
        stability_power=2,
        stability_roundness=1,
        ranking_power=2,
        ranking_roundness=1,
        border_reach=0,
    )
    with Threads(1) as threads:
        candidates = find_extrema(octave, params, threads)
        found, removed, _ = refine(octave, candidates, params, threads)
        every, _, _ = refine(octave, candidates, params.override(stability_threshold=0), threads)
    # A sample must reach what a keypoint half a level above needs: at σ it is c·(1 + 1.5 / σ²).
    c, level = 0.02 / 3, np.arange(3)[candidates[:, 0] - 1] + 1.5
    dogs = np.diff(octave.unpadded, axis=0)[tuple(candidates.T)]
    assert np.all(np.abs(dogs) >= c * (1 + 1.5 / octave.sigma_of(level) ** 2) * (1 - 1e-6))
    # The response is |DoG|·roundness·σ². With |DoG| - c instead, what has less than 1.5·c is no keypoint.
    assert np.all(every.response <= np.abs(every.value) * every.sigma**2 * (1 + 1e-6))
    stability = every.response * (1 - c / np.abs(every.value))
    assert removed["low_response"] == np.sum(stability < 1.5 * c) > 0
    np.testing.assert_array_equal(found.xy, every.select(stability >= 1.5 * c).xy)
    one = np.ones(1)
    np.testing.assert_allclose(stability_of(-0.05 * one, one, 2 * one, c, params), (0.05 - c) * 4, rtol=1e-6)
    sigma, far = np.array([0.7, 1.0, 5.0]), np.full(3, 1e9)
    least = least_contrast(sigma, c, params)
    np.testing.assert_allclose(stability_of(least, np.ones(3), sigma, c, params), 1.5 * c, rtol=1e-5)
    for reach in (0.0, 5.0):
        np.testing.assert_allclose(border_factor(far, sigma, params.override(border_reach=reach)), 1)


def test_the_border_lowers_the_response_of_what_it_is_near_to():
    image = 0.2 * texture((150, 131), smoothness=0.8)
    anywhere, lowered = (
        detection.detect(
            image, SiftParams(border_reach=reach, stability_threshold=0, upright=True, selection="strongest")
        )
        for reach in (0.0, 4.0)
    )
    order = [np.lexsort((f.scale, *f.xy.T)) for f in (anywhere, lowered)]
    anywhere, lowered = (f.select(rows) for f, rows in zip((anywhere, lowered), order, strict=True))
    np.testing.assert_array_equal(anywhere.xy, lowered.xy)
    x, y = anywhere.xy.T.astype(float)
    distance = np.min([x + 0.5, 130.5 - x, y + 0.5, 149.5 - y], axis=0) / anywhere.scale
    np.testing.assert_allclose(
        lowered.response, anywhere.response * (1 - np.exp(-((distance / 4) ** 2))), rtol=1e-4, atol=1e-12
    )
    assert distance.min() < 4 < np.median(distance)


def test_many_extrema_in_one_row_are_all_listed():
    # More than the list has room for at first.
    dog = np.zeros((5, 41, 41), np.float32)
    dog[1:4, ::2, ::2] = np.array([1.0, 2.0, 3.0])[:, None, None]
    levels = np.concatenate((np.zeros((1, 41, 41)), np.cumsum(dog, axis=0)))
    n_on_grid = len(range(2, 40, 2)) ** 2
    assert len(candidates_of(octave_of(levels))) == n_on_grid


def test_flat_image_has_no_extrema_even_without_a_threshold():
    params = SiftParams(contrast_threshold=0)
    assert len(candidates_of(octave_of(np.full((6, 30, 30), 0.5)), params)) == 0


def test_threads_change_no_extremum():
    octave = first_octave(texture((400, 300)))
    one, three = (candidates_of(octave, n_threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one, three)
    assert len(one) > 20


@pytest.mark.parametrize(
    ("refinement", "tolerance", "edge_threshold"),
    [("lowe", 0.1, 2.5), ("least-squares", 0.0, 8.0), ("least-squares", 0.05, 8.0)],
)
def test_refinement_equals_its_naive_twin(refinement, tolerance, edge_threshold):
    octave = first_octave(texture((150, 130), smoothness=1.0))
    params = SiftParams(
        contrast_threshold=0.05,
        edge_threshold=edge_threshold,
        refinement=refinement,
        fit_tolerance=tolerance,
        candidate_fraction=0.8,
        stability_threshold=0,
        stability_excess=False,
        stability_power=0,
        ranking_power=0,
        ranking_roundness=1,
        border_reach=0,
    )
    candidates = candidates_of(octave, params)
    window = 0.0 if refinement == "lowe" else params.fit_window
    limits = 0.6, 5, 0.05 / 3, edge_threshold, window * octave.sigma, tolerance or math.inf
    expected = [naive.refine(octave.unpadded, tuple(c), *limits) for c in candidates.tolist()]
    kept = [e for e in expected if not isinstance(e, str)]
    with Threads(1) as threads:
        found, removed, _ = refine(octave, candidates, params, threads)
    for name in ("unstable", "low_contrast", "edge"):
        assert removed[name] == expected.count(name) > 0
    assert len(found) + removed["duplicate"] == len(kept) > 30
    merged = naive.merge_same_places(np.array(kept), params.merge_distance)
    merged = merged[np.lexsort(merged.T[[2, 0, 1]])]
    found = found.select(np.lexsort((found.sigma, *found.xy.T)))
    np.testing.assert_allclose(found.xy, merged[:, :2], atol=5e-6 if window else 1e-9)
    # The least-squares fit is in single precision, as the levels are.
    rounding = 5e-6 if window else 1e-12
    np.testing.assert_allclose(found.sigma, octave.sigma_of(merged[:, 2]), rtol=rounding)
    np.testing.assert_allclose(found.value, merged[:, 3], rtol=10 * rounding)
    np.testing.assert_allclose(
        found.response, np.abs(merged[:, 3]) * merged[:, 4], rtol=1e-4 if window else 1e-6
    )


def test_a_ridge_oblique_in_position_and_scale_is_followed_towards_its_peak():
    # The peak is at (12.6, 11.7), 0.4 levels above the middle.
    y, x = np.mgrid[:25, :25].astype(float)
    dogs = [
        0.1 * np.exp(-((x - 12.2 - s) ** 2 + (y - 11.7) ** 2) / 8 - 0.05 * (s - 0.4) ** 2)
        for s in range(-2, 3)
    ]
    octave = octave_of(np.concatenate((np.zeros((1, 25, 25)), np.cumsum(dogs, axis=0))))
    candidate = np.array([[2, 12, 12]], np.int32)
    with Threads(1) as threads:
        (not_fitted, once, settled, exact) = (
            refine(octave, candidate, SiftParams(**options), threads)[0]
            for options in ({"refinement": "lowe"}, {"fit_tolerance": 0}, {}, {"fit_tolerance": 1e-5})
        )
    assert max(not_fitted.xy[0, 0], once.xy[0, 0]) + 0.05 < settled.xy[0, 0] < exact.xy[0, 0] < 12.6
    assert max(not_fitted.sigma[0], once.sigma[0]) < settled.sigma[0] < octave.sigma_of(np.array([2.4]))[0]
    np.testing.assert_allclose(settled.xy, exact.xy, atol=SiftParams().fit_tolerance)


def test_least_squares_is_exact_for_a_quadratic():
    rng = np.random.default_rng(3)
    mixed = rng.normal(size=(3, 3))
    hessian, extremum = -(mixed @ mixed.T + np.eye(3)), np.array([0.4, -0.3, 0.2])
    at = np.moveaxis(np.mgrid[-1:2, -3:4, -3:4][::-1], 0, -1) - extremum
    # No term of the third degree, in which the curvatures would depend on scale.
    values = 20 + np.einsum("...i,ij,...j", at, hessian, at) / 2
    patch, filters, sums, weights = local_fit.workspace(1)
    patch.reshape(5, 7, -1)[:3, :, :7] = values
    step, offset = np.empty(3), np.array([0.1, 0.2, -0.3])
    local_filters.fill_filters(offset, 0.8, filters, 0, sums)
    value, roundness = local_fit.newton_step(
        patch, offset[2], local_fit.PARABOLA, weights, filters, 0, sums, step
    )
    # In single precision, as the levels are.
    np.testing.assert_allclose(offset + step, extremum, atol=1e-5)
    plane = hessian[:2, :2]
    expected = 4 * np.linalg.det(hessian) / (np.trace(plane) ** 2 * hessian[2, 2])
    np.testing.assert_allclose(roundness, expected, rtol=1e-5)
    np.testing.assert_allclose(value, 20, rtol=1e-5)
    x, y, s = np.moveaxis(at, -1, 0)
    # A minimum in scale, one in the plane, and a maximum below 0.
    for added in (20 * s**2, 20 * (x**2 + y**2), -40):
        patch.reshape(5, 7, -1)[:3, :, :7] = values + added
        assert (
            local_fit.newton_step(patch, offset[2], local_fit.PARABOLA, weights, filters, 0, sums, step)[1]
            == 0
        )


@pytest.mark.parametrize("n_planes", [3, 4, 5])
def test_the_last_fit_is_exact_for_a_polynomial_along_scale(n_planes):
    # The term of the highest degree that so many planes determine.
    coefficients = [20, 0.3, -2, 0.2, -0.1][:n_planes]
    values = [polynomial.polyval(1.3, polynomial.polyder(coefficients, k)) for k in range(3)]
    patch, filters, sums, weights = local_fit.workspace(1)
    s, y, x = np.mgrid[:n_planes, -3:4, -3:4].astype(float)
    samples = polynomial.polyval(s, coefficients) - (x - 0.3) ** 2 - 2 * (y + 0.1) ** 2
    patch.reshape(5, 7, -1)[:n_planes, :, :7] = samples
    step, offset = np.empty(3), np.array([0.1, 0.2, 0.0])
    local_filters.fill_filters(offset, 0.8, filters, 0, sums)
    local_fit.fill_scale_weights(n_planes, 1.3, weights)
    value, roundness = local_fit.newton_step(patch, 0.0, n_planes, weights, filters, 0, sums, step)
    np.testing.assert_allclose(step, [0.2, -0.3, -values[1] / values[2]], atol=1e-5)
    np.testing.assert_allclose(value, values[0] - values[1] ** 2 / (2 * values[2]), rtol=1e-5)
    np.testing.assert_allclose(roundness, 8 / 9, rtol=1e-5)


place = st.tuples(
    st.integers(0, 12),
    st.integers(0, 12),
    st.integers(0, 4),
    st.sampled_from([-1, 1]),
    st.integers(1, 4),
    st.integers(0, 1),  # the octave
)


@given(st.lists(place, max_size=30))
def test_merging_equals_its_naive_twin(places):
    # On a grid of a tenth, many places lie within the distance, some only through others.
    refined = np.array(places, float).reshape(-1, 6) * [0.1, 0.1, 0.1, 1, 1, 1]
    merged, carried = duplicates.merge_duplicates(refined, 0.15, math.inf)
    assert len(carried) == 0
    expected = naive.merge_same_places(refined, 0.15).reshape(-1, 6)
    assert len(merged) == len(expected)
    np.testing.assert_allclose(np.sort(merged, axis=0), np.sort(expected, axis=0), atol=1e-12)


@pytest.mark.parametrize("side", [64, 65])
def test_blob_at_the_exact_centre_is_found_once(side):
    # On an even side four samples are equal there: none exceeds the others.
    centre = (side - 1) / 2
    features = detection.detect(blobs((side, side), [(centre, centre)], [5.0]), SiftParams(upright=True))
    assert len(features) == 1
    np.testing.assert_allclose(features.xy[0], centre, atol=1e-4)
    assert features.sign[0] == -1


@given(st.lists(place, max_size=30), st.integers(0, 12))
def test_merging_in_two_parts_equals_merging_at_once(places, cut):
    # As two strips do: what may still get a neighbour is carried over to the second.
    refined = np.array(places, float).reshape(-1, 6) * [0.1, 0.1, 0.1, 1, 1, 0]
    first, second = refined[refined[:, 1] < cut * 0.1 - 0.05], refined[refined[:, 1] >= cut * 0.1 - 0.05]
    top, carried = duplicates.merge_duplicates(first, 0.15, cut * 0.1 - 0.05 - 0.16)
    bottom, none = duplicates.merge_duplicates(np.concatenate((carried, second)), 0.15, math.inf)
    at_once, _ = duplicates.merge_duplicates(refined, 0.15, math.inf)
    assert len(none) == 0
    np.testing.assert_array_equal(
        np.unique(np.concatenate((top, bottom)), axis=0), np.unique(at_once, axis=0)
    )
