"""Generate hostile images: every format truncated, corrupted, or with false headers.

A case has a kind, a file name and the bytes. The cases are the same in every run.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import cv2
import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from conftest import texture
from PIL import Image

N_CUTS, N_FLIPS, N_FILLS, N_INSERTIONS = 14, 24, 6, 4
"""Number of cases of each kind that are made from every valid file."""
THIN = range(1, 41)
"""Lengths of the images with one row or column."""
THIN_KINDS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "bmp": "BMP", "pgm": "PPM"}
ORIENTATION, EXIF_POINTER = 0x0112, 0x8769


class Case(NamedTuple):
    """One file."""

    kind: str
    name: str
    data: bytes


def cases() -> Iterator[Case]:
    """Every case, in a fixed order."""
    for make in (whole_files, damaged_files, thin_images, lying_headers, broken_exif, odd_samples):
        yield from make()


# --- valid files -----------------------------------------------------------------------------------------

GREY = np.rint(texture((28, 36), seed=9, smoothness=0.8) * 255).astype(np.uint8)
RGB = np.dstack([GREY, GREY, GREY[::-1]])
DEEP = GREY.astype(np.uint16) * 257


def _pillow(array: np.ndarray, kind: str, mode: str | None = None, **options: object) -> bytes:
    image = Image.fromarray(array)
    buffer = io.BytesIO()
    (image if mode is None else image.convert(mode)).save(buffer, kind, **options)
    return buffer.getvalue()


def encoded(array: np.ndarray, suffix: str, *options: int) -> bytes:
    done, data = cv2.imencode(suffix, array, options)
    assert done
    return data.tobytes()


def _animated(kind: str) -> bytes:
    frames = [Image.fromarray(np.roll(RGB, i, axis=1)) for i in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def _plain_pnm(kind: bytes, array: np.ndarray, maximum: int | None) -> bytes:
    head = b"%s\n# a comment\n%d %d\n" % (kind, array.shape[1], array.shape[0])
    head += b"" if maximum is None else b"%d\n" % maximum
    return head + b"\n".join(b" ".join(b"%d" % value for value in row.ravel()) for row in array) + b"\n"


def _tiff(array: np.ndarray, photometric: str = "rgb", **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, photometric=photometric, metadata=None, **options)
    return buffer.getvalue()


TIFF_CODECS = ("lzw", "zstd", "lzma", "jpeg", "jpeg2000", "jpegxl", "webp", "png")
_WITHOUT_LOSS = {"jpeg2000": {"level": 0}, "jpegxl": {"lossless": True}, "webp": {"lossless": True}}


def _tiffs() -> dict[str, bytes]:
    """TIFF files with compressions, layouts and sample types that Pillow and OpenCV cannot write."""
    floats = (DEEP / 65535).astype(np.float16)
    codecs = {
        f"{codec}-tiles.tif": _tiff(
            RGB, tile=(16, 16), compression=codec, compressionargs=_WITHOUT_LOSS.get(codec)
        )
        for codec in TIFF_CODECS
    }
    return codecs | {
        "lerc.tif": _tiff(DEEP, "minisblack", compression="lerc"),
        "jpeg-strips.tif": _tiff(
            RGB, rowsperstrip=8, compression="jpeg", compressionargs={"outcolorspace": "ycbcr"}
        ),
        "predictor.tif": _tiff(DEEP, "minisblack", compression="deflate", predictor=True, byteorder=">"),
        "half.tif": _tiff(floats, "minisblack", compression="zstd", predictor=True),
        "planes.tif": _tiff(
            np.moveaxis(RGB, -1, 0), planarconfig="separate", compression="lzw", bigtiff=True
        ),
        "palette.tif": _tiff(
            GREY, "palette", colormap=np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
        ),
        "inks.tif": _tiff(np.dstack([RGB, GREY]), "separated"),
        "camera.dng": camera_raw(DEEP),
    }


def camera_raw(samples: np.ndarray) -> bytes:
    """A DNG file: a black thumbnail, and in its sub-directory the samples of a colour filter array."""
    camera = [(50706, 1, 4, bytes([1, 4, 0, 0]), True), (50708, 2, 5, "test", True), (50778, 3, 1, 21, True)]
    identity = [number for i in range(9) for number in (int(i % 4 == 0), 1)]
    camera += [(50721, 10, 9, identity, True), (50728, 5, 3, [1] * 6, True)]
    pattern = [
        (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, bytes([0, 1, 1, 2]), True),
        (50717, 4, 1, 65535, True),
    ]
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        small = np.zeros((*(n // 4 for n in samples.shape), 3), np.uint8)
        file.write(small, photometric="rgb", subfiletype=1, subifds=1, extratags=camera, metadata=None)
        file.write(samples, photometric="cfa", extratags=pattern, metadata=None)
    return buffer.getvalue()


def _newer() -> dict[str, bytes]:
    """JPEG with more than 8 bits, JPEG 2000, JPEG XL, AVIF, HEIC, a 16-bit animation, and bit masks."""
    heic = io.BytesIO()
    pillow_heif.from_bytes("RGB", RGB.shape[1::-1], RGB.tobytes()).save(heic)
    return {
        "12-bit.jpg": imagecodecs.jpeg_encode(DEEP >> 4, bitspersample=12),
        "lossless.jpg": imagecodecs.jpeg_encode(DEEP, bitspersample=16, lossless=True),
        "no-end.jpg": _pillow(RGB, "JPEG")[:-2],
        "no-end-progressive.jpg": _pillow(RGB, "JPEG", progressive=True)[:-2],
        "rgb.jp2": imagecodecs.jpeg2k_encode(RGB, level=0, codecformat="jp2"),
        "deep.j2k": imagecodecs.jpeg2k_encode(DEEP, level=0, codecformat="j2k"),
        "rgb.jxl": imagecodecs.jpegxl_encode(RGB, lossless=True),
        "lossy.jxl": imagecodecs.jpegxl_encode(RGB),
        "rgb.avif": _pillow(RGB, "AVIF"),
        "deep.avif": imagecodecs.avif_encode(np.dstack([DEEP] * 3) >> 6, bitspersample=10),
        "rgb.heic": heic.getvalue(),
        "deep-animation.png": imagecodecs.apng_encode(np.stack([DEEP, DEEP[::-1]])),
        "masks.bmp": _masked_bmp(),
    }


def _masked_bmp() -> bytes:
    height, width = GREY.shape
    body = (RGB.astype("<u2") >> 3) @ np.array([1 << 11, 1 << 6, 1], "<u2")
    masks = (0xF800, 0x07C0, 0x001F, 0)
    head = struct.pack("<IiiHHIIiiII4I", 56, width, -height, 1, 16, 3, body.nbytes, 0, 0, 0, 0, *masks)
    return b"BM" + struct.pack("<IHHI", 70 + body.nbytes, 0, 0, 70) + head + body.tobytes()


@cache
def seeds() -> dict[str, bytes]:
    """Name -> valid file, for each format with each of its sample types."""
    transparent = np.dstack([RGB, np.zeros_like(GREY)])
    floats = (DEEP / 65535).astype(np.float32)
    tiff = _tiffs() | {
        f"{c}.tif": _pillow(RGB, "TIFF", compression=c) for c in ("raw", "tiff_lzw", "tiff_deflate", "jpeg")
    }
    return (
        tiff
        | _newer()
        | {
            "grey.png": _pillow(GREY, "PNG"),
            "rgb.png": _pillow(RGB, "PNG"),
            "palette.png": _pillow(RGB, "PNG", "P"),
            "bit.png": _pillow(GREY, "PNG", "1"),
            "transparent.png": _pillow(transparent, "PNG"),
            "deep.png": encoded(DEEP, ".png"),
            "deep-rgb.png": encoded(np.dstack([DEEP] * 3), ".png"),
            "grey.jpg": _pillow(GREY, "JPEG"),
            "progressive.jpg": _pillow(RGB, "JPEG", progressive=True),
            "cmyk.jpg": _pillow(RGB, "JPEG", "CMYK"),
            "group4.tif": _pillow(GREY, "TIFF", "1", compression="group4"),
            "packbits.tif": _pillow(GREY, "TIFF", compression="packbits"),
            "big.tif": _pillow(RGB, "TIFF", big_tiff=True),
            "deep.tif": encoded(DEEP, ".tif"),
            "float.tif": encoded(floats, ".tif"),
            "double.tif": encoded(floats.astype(np.float64), ".tif"),
            "lossy.webp": _pillow(RGB, "WEBP"),
            "lossless.webp": _pillow(RGB, "WEBP", lossless=True),
            "transparent.webp": _pillow(transparent, "WEBP"),
            "animated.webp": _animated("WEBP"),
            "animated.gif": _animated("GIF"),
            "grey.bmp": _pillow(GREY, "BMP"),
            "rgb.bmp": _pillow(RGB, "BMP"),
            "bit.bmp": _pillow(GREY, "BMP", "1"),
            "grey.pgm": _pillow(GREY, "PPM"),
            "rgb.ppm": _pillow(RGB, "PPM"),
            "deep.pgm": encoded(DEEP, ".pgm"),
            "bit.pbm": _pillow(GREY, "PPM", "1"),
            "plain-bit.pbm": _plain_pnm(b"P1", GREY // 128, None),
            "plain.pgm": _plain_pnm(b"P2", GREY, 255),
            "plain.ppm": _plain_pnm(b"P3", RGB, 255),
        }
    )


def whole_files() -> Iterator[Case]:
    """Each valid file, with its own suffix and with wrong ones."""
    for name, data in seeds().items():
        yield Case("whole", name, data)
        for suffix in (".png", ".jpg", ".tif", ".npz"):
            yield Case("wrong suffix", f"{name}{suffix}", data)


# --- corruption -----------------------------------------------------------------------------------------


def damaged_files() -> Iterator[Case]:
    """Each file truncated, and with bits flipped, bytes overwritten and bytes inserted."""
    for number, (name, data) in enumerate(seeds().items()):
        rng = np.random.default_rng(number)
        yield from (Case("cut off", name, data[:n]) for n in _lengths(len(data)))
        yield from (Case("flipped bytes", name, _flipped(data, rng)) for _ in range(N_FLIPS))
        yield from (Case("filled", name, _filled(data, rng)) for _ in range(N_FILLS))
        yield from (Case("inserted bytes", name, _inserted(data, rng)) for _ in range(N_INSERTIONS))
    yield from (Case("zero bytes", f"x{suffix}", b"") for suffix in (".png", ".jpg", ".tif", ".webp", ".bmp"))


def _lengths(n: int) -> list[int]:
    """Lengths that end in the header, throughout the file, and just before its end."""
    head = [1, 4, 9, 17, 30]
    return [*head, *(n * i // 8 for i in range(1, 8)), n - 2, n - 1][:N_CUTS]


def _flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip one to six bits, in half of the cases within the first 200 bytes."""
    changed = bytearray(data)
    reach = min(len(data), 200) if rng.random() < 0.5 else len(data)
    for at in rng.integers(0, reach, rng.integers(1, 7)):
        changed[at] ^= 1 << rng.integers(8)
    return bytes(changed)


