"""The noise of an image, and the contrast threshold that it asks for."""

import numpy as np
import pytest
from conftest import SAMPLES, grey, texture

from siftcli import SiftParams
from siftcli.sift import pipeline
from siftcli.sift.noise import FULL_NOISE, noise_share, params_for


def noisy(image, levels, seed=0):
    noise = np.random.default_rng(seed).standard_normal(image.shape)
    return (image + levels * FULL_NOISE * noise).astype(np.float32)


@pytest.mark.parametrize("levels", [0.25, 0.5, 0.8])
def test_the_noise_of_an_image_is_found_whatever_it_shows(levels):
    y, x = np.mgrid[:200, :240]
    flat, slope = np.full((200, 240), 0.5), 0.2 + 0.002 * x + 0.001 * y
    edge = np.where(x < 100, 0.2, 0.8)
    for image in (flat, slope, edge):
        assert noise_share(noisy(image, levels)) == pytest.approx(levels, rel=0.03)


def test_more_than_a_grey_level_counts_as_one():
    assert noise_share(noisy(np.full((64, 64), 0.5), 5.0)) == 1.0


def test_no_noise_and_no_room():
    assert noise_share(np.full((20, 30), 0.3, np.float32)) == 0
    assert noise_share(np.zeros((2, 50), np.float32)) == 1.0


@pytest.mark.parametrize("path", SAMPLES[:3], ids=lambda p: p.name)
def test_an_image_turned_or_mirrored_has_the_same(path):
    image = grey(path)
    views = [np.rot90(image, k) for k in (1, 2, 3)] + [image[:, ::-1]]
    assert {noise_share(np.ascontiguousarray(view)) for view in views} == {noise_share(image)}


def test_the_threshold_follows_the_noise_between_its_limits():
    smooth = texture((160, 200), smoothness=4.0)
    thresholds = [
        params_for(noisy(smooth, levels), SiftParams()).contrast_threshold for levels in (0.05, 0.6, 3.0)
    ]
    whole = SiftParams().contrast_threshold
    assert thresholds[0] == pytest.approx(0.4 * whole)
    assert thresholds[1] == pytest.approx(0.6 * whole, rel=0.1)
    assert thresholds[2] == whole


def test_presets_with_one_threshold_for_every_image_keep_it():
    image = np.full((40, 40), 0.5, np.float32)
    for preset in ("classic", "dense"):
        params = SiftParams.preset(preset)
        assert params_for(image, params) is params


def test_features_tell_the_parameters_that_were_asked_for():
    image = noisy(texture((100, 120), smoothness=2.0), 0.1)
    params = SiftParams()
    assert pipeline.detect(image, params).params == params
