"""Reading images and masks."""

import os
import re
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from zlib import crc32

import cv2
import hostile
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from siftcli._cv2 import import_cv2
from siftcli.errors import InputError, MissingDependencyError, ParameterError
from siftcli.features import Features
from siftcli.image import png, png_pillow, pnm, read_image, read_mask
from siftcli.image.decoded import BadImageError
from siftcli.image.quiet import quiet_decoders

RNG = np.random.default_rng(2)
RGB = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
RGB16 = RNG.integers(0, 65536, (6, 9, 3), dtype=np.uint16)
ORIENTATION = 0x0112


def expected_grey(rgb, full_scale):
    r, g, b = np.moveaxis(rgb.astype(np.float64), -1, 0)
    return (0.299 * r + 0.587 * g + 0.114 * b) / full_scale


def save_with_orientation(path, array, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(array).save(path, exif=exif)


def coloured(height=40, width=60):
    """Smooth colours, most of them far from grey."""
    y, x = np.mgrid[:height, :width]
    return np.stack([5 * y, 4 * x, 255 - 3 * y - 2 * x], axis=2).clip(0, 255).astype(np.uint8)


def features_at(xy, scale, size):
    n = len(xy)
    return Features(
        xy=xy,
        scale=scale,
        orientation=np.zeros(n),
        response=np.ones(n),
        sign=np.ones(n),
        octave=np.zeros(n),
        descriptors=np.zeros((n, 128)),
        image_size=size,
    )


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_the_luminance_of_a_jpeg_is_taken_as_it_is_stored(tmp_path, options):
    path = tmp_path / "x.jpg"
    Image.fromarray(coloured()).save(path, quality=90, **options)
    stored = imagecodecs.jpeg8_decode(path.read_bytes(), outcolorspace="GRAYSCALE")
    grey = read_image(path).grey
    np.testing.assert_array_equal(grey, np.divide(stored, np.float32(255)))
    # It is the grey of the colours, but for their rounding, and those that are clipped.
    assert np.median(np.abs(255 * grey - 255 * expected_grey(np.asarray(Image.open(path)), 255))) < 0.5


@pytest.mark.parametrize("has_marker", [True, False])
def test_a_jpeg_that_stores_red_green_and_blue_keeps_their_grey(tmp_path, has_marker):
    path = tmp_path / "x.jpg"
    Image.fromarray(coloured()).save(path, quality=90, keep_rgb=True)
    data = path.read_bytes()
    marker = data.index(b"\xff\xee")
    (n,) = struct.unpack_from(">H", data, marker + 2)
    assert data[marker + 4 : marker + 9] == b"Adobe"
    if not has_marker:  # the components are called R, G and B
        path.write_bytes(data[:marker] + data[marker + 2 + n :])
    colours = np.asarray(Image.open(path))
    assert np.abs(colours.astype(int) - coloured()).max() < 30
    np.testing.assert_allclose(read_image(path).grey, expected_grey(colours, 255), atol=1e-7)


def test_a_jpeg_of_which_only_colours_are_missing_is_refused(tmp_path):
    path = tmp_path / "x.jpg"
    noise = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, quality=90, progressive=True)
    head, *scans = re.split(rb"(?=\xff\xc4)", path.read_bytes()[:-2])  # each with its tables
    luminance = next(i for i in range(len(scans) - 1, 0, -1) if b"\xff\xda\x00\x08\x01\x01" in scans[i])
    assert luminance == len(scans) - 1
    whole = head + b"".join([*scans[:-2], scans[-1], scans[-2]])  # now the last scan is of a colour
    path.write_bytes(whole + b"\xff\xd9")
    grey = read_image(path).grey
    path.write_bytes(whole)
    np.testing.assert_array_equal(read_image(path).grey, grey)
    path.write_bytes(whole[:-20])
    with pytest.raises(InputError, match="a part of its last scan is missing"):
        read_image(path)


