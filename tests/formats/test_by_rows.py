"""TIFF and PGM/PPM that are read by rows: the values of reading at once, each band decoded once a pass."""

import io
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import tifffile
from conftest import texture

import siftcli
from siftcli.__main__ import run
from siftcli.errors import InputError
from siftcli.formats import npz
from siftcli.image import bands, by_rows, read_image
from siftcli.image.by_rows import open_rows
from siftcli.workflows import detect_image

HEIGHT, WIDTH = 157, 131
GREY = np.rint(texture((HEIGHT, WIDTH), smoothness=0.9) * 255).astype(np.uint8)
DEEP = (257 * GREY.astype(np.uint16)) ^ np.arange(WIDTH, dtype=np.uint16)
RGB = np.dstack([GREY, GREY[::-1], 255 - GREY])
DEEP_RGB = np.dstack([DEEP, DEEP[::-1], 65535 - DEEP])
RGBA = np.dstack([RGB, np.roll(GREY, 9)])
TILES = {"tile": (32, 48)}
MAP = (257 * np.array([np.arange(256), np.arange(255, -1, -1), np.arange(256) // 2])).astype(np.uint16)


def tiff(samples, **options):
    return lambda path: tifffile.imwrite(path, samples, **options)


def pnm(magic, samples, full_scale):
    def write(path):
        body = samples.astype(">u2" if full_scale > 255 else np.uint8).tobytes()
        path.write_bytes(b"%s\n# a comment\n%d %d\n%d\n" % (magic, WIDTH, HEIGHT, full_scale) + body)

    return write


READ = {
    "one strip": tiff(GREY),
    "strips that follow each other": tiff(GREY, rowsperstrip=10),
    "strips of a row": tiff(GREY, rowsperstrip=1, compression="zlib"),
    "strips and a predictor": tiff(GREY, rowsperstrip=10, compression="lzw", predictor=True),
    "tiles": tiff(GREY, **TILES),
    "compressed tiles": tiff(GREY, compression="zstd", **TILES),
    "16 bits": tiff(DEEP),
    "16 bits in the other byte order": tiff(DEEP, byteorder=">"),
    "compressed in the other byte order": tiff(DEEP, byteorder=">", compression="zlib", rowsperstrip=20),
    "16-bit tiles and a predictor": tiff(DEEP, compression="zlib", predictor=True, **TILES),
    "BigTIFF": tiff(GREY, bigtiff=True, compression="zlib", **TILES),
    "colour": tiff(RGB, photometric="rgb"),
    "colour in tiles": tiff(RGB, photometric="rgb", compression="lzw", **TILES),
    "16-bit colour": tiff(DEEP_RGB, photometric="rgb", rowsperstrip=9, compression="zlib"),
    "alpha": tiff(RGBA, photometric="rgb", extrasamples=["unassalpha"], rowsperstrip=11),
    "alpha in the colours": tiff(RGBA, photometric="rgb", extrasamples=["assocalpha"], **TILES),
    "planes": tiff(RGB.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"),
    "planes in tiles": tiff(
        RGB.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate", compression="zlib", **TILES
    ),
    "white is zero": tiff(GREY, photometric="miniswhite", rowsperstrip=13),
    "a palette": tiff(GREY, photometric="palette", colormap=MAP, compression="zlib", rowsperstrip=16),
    "JPEG": tiff(GREY, compression="jpeg", rowsperstrip=16),
    "JPEG in colour": tiff(RGB, photometric="ycbcr", compression="jpeg", subsampling=(2, 2), tile=(64, 64)),
    "PGM": pnm(b"P5", GREY, 255),
    "a PGM of 7 bits": pnm(b"P5", GREY // 2, 127),
    "a PGM of 16 bits": pnm(b"P5", DEEP, 65535),
    "PPM": pnm(b"P6", RGB, 255),
    "a PPM of 16 bits": pnm(b"P6", DEEP_RGB, 65535),
}
READ_AT_ONCE = {
    "floats": tiff(GREY / np.float32(255)),
    "bits": tiff(GREY > 127, photometric="minisblack"),
    "five samples": tiff(np.dstack([RGBA, GREY]), photometric="rgb", extrasamples=["unspecified"] * 2),
    "signed": tiff(GREY.astype(np.int16)),
    "inks": tiff(RGBA, photometric="separated"),
}


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch):
    """Read by rows whatever can be, a few at a time."""
    monkeypatch.setattr(by_rows, "SMALLEST", 1)
    monkeypatch.setattr(by_rows, "_ROWS_AT_ONCE_BYTES", 6 * 4 * WIDTH)
    monkeypatch.setattr(bands, "_BAND_BYTES", 14 * WIDTH)


@pytest.fixture
def by_hand(tmp_path):
    def write(kind):
        path = tmp_path / "x.image"
        (READ | READ_AT_ONCE)[kind](path)
        return path

    return write


def at_once(monkeypatch, function, *args, **options):
    with monkeypatch.context() as patch:
        patch.setattr(by_rows, "SMALLEST", 1 << 40)
        return function(*args, **options)


@pytest.mark.parametrize("kind", READ)
def test_grey_values_are_those_of_reading_at_once(by_hand, kind):
    path = by_hand(kind)
    picture, whole = open_rows(path), read_image(path)
    blocks = list(picture.grey.blocks())
    assert len(blocks) > 8
    np.testing.assert_array_equal(np.concatenate(blocks), whole.grey)
    assert picture.grey.shape == whole.grey.shape
    for name in ("name", "input_size", "exif_orientation", "n_pages", "label", "left_out"):
        assert getattr(picture, name) == getattr(whole, name)


@pytest.mark.parametrize("kind", READ_AT_ONCE)
def test_other_kinds_are_read_at_once(by_hand, kind):
    assert open_rows(by_hand(kind)) is None


@pytest.mark.parametrize("kind", ["compressed tiles", "16 bits", "JPEG in colour", "PPM"])
@pytest.mark.parametrize("options", [{}, {"max_features": 40}, {"first_octave": 0}, {"threads": 1}])
def test_features_have_the_same_bytes(monkeypatch, by_hand, tmp_path, kind, options):
    path = by_hand(kind)
    expected = at_once(monkeypatch, siftcli.detect, path, **options)
    assert len(expected) > 20
    assert npz.encode(siftcli.detect(path, **options)) == npz.encode(expected)


def test_each_segment_is_decoded_once_a_pass_and_by_another_thread(monkeypatch, by_hand):
    asked, threads, read = [], set(), bands.read_pixels

    def remember(tags, content, wanted):
        asked.append(wanted)
        threads.add(threading.current_thread().name)
        return read(tags, content, wanted)

    monkeypatch.setattr(bands, "read_pixels", remember)
    siftcli.detect(by_hand("compressed tiles"), max_features=40)
    first = asked.count((0, 1))
    assert first in (2, 3)  # the noise, the keypoints, and if an octave was large their descriptors
    assert asked == [(n, n + 1) for n in range(5)] * first
    assert all(name.startswith("siftcli-decoder") for name in threads)
    assert not [t for t in threading.enumerate() if t.name.startswith("siftcli-decoder")]


def test_what_needs_the_whole_picture_reads_it_at_once(monkeypatch, by_hand, tmp_path):
    path = by_hand("tiles")
    mask = np.zeros_like(GREY)
    mask[30:, 20:] = 1

    def refuse(*_args):
        raise AssertionError("read by rows")

    monkeypatch.setattr(by_rows.GreyRows, "blocks", refuse)
    for options in (
        {"mask": mask},
        {"max_image_size": 100},
        {"stretch": "minmax"},
        {"nodata": 3},
        {"views": 1},
    ):
        expected = at_once(monkeypatch, siftcli.detect, path, **options)
        assert npz.encode(siftcli.detect(path, **options)) == npz.encode(expected)
    assert run(["detect", str(path), "-o", str(tmp_path / "x.npz"), "--draw", str(tmp_path / "x.png")]) == 0
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_a_largest_size_that_does_not_reduce_changes_nothing(by_hand):
    assert open_rows(by_hand("tiles"), max_image_size=HEIGHT) is not None


@pytest.mark.parametrize("orientation", [1, 6])
def test_exif_orientation(monkeypatch, tmp_path, orientation):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, GREY, extratags=[(274, "H", 1, orientation, True)])
    assert (open_rows(path) is None) == (orientation == 6)
    assert open_rows(path, exif_orientation="ignore") is not None
    expected = at_once(monkeypatch, siftcli.detect, path)
    assert npz.encode(siftcli.detect(path)) == npz.encode(expected)


def test_pages(monkeypatch, tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.stack([GREY, GREY[::-1]]), photometric="minisblack")
    picture = open_rows(path, page=1)
    np.testing.assert_array_equal(np.concatenate(list(picture.grey.blocks())), read_image(path, page=1).grey)
    assert picture.n_pages == 2
    with pytest.raises(InputError, match="expected a page from 1 to 2, got 3"):
        siftcli.detect(path, page=3)


def test_the_command_gives_the_file_of_reading_at_once(monkeypatch, by_hand, tmp_path):
    path = by_hand("compressed tiles")
    opened = []

    def remember(*args, **options):
        opened.append(open_rows(*args, **options))
        return opened[-1]

    monkeypatch.setattr(detect_image, "open_rows", remember)
    assert run(["detect", str(path), "-o", str(tmp_path / "rows.npz")]) == 0
    assert opened[0] is not None
    assert at_once(monkeypatch, run, ["detect", str(path), "-o", str(tmp_path / "once.npz")]) == 0
    assert opened[1] is None
    assert (tmp_path / "rows.npz").read_bytes() == (tmp_path / "once.npz").read_bytes()


def test_a_faint_picture_is_told(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "x.tif", 100 + GREY // 32)
    assert run(["detect", str(tmp_path / "x.tif"), "-o", str(tmp_path / "x.npz")]) == 0
    assert "--stretch" in capsys.readouterr().err


# --- files that are damaged or change ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["compressed tiles", "strips of a row", "one strip", "PGM", "JPEG"])
def test_a_file_that_is_cut_off_says_what_reading_at_once_says(monkeypatch, by_hand, kind):
    path = by_hand(kind)
    data = path.read_bytes()
    for n in (3, 9, len(data) // 2, len(data) - 2000):
        path.write_bytes(data[:n])
        with pytest.raises(InputError) as expected:
            at_once(monkeypatch, siftcli.detect, path)
        with pytest.raises(InputError) as found:
            siftcli.detect(path)
        assert str(found.value) == str(expected.value)


def test_damaged_samples_are_told_with_the_name(by_hand):
    path = by_hand("compressed tiles")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        offsets, sizes = (getattr(file.pages[0], name) for name in ("dataoffsets", "databytecounts"))
    data[offsets[-1] : offsets[-1] + sizes[-1]] = bytes(sizes[-1])
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"x\.image: the image is truncated or damaged"):
        siftcli.detect(path)


def test_samples_above_the_maximum_of_a_pgm(by_hand):
    path = by_hand("a PGM of 7 bits")
    data = path.read_bytes()
    path.write_bytes(data[:-5] + b"\xff" * 5)
    with pytest.raises(InputError, match=r"x\.image: a sample of 255 exceeds the maximum 127 it states"):
        siftcli.detect(path)


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_file_that_changes_is_told(by_hand, when):
    path = by_hand("tiles")
    rows = open_rows(path).grey
    blocks = rows.blocks()
    if when == "during":
        next(blocks)
    with path.open("r+b") as file:
        file.seek(0, 2)
        file.write(b"more")
    with pytest.raises(InputError, match=r"x\.image: the file has changed while it was read; try again"):
        list(blocks)


def test_pipes_and_folders_are_left_to_reading_at_once(tmp_path):
    assert open_rows(tmp_path) is None
    assert open_rows(tmp_path / "none") is None
    assert open_rows("/dev/null") is None
    assert open_rows(GREY) is None
    assert open_rows("-") is None
    os.mkfifo(tmp_path / "pipe")
    data = io.BytesIO()
    tifffile.imwrite(data, GREY)
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data.getvalue(),))
    writer.start()  # it waits for who opens the pipe, and would fail if that one closed it again
    assert open_rows(tmp_path / "pipe") is None
    assert siftcli.detect(tmp_path / "pipe").image_size == (WIDTH, HEIGHT)
    writer.join()


# --- memory ------------------------------------------------------------------------------------------------


PEAK = """
import sys, siftcli
from siftcli.image import by_rows
from siftcli.system.memory import peak_memory
by_rows.SMALLEST = int(sys.argv[3])
siftcli.detect(sys.argv[1], threads=1, max_features=1000)
before = peak_memory()
siftcli.detect(sys.argv[2], threads=1, max_features=1000)
print(peak_memory() - before)
"""


def _peak_of(small, path, smallest):
    command = [sys.executable, "-c", PEAK, small, path, str(smallest)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_high_picture_takes_no_more_memory_than_was_estimated(tmp_path):
    from siftcli.detection import working_bytes

    small, path = tmp_path / "small.tif", tmp_path / "x.tif"
    image = np.tile(np.rint(texture((500, 500)) * 255).astype(np.uint8), (24, 3))
    for file, pixels in ((small, image[:400, :400]), (path, image)):
        tifffile.imwrite(file, pixels, compression="zlib", tile=(128, 128))
    rows = open_rows(path).grey
    by_rows_bytes, at_once_bytes = (_peak_of(small, path, smallest) for smallest in (1, 1 << 40))
    estimated = working_bytes(rows.shape, siftcli.SiftParams(), rows)
    # This texture has a keypoint in 80 pixels, of 200 bytes until they are chosen. A tenth, and 16 MB, for
    # what does not grow with the image and for the allocator.
    assert by_rows_bytes < 1.1 * estimated + 200 * image.size / 80 + (16 << 20)
    assert at_once_bytes - by_rows_bytes > 2 * image.size
