"""Images with known grey values in all formats except TIFF; see ``known_truth``."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import product

import imagecodecs
import numpy as np
import pillow_heif
from hostile import PNG_MAGIC, png_chunk
from known_truth import ALPHA, HEIGHT, LOSSY, UNIT, WIDTH, Known, grey_of, over_white, quantised, turned
from PIL import Image

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
"""Colour types of PNG."""
ORIENTATION = 0x0112


# --- PNG -----------------------------------------------------------------------------------------------


def png(samples: np.ndarray, depth: int, colour: int, before: bytes = b"", interlaced: bool = False) -> bytes:
    """A PNG file of (H, W, C) samples; ``before`` is inserted between header and pixels."""
    height, width = samples.shape[:2]
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    body = b"".join(map(_lines, _passes(samples), [depth] * 7)) if interlaced else _lines(samples, depth)
    end = png_chunk(b"IDAT", zlib.compress(body)) + png_chunk(b"IEND", b"")
    return PNG_MAGIC + head + before + end


def _passes(samples: np.ndarray) -> list[np.ndarray]:
    """The seven passes of Adam7 interlacing."""
    starts = (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    )
    return [samples[y::dy, x::dx] for y, x, dy, dx in starts]


def _lines(samples: np.ndarray, depth: int) -> bytes:
    """Unfiltered rows."""
    rows = samples.reshape(samples.shape[0], -1)
    if depth >= 8:
        return b"".join(b"\0" + row.astype(f">u{depth // 8}").tobytes() for row in rows)
    bits = (rows[:, :, None] >> np.arange(depth - 1, -1, -1)) & 1
    return b"".join(
        b"\0" + np.packbits(row.astype(np.uint8)).tobytes() for row in bits.reshape(len(rows), -1)
    )


def png_kinds() -> Iterator[Known]:
    """Each depth and colour type, with and without a transparent value, plain and interlaced."""
    for depth, interlaced in product((1, 2, 4, 8, 16), (False, True)):
        top = 2**depth - 1
        grey = np.rint(UNIT[:, :, :1] * top).astype(int)
        data = png(grey, depth, GREY, interlaced=interlaced)
        yield Known(f"PNG: grey of {depth} bits", f"{depth}-{interlaced}.png", data, grey_of(grey / top))
        for value in sorted({0, int(grey[5, 5, 0]), top}):
            chunk = png_chunk(b"tRNS", struct.pack(">H", value))
            data = png(grey, depth, GREY, chunk, interlaced)
            known = over_white(grey_of(grey / top), grey_of(grey) != value)
            name = f"{depth}-{interlaced}-{value}.png"
            yield Known("PNG: grey with a transparent value", name, data, known)
    for depth in (8, 16):
        top = 2**depth - 1
        alpha = np.rint(ALPHA * top).astype(int)
        for colour, unit in ((RGB, UNIT), (RGBA, UNIT), (GREY_ALPHA, UNIT[:, :, :1])):
            colours = np.rint(unit * top).astype(int)
            known, samples, before = grey_of(colours / top), colours, b""
            if colour != RGB:
                known, samples = over_white(known, alpha / top), np.dstack([colours, alpha])
            data = png(samples, depth, colour, before)
            yield Known(f"PNG: colour, alpha, {depth} bits", f"{colour}-{depth}.png", data, known)
        rgb = np.rint(UNIT * top).astype(int)
        chunk = png_chunk(b"tRNS", struct.pack(">3H", *rgb[7, 7]))
        known = over_white(grey_of(rgb / top), (rgb != rgb[7, 7]).any(axis=2))
        yield Known(
            "PNG: RGB with a transparent value", f"rgb-{depth}.png", png(rgb, depth, RGB, chunk), known
        )


def png_palettes() -> Iterator[Known]:
    """Palettes of each depth, with and without alpha."""
    rng = np.random.default_rng(6)
    for depth, transparent in product((1, 2, 4, 8), (False, True)):
        palette = rng.integers(0, 256, (2**depth, 3), dtype=np.uint8)
        alpha = np.full(2**depth, 255, np.uint8)
        before = png_chunk(b"PLTE", palette.tobytes())
        if transparent:
            alpha[:2] = 0, 100
            before += png_chunk(b"tRNS", alpha[:2].tobytes())
        index = np.rint(UNIT[:, :, :1] * (2**depth - 1)).astype(int)
        known = over_white(grey_of(palette[index[:, :, 0]] / 255), alpha[index[:, :, 0]] / 255)
        # The values are those of the palette, without rounding.
        yield Known("PNG: palette", f"p{depth}-{transparent}.png", png(index, depth, PALETTE, before), known)


def png_extras() -> Iterator[Known]:
    """Megabytes of text, EXIF orientations and animations."""
    grey = np.rint(UNIT[:, :, :1] * 255).astype(int)
    text = zlib.compress(np.random.default_rng(7).integers(65, 91, 3 << 20, dtype=np.uint8).tobytes())
    for kind, head in ((b"zTXt", b"k\0\0"), (b"iTXt", b"k\0\1\0\0\0"), (b"iCCP", b"k\0\0")):
        data = png(grey, 8, GREY, png_chunk(kind, head + text))
        yield Known("PNG: megabytes of text or profile", f"{kind.decode()}.png", data, grey_of(grey / 255))
    for depth, orientation in product((8, 16), range(1, 9)):
        top = 2**depth - 1
        rgb = np.rint(UNIT * top).astype(int)
        data = png(rgb, depth, RGB, png_chunk(b"eXIf", _exif(orientation)[6:]))
        known = turned(grey_of(rgb / top), orientation)
        yield Known("PNG: EXIF orientation", f"turn-{depth}-{orientation}.png", data, known)
    for depth, colour in product((8, 16), (GREY, RGB, RGBA)):
        yield from _animated_png(depth, colour)


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()


def _animated_png(depth: int, colour: int) -> Iterator[Known]:
    """Three frames: the image, a part that replaces pixels, and a part that is blended over."""
    top = 2**depth - 1
    unit = {GREY: UNIT[:, :, :1], RGB: UNIT, RGBA: np.dstack([UNIT, np.ones((HEIGHT, WIDTH))])}[colour]
    canvas = np.rint(unit * top).astype(int)
    part = np.ascontiguousarray(canvas[:9, :11][::-1])
    over = part.copy()
    if colour == RGBA:
        over[:, :, 3] = np.where(np.arange(11) % 2, top, 0)
    places = [(canvas, 0, 0, 0), (part, 5, 7, 0), (over, 8, 12, int(colour == RGBA))]
    out = PNG_MAGIC + png_chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, 0))
    out, n = out + png_chunk(b"acTL", struct.pack(">II", 3, 0)), 0
    shown, known = canvas.copy(), []
    for i, (frame, x, y, blend) in enumerate(places):
        h, w = frame.shape[:2]
        out += png_chunk(b"fcTL", struct.pack(">5IHHBB", n, w, h, x, y, 1, 10, 0, blend))
        body = zlib.compress(_lines(frame, depth))
        out += png_chunk(b"fdAT", struct.pack(">I", n + 1) + body) if i else png_chunk(b"IDAT", body)
        n += 2 if i else 1
        where = shown[y : y + h, x : x + w]
        where[...] = np.where(frame[:, :, 3:] > 0, frame, where) if blend else frame
        known.append(grey_of(shown[:, :, :3] / top) if colour == RGBA else grey_of(shown / top))
    data = out + png_chunk(b"IEND", b"")
    for page in range(3):
        kind = f"PNG: animation of {depth} bits"
        yield Known(kind, f"{depth}-{colour}-{page}.png", data, known[page], page=page, n_pages=3)


# --- BMP and PNM ---------------------------------------------------------------------------------------


def bmp_kinds() -> Iterator[Known]:
    """Each depth that Pillow writes, and bit masks of several widths and orders, top-down and bottom-up."""
    rgb = np.rint(UNIT * 255).astype(np.uint8)
    for mode in ("1", "L", "P", "RGB"):
        image = Image.fromarray(rgb).convert(mode)
        known = grey_of(np.asarray(image.convert("RGB")) / 255)
        yield Known("BMP: 1 to 24 bits", f"{mode}.bmp", _saved(image, "BMP"), known)
    masks = {
        "565": (16, (0xF800, 0x07E0, 0x001F, 0)),
        "555": (16, (0x7C00, 0x03E0, 0x001F, 0)),
        "4444": (16, (0x0F00, 0x00F0, 0x000F, 0xF000)),
        "bgr565": (16, (0x001F, 0x07E0, 0xF800, 0)),
        "8888": (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
        "x888": (32, (0xFF0000, 0xFF00, 0xFF, 0)),
        "rgba": (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
        "101010": (32, (0x3FF00000, 0xFFC00, 0x3FF, 0)),
        "odd": (32, (0xFFF00000, 0x000FE000, 0x00001FFF, 0)),
    }
    for (name, (bits, fields)), upwards in product(masks.items(), (False, True)):
        data, known = _masked_bmp(bits, fields, upwards)
        # Some programs round to 8 bits; siftcli does not.
        yield Known("BMP: bit masks", f"{name}-{upwards}.bmp", data, known)


def _masked_bmp(bits: int, masks: tuple[int, ...], upwards: bool) -> tuple[bytes, np.ndarray]:
    pixels, units = np.zeros((HEIGHT, WIDTH), np.uint64), []
    for mask, unit in zip(masks, np.moveaxis(np.dstack([UNIT, ALPHA]), -1, 0), strict=True):
        if mask:
            shift = (mask & -mask).bit_length() - 1
            top = mask >> shift
            value = np.rint(unit * top).astype(np.uint64)
            pixels |= value << np.uint64(shift)
            units.append(value / top)
    rows = pixels.astype(f"<u{bits // 8}")[:: -1 if upwards else 1]
    padding = b"\0" * (-WIDTH * bits // 8 % 4)
    body = b"".join(row.tobytes() + padding for row in rows)
    height = HEIGHT if upwards else -HEIGHT
    head = struct.pack("<IiiHHIIiiII4I", 56, WIDTH, height, 1, bits, 3, len(body), 0, 0, 0, 0, *masks)
    data = b"BM" + struct.pack("<IHHI", 70 + len(body), 0, 0, 70) + head + body
    grey = grey_of(np.dstack(units[:3]))
    return data, over_white(grey, units[3]) if masks[3] else grey


def pnm_kinds() -> Iterator[Known]:
    """Bilevel, grey and colour, plain and raw, with several maximum values."""
    for colours, maximum, plain in product((1, 3), (1, 15, 255, 1000, 4095, 65535), (False, True)):
        values = np.rint(UNIT[:, :, :colours] * maximum).astype(int)
        number = {(1, True): 2, (3, True): 3, (1, False): 5, (3, False): 6}[colours, plain]
        head = b"P%d\n# made by a test\n%d %d\n%d\n" % (number, WIDTH, HEIGHT, maximum)
        raw = values.astype(">u2" if maximum > 255 else np.uint8).tobytes()
        body = b" ".join(b"%d" % v for v in values.ravel()) if plain else raw
        suffix = "pgm" if colours == 1 else "ppm"
        name = f"{maximum}-{plain}.{suffix}"
        yield Known("PGM, PPM", name, head + body + b"\n", grey_of(values / maximum))
    bits = UNIT[:, :, 0] > 0.5
    packed = np.packbits(~bits, axis=1).tobytes()
    yield Known("PBM", "raw.pbm", b"P4\n%d %d\n" % (WIDTH, HEIGHT) + packed, grey_of(bits))


# --- JPEG ----------------------------------------------------------------------------------------------


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg_kinds() -> Iterator[Known]:
    """Grey, RGB and CMYK, sequential and progressive, with and without an end marker; EXIF; 12 bits."""
    rgb = np.rint(UNIT * 255).astype(np.uint8)
    for mode, progressive, restarts in product(("L", "RGB", "CMYK"), (False, True), (0, 1)):
        options = {
            "quality": 95,
            "subsampling": 0,
            "progressive": progressive,
            "restart_marker_rows": restarts,
        }
        image = Image.fromarray(rgb).convert(mode)
        data = _saved(image, "JPEG", **options)
        known = grey_of(np.asarray(image.convert("RGB")) / 255)
        name = f"{mode}-{progressive}-{restarts}.jpg"
        yield Known("JPEG: 8 bits", name, data, known, LOSSY)
        for n in (1, 2):
            yield Known("JPEG: without its end mark", f"{n}-{name}", data[:-n], known, LOSSY)
        for n in (12, 60, 200):
            yield Known("JPEG: cut off", f"{n}-{name}", data[:-n], known, LOSSY, "truncated or damaged")
    for orientation in range(1, 9):
        data = _saved(Image.fromarray(rgb), "JPEG", quality=95, subsampling=0, exif=_exif(orientation))
        known = turned(grey_of(rgb / 255), orientation)
        yield Known("JPEG: EXIF orientation", f"turn-{orientation}.jpg", data, known, LOSSY)
    yield from _deep_jpeg()


def _deep_jpeg() -> Iterator[Known]:
    for colours, bits, lossless in [(1, 12, False), (3, 12, False), *product((1, 3), (8, 12, 16), (True,))]:
        stored, unit = quantised(UNIT if colours == 3 else UNIT[:, :, 0], bits, "u")
        how = {"lossless": True} if lossless else {"level": 98, "subsampling": "444"}
        data = imagecodecs.jpeg_encode(stored, bitspersample=bits, **how)
        kind = "JPEG: lossless" if lossless else "JPEG: 12 bits"
        name, tolerance = f"{colours}-{bits}-{lossless}.jpg", LOSSY if not lossless else 2e-7
        yield Known(kind, name, data, grey_of(unit), tolerance)
        yield Known("JPEG: without its end mark", f"e-{name}", data[:-2], grey_of(unit), tolerance)
        yield Known(
            "JPEG: cut off", f"c-{name}", data[:-100], grey_of(unit), tolerance, "truncated or damaged"
        )


# --- WebP, JPEG 2000, JPEG XL, AVIF, HEIC --------------------------------------------------------------


def webp_kinds() -> Iterator[Known]:
    """Lossless and lossy, with alpha, with EXIF orientation, and animated."""
    rgb = np.rint(UNIT * 255).astype(np.uint8)
    alpha = np.rint(ALPHA * 255).astype(np.uint8)
    known = grey_of(rgb / 255)
    yield Known("WebP", "lossless.webp", _saved(Image.fromarray(rgb), "WEBP", lossless=True), known)
    rgba = Image.fromarray(np.dstack([rgb, alpha]))
    data = _saved(rgba, "WEBP", lossless=True, exact=True)
    yield Known("WebP", "alpha.webp", data, over_white(known, alpha / 255))
    smooth = np.repeat(np.rint(UNIT[:, :, :1] * 255).astype(np.uint8), 3, axis=2)
    data = _saved(Image.fromarray(smooth), "WEBP", quality=98)
    yield Known("WebP", "lossy.webp", data, grey_of(smooth / 255), LOSSY)
    for orientation in range(1, 9):
        data = _saved(Image.fromarray(rgb), "WEBP", lossless=True, exif=_exif(orientation))
        yield Known("WebP", f"turn-{orientation}.webp", data, turned(known, orientation))
    frames = [Image.fromarray(np.roll(rgb, i, axis=1)) for i in range(3)]
    data = _saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    for page in range(3):
        yield Known("WebP", f"{page}.webp", data, np.roll(known, page, axis=1), page=page, n_pages=3)


def newer_kinds() -> Iterator[Known]:
    """JPEG 2000, JPEG XL, AVIF and HEIC."""
    for colours, bits in product((1, 3), (8, 10, 12, 16)):
        stored, unit = quantised(UNIT if colours == 3 else UNIT[:, :, 0], bits, "u")
        known = grey_of(unit)
        for container in ("jp2", "j2k"):
            data = imagecodecs.jpeg2k_encode(stored, level=0, bitspersample=bits, codecformat=container)
            yield Known("JPEG 2000", f"{colours}-{bits}.{container}", data, known)
        data = imagecodecs.jpegxl_encode(stored, lossless=True, bitspersample=bits)
        yield Known("JPEG XL", f"{colours}-{bits}.jxl", data, known)
        if colours == 3 and bits in (8, 10, 12):
            # Luma and chroma are each rounded to this number of bits.
            data = imagecodecs.avif_encode(stored, level=100, bitspersample=bits, pixelformat="444")
            yield Known("AVIF", f"{bits}.avif", data, known, 2 / 2**bits)
    stored = UNIT.astype(np.float32)
    yield Known("JPEG XL", "f.jxl", imagecodecs.jpegxl_encode(stored, lossless=True), grey_of(stored))
    rgba, unit = quantised(np.dstack([UNIT, ALPHA]), 8, "u")
    data = imagecodecs.jpegxl_encode(rgba, lossless=True)
    yield Known("JPEG XL", "rgba.jxl", data, over_white(grey_of(unit[:, :, :3]), unit[:, :, 3]))
    stored = np.rint(UNIT * 1023).astype(np.uint16)
    data = imagecodecs.jpegxl_encode(stored, lossless=True, bitspersample=10)
    for orientation in range(1, 9):
        known = turned(grey_of(stored / 1023), orientation)
        yield Known("JPEG XL", f"turn-{orientation}.jxl", turned_jxl(data, orientation), known)
    rgb = Image.fromarray(np.rint(UNIT * 255).astype(np.uint8))
    for orientation in range(1, 9):
        known = turned(grey_of(np.asarray(rgb) / 255), orientation)
        data = _saved(rgb, "AVIF", quality=100, subsampling="4:4:4", exif=_exif(orientation))
        yield Known("AVIF", f"turn-{orientation}.avif", data, known, LOSSY)
        file = pillow_heif.from_pillow(rgb)
        file.info["exif"] = _exif(orientation)
        buffer = io.BytesIO()
        file.save(buffer, quality=95, chroma=444)
        yield Known("HEIC", f"turn-{orientation}.heic", buffer.getvalue(), known, LOSSY)
    yield from _heic()


class _Bits:
    """Reads the bits of a JPEG XL header, lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self.value, self.at = int.from_bytes(data, "little"), 0

    def take(self, n: int) -> int:
        found = self.value >> self.at & ((1 << n) - 1)
        self.at += n
        return found

    def choose(self, *ways: int) -> None:
        """Skip a number whose length in bits is selected by two bits."""
        self.take(ways[self.take(2)])


