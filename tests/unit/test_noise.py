"""The noise of an image, and the contrast threshold that it asks for."""

import numpy as np
import pytest
from conftest import SAMPLES, grey, texture

from siftcli import SiftParams, detection
from siftcli.kernels.threads import Threads
from siftcli.sift.noise import FULL_NOISE, noise_share, params_for


def share_of(image):
    with Threads(2) as threads:
        return noise_share(image, threads)


def adapted(image, params):
    with Threads(1) as threads:
        return params_for(image, params, threads)


def noisy(image, levels, seed=0):
    noise = np.random.default_rng(seed).standard_normal(image.shape)
    return (image + levels * FULL_NOISE * noise).astype(np.float32)


@pytest.mark.parametrize("levels", [0.25, 0.5, 0.8])
def test_the_noise_of_an_image_is_found_whatever_it_shows(levels):
    y, x = np.mgrid[:200, :240]
    flat, slope = np.full((200, 240), 0.5), 0.2 + 0.002 * x + 0.001 * y
    edge = np.where(x < 100, 0.2, 0.8)
    for image in (flat, slope, edge):
        assert share_of(noisy(image, levels)) == pytest.approx(levels, rel=0.03)


def test_more_than_a_grey_level_counts_as_one():
    assert share_of(noisy(np.full((64, 64), 0.5), 5.0)) == 1.0


def test_no_noise_and_no_room():
    assert share_of(np.full((20, 30), 0.3, np.float32)) == 0
    assert share_of(np.zeros((2, 50), np.float32)) == 1.0


@pytest.mark.parametrize("path", SAMPLES[:3], ids=lambda p: p.name)
def test_an_image_turned_or_mirrored_has_the_same(path):
    image = grey(path)
    views = [np.rot90(image, k) for k in (1, 2, 3)] + [image[:, ::-1]]
    assert {share_of(np.ascontiguousarray(view)) for view in views} == {share_of(image)}


@pytest.mark.parametrize("shape", [(2001, 1900), (1902, 2200), (9, 500_000), (10, 900_001)])
def test_of_a_large_image_fewer_values_tell_it_and_turned_it_has_the_same(shape):
    image = noisy(np.full(shape, 0.5), 0.5)
    share = share_of(image)
    assert share == pytest.approx(0.5, rel=0.01)
    views = [np.rot90(image), np.rot90(image, 2), image.T, image[::-1]]
    assert {share_of(np.ascontiguousarray(view)) for view in views} == {share}


def test_the_threshold_follows_the_noise_between_its_limits():
    smooth = texture((160, 200), smoothness=4.0)
    thresholds = [
        adapted(noisy(smooth, levels), SiftParams()).contrast_threshold for levels in (0.05, 0.6, 3.0)
    ]
    whole = SiftParams().contrast_threshold
    assert thresholds[0] == pytest.approx(0.4 * whole)
    assert thresholds[1] == pytest.approx(0.6 * whole, rel=0.1)
    assert thresholds[2] == whole


def test_presets_with_one_threshold_for_every_image_keep_it():
    image = np.full((40, 40), 0.5, np.float32)
    for preset in ("classic", "dense"):
        params = SiftParams.preset(preset)
        assert adapted(image, params) is params


def test_features_tell_the_parameters_that_were_asked_for():
    image = noisy(texture((100, 120), smoothness=2.0), 0.1)
    params = SiftParams()
    assert detection.detect(image, params).params == params
