"""What a command says, and when: help, suggestions, whole paths, counts, notes said once, standard input."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import siftcli
from siftcli.__main__ import run
from siftcli.io.provenance import differing, settings_text
from siftcli.params import SiftParams
from siftcli.words import counted


def texture(path, seed=0):
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (24, 32), np.uint8))
    small.resize((128, 96), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texture(tmp_path / "a.png")
    return tmp_path


def piped(args, data):
    """Run the real program with these bytes on its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "siftcli", *args], input=data, capture_output=True, check=False
    )


def test_without_a_command_the_help_is_printed_as_it_is(capsys):
    assert run([]) == 2
    bare = capsys.readouterr()
    assert run(["--help"]) == 0
    assert bare.err == capsys.readouterr().out
    assert bare.err.startswith("Usage: siftcli")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("detct", "'detect'"),
        ("macth", "'match'"),
        ("train", "'train-orientation'"),
        ("a.png", "'siftcli detect a.png'"),
    ],
)
def test_an_unknown_command_gets_a_suggestion(folder, capsys, typed, meant):
    assert run([typed]) == 2
    said = capsys.readouterr().err
    assert said == f"siftcli: No such command {typed!r}; did you mean {meant}? See 'siftcli --help'.\n"


def test_nothing_is_suggested_for_nothing_near(folder, capsys):
    assert run(["zzz"]) == 2
    assert capsys.readouterr().err == "siftcli: No such command 'zzz'. See 'siftcli --help'.\n"


@pytest.mark.parametrize("command", ["detect", "info"])
def test_a_long_path_is_printed_whole_when_piped(folder, capsys, command):
    long = folder / ("d" * 120) / ("e" * 120)
    long.mkdir(parents=True)
    path = str(texture(long / "a.png"))
    if command == "info":
        siftcli.save(siftcli.detect(path), path := f"{path}.npz")
    assert run([command, path]) == 0
    assert capsys.readouterr().out.splitlines()[0] == path


def test_counts_have_the_noun_in_the_right_number(folder, capsys):
    assert [counted(n, "image") for n in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert counted(2, "match", "matches") == "2 matches"
    assert run(["detect", "a.png", "-o", "a.npz"]) == 0
    assert run(["convert", "a.npz", "b.npz"]) == 0
    assert "1 image, 0 failed -> b.npz" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["x.h5", "x.db", "x.key", "x/"])
def test_what_a_format_cannot_carry_is_said_once_per_output(folder, capsys, output):
    args = ["detect", "a.png", "-o", output, "--overwrite", *(["--format", "lowe"] if output == "x/" else [])]
    assert run(args) == 0
    assert " carries no " in capsys.readouterr().err
    assert run(args) == 0
    assert " carries no " not in capsys.readouterr().err


def test_a_conversion_says_it_once_too(folder, capsys):
    texture(folder / "b.png", 1)
    for name in ("a", "b"):
        assert run(["detect", f"{name}.png", "-o", f"{name}.npz"]) == 0
    capsys.readouterr()
    assert run(["convert", "a.npz", "x.h5"]) == 0
    assert "hloc carries no " in capsys.readouterr().err
    assert run(["convert", "b.npz", "x.h5", "--append"]) == 0
    assert "hloc carries no " not in capsys.readouterr().err


def settings(preset, **given):
    return settings_text({"page": 1, "params": SiftParams.preset(preset, **given).to_dict()})


def test_other_settings_are_named_as_options():
    assert differing(settings("default"), settings("dense")) == "--preset was default, is now dense"
    both = differing(settings("default"), settings("classic", upright=True, max_features=9))
    assert both == (
        "--preset was default, is now classic; --max-features was not given, is now 9; "
        "--upright was off, is now on"
    )
    named = differing(settings("default"), settings("default", clean_contrast=1.0))
    assert named == "clean_contrast was 0.4, is now 1.0"


def test_an_image_on_the_standard_input(folder):
    data = (folder / "a.png").read_bytes()
    done = piped(["detect", "-", "-o", "x.npz", "--draw", "x.png", "--json"], data)
    assert done.returncode == 0
    found, expected = siftcli.load("x.npz"), siftcli.detect("a.png")
    assert np.array_equal(found.xy, expected.xy)
    assert found.image_name == "stdin"
    assert json.loads(done.stdout)["image"] == "-"
    assert Image.open("x.png").size[0] >= 128
    with (folder / "a.png").open("rb") as stream:
        redirected = subprocess.run(
            [sys.executable, "-m", "siftcli", "detect", "-", "-o", "-", "--format", "npz"],
            stdin=stream, capture_output=True, check=True,
        )  # fmt: skip
    assert redirected.stdout == (folder / "x.npz").read_bytes()


def test_an_empty_standard_input_is_an_error(folder):
    done = piped(["detect", "-"], b"")
    assert done.returncode == 1
    assert b"siftcli: -: expected a PNG" in done.stderr
    assert b"got an empty file" in done.stderr


def test_a_file_named_like_the_standard_input_is_a_file(folder, capsys):
    (folder / "a.png").rename(folder / "-")
    assert run(["detect", "./-"]) == 0
    assert capsys.readouterr().out.startswith("./-\n")