def _filled(data: bytes, rng: np.random.Generator) -> bytes:
    start, length = rng.integers(0, len(data)), rng.integers(1, 40)
    return data[:start] + bytes([rng.choice([0, 255])]) * length + data[start + length :]


def _inserted(data: bytes, rng: np.random.Generator) -> bytes:
    at = rng.integers(0, len(data))
    return data[:at] + rng.bytes(rng.integers(1, 30)) + data[at:]


# --- sizes -----------------------------------------------------------------------------------------------


def thin_images() -> Iterator[Case]:
    """Images with one row or column of 1 to 40 pixels, in every format."""
    for n in THIN:
        row = np.tile(GREY[0], 2)[np.newaxis, :n]
        for shape, array in (("row", row), ("column", np.ascontiguousarray(row.T))):
            for suffix, kind in THIN_KINDS.items():
                yield Case("thin", f"{shape}-{n}.{suffix}", _pillow(array, kind))
            yield Case("thin", f"{shape}-{n}.tif", _pillow(array.astype(np.float32) / 255, "TIFF"))


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, depth: int = 8, colour: int = 0) -> bytes:
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def tiff_file(tags: list[tuple[int, int, int]], order: str = "<") -> bytes:
    """A TIFF file with one directory of single values: (tag, type 3 or 4, value)."""
    entries = b"".join(
        struct.pack(order + "HHI", tag, kind, 1)
        + (struct.pack(order + "HH", value, 0) if kind == 3 else struct.pack(order + "I", value))
        for tag, kind, value in tags
    )
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "IH", 8, len(tags)) + entries + bytes(4) + bytes(4096)


