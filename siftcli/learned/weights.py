"""The network's weights on disk: an npz file that says what it is and what it was trained on.

No pickle: the file is read as plain arrays, of which every shape is checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..formats.npz import read_arrays, write_arrays
from ..io.provenance import DIGEST_BYTES
from .network import SHAPES

SHIPPED = Path(__file__).with_name("weights.npz")
"""The file that comes with siftcli."""
KIND = "siftcli orientation network"
VERSION = 1
_KEYS = ("kind", "version", "about")
_HOW_TO_MAKE = "make one with: siftcli train-orientation IMAGES... -o FILE.npz"


@dataclass(frozen=True, eq=False)
class Weights:
    """A trained network."""

    parameters: Mapping[str, NDArray[np.float32]]
    """An array for each of ``network.SHAPES``."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """How they were made: command, images trained on and held out, accuracy."""
    digest: str = ""
    """Of the file's bytes, where they were read from one."""


def encode(weights: Weights, **more: NDArray[Any]) -> bytes:
    """The weights as a file; ``more`` arrays go with them (the state of an unfinished training)."""
    named = {
        "kind": np.array(KIND),
        "version": np.array(VERSION),
        "about": np.array(json.dumps(weights.about)),
    }
    return write_arrays({**named, **weights.parameters, **more})


def shipped_or(path: str) -> Weights:
    """The weights of a file; of the one that comes with siftcli when the path is empty.

    Raises
    ------
    InputError
        As :func:`load`.
    """
    file = Path(path) if path else SHIPPED
    return _remembered(file, _changed(file))


@lru_cache(maxsize=4)
def _remembered(path: Path, _changed: int) -> Weights:
    return load(path)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def load(path: Path) -> Weights:
    """Read weights.

    Raises
    ------
    InputError
        If the file is missing, damaged or not the weights of this network.
    """
    data = read(path)
    digest = hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()
    return replace(decode(data, path), digest=digest)


def read(path: Path) -> bytes:
    """The bytes of a weights file.

    Raises
    ------
    InputError
        If there is none, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        hint = "install siftcli again" if path == SHIPPED else _HOW_TO_MAKE
        raise InputError(
            f"{path}: expected the weights of the orientation network, found no file; {hint}"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: the weights cannot be read ({error.strerror}); check the path") from error


def decode(data: bytes, path: Path) -> Weights:
    """The weights in the bytes of a file, whose name is for the messages.

    Raises
    ------
    InputError
        If they are damaged or foreign.
    """
    try:
        arrays = read_arrays(data, [*_KEYS, *SHAPES])
    except InputError as error:
        raise InputError(f"{path}: {error}; {_HOW_TO_MAKE}") from error
    if str(arrays.get("kind", "")) != KIND:
        raise InputError(
            f"{path}: expected the weights of the {KIND}, found an npz file of something else; {_HOW_TO_MAKE}"
        )
    if int(arrays["version"]) != VERSION:
        raise InputError(
            f"{path}: expected version {VERSION} of the weights, found {arrays['version']}; {_HOW_TO_MAKE}"
        )
    return Weights({name: _checked(arrays, name, path) for name in SHAPES}, _about(arrays, path))


def _checked(arrays: Mapping[str, NDArray[Any]], name: str, path: Path) -> NDArray[np.float32]:
    """One parameter, if it is what the network expects."""
    found = arrays.get(name)
    if (
        found is None
        or found.shape != SHAPES[name]
        or found.dtype.kind != "f"
        or not np.all(np.isfinite(found))
    ):
        what = "nothing" if found is None else f"{found.dtype} of shape {found.shape}"
        raise InputError(
            f"{path}: expected {name} as finite numbers of shape {SHAPES[name]}, found {what}; {_HOW_TO_MAKE}"
        )
    return np.ascontiguousarray(found, np.float32)


def _about(arrays: Mapping[str, NDArray[Any]], path: Path) -> dict[str, Any]:
    try:
        about = json.loads(str(arrays["about"]))
    except (KeyError, ValueError):
        about = None
    if not isinstance(about, dict):
        raise InputError(f"{path}: expected a JSON object that says how it was made; {_HOW_TO_MAKE}")
    return about
