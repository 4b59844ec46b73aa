"""The report: self-contained, escaped, and alive in a browser."""

import json
import re
import statistics
from pathlib import Path

import pytest
from browser import Browser, find_browser
from PIL import Image

from siftcli.errors import InputError, OutputError, ParameterError
from siftcli.evaluation import runner
from siftcli.evaluation.settings import Settings
from siftcli.evaluation.summary import METRICS, Metric
from siftcli.io.work_list import find_images
from siftcli.report import write_report
from siftcli.report.charts import styles
from siftcli.report.page import make_page
from siftcli.report.runs import read_runs
from siftcli.report.tables import number

SAMPLES = Path(__file__).parents[2] / "sample_images"
HOSTILE = "<img src=x onerror=alert(1)>.png"
SWEEPS = {"rotation": [0, 45, 90, 180], "blur": [1]}


def evaluate(folder: Path, seed: int, sweeps=SWEEPS) -> Path:
    images = folder / "images"
    images.mkdir(parents=True)
    whole = Image.open(SAMPLES / "camera.png")
    whole.crop((100, 60, 260, 220)).save(images / HOSTILE)
    whole.crop((200, 150, 351, 310)).save(images / "b.png")
    (images / "broken.png").write_bytes(b"\x89PNG\r\n")
    settings = Settings(sweeps=sweeps, detectors=["opencv-precise", "opencv"], seed=seed)
    runner.evaluate(runner.plan_sweeps(find_images([images]), settings), settings, folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> Path:
    return evaluate(tmp_path_factory.mktemp("run") / "before", 0)


@pytest.fixture(scope="module")
def page(before) -> Path:
    return write_report([before])


def own_html(page: Path) -> str:
    """The page without the embedded library."""
    return re.sub(r"<script>.*?</script>", "", page.read_text(), flags=re.S)


def test_the_page_holds_all_it_needs(page):
    html = own_html(page)
    assert not re.findall(r"""\s(?:src|href)=["'](?!data:).*""", html)
    assert "@import" not in html
    assert page.stat().st_size < 8_000_000
    assert html.count("data:image/webp;base64,") == 4
    assert page.read_text().count("plotly.js v") == 1


def test_a_file_name_is_text(page):
    html = own_html(page)
    assert "<img src=x" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in html


def test_failures_are_listed_with_their_reason(page):
    html = own_html(page)
    assert re.search(r"<strong>broken\.png</strong>.*: .*broken\.png", html)
    assert "(5 views)" in html


def test_figures_come_from_the_rows(page, before):
    rows = json.loads((before / "results.json").read_text())["rows"]
    key = ("rotation", "default", "opencv")
    own = [row for row in rows if (row["sweep"], row["budget"], row["detector"]) == key]
    means = [
        statistics.mean(row["repeatability_05px"] for row in own if row["image"] == image)
        for image in (HOSTILE, "b.png")
    ]
    table = make_page(read_runs([before])).sections[0].tables[0]
    assert table.columns[1].name == "repeatability_05px"
    assert dict(table.rows)["opencv"][1].text == f"{statistics.mean(means):.3f}"


def test_every_metric_is_defined_and_settings_are_told(page):
    html = own_html(page)
    assert all(f"<dt>{metric.title}</dt>" in html for metric in METRICS)
    assert "enable_precise_upscale true" in html
    assert "ratio" in html


def test_two_runs_beside_each_other(before, tmp_path):
    after = evaluate(tmp_path / "x", 1)
    page = write_report([before, after], tmp_path / "compare.html")
    found = make_page(read_runs([before, after]))
    names = [name for name, _ in found.sections[0].tables[0].rows]
    assert len(names) == 4
    assert len(set(names)) == 4
    differences = [name for name, _ in found.sections[0].tables[1].rows]
    assert [name.partition(":")[0] for name in differences] == ["opencv-precise", "opencv"]
    assert own_html(page).count("<tr>") > 10


def test_only_what_two_runs_share_is_compared(before, tmp_path):
    fewer = evaluate(tmp_path / "fewer", 0, {"rotation": [45], "noise": [5]})
    found = make_page(read_runs([before, fewer]))
    assert [section.title for section in found.sections] == ["Rotation, rendered views"]
    assert "4 pairs" not in found.sections[0].tables[0].title
    # Of 2 images, 2 detectors and 2 budgets: 4 views in one run, 1 in the other.
    assert found.n_left_out == 2 * 2 * 2 * (4 + 1)
    assert "40 results that occur in only one" in own_html(
        write_report([before, fewer], tmp_path / "page.html")
    )
    other = evaluate(tmp_path / "other", 0, {"noise": [9]})
    with pytest.raises(InputError, match="in common"):
        write_report([before, other], tmp_path / "page.html")


def test_a_detector_keeps_its_colour_in_a_comparison():
    found = styles(["a · x", "b · x", "a · y", "b · y"])
    assert found["a · x"]["color"] == found["a · y"]["color"] != found["b · y"]["color"]
    assert found["a · x"]["dash"] != found["a · y"]["dash"]


def test_numbers_are_printed_as_they_are_compared():
    metric = Metric("x", "x", "", decimals=2)
    assert [number(v, metric) for v in (0.125, -0.001, float("nan"), None)] == ["0.12", "0.00", "–", "–"]
    assert [number(v, metric, signed=True) for v in (0.5, -0.5, 0.001)] == ["+0.50", "−0.50", "0.00"]


def test_what_cannot_be_reported(before, tmp_path):
    with pytest.raises(InputError, match="it is missing; run siftcli evaluate"):
        write_report([tmp_path])
    with pytest.raises(ParameterError, match="one evaluation, or two"):
        write_report([before, before, before])
    with pytest.raises(OutputError, match="cannot be written"):
        write_report([before], tmp_path / "nowhere" / "page.html")
    (tmp_path / "results.json").write_text('{"schema": 99}')
    with pytest.raises(InputError, match="got 99"):
        write_report([tmp_path])


if find_browser():  # Debian's chromium in CI; the other tests do without

    def test_the_page_lives_in_a_browser(page, tmp_path):
        with Browser(find_browser(), tmp_path / "profile") as browser:
            browser.open(page)
            drawn = (
                "[...document.querySelectorAll('.chart')].filter(c => c.querySelector('.main-svg')).length"
            )
            assert (
                browser.evaluate(drawn) == browser.evaluate("document.querySelectorAll('.chart').length") >= 9
            )
            assert browser.evaluate("document.querySelectorAll('.scatterlayer .trace').length") >= 8
            picture = "document.querySelector('details.image img').checkVisibility()"
            assert browser.evaluate(picture) is False
            browser.evaluate("document.querySelector('details.image summary').click()")
            assert browser.evaluate(picture) is True
            decoded = "document.querySelector('details.image img').decode().then(() => true)"
            assert browser.evaluate(decoded) is True
            assert browser.complaints() == []
            outside = [url for url in browser.requests() if not url.startswith(("data:", "blob:"))]
            assert outside == [page.resolve().as_uri()]
