"""``siftcli evaluate`` and ``siftcli report`` as they are typed."""

import json
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
    with pytest.raises(ParameterError, match="expected values such as"):
        options.parse_values(text)


def test_names_known_without_numpy_are_those_of_the_library():
    assert tuple(detectors.REGISTRY) == options.DETECTOR_NAMES
    assert set(options.DEFAULT_VALUES) == set(TRANSFORMS)


@pytest.mark.parametrize("module", ["evaluate", "report"])
def test_help_needs_no_numpy(module):
    code = f"import sys, siftcli.cli.{module}; sys.exit(bool({{'numpy', 'numba', 'cv2'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
