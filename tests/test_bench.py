"""The benchmark reports what it says; how fast things are is not for a test."""

import json

import pytest
from click.testing import CliRunner
from conftest import SAMPLES

from siftcli.bench import compare
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
