"""A digest of all that a kernel is made from, so that no stale machine code is ever run.

That is the source of its file, of the files of all subroutines that it calls, theirs included, wherever
they stand, of this package, and the values of the constants that they use from elsewhere. Numba itself
looks at the kernel's own file alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.util import source_hash
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

_CONSTANTS = (bool, int, float, complex, str, bytes, np.generic, np.ndarray, tuple, list)


@cache
def digest_of(function: Callable[..., Any]) -> str:
    """Sixteen hexadecimal digits that change with whatever decides the machine code of a kernel.

    They are Python's own hash of a source file (PEP 552), since importing ``hashlib`` takes 2 ms.

    Empty where a source file cannot be read: such a kernel has no place in a cache.
    """
    files, constants = dependencies(function)
    try:
        parts = sorted(_digest_of_file(file) for file in files) + sorted(constants)
    except OSError:
        return ""
    return source_hash("\n".join(parts).encode()).hex()


def dependencies(function: Callable[..., Any]) -> tuple[set[str], set[str]]:
    """The source files that a kernel is made from, and the constants it uses, as text.

    Parameters
    ----------
    function
        The kernel in Python, before it is compiled.
    """
    files, constants = set(_files_of_this_package()), set[str]()
    pending, seen = list[Any]([function]), set[Any]()
    while pending:
        plain = pending.pop()
        if plain not in seen:
            seen.add(plain)
            constants_of_it, called = _used(plain)
            files.add(plain.__code__.co_filename)
            constants |= constants_of_it
            pending += called
    return files, constants


@cache
def _files_of_this_package() -> frozenset[str]:
    return frozenset(map(str, Path(__file__).parent.glob("*.py")))


@cache
def _used(function: FunctionType) -> tuple[frozenset[str], tuple[FunctionType, ...]]:
    """The constants that a function itself uses, as text, and the functions that it calls."""
    constants, called = set(), list[FunctionType]()
    for name, value in _values_used(function):
        if isinstance(value, _CONSTANTS):
            constants.add(f"{name}={_text(value)}")
        elif plain := _plain(value):
            called.append(plain)
    return frozenset(constants), tuple(called)


def _plain(value: Any) -> FunctionType | None:
    """The function in Python of what Numba can call: a kernel, a subroutine or an intrinsic; else None."""
    if not hasattr(type(value), "_numba_type_"):
        return None
    inner = getattr(value, "__wrapped__", None) or getattr(value, "py_func", None)
    return inner if isinstance(inner, FunctionType) else None


def _values_used(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The global variables, those of modules included, and the closure of a function, by their names."""
    names = set(_names(function.__code__))
    free = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, cell in free:
        yield name, cell.cell_contents
    yield from _found(names, function.__globals__)
    for _, module in _found(names, function.__globals__):
        if isinstance(module, ModuleType):
            yield from _found(names, vars(module))


def _found(names: set[str], variables: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, variables[name]) for name in names if name in variables]


def _names(code: CodeType) -> Iterator[str]:
    """All names that a function's code looks up, functions inside it included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str} {value.shape} {value.tobytes().hex()}"
    if isinstance(value, tuple | list):
        return f"({', '.join(_text(item) for item in value)})"
    return f"{type(value).__name__} {value!r}"


@cache
def _digest_of_file(path: str) -> str:
    return source_hash(Path(path).read_bytes()).hex()
