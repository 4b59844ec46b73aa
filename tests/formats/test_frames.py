"""Pictures are written as they were read: samples, axes, colour profile, resolution and spacing."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from siftcli.errors import InputError, OutputError
from siftcli.frames import tiff_writing
from siftcli.frames.encoding import encode
from siftcli.frames.reading import close_all, reader
from siftcli.frames.records import Metadata
from siftcli.frames.tiff_writing import TiffShape, write_tiff

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
IMAGEJ = {"axes": "TZCYX", "spacing": 0.7, "unit": "um", "finterval": 2.0, "mode": "composite"}
OME = {
    "axes": "TCYX",
    "PhysicalSizeX": 0.3,
    "PhysicalSizeXUnit": "µm",
    "PhysicalSizeY": 0.4,
    "TimeIncrement": 0.5,
    "Channel": {"Name": ["nuclei", "membrane"]},
}
PLAIN = {"metadata": None}
RGB = {**PLAIN, "photometric": "rgb"}
FILES = {
    "ImageJ hyperstack": (
        (3, 2, 3, 20, 30), "uint16", {"imagej": True, "metadata": IMAGEJ, "resolution": (2.5, 2.5)}
    ),
    "ImageJ RGB": ((4, 20, 30, 3), "uint8", {"imagej": True, "metadata": {"axes": "TYXS"}}),
    "ImageJ float": ((4, 20, 30), "float32", {"imagej": True, "metadata": {"axes": "ZYX"}}),
    "OME": ((3, 2, 20, 30), "float32", {"ome": True, "metadata": OME}),
    "plain float64": ((20, 30), "float64", {**PLAIN, "description": "field 7", "compression": "zlib"}),
    "plain tiled big-endian": (
        (20, 30, 4), "uint16", {**RGB, "extrasamples": ["unassalpha"], "tile": (16, 16), "byteorder": ">"}
    ),
    "associated alpha": ((20, 30, 4), "float32", {**RGB, "extrasamples": ["assocalpha"]}),
    "planar": ((3, 20, 30), "uint16", {**RGB, "planarconfig": "separate"}),
    "profile": ((20, 30, 3), "uint8", {**RGB, "iccprofile": PROFILE, "resolution": (300, 300)}),
    "shaped stack": ((5, 20, 30), "int16", {}),
    "shaped channels": (
        (5, 3, 20, 30), "uint8", {"metadata": {"axes": "TCYX"}, "compression": "zstd", "predictor": True}
    ),
    "signed 32": ((20, 30), "int32", PLAIN),
    "white is zero": ((20, 30), "uint8", {**PLAIN, "photometric": "miniswhite"}),
    "five bands": ((20, 30, 5), "uint16", {**PLAIN, "photometric": "minisblack", "planarconfig": "contig"}),
}  # fmt: skip
STRUCTURE = (258, 259, 262, 277, 282, 283, 284, 296, 317, 322, 323, 338, 339, 34675)
"""Tags that are as they were: bits, compression, colours, resolution, planes, predictor, tiles, profile."""


@pytest.fixture(autouse=True)
def closed():
    yield
    close_all()


def samples(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values = np.random.default_rng(0).random(shape)
    return (values * (np.iinfo(dtype).max if np.dtype(dtype).kind != "f" else 1)).astype(dtype)


def rewritten(path: Path) -> Path:
    opened = reader(str(path))
    layout = opened.layout
    frames = (opened.frame(i) for i in range(len(layout.sizes)))
    target = path.with_name("out.tif")
    write_tiff(target, frames, TiffShape.of(layout, layout.sizes[0], len(layout.sizes)), opened.metadata)
    return target


@pytest.mark.parametrize("kind", FILES)
def test_a_tiff_file_is_written_as_it_was_read(tmp_path, kind):
    shape, dtype, options = FILES[kind]
    path, data = tmp_path / "in.tif", samples(shape, dtype)
    tifffile.imwrite(path, data, **options)
    with tifffile.TiffFile(path) as before, tifffile.TiffFile(rewritten(path)) as after:
        found = after.asarray()
        assert found.dtype == data.dtype
        np.testing.assert_array_equal(found, data)
        assert after.byteorder == before.byteorder
        for code in STRUCTURE:
            old, new = (file.pages.first.tags.valueof(code) for file in (before, after))
            assert new == old, tifffile.TIFF.TAGS[code]
        assert (after.is_imagej, after.is_ome) == (before.is_imagej, before.is_ome)
        if before.is_imagej:
            assert after.imagej_metadata == before.imagej_metadata
            assert after.series[0].axes == before.series[0].axes
        if kind == "OME":
            pixels = [tifffile.xml2dict(f.ome_metadata)["OME"]["Image"]["Pixels"] for f in (before, after)]
            assert pixels[0] == pixels[1]
        if options.get("description"):
            assert after.pages.first.description == options["description"]


@pytest.mark.parametrize("kind", FILES)
def test_a_part_of_a_frame_is_that_part(tmp_path, kind):
    shape, dtype, options = FILES[kind]
    strips = {} if options.get("imagej") or "tile" in options else {"rowsperstrip": 4}
    tifffile.imwrite(tmp_path / "in.tif", samples(shape, dtype), **options, **strips)
    opened = reader(str(tmp_path / "in.tif"))
    last = len(opened.layout.sizes) - 1
    np.testing.assert_array_equal(opened.region(last, (3, 5, 9, 14)), opened.frame(last)[:, 5:14, 3:9])


def test_labels_and_ranges_of_imagej_are_kept(tmp_path):
    more = {"Labels": [f"slice {k}" for k in range(4)], "Ranges": (0.0, 900.0), "Info": "microscope 3"}
    tifffile.imwrite(
        tmp_path / "in.tif", samples((4, 20, 30), "uint16"), imagej=True, metadata={"axes": "ZYX", **more}
    )
    with tifffile.TiffFile(rewritten(tmp_path / "in.tif")) as file:
        assert {key: file.imagej_metadata[key] for key in more} == more


def test_frames_that_were_left_out_shorten_the_first_axis():
    layout = reader_layout((3, 2, 20, 30), "TZ", (3, 2))
    assert TiffShape.of(layout, (30, 20), 6).shape == (3, 2)
    assert (TiffShape.of(layout, (30, 20), 5).axes, TiffShape.of(layout, (30, 20), 5).shape) == ("T", (5,))


def reader_layout(shape, axes, lengths):
    from siftcli.frames.records import Layout

    n = int(np.prod(lengths))
    return Layout(
        sizes=((shape[-1], shape[-2]),) * n, n_planes=1, n_samples=1, dtype="uint8", axes=axes, shape=lengths
    )


def test_pages_of_other_sizes_are_frames(tmp_path):
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        for width in (30, 31, 30):
            file.write(samples((20, width), "uint8"), metadata=None)
    layout = reader(str(tmp_path / "in.tif")).layout
    assert layout.sizes == ((30, 20), (31, 20), (30, 20))


def test_large_files_are_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff_writing, "BIGTIFF_BYTES", 1000)
    tifffile.imwrite(tmp_path / "in.tif", samples((5, 20, 30), "uint8"))
    with tifffile.TiffFile(rewritten(tmp_path / "in.tif")) as file:
        assert file.is_bigtiff and file.asarray().shape == (5, 20, 30)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("n_samples", [1, 2, 3, 4])
def test_a_png_keeps_samples_profile_and_resolution(dtype, n_samples):
    data = samples((1, 20, 30, n_samples), dtype)
    metadata = Metadata(format="png", icc=PROFILE, resolution=(300.0, 150.0))
    content = encode(data, metadata, "png", "straight" if n_samples in (2, 4) else "")
    with Image.open(io.BytesIO(content)) as image:
        assert image.info["icc_profile"] == PROFILE
        # PNG states whole pixels per metre.
        np.testing.assert_allclose(image.info["dpi"], (300, 150), atol=0.02)
    from siftcli.image.png import decode_png

    np.testing.assert_array_equal(decode_png(content).samples, data[0])


def test_a_jpeg_keeps_profile_resolution_and_exif(tmp_path):
    image = Image.fromarray(np.kron(samples((5, 6, 3), "uint8"), np.ones((8, 8, 1), np.uint8)))
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "maker", 6
    image.save(tmp_path / "a.jpg", quality=95, dpi=(72, 72), icc_profile=PROFILE, exif=exif)
    opened = reader(str(tmp_path / "a.jpg"))
    frame = opened.frame(0)
    assert opened.layout.sizes == ((40, 48),)  # turned as EXIF says
    with Image.open(io.BytesIO(encode(frame, opened.metadata, "jpeg"))) as again:
        assert again.info["icc_profile"] == PROFILE and again.info["dpi"] == (72, 72)
        assert again.getexif()[0x010F] == "maker" and 0x0112 not in again.getexif()
        assert np.abs(np.asarray(again).astype(int) - frame[0]).mean() < 4


@pytest.mark.parametrize(
    ("format", "dtype", "n_samples"),
    [
        ("png", "float32", 1),
        ("png", "uint8", 5),
        ("jpeg", "uint16", 1),
        ("jpeg", "uint8", 4),
        ("webp", "int16", 1),
    ],
)
def test_what_a_format_cannot_hold_is_refused(format, dtype, n_samples):
    with pytest.raises(OutputError, match="cannot hold"):
        encode(np.zeros((1, 8, 8, n_samples), dtype), Metadata(format=format), format)


@pytest.mark.parametrize("kind", ["palette", "bits", "cut", "empty"])
def test_tiff_files_that_cannot_be_kept_as_they_are(tmp_path, kind):
    path = tmp_path / "bad.tif"
    if kind == "palette":
        tifffile.imwrite(
            path, samples((20, 30), "uint8"), photometric="palette", colormap=np.zeros((3, 256), np.uint16)
        )
    elif kind == "bits":
        tifffile.imwrite(path, np.ones((20, 30), bool))
    elif kind == "cut":
        tifffile.imwrite(path, samples((20, 30), "uint8"), metadata=None)
        path.write_bytes(path.read_bytes()[:-300])
    else:
        path.write_bytes(b"II*\0")
    with pytest.raises(InputError, match=r"bad\.tif"):
        from siftcli.frames.reading import read_frame

        read_frame(str(path), 0)
