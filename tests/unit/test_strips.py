"""Strips of several octaves, worked at once, are worked as each alone."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import texture

from siftcli import SiftParams
from siftcli.kernels.threads import Threads
from siftcli.learned import orientation as learned
from siftcli.sift import orientation as histogram
from siftcli.sift.descriptor import describe_frames
from siftcli.sift.keypoints import Keypoints
from siftcli.sift.scale_space import gaussian_octaves
from siftcli.sift.strips import Strips

PLACES = np.array([(31.5, 24.25), (20.0, 30.0), (44.5, 33.0)])


@pytest.fixture(scope="module")
def octaves():
    with Threads(1) as threads:
        return list(gaussian_octaves(texture((60, 70), seed=3), SiftParams(), threads))[:3]


def keypoints_of(octave) -> Keypoints:
    """Three keypoints whose σ belongs to an octave, in input pixels."""
    n = len(PLACES)
    sigma = octave.step * np.array([1.9, 2.4, 3.0])
    return Keypoints(np.full(n, octave.number, np.int16), PLACES, sigma, np.ones(n), np.ones(n, np.float32))


@pytest.mark.parametrize("assign", [histogram.assign_orientations, learned.assign_orientations])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_several_octaves_at_once_are_each_alone(octaves, assign, n_threads):
    params = SiftParams(max_orientations=2)
    apart = [keypoints_of(octave) for octave in octaves]
    of = np.repeat(np.arange(len(octaves)), len(PLACES))
    with Threads(n_threads) as threads:
        rows, angles = assign(Strips(octaves, of), Keypoints.concatenate(apart), params, threads)
        frames = Keypoints.concatenate(apart).select(rows)
        given = frames.xy.astype(np.float32), frames.sigma.astype(np.float32), angles.astype(np.float32)
        descriptors = describe_frames(Strips(octaves, of[rows]), *given, params, threads)
        for i, (octave, keypoints) in enumerate(zip(octaves, apart, strict=True)):
            own_rows, own_angles = assign(octave, keypoints, params, threads)
            here = of[rows] == i
            np.testing.assert_array_equal(rows[here] - i * len(PLACES), own_rows)
            np.testing.assert_array_equal(angles[here], own_angles)
            alone = describe_frames(octave, *(column[here] for column in given), params, threads)
            np.testing.assert_array_equal(descriptors[here], alone)
    assert np.ptp(descriptors.astype(int)) > 0


def test_positions_and_levels_are_those_of_each_rows_octave(octaves):
    of = np.array([2, 0, 1, 0])
    strips = Strips(octaves, of)
    xy, sigma = np.array([(3.0, 4.0), (5.0, 6.5), (30.0, 20.0), (0.0, 0.0)]), np.array([7.0, 1.1, 2.6, 1.5])
    for row, i in enumerate(of):
        np.testing.assert_array_equal(strips.to_samples(xy)[row], octaves[i].to_samples(xy)[row])
        assert strips.nearest_level(sigma)[row] == octaves[i].nearest_level(sigma)[row]
        assert strips.step[row] == octaves[i].step
    assert [rows.tolist() for _, rows in strips.one_by_one()] == [[1, 3], [2], [0]]
    assert strips.select(of == 0).of.tolist() == [0, 0]


@pytest.mark.parametrize("change", [lambda levels: levels.astype(float), lambda levels: levels[:, ::2]])
def test_levels_that_kernels_cannot_read_are_refused(octaves, change):
    strips = Strips([replace(octaves[0], levels=change(octaves[0].levels))], np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="expected C-contiguous float32 levels"):
        _ = strips.table
