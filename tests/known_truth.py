"""TIFF images with known grey values, for every way of storing samples, written by other programs.

The expected values are computed from the written samples, independently of siftcli.
``python tests/known_truth.py`` reads all images and prints how many of each kind are read correctly.
"""

from __future__ import annotations

import io
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from conftest import texture
from PIL import Image

from siftcli.errors import InputError
from siftcli.image import read_image

HEIGHT, WIDTH = 37, 45
UNIT = np.dstack([texture((HEIGHT, WIDTH), seed=seed, smoothness=1.5) for seed in (1, 2, 3)]).astype(
    np.float64
)
"""Red, green and blue in [0, 1]."""
ALPHA = texture((HEIGHT, WIDTH), seed=4).astype(np.float64)
EXACT = 2e-7
"""Two units in the last place of a float32 near 1."""
LOSSY = 0.04
"""Tolerance for lossy compression at quality 95, without chroma subsampling."""


@dataclass(frozen=True)
class Known:
    """A file, and the expected result of reading it."""

    kind: str
    name: str
    data: bytes
    grey: np.ndarray | None = None
    """(H, W) expected grey values, as displayed; None if the file must be refused."""
    tolerance: float = EXACT
    said: str = ""
    """Expected part of the error message."""
    page: int = 0
    n_pages: int = 1


def grey_of(rgb: np.ndarray) -> np.ndarray:
    """Grey values (H, W) of an array (H, W), (H, W, 1) or (H, W, 3), in [0, 1]."""
    if rgb.ndim == 2 or rgb.shape[2] == 1:
        return rgb.reshape(rgb.shape[:2]).astype(np.float64)
    return np.einsum("yxc,c->yx", rgb.astype(np.float64), [0.299, 0.587, 0.114])


def over_white(grey: np.ndarray, alpha: np.ndarray, premultiplied: bool = False) -> np.ndarray:
    return (grey if premultiplied else grey * alpha) + 1 - alpha


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """The image as displayed with an EXIF orientation."""
    return {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.T,
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, 1),
    }[orientation](array)


def tiff(array: np.ndarray, photometric: str | int = "minisblack", **options: object) -> bytes:
    buffer = io.BytesIO()
    options = {"metadata": None, **options}
    byteorder, bigtiff = options.pop("byteorder", "<"), options.pop("bigtiff", False)
    with tifffile.TiffWriter(buffer, byteorder=byteorder, bigtiff=bigtiff) as file:
        file.write(array, photometric=photometric, **options)
    return buffer.getvalue()


