"""The report: self-contained, escaped, and alive in a browser."""

import itertools
import json
import re
import statistics
from pathlib import Path

import pytest
from browser import Browser, find_browser
from PIL import Image

from siftcli.errors import InputError, OutputError, ParameterError
from siftcli.evaluation import runner
from siftcli.evaluation.poses.summary import METRICS as POSE_METRICS
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
    assert [column.name for column in table.columns] == ["repeatability_05px", "matching_score"]
    assert dict(table.rows)["opencv"][0].text == f"{statistics.mean(means):.3f}"


def test_the_head_says_what_was_found_and_how(before):
    results = json.loads((before / "results.json").read_text())
    found = make_page(read_runs([before]))
    means = {(s["sweep"], s["budget"], s["detector"]): s["means"] for s in results["summary"]}
    shares = [
        f"{100 * means['rotation', 'default', name]['repeatability_05px']:.0f}\xa0%"
        for name in ("opencv-precise", "opencv")
    ]
    assert found.sentence == (
        f"opencv-precise finds {shares[0]} of its keypoints again within half a pixel, opencv {shares[1]}"
    )
    # Two images; four turns and three values of blur of each.
    assert found.subject.startswith("2 images with 10 pairs of views; ")
    assert found.subject.endswith(results["date"][:10])
    facts = dict(found.facts)
    assert facts["seed"] == "0"
    assert "siftcli 0" in facts["versions"]
    assert results["machine"]["cpu"] in facts["processor"]
    assert "command" not in facts  # it was made in Python


def test_all_but_the_most_important_is_folded(before):
    section = make_page(read_runs([before])).sections[0]
    assert all(len(table.columns) == 2 for table in section.tables)
    assert [chart.key for chart in section.charts] == [
        "rotation-repeatability_05px",
        "rotation-repeatability_05px-polar",
        "rotation-matching_score",
        "rotation-matching_score-polar",
    ]
    (fold,) = section.folds
    assert [column.name for column in fold.tables[0].columns][:2] == ["repeatability_05px", "matching_score"]
    assert len(fold.tables[0].columns) == 8
    assert "localisation-errors" in [chart.key for chart in fold.charts]


def test_every_metric_is_defined_and_settings_are_told(page):
    html = own_html(page)
    assert all(f"<dt>{metric.title}</dt>" in html for metric in METRICS)
    assert "enable_precise_upscale true" in html
    assert "ratio" in html


def test_two_runs_beside_each_other(before, tmp_path):
    after = evaluate(tmp_path / "x", 1)
    page = write_report([before, after], tmp_path / "compare.html")
    found = make_page(read_runs([before, after]))
    table = found.sections[0].tables[0]
    assert [name for name, _ in table.rows] == ["opencv-precise", "opencv"]
    titles = [column.title for column in table.columns]
    assert titles == ["before/out", "x/out", "difference"] * 2
    assert [(metric.name, n) for metric, n in table.groups] == [
        ("repeatability_05px", 3),
        ("matching_score", 3),
    ]
    means = [
        next(
            s["means"]["repeatability_05px"]
            for s in json.loads((folder / "results.json").read_text())["summary"]
            if (s["sweep"], s["budget"], s["detector"]) == ("rotation", "default", "opencv")
        )
        for folder in (before, after)
    ]
    assert [cell.text for cell in dict(table.rows)["opencv"][:2]] == [f"{mean:.3f}" for mean in means]
    assert own_html(page).count("<tr>") > 10