def _claims(width: int, height: int) -> Iterator[tuple[str, bytes]]:
    idat = png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")
    for depth in (8, 16):
        yield f"{depth}.png", PNG_MAGIC + png_header(width, height, depth) + idat
    for bits, sample_format in ((8, 1), (16, 1), (32, 3)):
        tags = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, 1), (273, 4, 200)]
        tags += [(277, 3, 1), (278, 4, height), (279, 4, 4096), (339, 3, sample_format)]
        for order in "<>":
            yield f"{bits}{'be' if order == '>' else ''}.tif", tiff_file(tags, order)
    yield "x.pgm", b"P5 %d %d 255\n" % (width, height) + bytes(1000)
    yield "x.ppm", b"P3 %d %d 255\n" % (width, height) + b"0 " * 1000
    yield "x.pbm", b"P4 %d %d\n" % (width, height) + bytes(1000)
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    yield "x.bmp", b"BM" + struct.pack("<IHHI", 1000, 0, 0, 54) + head + bytes(1000)
    w, h = min(width, 65535), min(height, 65535)
    jpeg = seeds()["grey.jpg"]
    at = jpeg.index(b"\xff\xc0") + 5
    yield "x.jpg", jpeg[:at] + struct.pack(">HH", h, w) + jpeg[at + 4 :]
    canvas = b"".join(max(min(n, 1 << 24) - 1, 0).to_bytes(3, "little") for n in (width, height))
    body = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + canvas + seeds()["lossy.webp"][12:]
    yield "x.webp", b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def lying_headers() -> Iterator[Case]:
    """Headers with impossible sizes, or with contradictory ones."""
    for size in ((100_000, 100_000), (2**31 - 1, 2**31 - 1), (30_000, 6_000), (0, 0), (0, 7), (2**32 - 1, 1)):
        for name, data in _claims(min(size[0], 2**31 - 1), min(size[1], 2**31 - 1)):
            yield Case("lying header", f"{size[0]}x{size[1]}-{name}", data)
    for depth in (8, 16):
        two = png_header(30_000, 30_000, depth, 2) + png_header(2, 2, depth, 2)
        rest = png_chunk(b"IDAT", zlib.compress(bytes(26))) + png_chunk(b"IEND", b"")
        yield Case("lying header", f"two-headers-{depth}.png", PNG_MAGIC + two + rest)
    tags = [(258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 200), (277, 3, 1), (278, 4, 4), (279, 4, 32)]
    for first, second in ((30_000, 4), (4, 30_000)):
        sizes = [(256, 4, first), (256, 4, second), (257, 4, first), (257, 4, second)]
        yield Case(
            "lying header", f"two-sizes-{first}.tif", tiff_file(sorted([*sizes, *tags], key=lambda t: t[0]))
        )
    tiles = [(256, 4, 8), (257, 4, 8), (322, 4, 60_000), (323, 4, 60_000), (324, 4, 300), (325, 4, 100)]
    for bits in (8, 16):
        more = [(258, 3, bits), (259, 3, 1), (262, 3, 1), (277, 3, 1)]
        yield Case("lying header", f"huge-tile-{bits}.tif", tiff_file(sorted([*tiles, *more])))
    yield from bombs()
    yield from swollen()


