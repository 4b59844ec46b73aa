"""The benchmark reports what it says; how fast things are is not for a test."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import SAMPLES

from siftcli.bench import roofline, tables
from siftcli.bench import worker as workers
from siftcli.bench.cases import Case, cases_of, resized, tiled
from siftcli.bench.measuring import Measured, measure
from siftcli.bench.process import Command, environment, time_command
from siftcli.bench.records import FirstImage, Row, Spread
from siftcli.bench.stages import STAGES, Stage, time_stages
from siftcli.bench.summary import Figure, figures_of
from siftcli.bench.worker import Worker
from siftcli.cli import siftcli
from siftcli.detectors.scikit_image import ScikitImage
from siftcli.errors import InputError
from siftcli.kernels.threads import Threads
from siftcli.kernels.vectors import LANES
from siftcli.params import SiftParams
from siftcli.sift.gaussian import first_taps, later_taps
from siftcli.sift.octave import octaves_of
from siftcli.sift.scale_space import gaussian_octaves

CHELSEA = next(path for path in SAMPLES if path.name == "chelsea.png")


# --- images ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["resized", "tiled"])
@pytest.mark.parametrize("megapixels", [0.02, 0.6])
def test_an_image_is_brought_to_a_size_at_its_aspect_the_same_every_time(way, megapixels):
    case = Case(CHELSEA, megapixels, way)
    grey = case.grey()
    assert grey.dtype == np.uint8
    assert grey.flags.c_contiguous
    assert grey.size == pytest.approx(1e6 * megapixels, rel=0.01)
    assert grey.shape[1] / grey.shape[0] == pytest.approx(451 / 300, rel=0.01)
    np.testing.assert_array_equal(grey, case.grey())


def test_a_tiled_image_is_the_image_beside_its_mirror_images():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    large = tiled(grey, (4, 8))
    np.testing.assert_array_equal(large[:2, :3], grey)
    np.testing.assert_array_equal(large[:2, 3:6], grey[:, ::-1])
    np.testing.assert_array_equal(large[2:], large[1::-1])


def test_a_resized_image_has_noise_of_a_grey_level():
    noise = resized(np.full((40, 50), 128, np.uint8), (200, 300)).astype(float) - 128
    # A standard deviation of 1, and of the rounding √(1/12) more; 60,000 samples tell it within 1 %.
    assert noise.std() == pytest.approx(np.sqrt(1 + 1 / 12), rel=0.02)
    assert abs(noise.mean()) < 0.02


def test_without_an_image_a_photograph_is_taken_at_every_size():
    assert [case.megapixels for case in cases_of([], [], ["tiled"])] == [0.25, 1, 3, 12, 24]
    assert cases_of([], [], ["tiled"])[0].path.exists()
    assert cases_of([CHELSEA], [], ["tiled"]) == [Case(CHELSEA)]
    assert len(cases_of([CHELSEA], [1, 2], ["resized", "tiled"])) == 4


# --- detectors taking turns --------------------------------------------------------------------------------


@pytest.mark.slow
def test_detectors_are_compared_with_the_first():
    names = ["siftcli", "opencv-precise", "scikit-image"]
    (one,) = measure([Case(CHELSEA, 0.05, "resized")], names, thread_counts=[1], n_pairs=3)
    assert [row.detector for row in one.rows] == [first.detector for first in one.first] == names
    assert all(row.n_features > 100 and row.n_pairs == 3 for row in one.rows)
    assert [row.detect_ms is not None for row in one.rows] == [True, True, False]
    assert one.rows[0].ratio == Spread(1, 1, 1)
    for row in one.rows[1:]:
        assert 0 < row.ratio.low <= row.ratio.median <= row.ratio.high
    assert one.roofline.size == one.rows[0].size
    assert one.roofline.both_ms == one.rows[0].both_ms.median


@pytest.mark.slow
def test_detectors_are_compared_at_equal_counts():
    names = ["siftcli", "opencv-precise", "scikit-image"]
    (one,) = measure([Case(CHELSEA, 0.05, "resized")], names, thread_counts=[1], n_pairs=1, equal_counts=True)
    least = min(first.n_features for first in one.first)
    assert max(first.n_features for first in one.first) > 1.2 * least
    for row in one.rows:
        assert row.n_features == pytest.approx(least, rel=0.05)


def test_a_threshold_is_searched_for_before_the_time_is_taken(monkeypatch):
    grey, thresholds, count = Case(CHELSEA, 0.02, "resized").grey(), [], ScikitImage.count

    def watched(detector, samples):
        thresholds.append(detector.threshold)
        return count(detector, samples)

    monkeypatch.setitem(workers._state, "work", ("scikit-image", grey, 20))
    monkeypatch.setattr(ScikitImage, "count", watched)
    workers._kept.cache_clear()
    find = workers.finder("scikit-image", 1, 20)
    tried = list(thresholds)
    assert len(tried) > 2
    assert 10 <= find.both(grey) <= 30
    assert workers._both_ms(1)[0] > 0
    assert thresholds == tried


def test_a_spread_is_the_median_and_the_middle_half():
    assert Spread.of([1, 2, 3, 4, 100]) == Spread(3, 2, 4)


def test_an_image_without_features_has_no_time_for_each():
    row = replace(measured(1, 10.0, 2.0).rows[0], n_features=0)
    assert row.us_per_feature is None
    assert replace(row, n_features=100).us_per_feature == 100
    assert row.megapixels_per_s == 100


@pytest.mark.parametrize("name", ["siftcli", "opencv-precise"])
def test_the_first_image_of_a_process_is_measured(name):
    with Worker(name, Case(CHELSEA, 0.3, "resized").grey()) as worker:
        seconds, peak_mb, n_features = worker.first(1)
        assert seconds > 0
        # Each needs at least the doubled image in single precision, once: 4.8 MB.
        assert peak_mb > 4.8
        assert n_features > 100
        assert min(worker.detect_ms(1) + worker.both_ms(1)) > 0


# --- whole processes -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_whole_processes_may_keep_their_modules_compiled(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("ANOTHER", "x")
    assert environment()["ANOTHER"] == "x"
    assert "PYTHONDONTWRITEBYTECODE" not in environment()


def test_whole_processes_are_timed_and_a_failure_is_told():
    timed = time_command(CHELSEA, 1)
    assert timed.n_pairs == 1
    assert timed.ratio.median == timed.opencv_ms.median / timed.siftcli_ms.median
    with pytest.raises(InputError, match=r"siftcli.* failed .*none\.png"):
        time_command("none.png", 1)


# --- the arithmetic floor --------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"first_octave": 0}])
def test_multiply_adds_are_those_of_direct_sums(options):
    params = SiftParams(**options)
    shape = (37, 50)
    octaves = list(gaussian_octaves(np.zeros(shape, np.float32), params, Threads(1)))
    n, source = 0, shape
    for octave in octaves:
        first = octave is octaves[0]
        filters = first_taps(params) if first else later_taps(params)
        doubled = first and not options
        for one in filters:
            taps = len(one.at_integers), len(one.at_halves)
            for n_lines, n_samples in ((source[0], octave.shape[1]), (octave.shape[1], octave.shape[0])):
                n += n_lines * sum(taps[i % 2 if doubled else 0] for i in range(n_samples))
        source = tuple((side + 1) // 2 for side in octave.shape)
    assert roofline.multiply_adds(shape, params) == n > 0


def test_the_kernel_that_measures_the_peak_multiplies_and_adds():
    values = np.linspace(0, 4, 4 * LANES, dtype=np.float32)
    roofline._multiply_add(values, 1)
    np.testing.assert_allclose(values, 2, atol=1e-6)  # where x = x / 2 + 1 leads
    assert roofline.peak() > 1e6


def test_stages_are_timed_beside_their_limits():
    grey = Case(CHELSEA).grey()[:100, :120].copy()
    stages = {s.stage: s for s in time_stages(("x.png", "", (120, 100)), grey, (1,), n_runs=1)}
    assert tuple(stages) == STAGES
    whole = stages.pop("whole")
    assert whole.operations == pytest.approx(sum(s.operations for s in stages.values()), rel=1e-6)
    assert stages["pyramid"].operations == roofline.multiply_adds((100, 120), SiftParams())
    n_samples = sum(np.prod(o.shape) for o in octaves_of((100, 120), SiftParams()))
    assert stages["pyramid"].bytes_moved == 4 * (6 * n_samples + 100 * 120)
    assert stages["extrema"].bytes_moved == 4 * 6 * n_samples
    assert all(s.operations > 0 and s.bytes_moved > 0 and s.ms > 0 for s in stages.values())


def test_the_longer_of_two_times_is_the_limit():
    one = Stage("x.png", "", (9, 9), 1, "extrema", operations=10**6, bytes_moved=10**6, ms=4.0,
                operations_per_s=1e9, bytes_per_s=5e8)  # fmt: skip
    assert (one.limit_ms, one.limit, one.share) == (2.0, "memory", 0.5)
    faster = replace(one, bytes_per_s=1e10)
    assert (faster.limit_ms, faster.limit, faster.share) == (1.0, "arithmetic", 0.25)


# --- what it comes to ------------------------------------------------------------------------------------


def measured(megapixels, both_ms, ratio, n_features=100):
    size = (1000, round(1000 * megapixels))
    alike = {"image": "x.png", "way": "tiled", "size": size, "threads": 2}
    row = Row(**alike, detector="siftcli", n_features=n_features, n_pairs=3, detect_ms=None,
              both_ms=Spread(both_ms, both_ms, both_ms), ratio=Spread(1, 1, 1))  # fmt: skip
    peer = replace(row, detector="opencv-precise", ratio=Spread(ratio, ratio, ratio))
    own = FirstImage(**alike, detector="siftcli", seconds=1.0, peak_mb=10.0, n_features=n_features)
    first = [own, replace(own, detector="opencv-precise", seconds=3.0, peak_mb=50.0)]
    amounts = {"multiply_adds": 10**8, "peak_per_s": 1e10, "pyramid_ms": 20.0, "both_ms": None}
    del alike["threads"]
    return Measured([row, peer], first, roofline.Roofline(**alike, **amounts))


def test_the_summary_takes_medians_over_images_of_a_kind():
    images = [measured(1, 10.0, 2.0), measured(2, 20.0, 3.0), measured(24, 360.0, 5.0)]
    textures = [measured(1, 10.0, 1.5, n_features=20_000)]
    commands = [Command("x.png", 2, 3, Spread(1, 1, 1), Spread(2, 2, 2), Spread(2, 2, 2))]
    figures = {(f.quantity, f.of): f for f in figures_of(images + textures, commands)}
    small = figures["time, warm", "images to 2.5 Mpx"]
    assert small == Figure("time, warm", "images to 2.5 Mpx", "opencv-precise", 2, 2, 2.5, 2.0, 3.0)
    assert figures["time, warm", "larger images"].ratio == 5
    assert figures["time, warm", "dense textures"].ratio == 1.5
    assert figures["time, first", "larger images"].ratio == 3
    assert figures["peak memory", "larger images"].ratio == 5
    assert figures["time a Mpx", "24/1 Mpx, tiled"].ratio == pytest.approx(1.5)
    assert figures["process", "x.png"].ratio == 2


def test_the_floor_is_the_arithmetic_at_its_peak():
    one = measured(1, 10.0, 2.0).roofline
    assert one.floor_ms == 10
    assert one.share_of_pyramid == 0.5
    assert one.share_of_both is None
    assert replace(one, both_ms=40.0).share_of_both == 0.25


def test_every_table_fits_into_80_columns():
    images = [measured(24, 12345.6, 12.34, n_features=100_000)]
    commands = [Command("x.png", 2, 15, Spread(1234, 1, 1), Spread(1234, 1, 1), Spread(2, 2, 2))]
    closing = tables.closing_tables(images, commands)
    stage = Stage("x.png", "tiled", (6000, 4000), 2, "orientations", 10**11, 10**11, 12345.6, 1e12, 1e11)
    for table in (tables.warm_table(images[0]), tables.stages_table([stage]), *closing):
        widths = [max(len(line) for row in (table.heads, *table.rows) for line in row[i].split("\n"))
                  for i in range(len(table.heads))]  # fmt: skip
        assert sum(widths) + len(widths) - 1 <= 80, table.title


# --- the command -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_bench_command_prints_tables_and_writes_what_it_measured(tmp_path):
    output = tmp_path / "bench.json"
    arguments = ["bench", str(CHELSEA), "--sizes", "0.05", "--made", "resized,tiled", "--pairs", "1"]
    result = CliRunner().invoke(siftcli, [*arguments, "--process", "-o", str(output)])
    assert result.exit_code == 0, result.output
    for title in ("resized; runs per detector: 1", "tiled; runs", "First image", "Roofline", "Summary"):
        assert title in result.stdout
    document = json.loads(output.read_text())
    assert {row["way"] for row in document["rows"]} == {"resized", "tiled"}
    assert {row["threads"] for row in document["rows"]} >= {1}
    assert document["machine"]["cores"] >= 1
    assert set(document["detectors"]) == {"siftcli", "opencv-precise"}
    assert len(document["commands"]) == 1
    assert CliRunner().invoke(siftcli, [*arguments, "-o", str(output)]).exit_code != 0


def test_bench_command_speaks_json():
    arguments = ["bench", str(CHELSEA), "--pairs", "1", "--threads", "1", "--detectors", "siftcli", "--json"]
    document = json.loads(CliRunner().invoke(siftcli, arguments).stdout)
    assert document["schema"] == 1
    (row,) = document["rows"]
    assert row["both_ms"]["low"] <= row["both_ms"]["median"] <= row["both_ms"]["high"]
    assert row["megapixels"] == 451 * 300 / 1e6


@pytest.mark.parametrize(
    "wrong",
    [
        ["--sizes", "x"],
        ["--sizes", "0"],
        ["--sizes", "1", "--made", "cut"],
        ["--made", ","],
        ["--detectors", "surf"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_told(wrong):
    from siftcli.__main__ import run

    assert run(["bench", str(CHELSEA), *wrong]) == 2