def test_unchanged_detectors_are_folded(before, tmp_path):
    results = json.loads((before / "results.json").read_text())
    for row in results["rows"]:
        if (row["detector"], row["sweep"]) == ("opencv", "rotation"):
            row["matching_score"] += 0.01
        row["time_s"] += 1  # which does not count
    after = tmp_path / "after"
    after.mkdir()
    (after / "results.json").write_text(json.dumps(results))
    rotation, *others = make_page(read_runs([before, after])).sections
    assert [name for name, _ in rotation.tables[0].rows] == ["opencv"]
    assert [fold.title for fold in rotation.folds] == ["All figures", "Unchanged: opencv-precise"]
    ((_, cells),) = rotation.tables[0].rows
    assert [cell.text for cell in cells][2::3] == ["0.000", "+0.010"]
    assert {t["legendgroup"] for t in rotation.charts[0].figure["data"]} == {"opencv · out", "opencv · after"}
    for section in others:
        assert section.note == "Nothing has changed."
        assert not section.tables
        assert [fold.title for fold in section.folds] == ["Unchanged: opencv-precise, opencv"]


def test_only_what_two_runs_share_is_compared(before, tmp_path):
    fewer = evaluate(tmp_path / "fewer", 0, {"rotation": [45], "noise": [5]})
    found = make_page(read_runs([before, fewer]))
    assert [section.title for section in found.sections] == ["Rotation, rendered views"]
    assert found.sections[0].note == "Nothing has changed."
    assert ": 2 images, 2 pairs of views" in found.sections[0].folds[0].tables[0].title
    # Of 2 images, 2 detectors and 2 budgets: 4 views in one run, 1 in the other.
    assert found.n_left_out == 2 * 2 * 2 * (4 + 1)
    assert "40 results that occur in only one" in own_html(
        write_report([before, fewer], tmp_path / "page.html")
    )
    other = evaluate(tmp_path / "other", 0, {"noise": [9]})
    with pytest.raises(InputError, match="in common"):
        write_report([before, other], tmp_path / "other.html")


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


POSE_BUDGETS = ("30", "60", "default")


def pose_results(folder: Path, shift: float, detectors=("siftcli", "opencv")) -> Path:
    """Results of a benchmark of poses on two scenes, with figures that are known."""
    rows = []
    for scene, n in (("<b>castle", 6), ("door", 4)):
        for budget, detector, i in itertools.product(POSE_BUDGETS, detectors, range(n)):
            auc = 0.4 + shift + 0.05 * (detector == "siftcli") + 0.1 * POSE_BUDGETS.index(budget) + 0.01 * i
            row = {"scene": scene, "degradation": "clean", "geometry": "essential", "budget": budget}
            row |= {
                "detector": detector,
                "image_a": str(i),
                "image_b": str((i + 1) % n),
                "n_first": 90,
                "time_s": 0.5,
            }
            row |= {metric.name: auc for metric in POSE_METRICS if metric.name not in row}
            rows += [row, {**row, "degradation": "motion", "auc_1deg": auc / 2}]
    made = [
        {"scene": "door", "budget": "30", "detector": d, "seed": s, "n_views": 4, "n_features": 30}
        | {"n_registered": 4, "n_points": 100 + s, "reprojection_px": None if d == "opencv" else 0.25}
        for d in detectors
        for s in (0, 1, 2)
    ]
    described = {name: {"version": "1", "parameters": {}} for name in detectors}
    results = {
        "schema": runner.SCHEMA, "dataset": "poses", "siftcli": "1", "rows": rows, "versions": {},
        "machine": {}, "settings": {"detectors": described, "seed": 0}, "reconstruction_rows": made,
        "failures": [{"scene": "<i>x", "detector": "opencv", "error": "no luck", "n_rows": 3}],
    }  # fmt: skip
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(results))
    return folder


@pytest.fixture
def poses(tmp_path):
    return pose_results(tmp_path / "poses", 0)


