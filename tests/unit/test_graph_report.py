"""The page of a collection's pairs: its counts, its size, its escaping, and clicks in a browser."""

import json
import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, find_browser
from conftest import SAMPLES
from PIL import Image

from siftcli.__main__ import run
from siftcli.errors import InputError, OutputError
from siftcli.formats import _colmap_schema as schema
from siftcli.formats._match_graph import NONE, MatchGraph
from siftcli.report import graph as report
from siftcli.report.graph import make_view, write_graph
from siftcli.report.graph_matrix import MAX_SIDE, draw_matrix
from siftcli.report.graph_pictures import MAX_BYTES
from siftcli.workflows.stored_pairs import StoredPairs

HOSTILE = "<img src=x onerror=alert(1)>'.png"


def graph_of(n_images, pairs, n_inliers, n_matches=None):
    n_inliers = np.array(n_inliers, np.int32)
    return MatchGraph.of(
        tuple(f"{i:05}.png" for i in range(n_images)),
        np.array(pairs, np.int32).reshape(-1, 2),
        np.array(n_inliers if n_matches is None else n_matches, np.int32),
        n_inliers,
        n_inliers > 0,
    )


class Stored:
    """What the page reads of stored pairs, for a graph without images."""

    path = "x.db"

    def __init__(self, graph, reasons=None):
        self._graph, self.reasons = graph, reasons or {}

    def graph(self):
        return self._graph

    def reason(self, first, second):
        return self.reasons.get((first, second), "")

    def show(self, first, second):
        raise InputError(f"{first}: no image is recorded; name the folder of images with --images")


def write_database(path, n_images, partners, rng):
    """A database of matches without features: each image with the next ones, every tenth pair in vain."""
    connection = schema.create(path)
    pairs = [(i, j) for i in range(1, n_images + 1) for j in range(i + 1, min(i + partners, n_images) + 1)]
    with schema.transaction(connection):
        connection.execute("INSERT INTO cameras VALUES (1, 2, 640, 480, NULL, 0)")
        rows = [(i, f"flight/strip {i // 50:03}/IMG_{i:06}.jpg", 1) for i in range(1, n_images + 1)]
        connection.executemany("INSERT INTO images (image_id, name, camera_id) VALUES (?, ?, ?)", rows)
        for k, pair in enumerate(pairs):
            n = int(rng.integers(15, 900)) if k % 10 else 0
            data = np.zeros((n, 2), "<u4").tobytes()
            number = schema.pair_id(*pair)
            connection.execute("INSERT INTO matches VALUES (?, ?, 2, ?)", (number, n, data))
            connection.execute(
                "INSERT INTO two_view_geometries VALUES (?, ?, 2, ?, ?, NULL, NULL, NULL, NULL, NULL)",
                (number, n, data, 3 if n else 1),
            )
    connection.close()
    return len(pairs)


def own_html(page: Path) -> str:
    """The page without the embedded library."""
    return re.sub(r"<script>.*?</script>", "", page.read_text(), flags=re.S)


