"""jsonl: an object with the metadata on the first line, then one object a keypoint."""

from __future__ import annotations

import json

from ..errors import InputError
from ..features import Features
from ._record import FeatureFile, build, metadata, parse_json
from .text_json import SCHEMA, columns_of, rows


def encode(features: Features) -> bytes:
    """Encode features as a jsonl file."""
    head = json.dumps({"schema": SCHEMA, "n_keypoints": len(features), **metadata(features)})
    return "".join(f"{line}\n" for line in (head, *rows(features))).encode("ascii")


def decode(data: bytes) -> FeatureFile:
    """Decode a jsonl file."""
    lines = data.splitlines()
    head = parse_json(lines[0]) if lines else None
    if not isinstance(head, dict) or head.get("schema") != SCHEMA:
        raise InputError(f"expected an object with schema {SCHEMA} on the first line")
    if head.get("n_keypoints") != len(lines) - 1:
        raise InputError(f"expected {head.get('n_keypoints')!r:.20} keypoints, got {len(lines) - 1} lines")
    return build(columns_of([parse_json(line) for line in lines[1:]]), head, "jsonl")