def test_poses_have_tables_and_curves_with_bands(poses):
    page = make_page(read_runs([poses]))
    assert [section.title for section in page.sections] == [
        "Camera pose: mean over 2 scenes",
        "Camera pose: <b>castle",
        "Camera pose: <b>castle, motion blur",
        "Camera pose: door",
        "Camera pose: door, motion blur",
        "Reconstruction: door",
    ]
    overview, castle = page.sections[:2]
    assert [column.title for column in overview.tables[0].columns] == ["30", "60", "at defaults"]
    cells = dict(overview.tables[0].rows)
    assert [cell.text for cell in cells["opencv"]] == ["0.420", "0.520", "0.620"]  # of 0.425 and 0.415
    assert all(cell.is_best for cell in cells["siftcli"])
    ((title, differences),) = castle.tables[1].rows
    assert title == "siftcli − opencv"
    assert {(cell.text, cell.detail, cell.note) for cell in differences} == {
        ("+0.050", "+0.050 to +0.050", "better")
    }
    assert castle.tables[1].title == "Differences of AUC 1°: 95 % intervals by a jackknife over 6 images"
    ((_, few),) = page.sections[3].tables[1].rows  # door has four pairs of four images
    assert {(cell.text, cell.detail, cell.note) for cell in few} == {
        ("+0.050", ", ".join(["+0.050"] * 4), "")
    }
    assert (
        page.sections[3].tables[1].title == "Differences of AUC 1°: values, too few for intervals (4 images)"
    )
    assert not [trace for trace in page.sections[3].charts[0].figure["data"] if "fill" in trace]
    figure = castle.charts[0].figure
    bands = [trace for trace in figure["data"] if trace.get("fill") == "toself"]
    assert len(bands) == 2
    assert bands[0]["x"] == [30, 60, 60, 30]
    high, low = bands[0]["y"][0], bands[0]["y"][-1]
    assert low < 0.475 < high  # the mean of siftcli at 30
    assert [t["x"] for t in figure["data"] if t["mode"] == "markers"] == [[90], [90]]
    assert figure["layout"]["xaxis"]["tickvals"] == [30, 60]


def test_a_reconstruction_shows_the_median_and_the_range(poses):
    table = make_page(read_runs([poses])).sections[-1].tables[0]
    assert table.title == "At 30 features: 4 views, medians over 3 seeds and the range"
    cells = dict(zip((column.name for column in table.columns), dict(table.rows)["siftcli"], strict=True))
    assert (cells["n_points"].text, cells["n_points"].detail) == ("101", "100 to 102")
    assert (cells["reprojection_px"].text, cells["reprojection_px"].is_best) == ("0.250", True)
    others = dict(zip((column.name for column in table.columns), dict(table.rows)["opencv"], strict=True))
    assert others["reprojection_px"].text == "–"


def test_poses_stand_first_beside_rotations(before, poses, tmp_path):
    page = write_report([before, poses], tmp_path / "both.html")
    html = own_html(page)
    titles = re.findall("<h2>(.*?)</h2>", html)
    assert titles.index("Camera pose: door") < titles.index("Rotation, rendered views")
    assert "2 scenes with 10 pairs of views; 2 images" in html
    assert "<strong>&lt;i&gt;x</strong> (opencv): no luck" in html
    assert "<b>castle" not in html
    for metric in (*METRICS, *POSE_METRICS):
        assert f"<dt>{metric.title}</dt>" in html


def test_a_page_of_poses_alone_tells_of_nothing_else(poses):
    html = own_html(write_report([poses]))
    assert "Images</h2>" not in html
    assert "overlap rep." not in html
    assert "Camera pose: the views of a pair" in html


