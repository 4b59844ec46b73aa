"""csv: a comment line with the metadata, a header row, and a row a keypoint.

The first line is ``# siftcli `` and a JSON object; readers of csv skip it as a comment
(``pandas.read_csv(path, comment="#")``). Numbers are the shortest text that reads back
as the same float32.
"""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

import numpy as np

from ..errors import InputError
from ..features import Features
from ._record import (
    DESCRIPTOR_COLUMNS,
    SCALAR_COLUMNS,
    FeatureFile,
    build,
    metadata,
    no_rows,
    parse_json,
    shortest,
)

HEADER = ("x", "y", *SCALAR_COLUMNS, *DESCRIPTOR_COLUMNS)
_MARK = "# siftcli "
_JSON_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_N_FRAME = len(HEADER) - len(DESCRIPTOR_COLUMNS)


def encode(features: Features) -> bytes:
    """Encode features as a csv file."""
    columns = [shortest(features.xy[:, 0]), shortest(features.xy[:, 1])]
    columns += [shortest(getattr(features, name)) for name in SCALAR_COLUMNS]
    descriptors = features.descriptors.tolist()
    rows = [
        ",".join(frame) + "," + ",".join(map(str, descriptor))
        for *frame, descriptor in zip(*columns, descriptors, strict=True)
    ]
    lines = [_MARK + _in_one_cell(json.dumps(metadata(features))), ",".join(HEADER), *rows]
    return ("\n".join(lines) + "\n").encode("ascii")


def _in_one_cell(text: str) -> str:
    """JSON with the separators inside its texts escaped.

    A spreadsheet cuts the line at them, and a name like ``a,=f().png`` would give it a formula.
    """
    return _JSON_TEXT.sub(lambda found: found.group().replace(",", "\\u002c").replace(";", "\\u003b"), text)


def decode(data: bytes) -> FeatureFile:
    """Decode a csv file."""
    try:
        lines = data.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise InputError("expected ASCII text") from error
    if not lines or not lines[0].startswith(_MARK):
        raise InputError(f"expected a first line that begins with {_MARK!r}")
    if len(lines) < 2 or tuple(lines[1].split(",")) != HEADER:
        raise InputError(f"expected the header row {','.join(HEADER[:8])},...,{HEADER[-1]}")
    return build(_columns(lines[2:]), parse_json(lines[0].removeprefix(_MARK)), "csv")


def _columns(rows: list[str]) -> dict[str, Any]:
    if not rows:
        return no_rows()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # blank lines only
            table = np.loadtxt(rows, delimiter=",", comments=None, dtype=np.float64, ndmin=2)
    except (ValueError, UserWarning) as error:
        raise InputError(f"expected {len(HEADER)} numbers a row ({' '.join(str(error).split())})") from error
    if table.shape != (len(rows), len(HEADER)):
        raise InputError(f"expected {len(rows)} rows of {len(HEADER)} numbers, got {table.shape}")
    scalars = {name: table[:, 2 + i] for i, name in enumerate(SCALAR_COLUMNS)}
    return {"xy": table[:, :2], **scalars, "descriptors": table[:, _N_FRAME:]}
