"""``siftcli evaluate`` and ``siftcli report`` as they are typed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from siftcli import detectors
from siftcli.cli.evaluate import command as evaluate
from siftcli.cli.report import command as report
from siftcli.errors import InputError, OutputError, ParameterError
from siftcli.evaluation import options
from siftcli.evaluation.request import make_request
from siftcli.views.transforms import TRANSFORMS

SAMPLES = Path(__file__).parents[2] / "sample_images"


@pytest.fixture
def image(tmp_path) -> Path:
    path = tmp_path / "images" / "a.png"
    path.parent.mkdir()
    Image.open(SAMPLES / "camera.png").crop((100, 60, 260, 220)).save(path)
    return path


def run(command, *args):
    """Exit status, standard output and standard error; library errors are raised."""
    result = CliRunner().invoke(command, [str(arg) for arg in args], standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.return_value, result.stdout, result.stderr


def test_it_writes_results_summary_and_page_and_prints_the_table(image, tmp_path):
    out = tmp_path / "out"
    args = (
        image.parent,
        "-o",
        out,
        "--angles",
        "0:90:45",
        "--detectors",
        "opencv-precise,opencv",
        "--jobs",
        1,
    )
    status, printed, told = run(evaluate, *args)
    assert status == 0
    assert {"results.json", "summary.csv", "report.html"} <= {path.name for path in out.iterdir()}
    assert "| opencv-precise |" in printed
    assert "report.html" in told
    rows = json.loads((out / "results.json").read_text())["rows"]
    assert {(row["sweep"], row["value"]) for row in rows} == {
        *(("rotation", value) for value in (0, 45)),
        *(("lossless", value) for value in (90, 180, 270)),
    }
    (out / "report.html").unlink()
    assert run(report, out)[0] == 0
    assert (out / "report.html").exists()


def test_json_is_one_object(image, tmp_path):
    args = (image, "-o", tmp_path / "out", "--sweep", "blur", "--detectors", "opencv", "--json", "--jobs", 1)
    status, printed, _ = run(evaluate, *args)
    found = json.loads(printed)
    assert status == 0
    assert found["schema"] == 1
    assert found["summary"][0]["detector"] == "opencv"


def test_a_failure_is_told_and_is_the_exit_status(image, tmp_path):
    image.with_name("b.png").write_bytes(b"nothing")
    args = (image.parent, "-o", tmp_path / "out", "--sweep", "mirror", "--detectors", "opencv", "--jobs", 1)
    status, printed, told = run(evaluate, *args)
    assert status == 1
    assert "b.png: every detector: " in told
    assert "| opencv |" in printed


def test_a_dataset(image, tmp_path):
    listed = image.with_name("pairs.csv")
    image.with_name("H.txt").write_text("1 0 0\n0 1 0\n0 0 1\n")
    listed.write_text("image_a,image_b,homography\na.png,a.png,H.txt\n")
    args = (listed, "--dataset", "csv", "-o", tmp_path / "out", "--detectors", "opencv", "--jobs", 1)
    assert run(evaluate, *args)[0] == 0
    assert "Listed pairs" in (tmp_path / "out" / "report.html").read_text()


def test_images_of_the_results_are_not_taken(image):
    out = image.parent / "out"
    out.mkdir()
    Image.new("L", (50, 50)).save(out / "drawn.png")
    _, jobs = make_request([str(image.parent)], str(out), sweeps=["mirror"])
    assert [job.image.name for job in jobs] == ["a.png"]
    with pytest.raises(InputError, match="holds no images except"):
        make_request([str(out)], str(out), sweeps=["mirror"])


def test_the_modes_of_rotation(image):
    settings, _ = make_request([str(image)], "out", sweeps=["rotation"], angles=[30, 60], mode="canvas")
    assert settings.sweeps == {"canvas": (30, 60)}
    settings, _ = make_request([str(image)], "out", sweeps=["rotation", "scale"], angles=[30])
    assert dict(settings.sweeps)["rotation"] == (30,)
    assert dict(settings.sweeps)["lossless"] == (90, 180, 270)
    assert dict(settings.sweeps)["scale"] == options.DEFAULT_VALUES["scale"]


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        (["--sweep", "spin"], ParameterError, "unknown sweep 'spin'"),
        (["--angles", "0:360"], ParameterError, "0:360:15"),
        (["--detectors", "surf"], ParameterError, "unknown detector 'surf'"),
        (["-o", "/dev/null/x"], OutputError, "cannot be written"),
    ],
)
def test_wrong_use_is_found_before_any_work(image, args, error, message):
    with pytest.raises(error, match=message):
        run(evaluate, image, "--jobs", 1, *args)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0:360:90", (0, 90, 180, 270)),
        ("0:1:0.25", (0, 0.25, 0.5, 0.75)),
        ("30,45", (30, 45)),
        ("90:0:-45", (90, 45)),
    ],
)
def test_values(text, values):
    assert options.parse_values(text) == values


@pytest.mark.parametrize(
    "text", ["", "a", "0:10", "0:10:0", "10:0:5", "0:360:0.001", "1,1", "nan", "0:inf:1"]
)
def test_values_that_are_none(text):
    with pytest.raises(ParameterError, match="--angles expects values such as"):
        options.parse_values(text)


def test_names_known_without_numpy_are_those_of_the_library():
    assert tuple(detectors.REGISTRY) == options.DETECTOR_NAMES
    assert set(options.DEFAULT_VALUES) == set(TRANSFORMS)


@pytest.mark.parametrize("module", ["evaluate", "report"])
def test_help_needs_no_numpy(module):
    code = f"import sys, siftcli.cli.{module}; sys.exit(bool({{'numpy', 'numba', 'cv2'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def before_and_after(image, tmp_path, monkeypatch):
    """Two folders of results: in the second every repeatability within 0.5 px is less by 0.05."""
    monkeypatch.chdir(tmp_path)
    args = ("--sweep", "blur,mirror", "--detectors", "opencv-precise,opencv", "--jobs", 1, "-q")
    run(evaluate, image, "-o", "before", *args)
    results = json.loads(Path("before/results.json").read_text())
    for row in results["rows"]:
        row["repeatability_05px"] -= 0.05 * (row["detector"] == "opencv-precise")
    Path("after").mkdir()
    Path("after/results.json").write_text(json.dumps(results))
    return "before", "after"


def test_two_evaluations_are_compared_on_the_screen_and_in_json(before_and_after):
    status, printed, told = run(report, *before_and_after)
    assert (status, told.splitlines()[-1]) == (0, "report: compare.html")
    heading = "Blur, at default parameters, opencv-precise: after − before"
    assert f"{heading} (values, too few for intervals (1 image))" in printed.splitlines()
    assert re.search(r"^\| rep. 0.5 px \| \S+ \| \S+ \| −0.050 \| +\| +\|$", printed, re.M)
    assert "Mirror, at default parameters: opencv is unchanged." in printed
    Path("compare.html").unlink()
    status, printed, told = run(report, *before_and_after, "--json", "-q")
    assert (status, told, Path("compare.html").exists()) == (0, "", False)
    found = json.loads(printed)
    assert (found["page"], found["checks"], found["pose_differences"]) == (None, [], [])
    key = ("blur", "default", "opencv-precise", "repeatability_05px")
    (own,) = [d for d in found["differences"] if (d["sweep"], d["budget"], d["detector"], d["metric"]) == key]
    assert own["value"] - own["other_value"] == pytest.approx(-0.05)
    assert own["mean"] == pytest.approx(-0.05)
    assert (own["run"], own["other"], own["other_run"]) == ("after", "opencv-precise", "before")
    assert (own["low"], own["method"], own["n_images"], own["mark"]) == (None, "values", 1, "")


@pytest.mark.parametrize(
    ("limit", "status"),
    [("before-0.06", 0), ("before-0.04", 3), ("before", 3), ("0", 0), ("1.5", 3), ("-1", 0), (".0001", 0)],
)
def test_a_limit_is_an_exit_status(before_and_after, limit, status):
    option = f"repeatability_05px={limit}"
    assert run(report, *before_and_after, "--json", "--fail-below", option)[0] == status


def test_what_is_below_a_limit_is_told(before_and_after):
    limits = ("--fail-below", "repeatability_05px=before", "--fail-below", "matching_score=0")
    status, printed, told = run(report, *before_and_after, "--json", "-q", *limits)
    checks = json.loads(printed)["checks"]
    assert status == 3
    # One budget of the mirror and two of the blur: only the first detector counts.
    assert [check["passed"] for check in checks] == [False] * 3 + [True] * 3
    assert {check["detector"] for check in checks} == {"opencv-precise"}
    lines = told.splitlines()
    assert len(lines) == 3
    value, least = checks[0]["value"], checks[0]["limit"]
    assert least - value == pytest.approx(0.05)
    assert lines[0] == (
        "siftcli: blur, default: repeatability_05px of opencv-precise is "
        f"{value:.6g}, below {least:.6g}"
    )  # fmt: skip


def test_one_evaluation_is_compared_within(before_and_after):
    status, printed, _ = run(report, "before", "--overwrite")
    assert status == 0
    assert "Blur, at default parameters, opencv-precise − opencv (values" in printed
    assert "| | opencv | opencv-precise | difference | | |" in printed


def test_two_detectors_of_two_evaluations_are_compared(image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("opencv", "opencv-precise"):
        run(evaluate, image, "-o", name, "--sweep", "mirror", "--detectors", name, "--jobs", 1, "-q")
    _, printed, _ = run(report, "opencv", "opencv-precise")
    assert "opencv-precise · opencv-precise − opencv · opencv (values" in printed


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (["-o", "page.txt"], ParameterError, "page.txt: expected the name of a page, page.html"),
        (["-o", "mine.html"], OutputError, "mine.html exists; pass --overwrite to replace it"),
        (["--fail-below", "repeatability_05px"], ParameterError, "expects METRIC=VALUE"),
        (["--fail-below", "repeatability_05px=nan"], ParameterError, "expects METRIC=VALUE"),
        (["--fail-below", "sharpness=1"], ParameterError, "sharpness: it is unknown; expected one of"),
        (["--fail-below", "time_s=1"], ParameterError, "time_s: less of it is better"),
        (["--fail-below", "auc_5deg=0.5"], ParameterError, "auc_5deg: it was not measured"),
    ],
)
def test_a_report_is_refused_before_any_work(before_and_after, options, error, message):
    Path("mine.html").write_text("mine")
    with pytest.raises(error, match=message):
        run(report, *before_and_after, *options)
    assert Path("mine.html").read_text() == "mine"
    assert not Path("compare.html").exists()


def test_nothing_is_replaced_in_silence(before_and_after):
    run(report, *before_and_after, "-q")
    for inputs, page in ((before_and_after, "compare.html"), (["before"], "before/report.html")):
        with pytest.raises(OutputError, match=f"{page} exists; pass --overwrite"):
            run(report, *inputs)
        assert run(report, *inputs, "--overwrite")[0] == 0
    with pytest.raises(ParameterError, match="two evaluations of the same detector"):
        run(report, "before", "--json", "--fail-below", "repeatability_05px=before")
