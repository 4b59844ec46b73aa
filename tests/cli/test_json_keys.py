"""Every key that a command prints with ``--json`` is on the page of keys, below the command's heading."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from pose_scenes import write_scene

from siftcli.cli import siftcli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
IMAGE, OTHER = "sample_images/chelsea.png", "sample_images/camera.png"

OPEN = {"params", "n_by_octave", "versions", "detectors"}
"""Keys whose objects have names of other things as keys: parameters, octaves, packages."""


def section(title: str) -> str:
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]


def keys(value) -> set[str]:
    """All keys, those of objects within objects and lists too."""
    if isinstance(value, list):
        return set().union(*map(keys, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(keys(item) for key, item in value.items() if key not in OPEN))


def printed(*arguments: str) -> list[dict]:
    result = CliRunner().invoke(siftcli, [*arguments, "--json"])
    assert result.stdout, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def make(*arguments: str) -> None:
    result = CliRunner().invoke(siftcli, [*arguments, "-q"])
    assert result.exit_code == 0, result.stderr


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A feature file, a collection, and a folder of results to be."""
    monkeypatch.chdir(ROOT)
    # PoseLib is not to be had everywhere.
    similar = ("--model", "similarity", "-q")
    limit = ("--max-features", "50", "-q")
    CliRunner().invoke(siftcli, ["detect", IMAGE, "-o", str(tmp_path / "one.npz"), *limit])
    write_scene(tmp_path / "scene")
    CliRunner().invoke(siftcli, ["detect", IMAGE, OTHER, "-o", str(tmp_path / "many.db"), *limit])
    CliRunner().invoke(siftcli, ["convert", str(tmp_path / "many.db"), str(tmp_path / "matched.db"), "-q"])
    CliRunner().invoke(siftcli, ["match", "--pairs", "exhaustive", str(tmp_path / "matched.db"), *similar])
    return tmp_path


@pytest.mark.parametrize(
    ("title", "arguments"),
    [
        ("detect", ("detect", IMAGE)),
        ("detect", ("detect", "{files}/none.png", IMAGE)),
        ("info", ("info", "{files}/one.npz")),
        ("info", ("info", "{files}/many.db")),
        ("info", ("info", "{files}/matched.db")),
        ("explain", ("explain", IMAGE, "--rotate", "30")),
        ("match", ("match", IMAGE, "--rotate", "30")),
        ("match", ("match", IMAGE, OTHER)),
        ("match", ("match", IMAGE, OTHER, "--rotate", "30", "--scale", "0.5")),
        ("match of a collection", ("match", "--pairs", "exhaustive", "{files}/many.db")),
        ("match of a collection", ("match", "--show", "chelsea.png", "camera.png", "{files}/matched.db")),
        ("describe", ("describe", IMAGE, "--keypoints", "{files}/one.npz")),
        ("align", ("align", IMAGE, OTHER)),
        ("formats", ("formats",)),
        ("cache", ("cache",)),
        ("cache", ("cache", "warm")),
        (
            "evaluate",
            ("evaluate", IMAGE, "--angles", "30", "--detectors", "siftcli,opencv", "-o", "{files}/out"),
        ),
        (
            "evaluate of poses",
            (
                "evaluate",
                "{files}/scene",
                "--dataset",
                "poses",
                "--budgets",
                "50",
                "--detectors",
                "siftcli,opencv",
                "--reconstruct",
                "--seeds",
                "1",
                "-o",
                "{files}/out",
            ),
        ),
        ("bench", ("bench", IMAGE, "--pairs", "3", "--threads", "1")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_every_key_is_documented(title, arguments, files):
    objects = printed(*(argument.replace("{files}", str(files)) for argument in arguments))
    for value in objects:
        missing = [key for key in sorted(keys(value)) if f"`{key}`" not in section(title)]
        assert not missing


def test_keys_of_files_of_matches_are_documented(files):
    target = files / "matches.json"
    make("match", IMAGE, "--rotate", "30", "-o", str(target))
    found = keys(json.loads(target.read_text()))
    assert "x_b_original" in found
    assert [key for key in sorted(found) if f"`{key}`" not in section("match")] == []


def test_keys_of_reports_are_documented(files):
    out = [str(files / "out"), str(files / "poses")]
    made = (IMAGE, "--angles", "30"), (str(files / "scene"), "--dataset", "poses", "--budgets", "50")
    for arguments, folder in zip(made, out, strict=True):
        make("evaluate", *arguments, "--detectors", "siftcli,opencv", "-o", folder)
    (found,) = printed("report", *out, "--fail-below", "precision=0")
    assert all(found[name] for name in ("differences", "pose_differences", "checks"))
    assert [key for key in sorted(keys(found)) if f"`{key}`" not in section("report")] == []


def test_keys_of_results_are_documented(files):
    make("evaluate", IMAGE, "--angles", "30", "--detectors", "siftcli", "-o", str(files / "out"))
    results = json.loads((files / "out" / "results.json").read_text())
    assert [key for key in results if f"`{key}`" not in section("evaluate")] == []


def test_keys_of_results_of_poses_are_documented(files):
    out = files / "out"
    options = ["--dataset", "poses", "--budgets", "50", "--detectors", "siftcli", "--reconstruct"]
    make("evaluate", str(files / "scene"), *options, "-o", str(out))
    results = json.loads((out / "results.json").read_text())
    found = {*results, *keys(results["rows"]), *keys(results["reconstruction_rows"])} - {"kind"}
    assert {"overlap", "rotation_max_deg", "judges"} <= found
    page = section("evaluate of poses")
    assert [key for key in sorted(found) if f"`{key}`" not in page] == []