def bombs() -> Iterator[Case]:
    """Small files with a part that decompresses to 64 MiB."""
    text = png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1 << 26), 9))
    yield Case("bomb", "text-bomb.png", _with_chunk("grey.png", text))
    yield Case(
        "bomb",
        "profile-bomb.png",
        _with_chunk("grey.png", png_chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(1 << 26), 9))),
    )
    bomb = png_chunk(b"IDAT", zlib.compress(bytes(1 << 26), 9)) + png_chunk(b"IEND", b"")
    yield Case("bomb", "more-than-it-says.png", PNG_MAGIC + png_header(20, 20) + bomb)


STATED, CODED = 16, 700
"""Sides in pixels of the image according to the header, and of the image in the stream."""


def swollen() -> Iterator[Case]:
    """Streams with a larger image, or more bytes, than the surrounding header states."""
    large = np.zeros((CODED, CODED, 3), np.uint8)
    streams = {
        (7, "jpeg"): imagecodecs.jpeg_encode(large),
        (34712, "jpeg2000"): imagecodecs.jpeg2k_encode(large, level=0),
        (50002, "jpegxl"): imagecodecs.jpegxl_encode(large),
        (50001, "webp"): imagecodecs.webp_encode(large, lossless=True),
        (34933, "png"): imagecodecs.png_encode(large),
    }
    zeros = bytes(1 << 26)
    bytes_of = {
        (8, "deflate"): imagecodecs.deflate_encode(zeros),
        (50000, "zstd"): imagecodecs.zstd_encode(zeros),
        (32773, "packbits"): b"\x81\0" * (1 << 19),
    }
    for ((code, name), stream), channels in (
        *((item, 3) for item in streams.items()),
        *((item, 1) for item in bytes_of.items()),
    ):
        yield Case("swollen", f"{name}.tif", tiff_of_stream(stream, code, channels))
    lerc = tiff_of_stream(imagecodecs.deflate_encode(zeros), 34887, 1, [(50674, (4, 1))])
    yield Case("swollen", "lerc.tif", lerc)
    heic = seeds()["rgb.heic"]
    at = heic.index(b"ispe") + 8
    yield Case("swollen", "x.heic", heic[:at] + struct.pack(">II", 2, 2) + heic[at + 8 :])
    j2k = seeds()["deep.j2k"]
    for side, tile in ((900, 4), (30_000, 1)):
        sizes = struct.pack(">8I", side, side, 0, 0, tile, tile, 0, 0)
        yield Case("swollen", f"tiles-{side}.j2k", j2k[:8] + sizes + j2k[40:])


