"""Limits: each has a name, is documented, refuses before the work, and can be raised."""

import math
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import hostile
import numpy as np
import pytest
import tifffile
from bounds import bounded, timed
from conftest import texture
from PIL import Image

import siftcli
from siftcli.__main__ import run
from siftcli.detection import working_bytes
from siftcli.errors import InputError, ParameterError
from siftcli.image import by_rows, tiff
from siftcli.image.decoded import DECODING_BYTES
from siftcli.io import limits
from siftcli.io.limits import LIMITS, MAX_MEMORY, MAX_ROW_PIXELS
from siftcli.system import memory

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text("utf-8")


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_each_is_documented_with_its_default(limit):
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{limit.variable}`")]
    if isinstance(limit.default, int):
        assert f"{limit.default:,}" in row
    assert limit.doc.partition(",")[0].partition(";")[0] in row


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "many", "1e9", "٣", "9" * 30])
def test_a_variable_that_is_no_number_is_wrong_use(monkeypatch, capsys, text):
    monkeypatch.setenv("SIFTCLI_MAX_PIXELS", text)
    assert run(["formats"]) == 2
    assert capsys.readouterr().err.startswith("siftcli: SIFTCLI_MAX_PIXELS must be a whole number")
    with pytest.raises(ParameterError):
        _ = limits.MAX_PIXELS.value


def test_the_memory_of_the_machine_or_of_the_control_group(monkeypatch):
    monkeypatch.delenv("SIFTCLI_MAX_MEMORY", raising=False)
    monkeypatch.setattr(memory, "memory_allowed", lambda: None)
    physical = MAX_MEMORY.value
    assert physical > 1 << 28
    for allowed, expected in ((1_000_000, 1_000_000), (1 << 60, physical)):
        monkeypatch.setattr(memory, "memory_allowed", lambda allowed=allowed: allowed)
        assert MAX_MEMORY.value == expected


def test_features(monkeypatch):
    image = texture((120, 120), smoothness=0.8)
    n = len(siftcli.detect(image))
    assert n > 10
    for limit, refused in ((n - 1, True), (n, False), (n + 1, False)):
        monkeypatch.setenv("SIFTCLI_MAX_FEATURES", str(limit))
        if refused:
            with pytest.raises(
                InputError, match=r"at most \d+ features; pass --max-features .* SIFTCLI_MAX_FEATURES"
            ):
                siftcli.detect(image)
        else:
            f = siftcli.detect(image)
            assert (len(f), f.params.max_features) == (n, None)
    monkeypatch.setenv("SIFTCLI_MAX_FEATURES", "2")
    assert len(siftcli.detect(image, max_features=5)) == 5


def test_memory_of_the_detection(monkeypatch, tmp_path, capsys):
    Image.fromarray(hostile.GREY).save(tmp_path / "x.png")
    n_pixels = hostile.GREY.size
    monkeypatch.setenv("SIFTCLI_MAX_MEMORY", str(DECODING_BYTES * n_pixels))
    assert run(["detect", str(tmp_path / "x.png")]) == 1
    err = capsys.readouterr().err
    assert "x.png: detection in 36 x 28 pixels needs about" in err
    assert "--max-image-size" in err
    assert "SIFTCLI_MAX_MEMORY" in err
    assert run(["detect", str(tmp_path / "x.png"), "--first-octave", "0"]) == 0


@pytest.fixture
def tiled(monkeypatch, tmp_path):
    """A TIFF that is read by rows, as if it were large."""
    monkeypatch.setattr(by_rows, "SMALLEST", 1)
    tifffile.imwrite(tmp_path / "x.tif", hostile.GREY, compression="zlib", tile=(16, 16))
    return tmp_path / "x.tif"


def test_pixels_that_are_read_by_rows(monkeypatch, tiled):
    monkeypatch.delenv("SIFTCLI_MAX_PIXELS", raising=False)
    assert MAX_ROW_PIXELS.value == 4_000_000_000
    n = hostile.GREY.size
    # What holds for all images holds for these, unless they have a limit of their own.
    for variable in ("SIFTCLI_MAX_PIXELS", "SIFTCLI_MAX_ROW_PIXELS"):
        monkeypatch.setenv(variable, str(n - 1))
        with (
            bounded(8 << 20),
            pytest.raises(InputError, match=r"x\.tif: expected at most .*, or raise SIFTCLI_MAX_ROW_PIXELS"),
        ):
            siftcli.detect(tiled)
        monkeypatch.setenv(variable, str(n))
        assert siftcli.detect(tiled).image_size == hostile.GREY.shape[::-1]
    monkeypatch.setenv("SIFTCLI_MAX_PIXELS", "1")
    assert siftcli.detect(tiled).image_size == hostile.GREY.shape[::-1]


def test_why_a_picture_is_too_large_to_be_read_at_once(monkeypatch, tiled, tmp_path, capsys):
    monkeypatch.setenv("SIFTCLI_MAX_PIXELS", "100")
    monkeypatch.setenv("SIFTCLI_MAX_ROW_PIXELS", "10000")
    for options, why in (
        (["--mask", str(tiled)], "a mask is given"),
        (["--draw", str(tmp_path / "x.png")], "it is drawn"),
        (["--stretch", "minmax"], "--stretch (stretch) or --nodata (nodata) is given"),
        (["--max-image-size", "20"], "it is reduced to --max-image-size (max_image_size)"),
        (["--views", "1"], "views are simulated (--views, views)"),
    ):
        assert run(["detect", str(tiled), "-o", str(tmp_path / "x.npz"), *options]) == 1
        err = capsys.readouterr().err
        assert f"got 36 x 28, as it is read at once because {why}; reduce the image" in err
        assert "or raise SIFTCLI_MAX_PIXELS, which is 100" in err
    assert run(["detect", str(tiled), "-o", str(tmp_path / "x.npz")]) == 0


def test_memory_of_the_strips_of_a_wide_picture(monkeypatch, tiled):
    monkeypatch.setenv("SIFTCLI_MAX_MEMORY", "50000")
    with pytest.raises(InputError, match=r"x\.tif: detection in 36 x 28 pixels needs about"):
        siftcli.detect(tiled)


def test_a_tiff_whose_tiles_are_all_the_same_is_refused_by_its_size(tmp_path):
    # 100,000 x 100,000 pixels in a file of 80 kB: every tile stands at the same place.
    tile = zlib.compress(bytes(1024 * 1024), 9)
    n = math.ceil(100_000 / 1024) ** 2
    entries = [(256, 4, 1, 100_000), (257, 4, 1, 100_000), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1)]
    entries += [(277, 3, 1, 1), (322, 4, 1, 1024), (323, 4, 1, 1024)]
    start = 8 + 2 + 12 * (len(entries) + 2) + 4
    entries += [(324, 4, n, start), (325, 4, n, start + 4 * n)]
    directory = (
        struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries) + bytes(4)
    )
    places = struct.pack(f"<{n}I", *[start + 8 * n] * n) + struct.pack(f"<{n}I", *[len(tile)] * n)
    (tmp_path / "x.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + directory + places + tile)
    with (
        bounded(32 << 20),
        timed(),
        pytest.raises(InputError, match="at most 4000 megapixels, got 100000 x 100000"),
    ):
        siftcli.detect(tmp_path / "x.tif")


def test_memory_of_the_decoding_is_checked_before_it(monkeypatch, tmp_path):
    # A valid image of 64 megapixels in a file of 75 kB.
    Image.fromarray(np.zeros((8000, 8000), np.uint8)).save(tmp_path / "x.png")
    monkeypatch.setenv("SIFTCLI_MAX_MEMORY", str(8000 * 8000 * DECODING_BYTES - 1))
    with bounded(32 << 20), pytest.raises(InputError, match=r"decoding 8000 x 8000 .* 4\.1 GB"):
        siftcli.detect(tmp_path / "x.png")


def test_bytes_of_files(monkeypatch, tmp_path):
    Image.fromarray(hostile.GREY).save(tmp_path / "x.png")
    siftcli.save(siftcli.detect(tmp_path / "x.png"), tmp_path / "x.npz")
    monkeypatch.setenv("SIFTCLI_MAX_IMAGE_BYTES", "100")
    monkeypatch.setenv("SIFTCLI_MAX_FILE_BYTES", "200")
    for read, name, n in ((siftcli.detect, "x.png", 100), (siftcli.load, "x.npz", 200)):
        with pytest.raises(
            InputError, match=rf"{name}: expected at most {n} bytes, got more; .* raise SIFTCLI_MAX_"
        ):
            read(tmp_path / name)


PEAK = """
import resource, sys, numpy as np, siftcli
siftcli.detect(np.zeros((40, 40)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
siftcli.detect(sys.argv[1], threads=1, max_features=1000)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


@pytest.mark.parametrize("kind", ["grey", "deep-rgba", "doubles"])
def test_no_more_memory_is_taken_than_was_estimated(tmp_path, kind):
    image = np.rint(np.tile(texture((250, 250)), (4, 6)) * 65535).astype(np.uint16)
    if kind == "grey":
        Image.fromarray((image >> 8).astype(np.uint8)).save(tmp_path / "x.png")
    elif kind == "doubles":  # in one strip, in the other byte order
        doubles = np.dstack([image / 65535] * 3)
        tifffile.imwrite(tmp_path / "x.png", doubles, photometric="rgb", byteorder=">", compression="zlib")
    else:
        (tmp_path / "x.png").write_bytes(hostile.encoded(np.dstack([image] * 4), ".png"))
    done = subprocess.run(
        [sys.executable, "-c", PEAK, tmp_path / "x.png"],
        capture_output=True, text=True, check=True, env=os.environ,
    )  # fmt: skip
    decoding = tiff.pixel_bytes(3, 8) if kind == "doubles" else DECODING_BYTES
    estimated = max(working_bytes(image.shape, siftcli.SiftParams()), decoding * image.size)
    # A tenth, and 16 MB, for what does not grow with the image and for the allocator.
    assert int(done.stdout) < 1.1 * estimated + (16 << 20)


def test_too_little_memory_for_a_feature_file_is_told(monkeypatch, tmp_path, capsys):
    siftcli.save(siftcli.detect(hostile.GREY), tmp_path / "x.json")

    def fail(*_args):
        raise MemoryError

    monkeypatch.setattr("siftcli.formats.text_json.decode", fail)
    assert run(["info", str(tmp_path / "x.json")]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "x.json: not enough memory to read it" in err
