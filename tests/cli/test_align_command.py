"""``siftcli align``: pictures, folders and stacks; transforms; failures; bad input; interruptions."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from browser import Browser, find_browser
from conftest import SAMPLES
from PIL import Image

import siftcli
from siftcli.__main__ import run
from siftcli.alignment.models import rms_distance
from siftcli.frames.reading import close_all
from siftcli.image import read_image
from siftcli.parallel.processes import LocalPool
from siftcli.views.planar import similarity
from siftcli.views.rendering import GREY_LEVELS, Interpolated, render

SIDE = 160
SIZE = (SIDE, SIDE)
N_STACK = 12
BLANK = 7
ASTRONAUT = next(path for path in SAMPLES if "astronaut" in path.name)


def places(n: int) -> list[np.ndarray]:
    """For each frame the map from the picture to the frame: a drift, and a turn."""
    middle = ((SIDE - 1) / 2, (SIDE - 1) / 2)
    return [similarity(1, 0.8 * k, (230 + 1.5 * k, 230 - k), middle) for k in range(n)]


def truth(k: int, to: int = 0) -> np.ndarray:
    maps = places(N_STACK)
    return maps[to] @ np.linalg.inv(maps[k])


@pytest.fixture(scope="module")
def grey() -> list[np.ndarray]:
    """Frames in [0, 1]; one is blank."""
    source, rng = Interpolated(read_image(ASTRONAUT).grey), np.random.default_rng(9)
    frames = [render(source, np.linalg.inv(m), (SIDE, SIDE), 1.0, average=False) for m in places(N_STACK)]
    frames[BLANK] = np.full((SIDE, SIDE), 60.0)
    return [np.clip(f + rng.normal(0, 1.5, f.shape), 0, GREY_LEVELS) / GREY_LEVELS for f in frames]


@pytest.fixture
def here(tmp_path, monkeypatch, grey):
    """A 16-bit hyperstack of two channels, a folder of four colour pictures."""
    monkeypatch.chdir(tmp_path)
    deep = np.array([[f * 4000, (1 - f) * 900] for f in grey]).astype(np.uint16)
    tifffile.imwrite(
        "stack.tif", deep, imagej=True, resolution=(3.0, 3.0),
        metadata={"axes": "TCYX", "spacing": 0.5, "unit": "um", "finterval": 2.0},
    )  # fmt: skip
    Path("set").mkdir()
    for k in range(4):
        colour = np.rint(255 * grey[k][:, :, None] * [1.0, 0.9, 0.8]).astype(np.uint8)
        Image.fromarray(colour).save(f"set/p{k}.png", dpi=(300, 300))
    yield tmp_path
    close_all()


def saved(path: str = "t.json") -> list[np.ndarray | None]:
    frames = json.loads(Path(path).read_text())["frames"]
    return [None if f["matrix"] is None else np.array(f["matrix"]) for f in frames]


def names_here() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def worst(matrices, to: int = 0) -> float:
    errors = [rms_distance(m, truth(k, to), SIZE) for k, m in enumerate(matrices) if m is not None]
    return max(errors)


def lines(capfd) -> list[str]:
    return capfd.readouterr().err.splitlines()


# --- two pictures --------------------------------------------------------------------------------------


def test_a_picture_is_aligned_with_another(here):
    assert run(["align", "set/p0.png", "set/p3.png", "-o", "out.png", "--valid", "mask.png", "-q"]) == 0
    with Image.open("out.png") as image, Image.open("mask.png") as mask:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.02)
        inside = np.asarray(mask) == 255
        difference = np.abs(np.asarray(image).astype(int) - np.asarray(Image.open("set/p0.png")))[inside]
    assert 0.8 < inside.mean() < 1
    assert np.median(difference) < 4  # noise of 1.5 levels in each


def test_the_command_equals_the_library(here):
    assert (
        run(["align", "set/p0.png", "set/p2.png", "-o", "out.png", "--save-transforms", "t.json", "-q"]) == 0
    )
    found = siftcli.align("set/p0.png", "set/p2.png")
    np.testing.assert_array_equal(np.asarray(Image.open("out.png")), found.image)
    np.testing.assert_array_equal(saved()[1], found.matrix)


@pytest.mark.parametrize("model", ["translation", "rigid", "affine", "homography"])
def test_every_model(here, model, capfd):
    # Frame 1 is turned by 0.8°: a translation is wrong by a pixel at the rim, within the tolerance of 3.
    assert run(["align", "set/p0.png", "set/p1.png", "--model", model, "--json"]) == 0
    found = json.loads(capfd.readouterr().out.splitlines()[1])
    limit = 1.5 if model == "translation" else 0.15
    assert rms_distance(np.array(found["model_matrix"]), truth(1), SIZE) < limit


# --- stacks --------------------------------------------------------------------------------------------


def test_a_hyperstack_is_aligned_and_keeps_what_it_says(here, capfd):
    command = ["align", "stack.tif", "-o", "out.tif", "--save-transforms", "t.json", "--jobs", "1", "-q"]
    assert run(command) == 1
    assert lines(capfd)[0].startswith(f"siftcli: stack.tif[{BLANK + 1}]: not aligned: ")
    assert [k for k, m in enumerate(saved()) if m is None] == [BLANK]
    assert worst(saved()) < 0.1
    with tifffile.TiffFile("stack.tif") as before, tifffile.TiffFile("out.tif") as after:
        assert after.imagej_metadata == before.imagej_metadata
        assert after.series[0].axes == "TCYX"
        assert after.pages.first.tags.valueof(282) == before.pages.first.tags.valueof(282)
        old, new = before.asarray(), after.asarray()
    assert new.dtype == np.uint16 and new.shape == old.shape
    np.testing.assert_array_equal(new[0], old[0])
    np.testing.assert_array_equal(new[BLANK], old[BLANK])
    inner = np.s_[:, 40:120, 40:120]
    for k in (1, 6, 11):  # both channels; the second is aligned by the first
        change = np.abs(new[k][inner].astype(float) - old[0][inner])
        assert (np.median(change, axis=(1, 2)) < [80, 20]).all()


@pytest.mark.parametrize("to", ["previous", "middle", "3"])
def test_other_references(here, to):
    assert run(["align", "stack.tif", "--to", to, "--save-transforms", "t.csv", "--jobs", "1", "-q"]) == 1
    from siftcli.formats.transforms import load_transforms

    reference = {"previous": 0, "middle": 6, "3": 2}[to]
    matrices = [frame.matrix for frame in load_transforms("t.csv").frames]
    assert matrices[BLANK] is None
    np.testing.assert_array_equal(matrices[reference], np.eye(3))
    assert worst(matrices, reference) < 0.15


def test_drift_is_told(here, capfd):
    run(["align", "stack.tif", "--to", "previous", "--json", "--jobs", "1"])
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    drifts = [entry["drift_px"] for entry in found if entry["status"] == "aligned"]
    assert all(0 <= drift < 1 for drift in drifts) and max(drifts) > 0


def test_channels(here, capfd):
    assert (
        run(["align", "stack.tif", "--channel", "2", "--save-transforms", "t.json", "--jobs", "1", "-q"]) == 1
    )
    assert worst(saved()) < 0.15
    assert run(["align", "stack.tif", "--channel", "3", "-q"]) == 1
    assert "expected a channel from 1 to 2, got 3" in lines(capfd)[-1]


def test_processes_do_not_change_the_result(here):
    for jobs in ("1", "2"):
        run(["align", "stack.tif", "-o", f"out{jobs}.tif", "--jobs", jobs, "-q"])
    assert Path("out1.tif").read_bytes() == Path("out2.tif").read_bytes()


@pytest.mark.parametrize(("policy", "status", "n_frames"), [("skip", 1, N_STACK - 1), ("stop", 1, None)])
def test_what_becomes_of_a_failed_frame(here, policy, status, n_frames, capfd):
    assert run(["align", "stack.tif", "-o", "out.tif", "--on-failure", policy, "--jobs", "1", "-q"]) == status
    if n_frames is None:
        assert not Path("out.tif").exists()
        assert "pass --on-failure copy or skip" in lines(capfd)[-1]
    else:
        assert tifffile.imread("out.tif").shape[0] == n_frames


# --- folders, canvases ---------------------------------------------------------------------------------


def test_a_folder_is_aligned_on_the_union(here):
    assert run(["align", "set", "-o", "out", "--canvas", "union", "--valid", "masks", "-q"]) == 0
    sizes = {Image.open(path).size for path in [*Path("out").glob("*.png"), *Path("masks").glob("*.png")]}
    (size,) = sizes
    assert min(size) > SIDE
    names = [path.name for path in sorted(Path("out").glob("p*"))]
    assert names == [f"p{k}.png" for k in range(4)]


def test_a_folder_becomes_a_stack_of_the_common_part(here):
    command = ["align", "set/p*.png", "-o", "out.tif", "--canvas", "intersection", "--valid", "masks.tif"]
    assert run([*command, "-q"]) == 0
    found = tifffile.imread("out.tif")
    assert found.shape[0] == 4 and found.shape[3] == 3 and found.shape[1] < SIDE
    masks = tifffile.imread("masks.tif")
    assert masks.shape == found.shape[:3] and (masks == 255).all()


def test_frames_of_other_sizes_are_told_and_cut(here, capfd):
    Image.open("set/p1.png").crop((0, 0, 140, 150)).save("set/p1.png")
    assert run(["align", "set", "-o", "out"]) == 0
    assert "frames of another size than the reference's 160 x 160: 1 of 4, padded" in lines(capfd)[0]
    assert Image.open("out/p1.png").size == SIZE


# --- transforms ----------------------------------------------------------------------------------------


def test_saved_transforms_are_applied_to_another_stack(here):
    run(["align", "stack.tif", "-o", "out.tif", "--save-transforms", "t.json", "--jobs", "1", "-q"])
    whole = tifffile.imread("stack.tif")
    tifffile.imwrite("second.tif", whole[:, 1], metadata=None)
    assert run(["align", "second.tif", "--apply", "t.json", "-o", "second_out.tif", "--jobs", "1", "-q"]) == 1
    np.testing.assert_array_equal(tifffile.imread("second_out.tif"), tifffile.imread("out.tif")[:, 1])


def test_transforms_are_scaled_for_the_originals(here, grey):
    run(["align", "set/p0.png", "set/p2.png", "--save-transforms", "t.json", "-q"])
    for k in (0, 2):
        large = np.kron(grey[k], np.ones((2, 2)))
        Image.fromarray(np.rint(255 * large).astype(np.uint8)).save(f"large{k}.png")
    command = ["align", "large0.png", "large2.png", "--apply", "t.json", "-o", "out.png", "-q"]
    assert run([*command, "--scale", "2"]) == 0
    inner = np.s_[100:220, 100:220]
    out, fixed = (np.asarray(Image.open(name)).astype(int) for name in ("out.png", "large0.png"))
    assert np.median(np.abs(out - fixed)[inner]) < 8
    assert run([*command, "--overwrite"]) == 1  # without --scale they do not fit


def test_the_inverse_undoes_the_transform(here):
    run(["align", "set/p0.png", "set/p2.png", "--save-transforms", "t.json", "-o", "there.png", "-q"])
    command = ["align", "set/p0.png", "there.png", "--apply", "t.json", "--inverse", "-o", "back.png", "-q"]
    assert run(command) == 0
    inner = np.s_[30:130, 30:130]
    back, start = (np.asarray(Image.open(name)).astype(int)[inner] for name in ("back.png", "set/p2.png"))
    assert np.median(np.abs(back - start)) <= 2


def test_transforms_of_another_stack(here, capfd):
    run(["align", "set", "--save-transforms", "t.json", "-q"])
    assert run(["align", "stack.tif", "--apply", "t.json", "-o", "out.tif", "-q"]) == 1
    assert "expected the transforms of 12 frames, got 4" in lines(capfd)[-1]
    assert not Path("out.tif").exists()


# --- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["set/p0.png"], "expected a reference and pictures"),
        (["set", "-o", "out.png"], "expected a folder or a .tif file for 4 frames"),
        (["set", "-o", "-"], "cannot write to the standard output"),
        (["set", "-o", "set"], "is one of the pictures to align"),
        (["set", "stack.tif", "-o", "out.tif"], "write into a folder, or convert it"),
        (["set", "--to", "p9.png"], "no frame has the name 'p9.png'"),
        (["set", "--save-transforms", "t.xml"], "expected a file of transforms to end in"),
        (["set/p0.png", "set/p1.png", "-o", "out.jpg", "--valid", "out.jpg"], "got the same twice"),
        (["set/p0.png", "none.png", "-o", "out.png"], "none.png: cannot be read"),
        (["set/p0.png", "set/p1.png", "-o", "out.xyz"], "expected a name that ends in"),
        (["stack.tif", "-o", "out", "--format", "jpeg"], "JPEG cannot hold"),
        (["set/p0.png", "set/p1.png", "-o", "out.png", "--fill", "nan"], "fill must be a number or mirror"),
        (["set/p0.png", "set/p1.png", "-o", "out.tif", "--gcps"], "expected a georeferenced TIFF"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_and_nothing_is_left(here, capfd, arguments, message):
    before = names_here()
    assert run(["align", *arguments, "-q"]) in (1, 2)
    printed = lines(capfd)
    assert message in printed[-1], printed
    after = [name for name in names_here() if not name.startswith(".") and name not in before]
    assert all(not any(Path(name).glob("[!.]*")) for name in after)


def test_a_broken_frame_of_a_folder_is_reported(here, capfd):
    content = Path("set/p2.png").read_bytes()
    Path("set/p2.png").write_bytes(content[: len(content) // 2])
    assert run(["align", "set", "-o", "out", "-q"]) == 1
    assert "p2.png" in lines(capfd)[-1]


def test_existing_outputs_are_kept(here, capfd):
    Path("out.tif").write_text("mine")
    assert run(["align", "stack.tif", "-o", "out.tif", "-q"]) == 2
    assert "out.tif exists" in lines(capfd)[-1] and Path("out.tif").read_text() == "mine"


# --- interruptions -------------------------------------------------------------------------------------


class KilledError(BaseException):
    """Stands for a kill: no handler of the program catches it."""


def test_a_killed_run_goes_on_without_finding_transforms_again(here, monkeypatch):
    command = ["align", "stack.tif", "-o", "out.tif", "--jobs", "1", "-q"]
    run(["align", "stack.tif", "-o", "whole.tif", "--jobs", "1", "-q"])
    with monkeypatch.context() as patched:
        patched.setattr("siftcli.workflows.align_output.write_tiff", _kill)
        with pytest.raises(KilledError):
            run(command)
    assert not Path("out.tif").exists()
    with monkeypatch.context() as patched:
        patched.setattr("siftcli.workflows.align_work.find_transforms", _kill)
        patched.setattr("siftcli.workflows.align.find_transforms", _kill)
        assert run(command) == 1
    assert Path("out.tif").read_bytes() == Path("whole.tif").read_bytes()
    assert not [name for name in names_here() if "siftcli" in name]


def _kill(*_args, **_options):
    raise KilledError


def test_an_interrupted_run_leaves_only_its_journal(here):
    from siftcli.alignment.options import AlignOptions, WarpOptions
    from siftcli.params import SiftParams
    from siftcli.workflows.align import Request
    from siftcli.workflows.align import run as run_align
    from siftcli.workflows.align_plan import Targets, make_plan
    from siftcli.workflows.align_work import Options

    options = Options(align=AlignOptions(), warp=WarpOptions(), params=SiftParams())
    before, asked = names_here(), []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 4  # after the chunk of transforms and a few frames

    plan = make_plan(["stack.tif"], Targets(output="out.tif"))
    assert run_align(plan, options, Request(jobs=1), stop=stop).is_interrupted
    assert [name for name in names_here() if name not in before] == [".out.tif.siftcli-align.jsonl"]


def test_a_folder_goes_on_where_it_was_killed(here, monkeypatch):
    run(["align", "set", "-o", "whole", "--jobs", "1", "-q"])
    taken = []

    def run_two(self, tasks, stop):
        for task in tasks:
            if hasattr(task, "matrix"):
                taken.append(task.index)
                if len(taken) == 3:
                    raise KilledError
            yield task, self.work(task)

    with monkeypatch.context() as patched:
        patched.setattr(LocalPool, "run", run_two)
        with pytest.raises(KilledError):
            run(["align", "set", "-o", "out", "--jobs", "1", "-q"])
    assert sorted(path.name for path in Path("out").glob("*.png")) == ["p0.png", "p1.png"]
    kept = Path("out/p1.png").stat().st_mtime_ns
    assert run(["align", "set", "-o", "out", "--jobs", "1", "-q"]) == 0
    assert Path("out/p1.png").stat().st_mtime_ns == kept
    for k in range(4):
        assert Path(f"out/p{k}.png").read_bytes() == Path(f"whole/p{k}.png").read_bytes()


def test_a_folder_of_other_settings_is_refused(here, capfd):
    assert run(["align", "set", "-o", "out", "-q"]) == 0
    assert run(["align", "set", "-o", "out", "-q"]) == 0
    assert run(["align", "set", "-o", "out", "--interpolation", "linear", "-q"]) == 2
    assert "was not made by these settings; pass --overwrite" in lines(capfd)[-1]


# --- large frames, georeferences, report ---------------------------------------------------------------


def test_a_large_frame_is_warped_by_tiles_as_it_would_be_whole(here, monkeypatch, grey):
    for k in (0, 3):
        deep = np.rint(65535 * grey[k]).astype(np.uint16)
        tifffile.imwrite(f"l{k}.tif", deep, metadata=None, tile=(32, 32), compression="zlib")
    command = ["align", "l0.tif", "l3.tif", "--jobs", "1", "-q", "--save-transforms"]
    assert run([*command, "whole.json", "-o", "whole.tif"]) == 0
    monkeypatch.setattr("siftcli.workflows.align_output.LARGE_BYTES", 1000)
    monkeypatch.setattr("siftcli.workflows.align_tiles.STRIP_BLOCK", 512)
    assert run([*command, "tiles.json", "-o", "tiles.tif"]) == 0
    with tifffile.TiffFile("tiles.tif") as file:
        assert file.pages.first.is_tiled
        found = file.asarray()
    # Single precision, from another corner: a step of 65,535 levels and 1e-5 px.
    assert np.abs(found.astype(int) - tifffile.imread("whole.tif")).max() <= 4


def test_transforms_of_reduced_copies_are_refined_on_tiles(here):
    command = [
        "align",
        "set/p0.png",
        "set/p3.png",
        "--max-image-size",
        "80",
        "--save-transforms",
        "t.json",
        "-q",
    ]
    assert run(command) == 0
    assert rms_distance(saved()[1], truth(3), SIZE) < 0.1


def test_a_georeferenced_reference_gives_its_coordinates(here, grey):
    rasterio = pytest.importorskip("rasterio")
    place = rasterio.Affine(0.5, 0, 4000, 0, -0.5, 9000)
    for k in (0, 2):
        tifffile.imwrite(f"g{k}.tif", np.rint(255 * grey[k]).astype(np.uint8), metadata=None)
    with rasterio.open("g0.tif", "r+") as file:
        file.crs, file.transform = rasterio.crs.CRS.from_epsg(25832), place
    assert (
        run(
            [
                "align",
                "g0.tif",
                "g2.tif",
                "-o",
                "out.tif",
                "--canvas",
                "union",
                "--save-transforms",
                "t.json",
                "-q",
            ]
        )
        == 0
    )
    x, y = json.loads(Path("t.json").read_text())["canvas"]["origin"]
    with rasterio.open("out.tif") as file:
        assert file.crs.to_epsg() == 25832
        assert tuple(file.transform) == pytest.approx(tuple(place * rasterio.Affine.translation(x, y)))
    assert run(["align", "g0.tif", "g2.tif", "-o", "gcps.tif", "--gcps", "-q"]) == 0
    with rasterio.open("gcps.tif") as file:
        points, crs = file.gcps
        assert crs.to_epsg() == 25832 and len(points) == 25
        np.testing.assert_array_equal(file.read(1), tifffile.imread("g2.tif"))
    for point in points:
        column, row, _ = truth(2) @ [point.col - 0.5, point.row - 0.5, 1]
        east, north = place * (column + 0.5, row + 0.5)
        assert abs(point.x - east) < 0.1 and abs(point.y - north) < 0.1  # 0.2 px


def test_the_report_is_whole(here):
    assert run(["align", "stack.tif", "--report", "r.html", "--jobs", "1", "-q"]) == 1
    html = re.sub(r"<script>.*?</script>", "", Path("r.html").read_text("utf-8"), flags=re.DOTALL)
    assert "frame 8" in html and "Not aligned" in html
    assert html.count("data:image/webp;base64,") > 8
    assert not [part for part in html.split('src="')[1:] if not part.startswith("data:")]


def test_names_cannot_command_the_report(here):
    Image.open("set/p1.png").save("set/<img src=x onerror=alert(1)>.png")
    run(["align", "set", "--report", "r.html", "-q"])
    assert "<img src=x" not in Path("r.html").read_text("utf-8")


if find_browser():  # as in test_report.py

    @pytest.mark.browser
    def test_the_report_lives_in_a_browser(here):
        run(["align", "stack.tif", "--report", "r.html", "--jobs", "1", "-q"])
        with Browser(find_browser(), here / "profile") as browser:
            browser.open(here / "r.html")
            drawn = "document.querySelectorAll('.chart:has(.main-svg)').length"
            assert browser.evaluate(drawn) == 6
            decoded = "Promise.all([...document.images].map(i => i.decode())).then(() => true)"
            assert browser.evaluate(decoded) is True
            browser.evaluate("document.querySelector('#blink').click()")
            assert browser.evaluate("document.querySelector('#blink').textContent") == "Blink"
            seen = "getComputedStyle(document.querySelector('.over')).visibility"
            before = browser.evaluate(seen)
            browser.evaluate("document.querySelector('.blinking').click()")
            assert browser.evaluate(seen) != before
            assert browser.complaints() == []
            outside = [url for url in browser.requests() if not url.startswith(("data:", "blob:"))]
            assert outside == [(here / "r.html").resolve().as_uri()]