def test_nodata_of_a_jpeg_is_a_value_of_all_colours(tmp_path):
    path = tmp_path / "x.jpg"
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:16] = (0, 255, 0)  # blocks of one colour, which are decoded as they were
    Image.fromarray(picture).save(path, quality=100, subsampling=0)
    colours = np.asarray(Image.open(path))
    assert not (colours[:16] == 0).all(axis=2).any()
    left_out = read_image(path, nodata=0).left_out
    np.testing.assert_array_equal(left_out, (colours == 0).all(axis=2))


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "ppm"])
def test_lossless_colour_files_give_unrounded_601_grey(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(RGB).save(path)
    picture = read_image(path)
    # 1e-7: half a unit in the last place of a float32 below 1
    np.testing.assert_allclose(picture.grey, expected_grey(RGB, 255), rtol=0, atol=1e-7)
    assert picture.grey.dtype == np.float32
    assert picture.grey.flags.c_contiguous
    assert (picture.name, picture.input_size, picture.exif_orientation) == (path.name, (9, 6), 1)


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_files_are_near(tmp_path, suffix):
    smooth = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None], 48, axis=0)
    Image.fromarray(smooth).save(tmp_path / f"x.{suffix}", quality=95)
    # 4 levels: the loss of compression at this quality
    np.testing.assert_allclose(read_image(tmp_path / f"x.{suffix}").grey, smooth / 255, atol=4 / 255)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK"])
def test_8_bit_modes(tmp_path, mode):
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    image = Image.fromarray(RGB).convert(mode)
    image.save(path)
    rgb = np.asarray(image.convert("RGB"))
    np.testing.assert_allclose(read_image(path).grey, expected_grey(rgb, 255), rtol=0, atol=1e-7)


def test_an_equal_rgb_image_is_exactly_the_grey_one():
    for values in (np.arange(256, dtype=np.uint8)[None], np.arange(65536, dtype=np.uint16)[None]):
        np.testing.assert_array_equal(read_image(np.dstack([values] * 3)).grey, read_image(values).grey)


@pytest.mark.parametrize("array", [RGB, RGB16, (RGB16 / 65535).astype(np.float32)], ids=["u8", "u16", "f32"])
def test_grey_commutes_exactly_with_turning(array):
    for k in range(4):
        turned = read_image(np.rot90(array, k)).grey
        np.testing.assert_array_equal(turned, np.rot90(read_image(array).grey, k))


@pytest.mark.parametrize("suffix", ["png", "tif", "ppm"])
def test_16_bit_precision_is_kept(tmp_path, suffix):
    path = str(tmp_path / f"x.{suffix}")
    assert cv2.imwrite(path, RGB16[:, :, ::-1])
    np.testing.assert_array_equal(read_image(path).grey, read_image(RGB16).grey)
    np.testing.assert_allclose(read_image(path).grey, expected_grey(RGB16, 65535), rtol=0, atol=1e-7)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_neighbouring_16_bit_values_differ(tmp_path, suffix):
    path = str(tmp_path / f"x.{suffix}")
    assert cv2.imwrite(path, np.array([[30000, 30001]], np.uint16))
    low, high = read_image(path).grey[0]
    # a float32 near 0.46 has steps of 3e-8
    assert high - low == pytest.approx(1 / 65535, abs=6e-8)


@pytest.mark.parametrize("array", [RGB16 / 65535, (RGB16 / 65535)[..., 0]], ids=["rgb", "grey"])
def test_float_tiff_is_taken_as_it_is(tmp_path, array):
    path = str(tmp_path / "x.tif")
    array = array.astype(np.float32)
    assert cv2.imwrite(path, array[:, :, ::-1] if array.ndim == 3 else array)
    np.testing.assert_array_equal(read_image(path).grey, read_image(array).grey)


@pytest.mark.parametrize("header", [b"P2\n# a comment\n3 1\n1000\n", b"P5 3 1 1000\n"])
def test_pgm_is_divided_by_the_maximum_it_states(tmp_path, header):
    path = tmp_path / "x.pgm"
    values = [0, 500, 1000]
    body = b"0 500\n1000\n" if header[1:2] == b"2" else struct.pack(">3H", *values)
    path.write_bytes(header + body)
    np.testing.assert_array_equal(read_image(path).grey, np.array([[0, 0.5, 1]], np.float32))