def tiff_of_stream(
    stream: bytes, compression: int, channels: int, more: list[tuple[int, tuple[int, ...]]] | None = None
) -> bytes:
    """A TIFF file with one tile of ``STATED`` × ``STATED`` pixels that holds this stream."""
    tags = {256: (STATED,), 257: (STATED,), 258: (8,) * channels, 259: (compression,), 277: (channels,)}
    tags |= {
        262: (2 if channels == 3 else 1,),
        322: (STATED,),
        323: (STATED,),
        324: (8,),
        325: (len(stream),),
    }
    tags |= dict(more or [])
    at = 8 + len(stream)
    heap_at, heap, entries = at + 2 + 12 * len(tags) + 4, b"", b""
    for tag, values in sorted(tags.items()):
        value = struct.pack(f"<{len(values)}I", *values)
        if len(values) > 1:
            value, heap = struct.pack("<I", heap_at + len(heap)), heap + value
        entries += struct.pack("<HHI", tag, 4, len(values)) + value
    head = b"II*\0" + struct.pack("<I", at) + stream
    return head + struct.pack("<H", len(tags)) + entries + bytes(4) + heap


def _with_chunk(name: str, chunk: bytes) -> bytes:
    data = seeds()[name]
    return data[:33] + chunk + data[33:]


# --- EXIF ------------------------------------------------------------------------------------------------


def broken_exif() -> Iterator[Case]:
    """Images with valid pixels and a damaged EXIF block."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[EXIF_POINTER] = {0xA405: 35, 0x9003: "2026:01:01 00:00:00"}
    good = exif.tobytes()
    rng = np.random.default_rng(99)
    blocks = [b"", b"Exif\0\0", good[:9], good[:20], good[:-7], good + bytes(60_000), bytes(80), b"\xff" * 80]
    blocks += [_flipped(good, rng) for _ in range(24)] + [_filled(good, rng) for _ in range(8)]
    loop = bytearray(good)
    loop[-4:] = struct.pack(">I", 8)
    blocks.append(bytes(loop))
    for i, block in enumerate(blocks):
        for suffix, kind in (("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")):
            yield Case("broken EXIF", f"exif-{i}.{suffix}", _pillow(RGB, kind, exif=block))


# --- samples ---------------------------------------------------------------------------------------------


ODD_VALUES = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "1e38": 1e38, "tiny": 1e-42, "-0": -0.0}


def odd_samples() -> Iterator[Case]:
    """Floating-point values that are not grey values, and rare sample types."""
    floats = (DEEP / 65535).astype(np.float32)
    for name, value in ODD_VALUES.items():
        for dtype in (np.float32, np.float64):
            for everywhere in (False, True):
                array = floats.astype(dtype)
                array[slice(None) if everywhere else (3, 4)] = value
                yield Case("odd samples", f"{name}-{dtype.__name__}-{everywhere}.tif", encoded(array, ".tif"))
    for mode in ("I", "F", "LAB", "HSV", "YCbCr", "I;16", "CMYK", "LA", "PA", "RGBX"):
        image = Image.fromarray(GREY if mode in ("I", "F", "I;16") else RGB)
        for kind, suffix in (("TIFF", "tif"), ("PNG", "png"), ("WEBP", "webp"), ("BMP", "bmp")):
            buffer = io.BytesIO()
            try:
                image.convert(mode).save(buffer, kind)
            except (OSError, ValueError):  # the format does not support this mode
                continue
            yield Case("odd samples", f"{mode.replace(';', '')}.{suffix}", buffer.getvalue())
    for dtype in (np.int8, np.int16, np.int32):
        yield Case("odd samples", f"{dtype.__name__}.tif", encoded(GREY.astype(dtype), ".tif"))
