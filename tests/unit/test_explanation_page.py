"""The page, the figure and the command of ``siftcli explain``."""

import io
import json
import re

import numpy as np
import pytest
from browser import Browser, find_browser
from click.testing import CliRunner
from PIL import Image

from siftcli.cli import siftcli

IMAGE = "sample_images/chelsea.png"
KEPT = ("explain", IMAGE, "--keypoint", "9")
REJECTED = ("explain", IMAGE, "--at", "200,100")


def run(*arguments):
    return CliRunner().invoke(siftcli, [str(a) for a in arguments], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for name, arguments in (("kept", (*KEPT, "--rotate", "30")), ("rejected", REJECTED)):
        assert run(*arguments, "-o", folder / f"{name}.html").exit_code == 0
    return folder


def test_the_text_says_number_and_limit():
    result = run(*REJECTED)
    assert re.search(
        r"rejected candidate .* edge: roundness 0\.1\d+, needed more than 0\.2215", result.stdout
    )
    assert "REJECTED" in result.stdout
    assert "keypoint 9: a dark blob" in run(*KEPT).stdout


def test_json_is_the_same_as_the_file(tmp_path):
    printed = json.loads(run(*KEPT, "--json", "-o", tmp_path / "a.json").stdout)
    assert printed == json.loads((tmp_path / "a.json").read_text())
    assert printed["is_kept"]


def test_the_figure_has_a_row_of_panels_for_each_view(tmp_path):
    sizes = []
    for extra in ((), ("--rotate", "30")):
        target = tmp_path / f"{len(extra)}.png"
        assert run(*KEPT, *extra, "-o", target).exit_code == 0
        figure = Image.open(io.BytesIO(target.read_bytes()))
        assert np.ptp(np.asarray(figure)) == 255
        sizes.append(figure.size)
    assert sizes[0][0] == sizes[1][0] and 2 * sizes[0][1] == sizes[1][1]


def test_the_name_of_the_image_is_escaped(tmp_path):
    hostile = tmp_path / "<img src=x onerror=alert(1)>.png"
    Image.open(IMAGE).save(hostile)
    assert run("explain", hostile, "-o", tmp_path / "a.html").exit_code == 0
    assert "<img src=x" not in (tmp_path / "a.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ("--at", "500,10"),
            2,
            r"--at must be a place in the image, x up to 450 and y up to 299; got 500,10",
        ),
        (("--at", "5;10"), 2, r"--at must be two numbers X,Y; got 5;10"),
        (("--keypoint", "100000"), 2, r"--keypoint must be a row of the \d+ features found"),
        (("--at", "5,10", "--keypoint", "1"), 2, r"got both; drop one of them"),
        (("-o", "a.txt"), 2, r"ends in \.html, \.png, \.json; got a\.txt"),
        (("--views", "1"), 2, r"--views must be 0 to explain"),
        (("--orientation", "learned"), 2, r"--orientation must be 'histogram'"),
        (("--rotate", "nan"), 2, r"--rotate must be a number of degrees"),
    ],
)
def test_wrong_usage_is_one_line(arguments, status, message):
    result = run("explain", IMAGE, *arguments)
    assert result.exit_code != 0
    text = str(result.exception) if not result.output else result.output
    assert re.search(message, text), text


if find_browser():  # Debian's chromium in CI; the other tests do without

    @pytest.mark.parametrize("name", ["kept", "rejected"])
    @pytest.mark.parametrize("width", [390, 1400])
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_the_page_lives_in_a_browser(pages, tmp_path, name, width, scheme):
        with Browser(find_browser(), tmp_path / "profile") as browser:
            media = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.call("Emulation.setEmulatedMedia", features=media)
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            browser.call("Emulation.setDeviceMetricsOverride", **size)
            page = pages / f"{name}.html"
            browser.open(page)
            assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
            clipped = (
                "[...document.querySelectorAll('figure > svg, h1, h2, p')]"
                ".filter(e => e.getBoundingClientRect().right > innerWidth + 1 || e.clientWidth === 0).length"
            )
            assert browser.evaluate(clipped) == 0
            n_charts = browser.evaluate("document.querySelectorAll('.chart').length")
            drawn = (
                "[...document.querySelectorAll('.chart')]"
                ".filter(c => c.querySelector('.bars .point path')).length"
            )
            assert browser.evaluate(drawn) == n_charts == (4 if name == "kept" else 0)
            # Plotly lays pictures over each other; the page's own styles must leave them alone.
            assert (
                browser.evaluate(
                    "[...document.querySelectorAll('.main-svg')].filter(s => "
                    "getComputedStyle(s).position !== 'absolute').length"
                )
                == 0
            )
            assert browser.complaints() == []
            outside = [url for url in browser.requests() if not url.startswith(("data:", "blob:"))]
            assert outside == [page.resolve().as_uri()]