def test_hidden_colour_of_transparent_pixels_has_no_effect():
    rgba = np.dstack([RGB, np.zeros(RGB.shape[:2], np.uint8)])
    np.testing.assert_array_equal(read_image(rgba).grey, 1)
    rgba[..., 3] = 255
    np.testing.assert_array_equal(read_image(rgba).grey, read_image(RGB).grey)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["8.png", "8.tif", "8.jpg", "16.tif", "16.png"])
def test_exif_orientation(tmp_path, name, orientation):
    path = tmp_path / name
    array = RGB16[..., 0] if name.startswith("16") else RGB[..., 0]
    save_with_orientation(path, array, orientation)
    stored = read_image(path, exif_orientation="ignore")
    turned = read_image(path)
    assert stored.exif_orientation == 1
    assert turned.exif_orientation == orientation
    if name != "8.jpg":
        np.testing.assert_array_equal(stored.grey, read_image(array).grey)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    shown = Image.fromarray(stored.grey)
    shown.info["exif"] = exif.tobytes()
    np.testing.assert_array_equal(turned.grey, np.asarray(ImageOps.exif_transpose(shown)))
    assert turned.input_size == turned.grey.shape[::-1]


def test_first_frame_of_several(tmp_path):
    frames = [Image.fromarray(RGB[..., i]) for i in range(3)]
    frames[0].save(tmp_path / "x.tif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif").grey, read_image(RGB[..., 0]).grey)


def test_pages_of_a_stack_and_of_an_array(tmp_path):
    frames = [Image.fromarray(RGB[..., i]) for i in range(3)]
    for name in ("x.tif", "x.png", "x.webp"):
        options = {"lossless": True} if name == "x.webp" else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        for page in range(3):
            picture = read_image(tmp_path / name, page=page)
            np.testing.assert_array_equal(picture.grey, read_image(RGB[..., page]).grey)
            assert picture.n_pages == 3
        for page in (-1, 3, 400):
            with pytest.raises(InputError, match=rf"a page from 1 to 3, got {page + 1};"):
                read_image(tmp_path / name, page=page)
    assert read_image(RGB).n_pages == 1
    with pytest.raises(InputError, match="one page"):
        read_image(RGB, page=1)


ONE_PAGE = ("grey.jpg", "12-bit.jpg", "rgb.bmp", "masks.bmp", "grey.pgm", "rgb.jp2", "rgb.jxl", "rgb.avif")


@pytest.mark.parametrize("name", [*ONE_PAGE, "rgb.heic", "camera.dng", "deep.png", "bit.pbm"])
def test_a_second_page_of_a_file_that_has_one(tmp_path, name):
    (tmp_path / name).write_bytes(hostile.seeds()[name])
    with pytest.raises(InputError, match="a page from 1 to 1, got 2"):
        read_image(tmp_path / name, page=1)


def test_gain_maps_previews_and_lost_pictures_in_a_jpeg_are_no_pages(tmp_path):
    first, second = Image.fromarray(RGB), Image.fromarray(RGB[::-1])
    for name, other, n_pages in (
        ("view", second, 2),
        ("gain map", second.convert("L"), 1),
        ("preview", second.resize((5, 3)), 1),
    ):
        first.save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=[other])
        assert read_image(tmp_path / "x.jpg").n_pages == n_pages, name
        second.save(tmp_path / "y.jpg")
        if n_pages == 2:
            np.testing.assert_array_equal(
                read_image(tmp_path / "x.jpg", page=1).grey, read_image(tmp_path / "y.jpg").grey
            )
    # The list of pictures stays behind when a program keeps but the first of them.
    data = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").write_bytes(data[: data.index(b"\xff\xd9", 10) + 2])
    assert read_image(tmp_path / "x.jpg").n_pages == 1


