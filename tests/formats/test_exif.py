"""What is read from EXIF: as COLMAP reads it, and nothing of what is damaged."""

import math
import os
import struct

import numpy as np
import pytest
from photographs import GPS, SIZE, SYDNEY, SYDNEY_POSITION, angle, ratio, write_photograph
from PIL import ExifTags, Image

from siftcli.formats._colmap_camera import guessed
from siftcli.formats._exif import Exif, read_exif

pycolmap = pytest.importorskip("pycolmap")

INCH = {"focal": ratio(50), "resolution": ratio(254 * 6), "unit": 2}
"""50 mm at 60 pixels a mm."""
FULL = {"width": SIZE[0], "height": SIZE[1]}
SAME = 1e-6
"""COLMAP reads rationals as float32."""


def focal_of(path, size=SIZE):
    """Focal length of the guessed camera; None if it is only the default."""
    camera = guessed(size, str(path), "SIMPLE_PINHOLE")
    return np.frombuffer(camera.params)[0] if camera.prior_focal_length else None


# --- focal length ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"focal_35mm": 28}, 28 / 43.27 * math.hypot(*SIZE)),
        ({"focal_35mm": 28, **INCH, **FULL}, 28 / 43.27 * math.hypot(*SIZE)),
        ({"focal_35mm": 28, "width": 600, "height": 400}, 28 / 43.27 * math.hypot(*SIZE)),
        ({"focal_35mm": 0, **INCH, **FULL}, 3000),
        ({**INCH, **FULL}, 3000),
        (INCH, 3000),
        ({**INCH, "width": SIZE[0]}, 3000),
        ({**INCH, "resolution": ratio(600), "unit": 3, **FULL}, 3000),
        ({**INCH, "resolution": ratio(60), "unit": 4, **FULL}, 3000),
        ({**INCH, "resolution": ratio(6, 100), "unit": 5, **FULL}, 3000),
        ({**INCH, "focal": ratio(0), **FULL}, None),
        ({"focal": ratio(50), "resolution": ratio(1524), **FULL}, None),
        ({**INCH, "unit": 1, **FULL}, None),
        ({"focal": ratio(50), **FULL}, None),
        ({"resolution": ratio(1524), "unit": 2, **FULL}, None),
        ({}, None),
    ],
)
def test_focal_length_is_that_of_colmap(tmp_path, tags, expected):
    path = write_photograph(tmp_path / "a.jpg", **tags)
    theirs = pycolmap.infer_camera_from_image(path)
    assert theirs.has_prior_focal_length == (expected is not None)
    if expected is None:
        assert focal_of(path) is None
    else:
        assert focal_of(path) == pytest.approx(expected, rel=1e-12)
        assert theirs.focal_length == pytest.approx(expected, rel=SAME)


@pytest.mark.parametrize(
    "tags",
    [
        {**INCH, "width": 600, "height": 400},  # the picture is half of what the camera wrote
        {**INCH, "width": 300, "height": 300},
        {**INCH, "height": 201},
        {**INCH, "focal": ratio(50, 0), **FULL},
        {**INCH, "resolution": ratio(1524, 0), **FULL},
        {**INCH, "resolution": ratio(0, 0), **FULL},
        {**INCH, "resolution": ratio(0), **FULL},
    ],
)
def test_a_focal_length_in_pixels_of_another_picture_or_of_none_is_left_out(tmp_path, tags):
    """Where COLMAP takes what is infinite, zero, or of the size before a resize."""
    assert focal_of(write_photograph(tmp_path / "a.jpg", **tags)) is None


def test_a_focal_length_in_pixels_holds_after_a_quarter_turn(tmp_path):
    path = write_photograph(tmp_path / "a.jpg", size=(200, 300), **INCH, **FULL)
    assert focal_of(path, (200, 300)) == pytest.approx(3000)


def test_features_of_another_size_than_their_image_have_no_focal_length_in_pixels(tmp_path):
    path = write_photograph(tmp_path / "a.jpg", **INCH)
    assert focal_of(path, (150, 100)) is None


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_every_kind_of_file(tmp_path, suffix):
    path = write_photograph(tmp_path / f"a{suffix}", orientation=6, focal_35mm=28, gps=SYDNEY)
    exif = read_exif(str(path))
    assert (exif.orientation, exif.focal_35mm_mm, exif.sides) == (6, 28, (200, 300))
    assert exif.position == pytest.approx(SYDNEY_POSITION, rel=1e-12)


def test_the_pixels_of_a_png_are_not_decoded_for_its_tags(tmp_path):
    path = write_photograph(tmp_path / "a.png", orientation=6, focal_35mm=28)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"IDAT") + 4])
    assert read_exif(str(path)).focal_35mm_mm == 28


def test_a_picture_above_pillows_limit(tmp_path, monkeypatch):
    path = write_photograph(tmp_path / "a.jpg", focal_35mm=28)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read_exif(str(path)).focal_35mm_mm == 28
    assert Image.MAX_IMAGE_PIXELS == 100