def quantised(unit: np.ndarray, bits: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Samples of a type, and their values relative to full scale."""
    if kind == "f":
        stored = unit.astype(f"f{bits // 8}")
        return stored, stored.astype(np.float64)
    dtype = np.dtype(f"{kind}{next(n for n in (1, 2, 4, 8) if 8 * n >= bits)}")
    top = 2 ** (bits - (kind == "i")) - 1
    stored = np.minimum(np.rint(unit * top), top - top // 2**50).astype(dtype)
    return stored, stored / float(top)


# --- sample formats, orders, layouts and compressions --------------------------------------------------

WHOLE = [(8, "u"), (16, "u"), (32, "u"), (64, "u"), (8, "i"), (16, "i"), (32, "i"), (64, "i")]
FLOATS = [(16, "f"), (32, "f"), (64, "f")]
PACKED = [(2, "u"), (4, "u"), (10, "u"), (12, "u"), (14, "u")]
LAYOUTS: dict[str, dict[str, object]] = {
    "strips": {"rowsperstrip": 8},
    "tiles": {"tile": (16, 32)},
}
PLAIN = ("lzw", "deflate", "adobe_deflate", "packbits", "zstd", "lzma")


def sample_formats() -> Iterator[Known]:
    """Each sample type in both byte orders, in TIFF and BigTIFF, in strips, tiles and planes."""
    for (bits, kind), order, layout, colours in product(WHOLE + FLOATS, "<>", LAYOUTS, (1, 3, "planes")):
        stored, unit = quantised(UNIT if colours != 1 else UNIT[:, :, 0], bits, kind)
        name = f"{kind}{bits}-{order}-{layout}-{colours}.tif"
        options = dict(LAYOUTS[layout], byteorder=order, bigtiff=layout == "tiles")
        if colours == "planes":
            stored, options["planarconfig"] = np.moveaxis(stored, -1, 0), "separate"
        data = tiff(stored, "minisblack" if colours == 1 else "rgb", **options)
        yield Known(f"TIFF: {_type_name(bits, kind)}", name, data, grey_of(unit))
    for (bits, kind), order, colours in product(PACKED, "<>", (1, 3)):
        stored, unit = quantised(UNIT if colours == 3 else UNIT[:, :, 0], bits, kind)
        data = packed(stored, bits, order)
        yield Known("TIFF: packed, 2 to 14 bits", f"{bits}-{order}-{colours}.tif", data, grey_of(unit))
    for order in "<>":
        stored = UNIT[:, :, 0] > 0.5
        yield Known("TIFF: bilevel", f"bilevel-{order}.tif", tiff(stored, byteorder=order), grey_of(stored))
        yield Known("TIFF: float of 24 bits", f"float24-{order}.tif", *_float24(order))


def _type_name(bits: int, kind: str) -> str:
    return {"u": f"unsigned, {bits} bits", "i": f"signed, {bits} bits", "f": f"float of {bits} bits"}[kind]


def packed(stored: np.ndarray, bits: int, order: str, photometric: int | None = None) -> bytes:
    """A file with samples of any width, packed without gaps; each row starts at a whole byte."""
    rows = stored.reshape(stored.shape[0], -1).astype(np.uint64)
    planes = (rows[:, :, None] >> np.arange(bits - 1, -1, -1, dtype=np.uint64)) & np.uint64(1)
    body = np.packbits(planes.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()
    channels = 1 if stored.ndim == 2 else stored.shape[2]
    space = (2 if channels == 3 else 1) if photometric is None else photometric
    return raw_tiff(body, stored.shape[:2], {258: (bits,) * channels, 262: (space,)}, order)


def _float24(order: str) -> tuple[bytes, np.ndarray]:
    stored = UNIT[:, :, 0].astype(np.float32)
    body = imagecodecs.float24_encode(stored, byteorder=order)
    unit = imagecodecs.float24_decode(body, byteorder=order).reshape(stored.shape)
    return raw_tiff(body, stored.shape, {258: (24,), 262: (1,), 339: (3,)}, order), grey_of(unit)


def raw_tiff(
    body: bytes, shape: tuple[int, ...], tags: dict[int, tuple[int, ...]], order: str = "<", then: bytes = b""
) -> bytes:
    """A file with one strip and one directory; tags have type SHORT or, if needed, LONG."""
    height, width = shape[:2]
    tags = {256: (width,), 257: (height,), 259: (1,), 277: (len(tags[258]),), 278: (height,), **tags}
    tags = dict(sorted({**tags, 273: (8,), 279: (len(body),)}.items()))
    body += b"\0" * (len(body) % 2)
    endian = {"<": "little", ">": "big"}[order]
    heap_at, heap, entries = 8 + len(body) + 2 + 12 * len(tags) + 4, b"", b""
    for tag, values in tags.items():
        n = 4 if max(values) > 65535 or tag in (273, 279) else 2
        value = b"".join(value.to_bytes(n, endian) for value in values)
        if len(value) > 4:
            value, heap = (heap_at + len(heap)).to_bytes(4, endian), heap + value
        kind, count = 4 if n == 4 else 3, len(values)
        entries += b"".join(x.to_bytes(m, endian) for x, m in ((tag, 2), (kind, 2), (count, 4)))
        entries += value.ljust(4, b"\0")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    head = magic + (8 + len(body)).to_bytes(4, endian)
    return head + body + len(tags).to_bytes(2, endian) + entries + b"\0\0\0\0" + heap + then


def compressions() -> Iterator[Known]:
    """Each lossless compression, with and without a predictor, for several sample types."""
    types = [(8, "u"), (16, "u"), (32, "u"), (16, "i"), (32, "f")]
    for compression, (bits, kind), layout, order in product(PLAIN, types, LAYOUTS, "<>"):
        for predictor in (False, True) if compression not in ("packbits",) else (False,):
            stored, unit = quantised(UNIT, bits, kind)
            options = dict(LAYOUTS[layout], compression=compression, predictor=predictor, byteorder=order)
            name = f"{compression}-{kind}{bits}-{layout}-{order}-{predictor}.tif"
            yield Known(f"TIFF: {compression}", name, tiff(stored, "rgb", **options), grey_of(unit))
    for (bits, kind), layout in product([(8, "u"), (16, "u"), (32, "f"), (64, "f")], LAYOUTS):
        stored, unit = quantised(UNIT[:, :, 0], bits, kind)
        data = tiff(stored, **LAYOUTS[layout], compression="lerc")
        yield Known("TIFF: LERC", f"lerc-{kind}{bits}-{layout}.tif", data, grey_of(unit))
    yield from _pictures_in_tiff()
    yield from _fax()


def _pictures_in_tiff() -> Iterator[Known]:
    no_loss = {"jpeg2000": {"level": 0}, "jpegxl": {"lossless": True}, "webp": {"lossless": True}, "png": {}}
    for (compression, how), layout, bits in product(no_loss.items(), LAYOUTS, (8, 16)):
        for colours in (1, 3):
            if compression == "webp" and (bits == 16 or colours == 1):
                continue
            stored, unit = quantised(UNIT if colours == 3 else UNIT[:, :, 0], bits, "u")
            options = dict(LAYOUTS[layout], compression=compression, compressionargs=how)
            data = tiff(stored, "rgb" if colours == 3 else "minisblack", **options)
            name = f"{compression}-{layout}-{bits}-{colours}.tif"
            yield Known(f"TIFF: {compression}", name, data, grey_of(unit))
    for layout, photometric in product(LAYOUTS, ("minisblack", "rgb", "ycbcr")):
        stored, unit = quantised(UNIT if photometric != "minisblack" else UNIT[:, :, 0], 8, "u")
        how = {"level": 95} | ({"outcolorspace": "ycbcr"} if photometric == "ycbcr" else {})
        options = dict(LAYOUTS[layout], compression="jpeg", compressionargs=how)
        if photometric == "ycbcr":
            options["subsampling"] = (1, 1)
        data = tiff(stored, "minisblack" if photometric == "minisblack" else "rgb", **options)
        yield Known("TIFF: JPEG", f"jpeg-{layout}-{photometric}.tif", data, grey_of(unit), LOSSY)


def _fax() -> Iterator[Known]:
    bits = UNIT[:, :, 0] > 0.5
    for compression, white_is_zero in product(("group3", "group4", "tiff_ccitt"), (False, True)):
        buffer = io.BytesIO()
        info = {262: 0} if white_is_zero else {}
        Image.fromarray(bits).save(buffer, "TIFF", compression=compression, tiffinfo=info)
        name = f"{compression}-{white_is_zero}.tif"
        yield Known("TIFF: CCITT", name, buffer.getvalue(), grey_of(bits))


# --- colours -------------------------------------------------------------------------------------------


def colour_spaces() -> Iterator[Known]:
    """Each photometric interpretation."""
    for (bits, kind), layout in product([(8, "u"), (16, "u"), (32, "u"), (32, "f")], LAYOUTS):
        stored, unit = quantised(UNIT[:, :, 0], bits, kind)
        data = tiff(stored, "miniswhite", **LAYOUTS[layout])
        yield Known("TIFF: white is zero", f"white-{kind}{bits}-{layout}.tif", data, grey_of(1 - unit))
    for (bits, kind), order in product([(1, "u"), (4, "u"), (12, "u")], "<>"):
        stored, unit = quantised(UNIT[:, :, 0], bits, kind)
        data = packed(stored, bits, order, photometric=0)
        yield Known("TIFF: white is zero", f"white-{bits}-{order}.tif", data, grey_of(1 - unit))
    index = np.rint(UNIT[:, :, 0] * 255).astype(np.uint8)
    full = np.random.default_rng(5).integers(0, 65536, (3, 256), dtype=np.uint16)
    full[:, 0] = 65535
    low = (full >> 8).astype(np.uint8)
    maps = {"16": (full, full / 65535), "low": (low, low / 255), "high": (low.astype(int) << 8, low / 255)}
    for name, (stored_map, unit_map) in maps.items():
        for layout, options in LAYOUTS.items():
            data = tiff(index, "palette", colormap=stored_map.astype(np.uint16), **options)
            known = grey_of(np.moveaxis(unit_map[:, index], 0, -1))
            yield Known("TIFF: palette", f"palette-{name}-{layout}.tif", data, known)
    for bits in (8, 16):
        inks, unit = quantised(np.dstack([UNIT, UNIT[:, :, 0] / 2]), bits, "u")
        # 8 bits are rounded to 8 bits of RGB, as Pillow does.
        tolerance = 0.5 / 255 + EXACT if bits == 8 else EXACT
        known = grey_of((1 - unit[:, :, :3]) * (1 - unit[:, :, 3:]))
        yield Known("TIFF: CMYK", f"cmyk-{bits}.tif", tiff(inks, "separated"), known, tolerance)
    yield from _luma_and_lab()


def _luma_and_lab() -> Iterator[Known]:
    """YCbCr without subsampling, and neutral L*a*b*; the expected grey is that of the sRGB value."""
    rgb = np.rint(UNIT * 255).astype(np.uint8)
    ycbcr = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
    for order in "<>":
        # Each channel is rounded to 8 bits; the error is largest for blue, 1.772 / 2.
        data = raw_tiff(ycbcr.tobytes(), rgb.shape, {258: (8,) * 3, 262: (6,), 530: (1, 1)}, order)
        yield Known("TIFF: YCbCr", f"ycbcr-{order}.tif", data, grey_of(rgb / 255), 1.5 / 255)
    for wide, icc in product((False, True), (False, True)):
        data, known = _neutral_lab(wide, icc)
        yield Known("TIFF: L*a*b*", f"lab-{wide}-{icc}.tif", data, known, 1e-4)


def _neutral_lab(wide: bool, icc: bool) -> tuple[bytes, np.ndarray]:
    top = (0xFF00 if icc else 0xFFFF) if wide else 255
    dtype = np.dtype("<u2" if wide else "u1")
    lightness = np.rint(UNIT[:, :, 0] * top)
    middle = (32768 if wide else 128) if icc else 0
    body = np.dstack([lightness, np.full((HEIGHT, WIDTH, 2), middle)]).astype(dtype)
    f = (lightness / top * 100 + 16) / 116
    linear = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2)
    srgb = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    bits = 8 * dtype.itemsize
    return raw_tiff(body.tobytes(), body.shape, {258: (bits,) * 3, 262: (9 if icc else 8,)}), srgb


def extra_samples() -> Iterator[Known]:
    """Both kinds of alpha, and unspecified extra samples, which are not alpha."""
    types = [(8, "u"), (16, "u"), (16, "i"), (32, "f")]
    layouts = ("strips", "planes")
    for (bits, kind), extra, colours, layout in product(types, (0, 1, 2), (1, 3), layouts):
        stored_alpha, alpha = quantised(ALPHA, bits, kind)
        unit = UNIT[:, :, :colours] * (alpha[:, :, None] if extra == 1 else 1)
        stored, unit = quantised(unit, bits, kind)
        grey = grey_of(unit)
        known = grey if extra == 0 else over_white(grey, alpha, extra == 1)
        array = np.dstack([stored, stored_alpha])
        options: dict[str, object] = {"extrasamples": [extra], "planarconfig": "contig"}
        if layout == "planes":
            array, options["planarconfig"] = np.moveaxis(array, -1, 0), "separate"
        data = tiff(array, "rgb" if colours == 3 else "minisblack", **options)
        what = {0: "unspecified", 1: "associated alpha", 2: "unassociated alpha"}[extra]
        yield Known(f"TIFF: {what}", f"{extra}-{kind}{bits}-{colours}-{layout}.tif", data, known)
    stored, unit = quantised(np.dstack([UNIT, ALPHA, ALPHA]), 16, "u")
    data = tiff(stored, "rgb", extrasamples=[0, 0], planarconfig="contig")
    yield Known("TIFF: unspecified", "rgb-and-two.tif", data, grey_of(unit[:, :, :3]))


def orientations() -> Iterator[Known]:
    """Each EXIF orientation."""
    for orientation, (bits, kind) in product(range(1, 9), [(8, "u"), (16, "u"), (32, "f")]):
        stored, unit = quantised(UNIT, bits, kind)
        data = tiff(stored, "rgb", extratags=[(274, 3, 1, orientation, True)])
        known = turned(grey_of(unit), orientation)
        yield Known("TIFF: EXIF orientation", f"turn-{orientation}-{kind}{bits}.tif", data, known)


# --- several directories -------------------------------------------------------------------------------


def directories() -> Iterator[Known]:
    """Thumbnails and masks next to the image, in the chain and in sub-directories; stacks."""
    stored, unit = quantised(UNIT, 8, "u")
    small, grey = np.ascontiguousarray(stored[::3, ::3]), grey_of(unit)

    def written(*parts: tuple[np.ndarray, dict[str, object]]) -> bytes:
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer) as file:
            for array, options in parts:
                photometric = "minisblack" if array.ndim == 2 else "rgb"
                file.write(array, photometric=photometric, metadata=None, **options)
        return buffer.getvalue()

    kind = "TIFF: thumbnail or mask first"
    first = ((small, {"subfiletype": 1}), (stored, {"subfiletype": 0}))
    yield Known(kind, "thumbnail-first.tif", written(*first), grey)
    yield Known(kind, "thumbnail-last.tif", written(*first[::-1]), grey)
    yield Known(kind, "mask-first.tif", written((small[:, :, 0] > 99, {"subfiletype": 4}), first[1]), grey)
    inside = ((small, {"subfiletype": 1, "subifds": 2}), (stored, {}), (small, {"subfiletype": 1}))
    yield Known(kind, "picture-inside.tif", written(*inside), grey)
    pyramid = ((stored, {"subifds": 1}), (small, {"subfiletype": 1}))
    yield Known(kind, "pyramid.tif", written(*pyramid), grey)
    only = written((small, {"subfiletype": 1}))
    yield Known(kind, "thumbnail-only.tif", only, said="only thumbnails")
    stack = written(*((np.roll(stored, i, axis=0), {}) for i in range(5)), (small, {"subfiletype": 1}))
    for page in range(5):
        known = np.roll(grey, page, axis=0)
        yield Known("TIFF: pages", f"stack-{page}.tif", stack, known, page=page, n_pages=5)
    yield Known("TIFF: pages", "stack-5.tif", stack, said="a page from 1 to 5", page=5)


def tags_that_come_twice() -> Iterator[Known]:
    """A duplicated tag: a harmless one, and one that defines the storage, with equal and different values."""
    stored, unit = quantised(UNIT[:, :, 0], 16, "u")
    body = stored.astype("<u2").tobytes()
    for name, tag, values, said in (
        ("harmless", 305, (1, 2), ""),
        ("equal", 258, (16, 16), ""),
        ("other", 258, (16, 8), "tag 258 twice, with two values"),
    ):
        tags = {258: (16,), 262: (1,), 305: (1,), tag: (values[0],)}
        data = raw_tiff(body, stored.shape, tags)
        at = data.index(struct.pack("<HHIHH", tag, 3, 1, values[0], 0))
        entries = data[len(body) + 8 + len(body) % 2 :]
        n = int.from_bytes(entries[:2], "little")
        twice = data[at : at + 8] + struct.pack("<HH", values[1], 0)
        head = data[: len(body) + 8 + len(body) % 2] + struct.pack("<H", n + 1)
        data = head + data[len(head) : at + 12] + twice + data[at + 12 :]
        yield Known("TIFF: a tag twice", f"{name}.tif", data, grey_of(unit), said=said)


def refused() -> Iterator[Known]:
    """Kinds without a unique grey value, or without a safe decoder."""
    kind = "TIFF: no grey, or no safe decoder"
    stored, _ = quantised(UNIT, 8, "u")
    yield Known(kind, "complex.tif", tiff(UNIT[:, :, 0].astype(np.complex64)), said="complex")
    yield Known(kind, "volume.tif", tiff(np.stack([stored[:, :, 0]] * 16), volumetric=True), said="volume")
    many = np.dstack([stored, stored])
    yield Known(
        kind, "six-bands.tif", tiff(many, planarconfig="contig", extrasamples=[0] * 5), said="6 channels"
    )
    sparse = raw_tiff(b"", (HEIGHT, WIDTH), {258: (8,), 262: (1,)})
    yield Known(kind, "sparse.tif", sparse, said="sparse")
    old = raw_tiff(bytes(99), (HEIGHT, WIDTH), {258: (8,) * 3, 259: (6,), 262: (6,)})
    yield Known(kind, "old-jpeg.tif", old, said="old-style JPEG")
    yield Known(kind, "jpegxr.tif", tiff(stored, "rgb", compression="jpegxr"), said="JPEG XR")
    yield Known(kind, "cfa.dng", tiff(stored[:, :, 0], "cfa", extratags=_CFA_TAGS), said="raw")


_CFA_TAGS = [(33421, 3, 2, (2, 2), True), (33422, 1, 4, bytes([0, 1, 1, 2]), True)]

TIFF_MAKERS: tuple[Callable[[], Iterator[Known]], ...] = (
    sample_formats,
    compressions,
    colour_spaces,
    extra_samples,
    orientations,
    directories,
    tags_that_come_twice,
    refused,
)


# --- how they are read ---------------------------------------------------------------------------------

OUTCOMES = ("right", "refused", "wrong", "refused without its kind", "crash")


def all_pictures() -> Iterator[Known]:
    """All images of all formats."""
    from known_truth_others import OTHER_MAKERS

    for make in TIFF_MAKERS + OTHER_MAKERS:
        yield from make()


def outcome(case: Known, folder: Path) -> str:
    """The outcome of reading an image: one of ``OUTCOMES``."""
    path = folder / case.name
    path.write_bytes(case.data)
    try:
        grey = read_image(path, **({"page": case.page} if case.page else {})).grey
    except InputError as error:
        # The error for a valid image must name its kind, and not call it damaged.
        named = case.said in str(error) if case.said else "damaged" not in str(error)
        return "refused" if named else "refused without its kind"
    except Exception:
        return "crash"
    is_right = case.grey is not None and grey.shape == case.grey.shape
    return "right" if is_right and np.abs(grey - case.grey).max() <= case.tolerance else "wrong"


def main() -> None:
    counts: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in all_pictures():
            counts.setdefault(case.kind, Counter())[outcome(case, Path(folder))] += 1
    print("|".join(("kind", *OUTCOMES)))
    for kind, found in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        print("|".join((kind, *(str(found[outcome]) for outcome in OUTCOMES))))


if __name__ == "__main__":
    main()