def test_a_raw_picture_is_developed_and_its_thumbnail_left(tmp_path):
    ramp = np.add.outer(np.arange(60), np.arange(80)) / 138
    (tmp_path / "x.dng").write_bytes(hostile.camera_raw(np.rint(ramp * 65535).astype(np.uint16)))
    picture = read_image(tmp_path / "x.dng")
    assert (picture.input_size, picture.n_pages) == ((80, 60), 1)
    # BT.709's transfer function; the demosaicing averages neighbours, which differ by 1 / 138.
    curve = np.where(ramp < 0.018, 4.5 * ramp, 1.099 * ramp**0.45 - 0.099)
    np.testing.assert_allclose(picture.grey[4:-4, 4:-4], curve[4:-4, 4:-4], atol=0.02)
    np.testing.assert_array_equal(read_image(tmp_path / "x.dng").grey, picture.grey)


@pytest.mark.parametrize(
    ("name", "package", "extra"), [("rgb.heic", "pillow_heif", "heif"), ("camera.dng", "rawpy", "raw")]
)
def test_a_missing_extra_is_named(tmp_path, monkeypatch, name, package, extra):
    (tmp_path / name).write_bytes(hostile.seeds()[name])
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"{name}: a .* cannot be read; pip install 'siftcli\[{extra}\]'"):
        read_image(tmp_path / name)


def test_near_infrared_is_no_alpha_even_in_a_mask(tmp_path):
    bands = np.dstack([RGB, np.zeros(RGB.shape[:2], np.uint8)])
    tifffile.imwrite(tmp_path / "x.tif", bands, photometric="rgb", extrasamples=[0], planarconfig="contig")
    assert read_mask(tmp_path / "x.tif", read_image(RGB)).all()
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif").grey, read_image(RGB).grey)


def test_the_content_tells_the_format_not_the_suffix(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "x.bin", "PNG")
    assert read_image(tmp_path / "x.bin").input_size == (9, 6)


# --- what is refused -----------------------------------------------------------------------------------


def test_missing_empty_folder_and_text(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not an image")
    for name, said in {
        "none.png": "no such file",
        "empty.png": "empty file",
        "text.png": "something else",
        ".": "a folder",
    }.items():
        with pytest.raises(InputError, match=said) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        read_image("nul\0.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "bmp", "pgm"])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_truncated_files_are_refused(tmp_path, suffix, depth, share):
    if depth == 16 and suffix in ("jpg", "webp", "bmp"):
        depth = 8
    noise = RNG.integers(0, 2**depth, (80, 90)).astype(np.uint8 if depth == 8 else np.uint16)
    path = tmp_path / f"x.{suffix}"
    assert cv2.imwrite(str(path), noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError):
        read_image(path)


def test_pixel_limit_is_checked_before_decoding(tmp_path, monkeypatch):
    (tmp_path / "huge.pgm").write_bytes(b"P5 100000 100000 255\n")
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", b"\0" * 9))
    ]
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    for name in ("huge.pgm", "huge.png"):
        with pytest.raises(InputError, match="200 megapixels"):
            read_image(tmp_path / name)
    Image.fromarray(RGB).save(tmp_path / "x.png")
    monkeypatch.setenv("SIFTCLI_MAX_PIXELS", "53")
    with pytest.raises(InputError, match="9 x 6"):
        read_image(tmp_path / "x.png")


def hostile_file(tmp_path, name):
    (case,) = [case for case in hostile.lying_headers() if case.name == name]
    path = tmp_path / name
    path.write_bytes(case.data)
    return path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("two-headers-16.png", "200 megapixels"),
        ("two-sizes-4.tif", "tag 256 twice"),
        ("two-sizes-30000.tif", "tag 256 twice"),
        ("huge-tile-8.tif", "60000 x 60000"),
        ("huge-tile-16.tif", "60000 x 60000"),
        ("30000x6000-8.tif", "truncated or damaged"),  # beyond Pillow's own limit, but not ours
    ],
)
def test_sizes_that_only_one_decoder_would_see(tmp_path, name, said):
    with pytest.raises(InputError, match=said):
        read_image(hostile_file(tmp_path, name))


