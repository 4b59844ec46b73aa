"""Machine code as it stands in memory: made of an object file once, and placed without a linker.

Numba's code for x86-64 refers to everything by whole addresses (LLVM's large code model), so an object file
has one kind of reference, ``R_X86_64_64``: 8 bytes for the address of a symbol, plus a number. When a kernel
is stored, its sections are laid out, code before data; when it is loaded, the addresses are filled in. That
takes a fifth of a millisecond; importing llvmlite takes 15, and linking one more a kernel.

Source: System V Application Binary Interface, and its AMD64 supplement, section 4.4.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from mmap import PAGESIZE
from typing import Any

import numpy as np

from ..system.linking import code_memory, make_runnable

_X86_64_OBJECT = b"\x7fELF\x02\x01", 1, 62
"""The beginning of a file of 64 bits and little-endian; a relocatable object; the machine."""
_HEADER, _SECTION, _SYMBOL, _RELOCATION = "<40xQ10xHHH", "<IIQQQQIIQQ", "<IBBHQQ", "<QQq"
_SYMBOLS, _RELOCATIONS, _EMPTY = 2, 4, 8
"""Types of sections: a table of symbols, of relocations; one of zeros, which is not in the file."""
_IN_MEMORY, _RUN = 2, 4
_UNDEFINED, _COMMON = 0, 0xFFF2
_WHOLE_ADDRESS = 1
_UNWINDING = ".eh_frame"
"""How exceptions of C++ leave a function. A kernel raises none."""
_MOST_BYTES = 1 << 26


def image_of(code: bytes, names: list[str]) -> tuple[dict[str, Any], bytes]:
    """Lay out an object file.

    Parameters
    ----------
    code
        The file.
    names
        Symbols whose places are wanted.

    Returns
    -------
    header
        ``n_code``: bytes of the whole pages with code; ``wanted``: places of the names; ``names``: symbols it
        refers to; ``places``, ``symbols``, ``addends``: where addresses are filled in, of which of the names
        (-1 for the image itself), and what is added to them.
    image
        The bytes.

    Raises
    ------
    ValueError
        If it is not of this processor, or has another kind of reference.
    """
    if (code[:6], *struct.unpack_from("<HH", code, 16)) != _X86_64_OBJECT:
        raise ValueError("no object file for x86-64")
    sections = _sections(code)
    image, starts, n_code = _laid_out(code, sections)
    symbols = _symbols(code, sections)
    places = _places(symbols, image, starts)
    outside = list(dict.fromkeys(name for name, section, _, _ in symbols if section == _UNDEFINED and name))
    header: dict[str, Any] = {"n_code": n_code, "names": outside, "places": [], "symbols": [], "addends": []}
    for at, symbol, addend in _references(code, sections, starts):
        name, section, _, _ = symbols[symbol]
        is_outside = section == _UNDEFINED
        if not is_outside and symbol not in places:
            raise ValueError("a reference to what is not in memory")
        header["places"].append(at)
        header["symbols"].append(outside.index(name) if is_outside else -1)
        header["addends"].append(addend + (0 if is_outside else places[symbol]))
    defined = {symbols[symbol][0]: place for symbol, place in places.items()}
    if not defined.keys() >= set(names):
        raise ValueError("a symbol that is not defined")
    return header | {"wanted": [defined[name] for name in names]}, bytes(image)


def placed(header: dict[str, Any], image: bytes, address_of: Callable[[str], int]) -> tuple[list[int], Any]:
    """Bring an image into memory.

    Parameters
    ----------
    header, image
        From :func:`image_of`.
    address_of
        Finds the address of a symbol.

    Returns
    -------
    addresses, owner
        Of the symbols that were wanted; and what keeps the image in memory.

    Raises
    ------
    OSError
        If code may not be run from memory.
    """
    memory = code_memory(len(image))
    memory[:] = np.frombuffer(image, np.uint8)
    start = memory.ctypes.data
    known = np.array([*map(address_of, header["names"]), start], np.uint64)
    addresses = known[header["symbols"]] + np.array(header["addends"], np.int64).view(np.uint64)
    places = np.array(header["places"], np.int64)
    memory[places[:, None] + np.arange(8)] = addresses.view(np.uint8).reshape(-1, 8)
    make_runnable(memory, header["n_code"])
    return [start + place for place in header["wanted"]], memory


def _sections(code: bytes) -> list[dict[str, Any]]:
    offset, each, n, names = struct.unpack_from(_HEADER, code)
    keys = "name", "type", "flags", "address", "offset", "size", "link", "info", "alignment", "entry"
    found = [
        dict(zip(keys, struct.unpack_from(_SECTION, code, offset + i * each), strict=True)) for i in range(n)
    ]
    for section in found:
        section["name"] = _text(code, found[names]["offset"] + section["name"])
    return found


def _symbols(code: bytes, sections: list[dict[str, Any]]) -> list[tuple[str, int, int, int]]:
    """Name, section, value and size of each symbol."""
    (table,) = (section for section in sections if section["type"] == _SYMBOLS)
    texts = sections[table["link"]]["offset"]
    found = struct.iter_unpack(_SYMBOL, _body(code, table))
    return [(_text(code, texts + name), section, value, size) for name, _, _, section, value, size in found]


def _places(
    symbols: list[tuple[str, int, int, int]], image: bytearray, starts: dict[int, int]
) -> dict[int, int]:
    """Where symbols are in the image, which is extended by those that only state what room they need."""
    places = {}
    for i, (_, section, value, size) in enumerate(symbols):
        if section == _COMMON:  # its value is its alignment
            places[i] = _aligned(len(image), value)
            image.extend(bytes(places[i] + size - len(image)))
        elif section in starts:
            places[i] = starts[section] + value
    return places


def _references(
    code: bytes, sections: list[dict[str, Any]], starts: dict[int, int]
) -> Iterator[tuple[int, int, int]]:
    """Place, symbol and addend of each address to fill in."""
    for section in sections:
        if section["type"] == _RELOCATIONS and section["info"] in starts:
            for at, kind, addend in struct.iter_unpack(_RELOCATION, _body(code, section)):
                if kind & 0xFFFFFFFF != _WHOLE_ADDRESS:
                    raise ValueError("a reference of another kind")
                yield starts[section["info"]] + at, kind >> 32, addend


def _laid_out(code: bytes, sections: list[dict[str, Any]]) -> tuple[bytearray, dict[int, int], int]:
    """The sections that are in memory one after the other, where each begins, and the bytes of code."""
    image, starts = bytearray(), dict[int, int]()
    for is_run in (True, False):
        for i, section in enumerate(sections):
            if not section["flags"] & _IN_MEMORY or section["name"] == _UNWINDING:
                continue
            if bool(section["flags"] & _RUN) == is_run:
                starts[i] = _aligned(len(image), section["alignment"])
                image.extend(bytes(starts[i] - len(image)) + _body(code, section))
        if is_run:
            image.extend(bytes(_aligned(len(image), PAGESIZE) - len(image)))
            n_code = len(image)
    return image, starts, n_code


def _body(code: bytes, section: dict[str, Any]) -> bytes:
    if section["type"] == _EMPTY:
        return bytes(min(section["size"], _MOST_BYTES))
    return code[section["offset"] : section["offset"] + section["size"]]


def _text(code: bytes, at: int) -> str:
    return code[at : code.index(b"\0", at)].decode()


def _aligned(place: int, alignment: int) -> int:
    return -(-place // max(alignment, 1)) * max(alignment, 1)
