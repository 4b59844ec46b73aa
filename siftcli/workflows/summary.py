"""Summary of features and feature files in plain types."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np

from ..features import Features
from ..formats import inspect

SCHEMA = 1
"""Number of the layout of the JSON that commands print; raised when a key changes its meaning."""


def summarise(features: Features) -> dict[str, Any]:
    """Summarise the features of one image.

    Returns
    -------
    dict
        In plain types: ``image_name``, ``image_size`` (width, height), ``exif_orientation``,
        ``n_keypoints`` (rows; a keypoint with two orientations counts twice), ``n_by_octave``
        (octave, as text, to rows), ``removed`` (filter to candidates, in the order of the
        pipeline), ``descriptor_kind`` and ``params`` (or None).
    """
    octaves, counts = np.unique(features.octave, return_counts=True)
    return {
        "image_name": features.image_name,
        "image_size": [int(n) for n in features.image_size],
        "exif_orientation": features.exif_orientation,
        "n_keypoints": len(features),
        "n_by_octave": {str(octave): int(n) for octave, n in zip(octaves, counts, strict=True)},
        "removed": {name: int(n) for name, n in features.removed.items()},
        "descriptor_kind": features.descriptor_kind,
        "params": None if features.params is None else features.params.to_dict(),
    }


def describe_file(
    path: str | PathLike[str], format: str | None = None, image: str | None = None
) -> dict[str, Any]:
    """Summarise a feature file.

    Returns
    -------
    dict
        ``schema``, ``kind`` (``"features"``), ``file``, ``format``, ``version`` of siftcli that wrote
        it, ``convention`` and the keys of :func:`summarise`.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    content = inspect(path, format, image=image)
    head = {"schema": SCHEMA, "kind": "features", "file": str(path), "format": content.format}
    return {
        **head,
        "version": content.version,
        "convention": content.convention,
        **summarise(content.features),
    }