def data_of(page: Path) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.S)[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four overlapping crops, one with a hostile name, and an image of something else; matched."""
    pytest.importorskip("poselib")
    folder = tmp_path_factory.mktemp("graph")
    (folder / "in").mkdir()
    whole = Image.open(next(path for path in SAMPLES if path.name == "camera.png"))
    for name, x in ((HOSTILE, 0), ("b.png", 30), ("c.png", 60), ("d.png", 200)):
        whole.crop((x, 100, x + 300, 400)).save(folder / "in" / name)
    Image.open(next(path for path in SAMPLES if path.name == "gravel.png")).crop((0, 0, 200, 200)).save(
        folder / "in" / "other.png"
    )
    assert run(["detect", str(folder / "in"), "-o", str(folder / "x.db"), "--max-features", "400", "-q"]) == 0
    page = ["--report", str(folder / "page.html"), "--pictures", "2"]
    assert run(["match", str(folder / "x.db"), "--pairs", "exhaustive", "-q", *page]) == 0
    return folder


def test_the_page_holds_all_it_needs(folder):
    html = own_html(folder / "page.html")
    assert not re.findall(r"""\s(?:src|href)=["'](?!data:).*""", html)
    assert "@import" not in html
    assert html.count("data:image/jpeg;base64,") == 4
    assert (folder / "page.html").read_text().count("plotly.js v") == 1


def test_a_file_name_is_text(folder):
    html = own_html(folder / "page.html")
    assert "<img src=x" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_counts_are_those_of_the_database(folder):
    with StoredPairs(str(folder / "x.db")) as stored:
        view = make_view(stored, 0)
    with sqlite3.connect(folder / "x.db") as database:
        inliers = [n for (n,) in database.execute("SELECT rows FROM two_view_geometries WHERE config != 1")]
    counts = dict(view.counts)
    assert counts["images"] == "5"
    assert counts["pairs tried"] == "10"
    assert counts["pairs verified"] == str(len(inliers))
    assert counts["inliers of a pair, median"] == f"{np.median(inliers):g}"
    assert view.alone == ["other.png"]
    assert [component.n_images for component in view.components] == [4]
    assert sorted(n for n in view.data["inliers"] if n) == sorted(inliers)
    assert view.pictures == []


def test_the_same_matches_give_the_same_page(folder, tmp_path):
    for name in ("one.html", "two.html"):
        assert write_graph(str(folder / "x.db"), str(tmp_path / name), n_pictures=1) == []
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_pictures_are_of_the_weakest_and_the_strongest(folder):
    with StoredPairs(str(folder / "x.db")) as stored:
        graph = stored.graph()
        view = make_view(stored, 2)
    strengths = sorted(graph.strength[graph.is_edge])
    assert [picture.n_inliers for picture in view.pictures[:2]] == strengths[:2]
    assert [picture.n_inliers for picture in view.pictures[2:]] == strengths[:-3:-1]
    assert [picture.kind for picture in view.pictures] == 2 * ["weakest"] + 2 * ["strongest"]
    for place, key in view.data["pictures"].items():
        assert any(p.key == key and p.n_inliers == view.data["inliers"][int(place)] for p in view.pictures)


def test_images_that_are_gone_leave_a_remark(folder, tmp_path):
    target = str(tmp_path / "page.html")
    (remark,) = write_graph(str(folder / "x.db"), target, images=str(tmp_path), n_pictures=1)
    assert re.match(r"2 of 2 pictures could not be drawn: .*no image of this name in .*--images", remark)
    assert "could not be drawn" in own_html(tmp_path / "page.html")


def test_two_thousand_images_stay_below_20_mb(folder, tmp_path):
    n_pairs = write_database(tmp_path / "large.db", 2000, 30, np.random.default_rng(0))
    write_graph(str(tmp_path / "large.db"), str(tmp_path / "large.html"))
    # no image is there to be drawn: room is left for as many pictures as a page may have
    assert (tmp_path / "large.html").stat().st_size < 20_000_000 - MAX_BYTES
    data = data_of(tmp_path / "large.html")
    assert len(data["a"]) == n_pairs == 59_535
    assert "2 to a row, which shows the strongest" in own_html(tmp_path / "large.html")


def test_pictures_are_left_out_beyond_the_limit(folder, monkeypatch):
    monkeypatch.setattr("siftcli.report.graph_pictures.MAX_BYTES", 200_000)
    with StoredPairs(str(folder / "x.db")) as stored:
        view = make_view(stored, 3)
    assert 0 < len(view.pictures) < 6
    assert sum(len(picture.url) for picture in view.pictures) <= 200_000
    assert any("are left out; ask for fewer with --pictures" in remark for remark in view.remarks)


def test_the_list_is_limited_to_the_strongest(monkeypatch):
    monkeypatch.setattr(report, "MAX_LISTED", 2)
    view = make_view(Stored(graph_of(4, [(0, 1), (1, 2), (2, 3)], [20, 0, 90])), 0)
    assert view.data["inliers"] == [90, 20]
    assert (view.n_listed, view.n_pairs) == (2, 3)


def test_reasons_are_counted():
    names = [f"{i:05}.png" for i in range(4)]
    reasons = {(names[0], names[1]): "similar+gps", (names[1], names[2]): "similar+gps"}
    view = make_view(Stored(graph_of(4, [(0, 1), (1, 2), (2, 3)], [20, 0, 90]), reasons), 0)
    found = [(row.reason, row.n_pairs, row.n_edges, row.share, row.median) for row in view.reasons]
    assert found == [("similar+gps", 2, 1, "50 %", "20"), ("not recorded", 1, 1, "100 %", "90")]
    assert make_view(Stored(graph_of(4, [(0, 1)], [20])), 0).reasons == []


def test_components_against_a_walk():
    rng = np.random.default_rng(3)
    for _ in range(20):
        n = int(rng.integers(2, 30))
        pairs = [
            pair for pair in {tuple(sorted(rng.integers(0, n, 2))) for _ in range(n)} if pair[0] != pair[1]
        ]
        inliers = rng.integers(0, 3, len(pairs))
        edges = [pair for pair, weight in zip(pairs, inliers, strict=True) if weight]
        view = make_view(Stored(graph_of(n, pairs, inliers)), 0)
        partners: dict[int, set[int]] = {i: set() for i in range(n)}
        for i, j in edges:
            partners[i].add(j)
            partners[j].add(i)
        walked, sizes = set(), []
        for start in range(n):
            reached, to_do = {start}, [start]
            while to_do:
                new = partners[to_do.pop()] - reached
                reached |= new
                to_do += new
            if start not in walked and len(reached) > 1:
                sizes.append(len(reached))
            walked |= reached
        assert [component.n_images for component in view.components] == sorted(sizes, reverse=True)
        assert view.n_alone == sum(not found for found in partners.values())


def test_the_matrix_shows_the_strongest_of_a_block():
    n = 2 * MAX_SIDE
    matrix = draw_matrix(graph_of(n, [(0, 1), (2, 5), (3, 4), (10, n - 1)], [7, 30, 900, 0]))
    assert (matrix.side, matrix.block, matrix.strongest) == (MAX_SIDE, 2, 900)
    assert draw_matrix(graph_of(3, [], [])) is None


def test_matches_without_a_model():
    graph = graph_of(3, [(0, 1), (1, 2)], [NONE, NONE], n_matches=[5, 0])
    view = make_view(Stored(graph), 0)
    assert dict(view.counts)["pairs with matches"] == "1"
    assert view.alone == ["00002.png"]
    assert "no pair was verified with a model" in view.remarks[0]


def test_nothing_matched(tmp_path):
    write_database(tmp_path / "x.db", 2, 0, np.random.default_rng(0))
    write_graph(str(tmp_path / "x.db"), str(tmp_path / "page.html"))
    assert "No pair was matched." in own_html(tmp_path / "page.html")


def test_what_cannot_be_reported(folder, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        write_graph(str(tmp_path / "x.db"), str(tmp_path / "page.html"))
    (tmp_path / "x.db").write_bytes(b"SQLite format 3\0" + bytes(100))
    with pytest.raises(InputError, match=r"x\.db"):
        write_graph(str(tmp_path / "x.db"), str(tmp_path / "page.html"))
    with pytest.raises(OutputError, match="cannot be written"):
        write_graph(str(folder / "x.db"), str(tmp_path / "nowhere" / "page.html"), n_pictures=0)


if find_browser():  # Debian's chromium in CI; the other tests do without

    @pytest.mark.browser
    def test_a_pair_is_shown_when_it_is_clicked(folder, tmp_path):
        with Browser(find_browser(), tmp_path / "profile") as browser:
            browser.open(folder / "page.html")
            drawn = "document.querySelectorAll('.chart .main-svg').length"
            assert browser.evaluate(drawn) >= 3
            assert browser.evaluate("document.querySelectorAll('#pairs tbody tr').length") == 10
            browser.evaluate("document.querySelector('#pairs button').click()")
            said = browser.evaluate("document.getElementById('picked').textContent")
            assert re.search(r"b\.png – c\.png: \d+ inliers, \d+ matches", said)
            shown = "document.querySelector('#picked img').decode().then(() => true)"
            assert browser.evaluate(shown) is True
            # a pair without a picture: the command that draws it, its names quoted for a shell
            browser.evaluate("document.getElementById('which').value = 'vain'")
            browser.evaluate("document.getElementById('which').dispatchEvent(new Event('input'))")
            browser.evaluate("document.getElementById('find').value = 'onerror'")
            browser.evaluate("document.getElementById('find').dispatchEvent(new Event('input'))")
            browser.evaluate("document.querySelector('#pairs button').click()")
            command = browser.evaluate("document.querySelector('#picked code').textContent")
            assert "--show '<img src=x onerror=alert(1)>'\\''.png' 'other.png' --draw pair.png" in command
            # the matrix: the cell of b.png and c.png
            click = (
                "(() => { const m = document.getElementById('matrix'), r = m.getBoundingClientRect();"
                "m.dispatchEvent(new MouseEvent('click', {clientX: r.left + 2.5 * r.width / 5,"
                " clientY: r.top + 1.5 * r.height / 5})); })()"
            )
            browser.evaluate(click)
            assert "b.png – c.png" in browser.evaluate("document.getElementById('picked').textContent")
            for width in (390, 1400):
                browser.call(
                    "Emulation.setDeviceMetricsOverride",
                    width=width,
                    height=800,
                    deviceScaleFactor=1,
                    mobile=False,
                )
                assert browser.evaluate("document.documentElement.scrollWidth") <= width
            assert browser.complaints() == []
            outside = [url for url in browser.requests() if not url.startswith(("data:", "blob:"))]
            assert outside == [(folder / "page.html").resolve().as_uri()]