def test_a_smaller_second_header_does_not_hide_the_first(tmp_path):
    headers = hostile.png_header(40, 40, 16) + hostile.png_header(2, 2, 16)
    data = hostile.png_chunk(b"IDAT", zlib.compress(bytes(10))) + hostile.png_chunk(b"IEND", b"")
    (tmp_path / "x.png").write_bytes(hostile.PNG_MAGIC + headers + data)
    with pytest.raises(InputError, match="two sizes"):
        read_image(tmp_path / "x.png")


def test_deep_tiffs_in_which_white_is_zero(tmp_path):
    values = np.array([[0, 1000, 65535]], np.uint16)
    tags = [(256, 3, 3), (257, 3, 1), (258, 3, 16), (259, 3, 1), (262, 3, 0), (273, 4, 8 + 2 + 12 * 9 + 4)]
    tags += [(277, 3, 1), (278, 3, 1), (279, 4, 6)]
    data = hostile.tiff_file(tags)
    (tmp_path / "x.tif").write_bytes(data[: tags[5][2]] + values.tobytes() + data[tags[5][2] + 6 :])
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif").grey, read_image(65535 - values).grey)


def test_an_address_that_no_file_has(tmp_path):
    (tmp_path / "x.tif").write_bytes(b"II+\0" + bytes(4) + (1 << 63).to_bytes(8, "little"))
    with pytest.raises(InputError, match="cut off or damaged"):
        read_image(tmp_path / "x.tif")


@pytest.mark.parametrize("part_bytes", [1, 7, 1 << 20])
def test_plain_samples_are_the_same_in_any_parts(tmp_path, monkeypatch, part_bytes):
    monkeypatch.setattr(pnm, "_PART_BYTES", part_bytes)
    (tmp_path / "x.pgm").write_bytes(hostile.seeds()["plain.pgm"] + b" 7 7 7")
    np.testing.assert_array_equal(read_image(tmp_path / "x.pgm").grey, read_image(hostile.GREY).grey)


def test_decoders_are_silent_only_while_they_decode(tmp_path, capfd):
    with quiet_decoders():
        os.write(2, b"from a decoder")
        warnings.warn("from Pillow", stacklevel=1)
    os.write(2, b"from siftcli")
    assert capfd.readouterr().err == "from siftcli"


def test_two_threads_that_decode_leave_the_standard_error_as_it_was(capfd):
    inside, first_left = threading.Event(), threading.Event()

    def second():
        with quiet_decoders():
            inside.set()
            assert first_left.wait(60)
            os.write(2, b"from a decoder")

    thread = threading.Thread(target=second)
    with quiet_decoders():
        thread.start()
        assert inside.wait(60)
    first_left.set()
    thread.join()
    os.write(2, b"from siftcli")
    assert capfd.readouterr().err == "from siftcli"


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full((4, 4), np.nan), "NaN"),
        (np.full((4, 4), np.inf), "infinity"),
        (np.full((4, 4), 200.0), "divide"),
        (np.zeros((4, 4), np.int32), "int32"),
        (np.zeros((4, 4, 5), np.uint8), "shape"),
        (np.zeros((0, 4), np.uint8), "shape"),
        (np.zeros(4, np.uint8), "shape"),
        (np.array([["a"]]), "U1"),
    ],
)
def test_arrays_that_are_no_images(array, said):
    with pytest.raises(InputError, match=said):
        read_image(array)


def test_options_out_of_range():
    for size in (15, 0, -3, 100.5, True):
        with pytest.raises(ParameterError, match="max_image_size"):
            read_image(RGB, max_image_size=size)
    with pytest.raises(ParameterError, match="exif_orientation"):
        read_image(RGB, exif_orientation="maybe")


