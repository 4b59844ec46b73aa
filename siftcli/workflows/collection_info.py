"""What a collection of features or a file of matches holds, counted."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, OutputError, SiftcliError
from ..formats._collections import Reader, open_reader
from ..formats._match_graph import NONE, MatchGraph, match_reader
from ..formats._registry import FORMATS, format_of
from ..io.provenance import Provenance, differing
from .connectivity import Component, components, degrees, weakest
from .stored_pairs import StoredPairs
from .summary import SCHEMA

N_WEAKEST = 5
"""Images that are named as the weakest."""
MAX_LISTED = 20
"""Components, sizes and images that cannot be read that are listed; the rest is counted."""


@dataclass
class _Images:
    """What was counted, image by image."""

    n_features: dict[str, int] = field(default_factory=dict)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    settings: Counter[str] = field(default_factory=Counter)
    n_masks: int = 0
    n_recorded: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def add(self, reader: Reader, name: str) -> None:
        """Count an image."""
        try:
            n, size = reader.stored(name)
        except SiftcliError as error:
            self.unreadable.append((name, str(error)))
            return
        self.n_features[name] = n
        self.sizes[size] += 1
        record = Provenance.from_json(reader.provenance(name))
        if record is not None:
            self.n_recorded += 1
            self.n_masks += record.mask is not None
            self.settings[record.settings] += 1


def is_collection(path: str, format: str | None) -> bool:
    """Whether a path is a folder, or of a format that holds many images or matches of many pairs."""
    if Path(path).is_dir():
        return True
    try:
        return format_of(path, format).is_collection
    except OutputError:
        return False


def describe_collection(path: str, format: str | None = None) -> dict[str, Any]:
    """Count what a collection of features, or a file of the matches of many pairs, holds.

    Returns
    -------
    dict
        In plain types; the keys are listed in docs/json.md.

    Raises
    ------
    InputError
        If it is missing, damaged or of another kind.
    """
    name = _format_name(path, format)
    if name == "hloc" and (found := _hloc_matches(path)) is not None:
        return {"schema": SCHEMA, "kind": "pairs", "file": path, "format": name, **found}
    images = _Images()
    with open_reader(path, format) as reader:
        for image in reader.names():
            images.add(reader, image)
    return {
        "schema": SCHEMA,
        "kind": "collection",
        "file": path,
        "format": name,
        **_of_images(images),
        **_of_database(path, name),
        **_of_pairs(_graph(path, name), images.n_features),
    }


def _format_name(path: str, format: str | None) -> str:
    """Name of the format; that of a folder of feature files is ``folder``, if it is not named."""
    suffix = Path(path).suffix.lower()
    if format is None and Path(path).is_dir() and suffix not in FORMATS["parquet"].suffixes:
        return "folder"
    try:
        return format_of(path, format).name
    except OutputError as error:
        raise InputError(str(error)) from error


def _hloc_matches(path: str) -> dict[str, Any] | None:
    """The pairs of hloc's file of matches; None if it is one of features."""
    if not os.path.isfile(path):  # noqa: PTH113  Path.is_file raises for a name that is too long
        return None
    from ..formats.hloc_match_reader import HlocMatchReader

    with HlocMatchReader(Path(path)) as reader:
        if not reader.holds_matches:
            return None
    with StoredPairs(path, "hloc") as stored:
        graph = stored.graph()
        counts = {}
        with suppress(SiftcliError):  # the features need not be there any more
            counts = {one.name: stored.features.stored(one.name)[0] for one in weakest(graph, N_WEAKEST)}
    return _of_pairs(graph, counts)


def _graph(path: str, format: str) -> MatchGraph | None:
    if format != "colmap-db":
        return None
    with match_reader(Path(path), format) as reader:
        return reader.graph()


def _of_images(images: _Images) -> dict[str, Any]:
    counts = np.array(list(images.n_features.values()), np.int64)
    settings = [text for text, _ in images.settings.most_common()]
    return {
        "n_images": len(images.n_features) + len(images.unreadable),
        "n_features": int(counts.sum()),
        "features_per_image": [int(np.median(counts)), int(counts.min()), int(counts.max())]
        if len(counts)
        else None,
        "n_without_features": int(np.count_nonzero(counts == 0)),
        "image_sizes": [
            {"width": width, "height": height, "n_images": n}
            for (width, height), n in images.sizes.most_common(MAX_LISTED)
        ],
        "n_sizes": len(images.sizes),
        "n_recorded": images.n_recorded,
        "n_masks": images.n_masks,
        "n_settings": len(settings),
        "settings_differ": differing(settings[0], settings[1]) if len(settings) > 1 else "",
        "n_unreadable": len(images.unreadable),
        "unreadable": [{"image": name, "error": error} for name, error in images.unreadable[:MAX_LISTED]],
    }


def _of_database(path: str, format: str) -> dict[str, Any]:
    """Cameras and priors, which only a COLMAP database stores."""
    if format != "colmap-db":
        return {"cameras": None, "priors": None}
    from ..formats._colmap_overview import colmap_overview

    found = colmap_overview(Path(path))
    return {
        "cameras": {
            "n_cameras": found.n_cameras,
            "n_images": found.n_images,
            "models": [{"model": name, "n_cameras": n} for name, n in found.models.items()],
            "focal_lengths": [asdict(source) for source in found.focal_lengths],
        },
        "priors": {
            "n_wgs84": found.n_wgs84,
            "n_cartesian": found.n_cartesian,
            "n_gravity": found.n_gravity,
        },
    }


def _of_pairs(graph: MatchGraph | None, n_features: dict[str, int]) -> dict[str, Any]:
    """Pairs, components and the weakest images: those with the fewest features, if no pair was matched."""
    if graph is None or not len(graph):
        return {"pairs": None, "weakest": _fewest(n_features)}
    return {
        "pairs": pair_counts(graph),
        "weakest": [
            {
                "image": weak.name,
                "n_features": n_features.get(weak.name),
                "n_partners": weak.n_partners,
                "n_inliers": weak.strength,
            }
            for weak in weakest(graph, N_WEAKEST)
        ],
    }


def _fewest(n_features: dict[str, int]) -> list[dict[str, Any]]:
    order = sorted(n_features, key=lambda name: (n_features[name], name))[:N_WEAKEST]
    return [
        {"image": name, "n_features": n_features[name], "n_partners": None, "n_inliers": None}
        for name in order
    ]


def pair_counts(graph: MatchGraph) -> dict[str, Any]:
    """Count the pairs of a graph, and the components that they connect."""
    found = components(graph)
    return {
        "n_tried": len(graph),
        "n_matched": int(np.count_nonzero(np.maximum(graph.n_matches, graph.n_inliers) > 0)),
        "n_verified": int(np.count_nonzero(graph.is_verified)) if graph.has_models else None,
        "n_without_model": int(np.count_nonzero(graph.n_inliers == NONE)),
        "n_images": len(graph.images),
        "n_alone": int(np.count_nonzero(degrees(graph) == 0)),
        "n_components": len(found),
        "components": [_component(one) for one in found[:MAX_LISTED]],
    }


def _component(one: Component) -> dict[str, Any]:
    return {"n_images": one.n_images, "n_pairs": one.n_pairs, "first": list(one.names)}


def stored_totals(path: str, format: str) -> tuple[int, int | None]:
    """Pairs that a file of matches holds, and how many are verified; None if no model was fitted.

    Raises
    ------
    InputError
        If it is damaged.
    """
    with match_reader(Path(path), format) as reader:
        graph = reader.graph()
    return len(graph), int(np.count_nonzero(graph.is_verified)) if graph.has_models else None