# --- position and orientation ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, SYDNEY_POSITION),
        ({"north": "N", "east": "W"}, (-SYDNEY_POSITION[0], -SYDNEY_POSITION[1], 123.5)),
        ({"north": "s", "east": "e"}, SYDNEY_POSITION),
        ({"below": b"\1"}, (*SYDNEY_POSITION[:2], -123.5)),
        ({"below": None}, SYDNEY_POSITION),
        ({"latitude": None}, None),
        ({"longitude": None}, None),
        ({"altitude": None}, None),
        ({"latitude": (ratio(33), ratio(51), ratio(0, 0))}, None),
        ({"altitude": ratio(5, 0)}, None),
        ({"latitude": (ratio(33), ratio(51))}, None),
    ],
)
def test_position_is_that_of_colmap(tmp_path, changes, expected):
    gps = {name: value for name, value in {**SYDNEY, **changes}.items() if value is not None}
    path = write_photograph(tmp_path / "a.jpg", gps=gps)
    image = pycolmap.Bitmap.read(path, True)
    theirs = (image.exif_latitude(), image.exif_longitude(), image.exif_altitude())
    found = read_exif(str(path)).position
    if expected is None:
        assert found is None
        assert None in theirs or not all(map(math.isfinite, theirs))
    else:
        assert found == pytest.approx(expected, rel=1e-12)
        assert theirs == found


@pytest.mark.parametrize(
    "changes",
    [
        {"north": None},  # which half of the earth?
        {"east": "X"},
        {"latitude": angle(91, 0, 0)},
        {"longitude": angle(180, 0, 1)},
        {"latitude": angle(0, 0, 0), "longitude": angle(0, 0, 0), "altitude": ratio(0)},  # no fix yet
    ],
)
def test_a_position_that_cannot_be_is_none(tmp_path, changes):
    gps = {name: value for name, value in {**SYDNEY, **changes}.items() if value is not None}
    assert read_exif(str(write_photograph(tmp_path / "a.jpg", gps=gps))).position is None


def test_more_digits_than_float32_has_are_kept(tmp_path):
    gps = {**SYDNEY, "latitude": (ratio(338650891, 10_000_000), ratio(0), ratio(0))}
    position = read_exif(str(write_photograph(tmp_path / "a.jpg", gps=gps))).position
    assert position[0] == pytest.approx(-33.8650891, rel=1e-12)


@pytest.mark.parametrize("tag", [None, *range(10)])
def test_orientation_is_that_of_colmap(tmp_path, tag):
    path = write_photograph(tmp_path / "a.jpg", orientation=tag)
    found = read_exif(str(path)).orientation
    assert found == (tag if tag in range(1, 9) else None)
    theirs = pycolmap.Bitmap.read(path, True).exif_orientation()
    assert theirs == tag


# --- what is no EXIF -----------------------------------------------------------------------------------


def test_files_without_exif(tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    os.mkfifo(tmp_path / "pipe.jpg")  # would be waited for
    for name in ("missing.jpg", "text.jpg", "pipe.jpg", "", "x" * 5000):
        assert read_exif(str(tmp_path / name)) == Exif()
    assert read_exif(str(write_photograph(tmp_path / "a.jpg"))) == Exif(sides=(200, 300))


def test_damaged_exif_is_as_good_as_none(tmp_path):
    """Every byte of it replaced, one at a time, and the file cut: no error, only finite values."""
    path = write_photograph(
        tmp_path / "a.jpg", size=(16, 16), orientation=6, gps=SYDNEY, focal_35mm=28, **INCH
    )
    data = path.read_bytes()
    start = data.index(b"Exif\0\0") + 6
    (length,) = struct.unpack(">H", data[start - 8 : start - 6])
    other = tmp_path / "b.jpg"
    for i in range(start, start - 8 + length):
        for value in (0, 0x7F, 0xFF):
            other.write_bytes(data[:i] + bytes([value]) + data[i + 1 :])
            exif = read_exif(str(other))
            numbers = [
                n for n in (exif.focal_35mm_mm, exif.focal_px, *(exif.position or ())) if n is not None
            ]
            assert all(map(math.isfinite, numbers))
    for n in range(0, len(data), 7):
        other.write_bytes(data[:n])
        read_exif(str(other))


def altered(path, tag, kind, offset, new):
    """The file with other bytes at an offset into the entry (tag, type, count, value) of a tag."""
    data = path.read_bytes()
    order = "<" if b"Exif\0\0II" in data else ">"
    at = data.index(struct.pack(f"{order}HH", tag, kind), data.index(b"Exif\0\0") + 14) + offset
    value = struct.pack(order + {2: "H", 4: "I"}[len(new)], int.from_bytes(new, "big"))
    path.write_bytes(data[:at] + value + data[at + len(value) :])
    return path


def test_one_damaged_directory_leaves_the_other(tmp_path):
    path = write_photograph(tmp_path / "a.jpg", focal_35mm=28, gps=SYDNEY)
    exif = read_exif(str(altered(path, ExifTags.IFD.GPSInfo, 4, 8, b"\x7f\xff\xff\xff")))
    assert exif.position is None
    assert exif.focal_35mm_mm == 28


@pytest.mark.parametrize("kind", [b"\0\2", b"\0\7", b"\0\1", b"\xff\xff"])  # text, bytes, none such
def test_tags_of_another_type(tmp_path, kind):
    path = write_photograph(tmp_path / "a.jpg", gps=SYDNEY, focal_35mm=28, **INCH)
    for tag in (ExifTags.Base.FocalLength, ExifTags.Base.FocalPlaneXResolution, GPS["altitude"]):
        altered(path, tag, 5, 2, kind)
    exif = read_exif(str(path))
    assert (exif.focal_35mm_mm, exif.focal_px, exif.position) == (28, None, None)