@pytest.mark.parametrize("seed", range(40))
def test_damaged_files_are_read_or_refused_but_never_crash(tmp_path, seed):
    rng = np.random.default_rng(seed)
    suffix = ["png", "jpg", "tif", "webp", "bmp", "ppm"][seed % 6]
    path = tmp_path / f"x.{suffix}"
    cv2.imwrite(str(path), RGB16 if suffix == "tif" and seed % 4 < 2 else RGB)
    data = bytearray(path.read_bytes())
    for at in rng.integers(0, min(len(data), 300), 4):
        data[at] = rng.integers(256)
    path.write_bytes(data)
    try:
        assert read_image(path).grey.ndim == 2
    except InputError as error:
        assert "\n" not in str(error)


# --- what is imported ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rgb.png", "grey.jpg", "rgb.bmp", "lossy.webp", "deep.pgm"])
def test_common_images_are_read_by_pillow_alone(tmp_path, name):
    (tmp_path / name).write_bytes(hostile.seeds()[name])
    others = ("cv2", "tifffile", "imagecodecs", "pillow_heif", "rawpy")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({others})); from siftcli.image import read_image; "
        "print(read_image(sys.argv[1]).grey.shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / name], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(28, 36)"


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "rgb.jp2"])
def test_no_image_needs_opencv(tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(hostile.seeds()[name])
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert read_image(tmp_path / name).input_size == (36, 28)


def test_missing_opencv_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingDependencyError, match=r"libgl1 libglib2\.0-0.*headless"):
        import_cv2()


# --- reduction -----------------------------------------------------------------------------------------


def test_reduction_by_a_whole_factor_averages_blocks():
    grey = read_image(RNG.random((32, 64))).grey
    picture = read_image(grey, max_image_size=16)
    blocks = grey.astype(np.float64).reshape(8, 4, 16, 4).mean(axis=(1, 3))
    # 1e-6: sums of floats in another order
    np.testing.assert_allclose(picture.grey, blocks, rtol=0, atol=1e-6)
    assert picture.input_size == (64, 32)


def test_smaller_images_are_not_enlarged():
    picture = read_image(RGB, max_image_size=500)
    assert picture.grey.shape == (6, 9)
    found = features_at([[1, 2]], [3], (9, 6))
    assert picture.to_input_frame(found).xy.tolist() == [[1, 2]]


@pytest.mark.parametrize("shape", [(90, 131), (131, 90), (100, 100), (3, 400)])
def test_reduction_commutes_with_turning(shape):
    array = RNG.random(shape)
    once = read_image(array, max_image_size=37)
    assert max(once.grey.shape) == 37
    for k in range(4):
        turned = read_image(np.rot90(array, k), max_image_size=37)
        # 1e-6: sums from the other side
        np.testing.assert_allclose(turned.grey, np.rot90(once.grey, k), rtol=0, atol=1e-6)


def test_a_reduced_ramp_comes_back_to_input_pixels():
    ramp = np.broadcast_to(np.linspace(0, 1, 131), (90, 131))
    picture = read_image(ramp, max_image_size=37)
    columns = np.arange(37)
    found = features_at(np.stack([columns, columns * 0], axis=1), np.full(37, 2.0), (37, 25))
    back = picture.to_input_frame(found)
    # The mean of a ramp over a reduced pixel is its value at that pixel's centre, but for the share t of
    # a pixel at either edge, which counts at its own centre: t (1 - t) / 2 of 131 / 37 pixels.
    atol = 0.125 / (131 / 37) / 130 + 1e-6
    np.testing.assert_allclose(picture.grey[0], back.xy[:, 0] / 130, rtol=0, atol=atol)
    np.testing.assert_allclose(back.scale, 2 * 131 / 37, rtol=1e-6)
    assert back.image_size == (131, 90)


def test_require_size():
    picture = read_image(RGB)
    picture.require_size((9, 6))
    with pytest.raises(InputError, match=r"6 x 9.*9 x 6"):
        picture.require_size((6, 9))


# --- masks ---------------------------------------------------------------------------------------------


def test_mask_of_any_nonzero_channel():
    mask = np.zeros((6, 9, 3), np.uint8)
    mask[1, 2] = (0, 0, 1)
    allowed = read_mask(mask, read_image(RGB))
    assert np.argwhere(allowed).tolist() == [[1, 2]]
    transparent = np.dstack([np.full((6, 9, 3), 255, np.uint8), np.zeros((6, 9), np.uint8)])
    assert not read_mask(transparent, read_image(RGB)).any()


