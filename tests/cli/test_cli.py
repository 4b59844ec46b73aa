"""The command line, as a user meets it."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siftcli import load
from siftcli.__main__ import run
from siftcli.cli import COMMANDS, siftcli
from siftcli.cli._output import print_json, printable

RNG = np.random.default_rng(5)


def blobs(width=96, height=80, n=12):
    """A grey picture with keypoints in it."""
    y, x = np.mgrid[:height, :width]
    picture = np.full((height, width), 0.5)
    for cx, cy, s, a in zip(
        RNG.uniform(10, width - 10, n),
        RNG.uniform(10, height - 10, n),
        RNG.uniform(2, 5, n),
        RNG.choice([-0.4, 0.4], n),
        strict=True,
    ):
        picture += a * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * s * s))
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with two images, which is the current one."""
    Image.fromarray(blobs()).save(tmp_path / "a.png")
    (tmp_path / "sub").mkdir()
    Image.fromarray(blobs(70, 90)).save(tmp_path / "sub/b.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def program(*args, **options):
    return subprocess.run(
        [sys.executable, "-m", "siftcli", *args], capture_output=True, text=True, check=False, **options
    )


# --- start-up ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_imports_nothing_heavy(args):
    code = (
        "import sys; from siftcli.__main__ import run; status = run(sys.argv[1:]); "
        "heavy = {'numpy', 'numba', 'cv2', 'rich', 'PIL', 'skimage'} & set(sys.modules); "
        "sys.exit(f'{status} {heavy}' if status or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: siftcli" in done.stdout


def test_every_command_is_listed_and_described():
    for name, summary in COMMANDS.items():
        command = siftcli.get_command(None, name)
        assert command.name == name
        assert command.get_short_help_str() == summary
        assert all(option.help for option in command.params if option.param_type_name == "option")


def test_version(capsys):
    assert run(["--version"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["siftcli", "Python", "NumPy", "Numba", "OpenCV"]


def test_help_states_the_defaults(capsys):
    assert run(["detect", "--help-all"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for part in (
        "[3 in every preset; 1 to 16]",
        "[default 1.4, classic 1.6, dense 1.4; 0.8 to 10]",
        "[default 0.013, classic 0.04, dense 0.006; 0 to 1]",
        "[default 16, classic 10, dense 16; at least 1]",
        "[-1 in every preset; -1 to 8]",
        "[default on, classic off, dense on]",
        "[off in every preset]",
        "[default: default]",
    ):
        assert part in text


# --- one image -----------------------------------------------------------------------------------------


def test_summary_without_output(folder, capsys):
    assert run(["detect", "a.png"]) == 0
    out = capsys.readouterr().out
    for word in ("a.png", "96 x 80", "keypoints", "octave", "removed: edge", "time"):
        assert word in out
    assert files(folder) == ["a.png", "sub/b.png"]


@pytest.mark.parametrize("name", ["npz", "csv", "json"])
def test_output_file(folder, capsys, name):
    assert run(["detect", "a.png", "-o", f"x.{name}", "--max-features", "5"]) == 0
    features = load(f"x.{name}")
    assert (len(features), features.image_name, features.image_size) == (5, "a.png", (96, 80))
    assert features.params.max_features == 5
    assert capsys.readouterr().out == ""


def test_existing_output_is_refused_before_any_work(folder, capsys):
    Path("x.npz").write_bytes(b"old")
    assert run(["detect", "a.png", "-o", "x.npz"]) == 2
    assert capsys.readouterr().err == "siftcli: x.npz exists; pass --overwrite to replace it\n"
    assert Path("x.npz").read_bytes() == b"old"
    assert run(["detect", "a.png", "-o", "x.npz", "--overwrite"]) == 0
    assert len(load("x.npz")) > 0


def test_drawing(folder):
    assert run(["detect", "a.png", "--draw", "x.png"]) == 0
    with Image.open("x.png") as image:
        assert image.width == 96 * 8
    assert image.height > 80 * 8  # the legend is below
    assert run(["detect", "a.png", "--draw", "x.png"]) == 2


def test_mask(folder):
    mask = np.zeros((80, 96), np.uint8)
    mask[:, 48:] = 255
    Image.fromarray(mask).save("mask.png")
    assert run(["detect", "a.png", "--mask", "mask.png", "-o", "x.npz"]) == 0
    assert len(load("x.npz")) > 0
    # a centre belongs to the pixel it lies on
    assert load("x.npz").xy[:, 0].min() >= 47.5


def test_max_image_size_and_exif(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(blobs()).save("turned.png", exif=exif)
    assert run(["detect", "turned.png", "-o", "x.npz", "--max-image-size", "48"]) == 0
    assert (load("x.npz").image_size, load("x.npz").exif_orientation) == ((80, 96), 6)
    assert run(["detect", "turned.png", "-o", "y.npz", "--exif-orientation", "ignore"]) == 0
    assert (load("y.npz").image_size, load("y.npz").exif_orientation) == ((96, 80), 1)


def test_parameters_reach_the_detector(folder):
    given = [
        "--levels-per-octave",
        "4",
        "--sigma",
        "1.7",
        "--contrast-threshold",
        "0.03",
        "--edge-threshold",
        "9",
    ]
    given += ["--first-octave", "0", "--max-orientations", "2", "--rootsift", "--threads", "1"]
    given += ["--max-features", "9", "--selection", "even", "--dsp"]
    assert run(["detect", "a.png", "-o", "x.npz", *given]) == 0
    features = load("x.npz")
    params = features.params
    assert (params.levels_per_octave, params.sigma, params.contrast_threshold) == (4, 1.7, 0.03)
    assert (params.edge_threshold, params.first_octave, params.max_orientations) == (9, 0, 2)
    assert (params.max_features, params.selection, params.dsp) == (9, "even", True)
    assert features.descriptor_kind == "rootsift"
    assert features.orientation.any()
    assert run(["detect", "a.png", "-o", "y.npz", "--upright"]) == 0
    assert not load("y.npz").orientation.any()


def test_json(folder, capsys):
    assert run(["detect", "a.png", "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert list(info) == [
        "schema",
        "image",
        "output",
        "drawing",
        "time_s",
        "image_name",
        "image_size",
        "exif_orientation",
        "n_keypoints",
        "n_by_octave",
        "removed",
        "descriptor_kind",
        "params",
    ]
    assert (info["schema"], info["image"], info["image_size"]) == (1, "a.png", [96, 80])
    assert sum(info["n_by_octave"].values()) == info["n_keypoints"] > 0


def test_json_has_no_nan(capsys):
    print_json({"a": float("nan"), "b": [float("inf"), 1.5]})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5]}


def test_standard_output(folder):
    done = program("detect", "a.png", "-o", "-", "--format", "csv")
    assert done.returncode == 0
    Path("x.csv").write_text(done.stdout)
    assert len(load("x.csv")) > 0
    assert run(["detect", "a.png", "-o", "-"]) == 2
    assert run(["detect", "a.png", "-o", "-", "--format", "csv", "--json"]) == 2


def test_a_binary_format_is_not_sent_to_a_terminal(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(["detect", "a.png", "-o", "-", "--format", "npz"]) == 2
    assert "terminal" in capsys.readouterr().err


def test_dev_null(folder):
    assert run(["detect", "a.png", "-o", "/dev/null", "--draw", "/dev/null"]) == 0
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (64, 64)])
def test_images_without_keypoints_are_done(folder, shape, capsys):
    Image.fromarray(np.full(shape, 90, np.uint8)).save("flat.png")
    assert run(["detect", "flat.png", "-o", "x.npz", "--draw", "x.png"]) == 0
    assert len(load("x.npz")) == 0
    assert run(["detect", "flat.png"]) == 0
    assert run(["info", "x.npz"]) == 0


def test_verbose_and_quiet(folder, capsys):
    assert run(["detect", "a.png", "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert run(["detect", "a.png", "-o", "x.npz", "-v", "--threads", "2"]) == 0
    err = capsys.readouterr().err
    assert re.search(r"Numba \d", err)
    assert "threads: 2" in err
    assert re.search(r"a\.png: \d\.\d+ s", err)
    assert run(["detect", "a.png", "-v", "-q"]) == 2


# --- several images ------------------------------------------------------------------------------------


def test_a_folder_gives_a_folder(folder, capsys):
    assert run(["detect", ".", "-o", "out", "--draw", "pictures"]) == 0
    made = ["out/a.png.npz", "out/sub/b.png.npz", "pictures/a.png.png", "pictures/sub/b.png.png"]
    assert files(folder) == sorted(["a.png", "sub/b.png", *made])
    assert run(["detect", "a.png", "sub", "-o", "out"]) == 0
    assert "2 kept as they were" in capsys.readouterr().err
    assert run(["detect", "a.png", "sub", "-o", "out", "--format", "csv"]) == 0
    assert run(["detect", "a.png", "sub", "-o", "out", "--format", "csv"]) == 2
    assert "exists" in capsys.readouterr().err


def test_several_images_print_a_line_each(folder, capsys):
    assert run(["detect", "a.png", "sub"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["a.png", "sub/b.png"]
    assert run(["detect", ".", "--json"]) == 0
    infos = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [info["image_name"] for info in infos] == ["a.png", "b.png"]


def test_one_failure_does_not_stop_the_others(folder, capsys):
    Path("bad.png").write_bytes(b"no image")
    assert run(["detect", ".", "-o", "out", "--json"]) == 1
    out, err = capsys.readouterr()
    infos = [json.loads(line) for line in out.splitlines()]
    assert ["error" in info for info in infos] == [False, True, False]
    assert err.splitlines()[0].startswith("siftcli: bad.png: expected a PNG")
    assert files(folder / "out") == ["a.png.npz", "failures.csv", "sub/b.png.npz"]
    assert Path("out/failures.csv").read_text().splitlines()[1].startswith("bad.png,")


def test_missing_mask_is_an_error_unless_optional(folder, capsys):
    Path("masks").mkdir()
    Image.fromarray(np.full((80, 96), 255, np.uint8)).save("masks/a.png.png")
    assert run(["detect", "a.png", "sub/b.png", "--mask", "masks"]) == 1
    assert "masks/sub/b.png.png: no such file" in capsys.readouterr().err
    assert run(["detect", "a.png", "sub/b.png", "--mask", "masks", "--mask-optional"]) == 0


# --- what goes wrong -----------------------------------------------------------------------------------


def make_bad_files(folder):
    Path("empty.png").touch()
    Path("text.png").write_text("hello")
    Path("truncated.png").write_bytes(Path("a.png").read_bytes()[:500])
    Path("none").mkdir()
    Image.fromarray(blobs(50, 50)).save("small.png")


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["missing.png"], 1, "no such file"),
        (["empty.png"], 1, "empty file"),
        (["text.png"], 1, "something else"),
        (["truncated.png"], 1, "truncated"),
        (["none"], 1, "expected a folder with images"),
        (["a.png", "--mask", "small.png"], 1, "expected a mask of the image's 96 x 80 pixels, got 50 x 50"),
        (["a.png", "--mask", "missing.png"], 1, "no such file"),
        ([], 2, "Missing argument"),
        (["a.png", "--sigma", "99"], 2, "sigma must be between 0.8 and 10; got 99"),
        (["a.png", "--sigma", "nan"], 2, "sigma"),
        (["a.png", "--sigma", "wide"], 2, "not a valid float"),
        (["a.png", "--preset", "modern"], 2, "classic"),
        (["a.png", "--threads", "0"], 2, "--threads"),
        (["a.png", "--max-image-size", "3"], 2, "at least 16"),
        (["a.png", "--colour"], 2, "--colour"),
        (["a.png", "-o", "x.txt"], 2, "expected a suffix"),
        (["a.png", "-o", "missing/x.npz"], 2, "not a folder; make it first"),
        (["a.png", "--draw", "x.jpg"], 2, "expected a .png"),
        (["a.png", "sub", "-o", "x.npz"], 2, "several images need a folder"),
        (["a.png", "--mask-optional"], 2, "--mask"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_use_is_told_in_one_line(folder, capsys, args, status, said):
    make_bad_files(folder)
    before = files(folder)
    output = [] if "-o" in args or "--draw" in args else ["-o", "x.npz"] if "none" not in args else []
    assert run(["detect", *args, *output]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("siftcli: ")
    assert said in err
    assert err.count("\n") == 1
    assert files(folder) == before


def test_unknown_command_and_info_of_other_files(folder, capsys):
    assert run(["explode"]) == 2
    assert run(["info", "missing.npz"]) == 1
    assert run(["info", "a.png"]) == 1
    assert run(["info", "a.png", "--format", "npz"]) == 1
    assert all(line.startswith("siftcli: ") for line in capsys.readouterr().err.splitlines())


def test_unwritable_folder(folder, monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda *_args: False)  # as for another user than root
    assert run(["detect", "a.png", "-o", "x.npz"]) == 2
    assert run(["detect", "a.png", "-o", "out"]) == 2
    assert capsys.readouterr().err.count("not writable") == 2


def test_not_enough_memory(folder, monkeypatch, capsys):
    def fail(*_args, **_kwargs):
        raise MemoryError

    monkeypatch.setattr("siftcli.api.detect_in_picture", fail)
    assert run(["detect", "a.png"]) == 1
    assert "not enough memory" in capsys.readouterr().err


def test_interrupted(folder, monkeypatch, capsys):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("siftcli.api.detect_in_picture", interrupt)
    assert run(["detect", "a.png", "-o", "x.npz"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_signal_interrupts_the_program_quietly(folder):
    os.mkfifo("pipe")
    process = subprocess.Popen(
        [sys.executable, "-m", "siftcli", "detect", "pipe", "-o", "x.npz"], stderr=subprocess.PIPE, text=True
    )
    with Path("pipe").open("wb"):  # returns when the program has opened it, and waits for its content
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "siftcli: interrupted\n"


@pytest.mark.parametrize("options", [[], ["--json"], ["-o", "-", "--format", "csv"]], ids=" ".join)
def test_a_closed_pipe_is_quiet(folder, options):
    process = subprocess.Popen(
        [sys.executable, "-m", "siftcli", "detect", "a.png", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 141
    process.stderr.close()


def test_full_standard_output_is_told(folder):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "siftcli", "detect", "a.png"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "siftcli: the output cannot be written: No space left on device\n"


def test_control_characters_in_names_are_escaped(folder, capsys):
    name = "a\x1b[31m\nb.png"
    Path(name).write_bytes(Path("a.png").read_bytes())
    assert run(["detect", name]) == 0
    assert run(["detect", name, "a.png"]) == 0
    assert run(["detect", "missing\x1b[31m\n"]) == 1
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\\x1b[31m\\n" in out
    assert err.count("\n") == 1
    assert printable("é σ \udcff\x07") == "é σ \\udcff\\x07"


def test_markup_in_names_is_printed_as_it_is(folder, capsys):
    Path("[red]a.png").write_bytes(Path("a.png").read_bytes())
    assert run(["detect", "[red]a.png"]) == 0
    assert "[red]a.png" in capsys.readouterr().out


def test_ascii_terminal(folder):
    done = program("detect", "--help-all", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 0
    assert "--sigma" in done.stdout


# --- info ----------------------------------------------------------------------------------------------


def test_info(folder, capsys):
    assert run(["detect", "a.png", "-o", "x.csv", "--sigma", "1.7"]) == 0
    assert run(["info", "x.csv"]) == 0
    out = capsys.readouterr().out
    for word in ("csv", "a.png", "96 x 80", "keypoints", "octave", "sigma", "1.7", "convention", "top-left"):
        assert word in out
    assert run(["info", "x.csv", "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert (info["schema"], info["format"], info["params"]["sigma"]) == (1, "csv", 1.7)
    assert info["n_keypoints"] == len(load("x.csv"))


def test_skipped_pictures_are_told_on_standard_error(folder, capsys, monkeypatch):
    monkeypatch.setattr("siftcli.io.suffixes.find_spec", lambda _: None)
    Path("sub/c.heic").touch()
    line = "skipped 1: 1 .heic (pip install 'siftcli[heif]' reads them)"
    assert run(["detect", ".", "--json"]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(text)["image"] for text in out.splitlines()] == ["a.png", "sub/b.png"]
    assert line in err.splitlines()
    assert run(["detect", ".", "-q", "-o", "out"]) == 0
    assert capsys.readouterr().err == ""
    evaluate = ["evaluate", ".", "-o", "e", "--sweep", "mirror", "--detectors", "opencv", "--jobs", "1"]
    assert run([*evaluate, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["failures"] == []
    assert line in err.splitlines()


@pytest.mark.parametrize("format", ["csv", "json", "jsonl", "lowe", "vlfeat", "oxford", "colmap-text"])
def test_feature_files_that_another_program_saved_with_a_byte_order_mark(folder, format):
    assert run(["detect", "a.png", "-o", "x", "--format", format, "-q"]) == 0
    (path,) = (path for path in Path("x").iterdir() if path.is_file())
    before = load(path, format=format)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert (load(path, format=format).xy == before.xy).all()
    assert len(before) > 0