def turned_jxl(data: bytes, orientation: int) -> bytes:
    """Insert an orientation into the header of a 10-bit RGB codestream that has none."""
    bits = _Bits(data[2:])
    sides = [5] * 4 if bits.take(1) else [9, 13, 18, 30]
    take_side = (lambda: bits.take(5)) if sides[0] == 5 else (lambda: bits.choose(*sides))
    take_side()
    if bits.take(3) == 0:
        take_side()
    start = bits.at
    assert bits.take(2) == 0  # neither all defaults nor extra fields
    middle = bits.at
    assert bits.take(1) == 0
    bits.choose(0, 0, 0, 6)
    bits.take(1)
    bits.choose(0, 0, 4, 12)
    assert bits.take(3) == 0  # the colour encoding is given by numbers
    for _ in range(3):
        bits.choose(0, 0, 4, 6)
    assert bits.take(1) == 0
    for _ in range(2):
        bits.choose(0, 0, 4, 6)
    colours_end = bits.at
    bits.take(3)
    value = bits.value & ((1 << start) - 1)
    at = start
    fields = [(0, 1), (1, 1), (orientation - 1, 3), (0, 3)]
    fields += [(bits.value >> middle, colours_end - middle), (1, 1), (bits.value >> colours_end, 3)]
    for field, n in fields:
        value |= (field & ((1 << n) - 1)) << at
        at += n
    return data[:2] + value.to_bytes(-(-at // 8), "little") + data[2 - (-bits.at // 8) :]


def _heic() -> Iterator[Known]:
    rgb = np.rint(UNIT * 255).astype(np.uint8)
    known = grey_of(rgb / 255)
    file = pillow_heif.from_bytes("RGB", rgb.shape[1::-1], rgb.tobytes())
    other = np.ascontiguousarray(rgb[::-1])
    file.add_frombytes("RGB", rgb.shape[1::-1], other.tobytes())
    buffer = io.BytesIO()
    file.save(buffer, quality=95, chroma=444)
    for page, one in enumerate((known, known[::-1])):
        yield Known("HEIC", f"{page}.heic", buffer.getvalue(), one, LOSSY, page=page, n_pages=2)
    deep = np.rint(UNIT * 65535).astype(np.uint16)
    buffer = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", rgb.shape[1::-1], deep.tobytes()).save(buffer, quality=95, chroma=444)
    yield Known("HEIC", "deep.heic", buffer.getvalue(), known, LOSSY)


def refused() -> Iterator[Known]:
    """Formats that are recognised but not supported."""
    rgb = Image.fromarray(np.rint(UNIT * 255).astype(np.uint8))
    stored = np.asarray(rgb)
    for name, data, said in (
        ("x.gif", _saved(rgb, "GIF"), "got a GIF"),
        ("x.jxr", imagecodecs.jpegxr_encode(stored), "got a JPEG XR picture"),
        ("x.jls", imagecodecs.jpegls_encode(stored), "JPEG-LS"),
        ("x.pdf", _saved(rgb, "PDF"), "got a PDF"),
    ):
        yield Known("other formats", name, data, said=said)


OTHER_MAKERS: tuple[Callable[[], Iterator[Known]], ...] = (
    png_kinds,
    png_palettes,
    png_extras,
    bmp_kinds,
    pnm_kinds,
    jpeg_kinds,
    webp_kinds,
    newer_kinds,
    refused,
)