def test_mask_of_another_size_is_refused(tmp_path):
    Image.fromarray(RGB[:5]).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"mask\.png.*9 x 6.*9 x 5"):
        read_mask(tmp_path / "mask.png", read_image(RGB))


def test_mask_is_in_the_turned_frame(tmp_path):
    save_with_orientation(tmp_path / "x.png", RGB, 6)
    picture = read_image(tmp_path / "x.png")
    assert read_mask(np.ones((9, 6), bool), picture).all()
    with pytest.raises(InputError):
        read_mask(np.ones((6, 9), bool), picture)


def test_mask_is_reduced_with_its_picture():
    mask = np.zeros((90, 131), bool)
    mask[:, 66:] = True
    picture = read_image(np.zeros((90, 131)), max_image_size=37)
    allowed = read_mask(mask, picture)
    assert allowed.shape == picture.grey.shape
    centres = (np.arange(37) + 0.5) * 131 / 37
    np.testing.assert_array_equal(allowed[0], centres >= 66)


def test_every_grey_of_8_bit_colours_is_the_nearest_single_precision_number():
    # All sums of weighted channels that there are, in one image.
    values = np.arange(256, dtype=np.uint8)
    image = np.stack(np.broadcast_arrays(values[:, None], values[None, :], values[None, ::-1]), axis=2)
    for blue in (0, 1, 77, 255):
        image[:, :, 2] = blue
        exact = image.astype(np.float64) @ np.array([299.0, 587.0, 114.0]) / 255000
        np.testing.assert_array_equal(read_image(image).grey, exact.astype(np.float32))


def png_chunk(kind, body):
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
@pytest.mark.parametrize("damage", ["none", "bit", "end", "more", "filter", "gamma"])
def test_plain_png_is_as_pillow_shows_it(colour, damage):
    rng = np.random.default_rng(colour)
    n_channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    rows = rng.integers(0, 256, (13, 17 * n_channels), np.uint8)
    kinds = rng.integers(0, 5, (13, 1), np.uint8) + 9 * (damage == "filter")
    packed = bytearray(zlib.compress(np.hstack([kinds.astype(np.uint8), rows]).tobytes()))
    if damage == "bit":
        packed[len(packed) // 2] ^= 8
    if damage == "end":
        del packed[len(packed) // 2 :]
    if damage == "more":
        packed += b"abc"
    head = struct.pack(">IIBBBBB", 17, 13, 8, colour, 0, 0, 0)
    others = png_chunk(b"gAMA", (45455).to_bytes(4, "big")) if damage == "gamma" else b""
    body = png_chunk(b"IDAT", bytes(packed[:40])) + png_chunk(b"IDAT", bytes(packed[40:]))
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + others + body + png_chunk(b"IEND", b"")
    try:
        expected = png_pillow.decode_any(data)
    except BadImageError:
        with pytest.raises(BadImageError):
            png.decode_png(data)
    else:
        found = png.decode_png(data)
        np.testing.assert_array_equal(found.samples, expected.samples)
        assert (found.full_scale, found.exif_orientation, found.n_pages) == (255, 1, 1)


@pytest.mark.parametrize("kind", [b"eXIf", b"tEXt", b"iCCP", b"acTL", b"tRNS", b"pHYs"])
def test_png_with_what_pillow_looks_at_is_left_to_pillow(kind):
    data = bytearray(b"\x89PNG\r\n\x1a\n")
    head = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)
    for part in ((b"IHDR", head), (kind, b"abc"), (b"IDAT", zlib.compress(bytes(6))), (b"IEND", b"")):
        data += png_chunk(*part)
    assert not png._is_plain(bytes(data))
    assert png._is_plain(bytes(data).replace(png_chunk(kind, b"abc"), b""))
    assert not png._is_plain(bytes(data).replace(png_chunk(kind, b"abc"), b"") + b"\0")
