"""The benchmark reports what it says; how fast things are is not for a test."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import SAMPLES

from siftcli.bench import compare, enlarged, first_image
from siftcli.cli import siftcli


@pytest.fixture
def image():
    return next(str(path) for path in SAMPLES if path.name == "chelsea.png")


def test_bench_counts_features_and_restores_opencvs_threads(image):
    import cv2

    before = cv2.getNumThreads()
    (timing,) = compare([image], threads=1, n_pairs=3)
    assert timing.size == (451, 300)
    assert timing.n_siftcli > 500
    assert timing.n_opencv > 500
    assert 0 < timing.ratio_low <= timing.ratio <= timing.ratio_high
    assert cv2.getNumThreads() == before


def test_bench_command_prints_a_row_per_image_and_thread_count(image):
    result = CliRunner().invoke(siftcli, ["bench", image, "--pairs", "3", "--threads", "1", "--threads", "2"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["image", "chelsea.png", "chelsea.png"]


def test_bench_command_speaks_json(image):
    result = CliRunner().invoke(siftcli, ["bench", image, "--pairs", "3", "--threads", "1", "--json"])
    row = json.loads(result.stdout)
    assert row["schema"] == 1
    assert row["threads"] == 1


def test_first_images_are_measured_in_processes_of_their_own(image):
    row = first_image(image, threads=1, megapixels=0.3).to_dict()
    assert row["first_ratio"] == row["first_opencv_s"] / row["first_siftcli_s"] > 0
    # Each needs at least the doubled image in single precision, once: 4.8 MB.
    assert min(row["first_siftcli_peak_mb"], row["first_opencv_peak_mb"]) > 4.8


def test_enlarged_images_have_the_size_that_was_asked_for():
    grey = np.random.default_rng(0).integers(0, 256, (60, 80)).astype(np.uint8)
    for megapixels in (0.01, 0.5):
        large = enlarged(grey, megapixels)
        assert abs(large.size / 1e6 / megapixels - 1) < 0.02
        assert large.shape[1] / large.shape[0] == pytest.approx(1.5, rel=0.02)
    np.testing.assert_array_equal(large, enlarged(grey, 0.5))


def test_bench_command_prints_a_line_for_the_first_image(image):
    arguments = ["bench", image, "--pairs", "3", "--threads", "1", "--megapixels", "0.2", "--first"]
    result = CliRunner().invoke(siftcli, arguments)
    assert result.exit_code == 0
    assert "548 x 365" in result.stdout
    assert "first of a process" in result.stdout.splitlines()[-1]
