"""Every installed detector, in the project's conventions, on images whose answer is known."""

from pathlib import Path

import numpy as np
import pytest

from siftcli import detectors
from siftcli.errors import MissingDependencyError, ParameterError
from siftcli.image import read_image
from siftcli.views.metrics import counterparts, descriptor_cosines

pytestmark = pytest.mark.peers

INSTALLED = detectors.installed_detectors()
SAMPLE = Path(__file__).parents[2] / "sample_images" / "camera.png"

# The doubled image of OpenCV (default), of kornia-rs and of scikit-image lies a quarter of a pixel off.
BIAS_PX = {"opencv": 0.25, "kornia-rs": 0.25, "scikit-image": 0.25}

BLOB_SIGMA = 4.0
BLOB_XY = (50.3, 43.6)
# Lower of the two levels whose difference is largest, for a blob and three levels an octave.
EXPECTED_SCALE = 2 ** (-1 / 6) * BLOB_SIGMA


def blob(ramp_deg: float | None = None) -> np.ndarray:
    """A bright blob; a fainter one on a ramp that grows in this direction (from +x towards +y)."""
    y, x = np.mgrid[:96, :104].astype(np.float64) - np.array(BLOB_XY[::-1])[:, None, None]
    bump = np.exp(-(x**2 + y**2) / (2 * BLOB_SIGMA**2))
    if ramp_deg is None:
        return (0.3 + 0.4 * bump).astype(np.float32)
    turn = np.deg2rad(ramp_deg)
    ramp = 0.006 * (np.cos(turn) * x + np.sin(turn) * y)
    return (0.45 + 0.15 * bump + ramp).astype(np.float32)


def strongest_at_blob(name: str, image: np.ndarray):
    features = detectors.create(name, threads=1).detect(image)
    near = np.hypot(*(features.xy - BLOB_XY).T) < 2
    near &= np.abs(np.log2(features.scale / EXPECTED_SCALE)) < 0.5
    assert near.any()
    return features.select(near).select(slice(1))


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return np.ascontiguousarray(read_image(SAMPLE).grey[100:356, 100:356])


@pytest.fixture(scope="module")
def of_opencv(photograph):
    return detectors.create("opencv-precise", threads=1).detect(photograph)


def test_the_comparison_set_is_always_there():
    assert {"siftcli", "opencv", "opencv-precise", "scikit-image"} <= set(INSTALLED)


@pytest.mark.parametrize("name", INSTALLED)
def test_position_and_scale_of_a_blob(name):
    found = strongest_at_blob(name, blob())
    expected = np.array(BLOB_XY) + BIAS_PX.get(name, 0.0)
    # 0.06: quantisation to 8 bits and the quadratic fit; the bias is four times that.
    np.testing.assert_allclose(found.xy[0], expected, atol=0.06)
    np.testing.assert_allclose(found.scale[0], EXPECTED_SCALE, rtol=0.05)


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("ramp_deg", [30.0, 200.0])
def test_orientation_points_up_the_ramp_clockwise_on_the_screen(name, ramp_deg):
    found = strongest_at_blob(name, blob(ramp_deg))
    difference = (np.rad2deg(found.orientation[0]) - ramp_deg + 180) % 360 - 180
    # A bin of the histogram is 10° wide; the other senses are off by 30° or more.
    assert abs(difference) < 12


@pytest.mark.parametrize("name", INSTALLED)
def test_descriptors_are_in_lowes_order(name, photograph, of_opencv):
    found = detectors.create(name, threads=1).detect(photograph)
    rows = counterparts(found, of_opencv)
    theirs = of_opencv.descriptors[rows[rows >= 0]].astype(np.float64)
    if found.descriptor_kind == "rootsift":
        theirs = np.sqrt(theirs)
    assert np.sum(rows >= 0) > 30
    # A wrong order gives 0.6 to 0.7; scikit-image's smaller cells cost 0.02, kornia's patches 0.09.
    assert np.median(descriptor_cosines(found.descriptors[rows >= 0], theirs)) > 0.88


@pytest.mark.parametrize("name", INSTALLED)
def test_octaves_start_at_the_doubled_image(name, photograph):
    found = detectors.create(name, threads=1).detect(photograph)
    first = 0 if name == "vlfeat" else -1
    assert found.octave.min() == first
    assert found.octave.max() >= 1


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (7, 5), (64, 64)])
def test_nothing_to_see_is_no_features(name, shape):
    found = detectors.create(name, threads=1).detect(np.full(shape, 0.5, np.float32))
    assert len(found) == 0
    assert found.descriptors.shape == (0, 128)


@pytest.mark.parametrize("name", INSTALLED)
def test_equal_counts(name, photograph):
    whole = detectors.create(name, threads=1)
    found = whole.limited(60, photograph).detect(photograph)
    assert len(found) == 60 if whole.ranked else abs(len(found) - 60) <= 6
    if whole.ranked:
        assert found.response.min() >= np.sort(whole.detect(photograph).response)[-60]


def test_more_than_there_are_is_all(photograph):
    for name in ("opencv", "scikit-image"):
        whole = detectors.create(name, threads=1)
        assert len(whole.limited(10**6, photograph).detect(photograph)) == len(whole.detect(photograph))


def test_threshold_search_comes_near_the_count():
    def count(threshold: float) -> int:
        return int(10 / (threshold + 0.01))

    for n in (40, 100, 900):
        assert count(detectors.threshold_for_count(count, n, 0.0)) == pytest.approx(n, rel=0.03)
    assert detectors.threshold_for_count(count, 900, 0.01) == 0.01  # never more than at the default


def test_version_and_parameters_are_plain():
    for name in INSTALLED:
        detector = detectors.create(name)
        assert detector.version[0].isdigit()
        assert all(isinstance(v, int | float | str | None) for v in detector.parameters.values())


def test_kornia_rs_refuses_another_number_of_threads(photograph):
    pytest.importorskip("kornia_rs")
    assert len(detectors.create("kornia-rs", threads=1).detect(photograph)) > 30
    with pytest.raises(ParameterError, match="use 2 in a process of its own"):
        detectors.create("kornia-rs", threads=2).detect(photograph)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ParameterError, match=r"unknown detector 'surf'.*opencv-precise"):
        detectors.create("surf")


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(detectors.REGISTRY["colmap"], "module", "no_such_module")
    assert "colmap" not in detectors.installed_detectors()
    with pytest.raises(MissingDependencyError, match=r"pycolmap.*siftcli\[peers\]"):
        detectors.create("colmap")
