"""json: one object with the metadata and a list of keypoints, one a line."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..errors import InputError
from ..features import DESCRIPTOR_LENGTH, Features
from ._record import SCALAR_COLUMNS, FeatureFile, build, metadata, no_rows, parse_json, shortest

SCHEMA = 1
_NAMES = ("x", "y", *SCALAR_COLUMNS)


def encode(features: Features) -> bytes:
    """Encode features as a json file."""
    head = json.dumps({"schema": SCHEMA, **metadata(features)})
    body = ",\n".join(rows(features))
    return f'{head[:-1]}, "keypoints": [\n{body}\n]}}\n'.encode("ascii")


def rows(features: Features) -> list[str]:
    """Write an object for each keypoint."""
    columns = [shortest(features.xy[:, 0]), shortest(features.xy[:, 1])]
    columns += [shortest(getattr(features, name)) for name in SCALAR_COLUMNS]
    return [
        _row(frame, descriptor)
        for *frame, descriptor in zip(*columns, features.descriptors.tolist(), strict=True)
    ]


def _row(frame: list[str], descriptor: list[int]) -> str:
    numbers = ", ".join(f'"{name}": {text}' for name, text in zip(_NAMES, frame, strict=True))
    return f'{{{numbers}, "descriptor": {descriptor}}}'


def decode(data: bytes) -> FeatureFile:
    """Decode a json file."""
    content = parse_json(data)
    if not isinstance(content, dict) or not isinstance(content.get("keypoints"), list):
        raise InputError("expected an object with a list of keypoints")
    if content.get("schema") != SCHEMA:
        raise InputError(f"expected schema {SCHEMA}, got {content.get('schema')!r:.40}")
    return build(columns_of(content["keypoints"]), content, "json")


def columns_of(keypoints: list[Any]) -> dict[str, Any]:
    """Make columns of the objects of the keypoints.

    Raises
    ------
    InputError
        If one of them lacks a value, or has something else than a number.
    """
    if not keypoints:
        return no_rows()
    try:
        table = np.array([[point[name] for name in _NAMES] for point in keypoints])
        descriptors = np.array([point["descriptor"] for point in keypoints])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"expected keypoints with {', '.join(_NAMES)} and a descriptor of {DESCRIPTOR_LENGTH} numbers"
        ) from error
    if table.dtype.kind not in "iuf" or table.ndim != 2:
        raise InputError("expected the values of the keypoints as numbers")
    scalars = {name: table[:, 2 + i] for i, name in enumerate(SCALAR_COLUMNS)}
    return {"xy": table[:, :2], **scalars, "descriptors": descriptors}
