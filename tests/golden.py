"""The features of each sample image in a small file; renewed by ``python tests/golden.py``.

A change to the algorithm changes them, on purpose or not: the file is renewed with the change that
explains it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import siftcli

SAMPLES = Path(__file__).parents[1] / "sample_images"
FOLDER = Path(__file__).parent / "golden"
PRESETS = ("default", "classic")
N_STRONGEST = 50

COUNT_TOLERANCE = 0.005
"""Share of the features that may come or go: rounding, which the compiler and the processor's
instructions decide, acts on the few that are at a threshold."""
SUM_TOLERANCE = 0.005
"""Relative, of the sums; with the features they are of."""
TOLERANCES = {"x": 0.01, "y": 0.01, "scale": 0.01, "orientation": 0.01, "response": 1e-4, "descriptor": 30}
"""Pixels, pixels, pixels, radians, grey, and units summed over the 128 numbers of a descriptor."""
N_MISSING = 1
"""Of the strongest that may have no counterpart: one of several orientations may fall below the ratio."""


def sample_images() -> list[Path]:
    return sorted(p for p in SAMPLES.iterdir() if p.suffix in {".png", ".jpg"})


def golden_file(image: Path) -> Path:
    return FOLDER / f"{image.name}.json"


def describe(image: Path) -> dict[str, Any]:
    """What is remembered of an image: counts, sums and the strongest features of each preset."""
    return {preset: _summary(siftcli.detect(image, siftcli.SiftParams.preset(preset))) for preset in PRESETS}


def _summary(f: siftcli.Features) -> dict[str, Any]:
    octaves, counts = np.unique(f.octave, return_counts=True)
    columns = {"x": f.xy[:, 0], "y": f.xy[:, 1], "scale": f.scale, "orientation": f.orientation}
    columns |= {"response": f.response, "descriptor": f.descriptors.sum(axis=1, dtype=int)}
    return {
        "n": len(f),
        "n_by_octave": {str(o): int(n) for o, n in zip(octaves, counts, strict=True)},
        "sums": {name: float(f"{column.sum(dtype=float):.8g}") for name, column in columns.items()},
        "strongest": {name: _rounded(column[:N_STRONGEST]) for name, column in columns.items()},
    }


def _rounded(column: np.ndarray) -> list[float]:
    return [float(f"{value:.7g}") for value in column.tolist()]


def differences(found: dict[str, Any], golden: dict[str, Any]) -> list[str]:
    """What is further apart than the tolerances; empty when nothing is."""
    said = []
    for preset in PRESETS:
        f, g = found[preset], golden[preset]
        if abs(f["n"] - g["n"]) > COUNT_TOLERANCE * g["n"]:
            said.append(f"{preset}: {f['n']} features, not {g['n']}")
        for name, total in g["sums"].items():
            if abs(f["sums"][name] - total) > SUM_TOLERANCE * abs(total):
                said.append(f"{preset}: the sum of {name} is {f['sums'][name]}, not {total}")
        n = _n_missing(f["strongest"], g["strongest"])
        if n > N_MISSING:
            said.append(
                f"{preset}: {n} of the {len(g['strongest']['x'])} strongest features have no counterpart"
            )
    return said


def _n_missing(found: dict[str, list[float]], golden: dict[str, list[float]]) -> int:
    """How many of the golden features have no counterpart within all tolerances."""
    near = np.ones((len(golden["x"]), len(found["x"])), bool)
    for name, tolerance in TOLERANCES.items():
        away = np.abs(np.subtract.outer(golden[name], found[name]))
        if name == "orientation":
            away = np.minimum(away, 2 * np.pi - away)
        near &= away <= tolerance
    return int((~near.any(axis=1)).sum())


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for image in sample_images():
        golden_file(image).write_text(json.dumps(describe(image)) + "\n")
        print(golden_file(image))


if __name__ == "__main__":
    main()