def test_two_benchmarks_of_poses_are_compared(poses, tmp_path):
    after = pose_results(tmp_path / "after", 0.1, detectors=("siftcli",))
    page = make_page(read_runs([poses, after]))
    castle = page.sections[1]
    assert [name for name, _ in castle.tables[0].rows] == [
        "siftcli · poses", "siftcli · after", "opencv · poses",
    ]  # fmt: skip
    ((title, cells),) = castle.tables[1].rows
    assert title == "siftcli: after − poses"
    assert cells[0].text == "+0.100"
    same = pose_results(tmp_path / "same", 0)
    castle = make_page(read_runs([poses, same])).sections[0]
    assert (castle.note, castle.tables) == ("Nothing has changed.", [])
    assert castle.folds[0].title == "Unchanged: siftcli, opencv"
    assert [name for name, _ in castle.folds[0].tables[0].rows] == ["siftcli · same", "opencv · same"]
    other = pose_results(tmp_path / "other", 0)
    found = json.loads((other / "results.json").read_text())
    found["rows"] = [{**row, "scene": "elsewhere"} for row in found["rows"]]
    (other / "results.json").write_text(json.dumps(found))
    with pytest.raises(InputError, match="in common"):
        write_report([poses, other], tmp_path / "page.html")


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

    @pytest.mark.browser
    def test_poses_are_drawn_in_a_browser(poses, tmp_path):
        with Browser(find_browser(), tmp_path / "profile") as browser:
            browser.open(write_report([poses]))
            drawn = "document.querySelectorAll('.chart .scatterlayer .trace').length"
            # On each of 8 charts two curves and two marks; two bands where there are images enough.
            assert browser.evaluate(drawn) == 8 * 4 + 4 * 2
            table = "document.querySelector('details.folded table').checkVisibility()"
            assert browser.evaluate(table) is False
            browser.evaluate("document.querySelector('details.folded summary').click()")
            assert browser.evaluate(table) is True
            assert browser.complaints() == []

    WIDTHS = (390, 1024, 1400)

    def seen(browser: Browser, page: Path, width: int, scheme: str) -> None:
        browser.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        browser.call(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        browser.open(page)
        browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        browser.evaluate("new Promise(done => setTimeout(() => done(true), 300))")

    CLIPPED = """[...document.querySelectorAll('table, img, .chart, dd, p, summary')].filter(e => {
        const box = e.getBoundingClientRect();
        return box.width && box.right > innerWidth + 1 && !e.closest('.scroll');
    }).map(e => e.outerHTML.slice(0, 80))"""
    WITHOUT_CUE = """[...document.querySelectorAll('.wide')].filter(w => {
        const scroll = w.querySelector('.scroll');
        const cue = getComputedStyle(w.querySelector('.cue')).display !== 'none';
        return cue !== (scroll.scrollWidth > scroll.clientWidth + 1);
    }).length"""
    OVERLAPS = """[...document.querySelectorAll('.chart .polar')].map(p => {
        const boxes = [...p.querySelectorAll('.angularaxistick text, .radialaxistick text')];
        const own = boxes.map(t => t.getBoundingClientRect());
        return own.filter((a, i) => own.some((b, j) => i < j && a.left < b.right && b.left < a.right
            && a.top < b.bottom && b.top < a.bottom)).length;
    })"""

    @pytest.fixture(scope="module")
    def compared(before, tmp_path_factory):
        folder = tmp_path_factory.mktemp("compared")
        after = evaluate(folder / "after", 1)
        return write_report([before, after], folder / "compare.html")

    @pytest.mark.browser
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", WIDTHS)
    def test_nothing_is_clipped_on_a_phone_or_a_screen(page, compared, tmp_path, width, scheme):
        for number, shown in enumerate((page, compared)):
            with Browser(find_browser(), tmp_path / str(number)) as browser:
                seen(browser, shown, width, scheme)
                assert browser.evaluate("document.documentElement.scrollWidth") <= width
                assert browser.evaluate(CLIPPED) == []
                assert browser.evaluate(WITHOUT_CUE) == 0
                value = "document.querySelector('section td:not(:empty)').getBoundingClientRect().right"
                assert browser.evaluate(value) <= width
                overlaps = browser.evaluate(OVERLAPS)
                assert overlaps == [0] * len(overlaps) != []
                assert browser.complaints() == []
                ground = "getComputedStyle(document.body).backgroundColor"
                expected = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 30)"}
                assert browser.evaluate(ground) == expected[scheme]

    @pytest.mark.browser
    def test_only_a_phone_has_to_scroll_and_is_told(page, compared, tmp_path):
        for shown, width, n_least, n_most in ((compared, 1400, 0, 0), (page, 390, 1, 100)):
            with Browser(find_browser(), tmp_path / str(width)) as browser:
                seen(browser, shown, width, "light")
                n = browser.evaluate("document.querySelectorAll('.overflows').length")
                assert n_least <= n <= n_most
