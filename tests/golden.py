"""Golden files: a summary of the features of each sample image. ``python tests/golden.py`` rewrites them.

Rewrite them only together with a change of the algorithm that explains the new values.
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
"""Maximum relative change of the number of features. Rounding depends on the compiler and the processor,
and affects the few features that are at a threshold."""
SUM_TOLERANCE = 0.005
"""Maximum relative change of the sums over all features."""
TOLERANCES = {"x": 0.01, "y": 0.01, "scale": 0.01, "orientation": 0.01, "response": 1e-4, "descriptor": 30}
"""In pixels, pixels, pixels, radians, grey values, and the sum of the 128 values of a descriptor."""
N_MISSING = 1
"""Number of the strongest features without a counterpart that is allowed: a secondary orientation may
fall below the peak ratio."""


def sample_images() -> list[Path]:
    return sorted(p for p in SAMPLES.iterdir() if p.suffix in {".png", ".jpg"})


def golden_file(image: Path) -> Path:
    return FOLDER / f"{image.name}.json"


def describe(image: Path) -> dict[str, Any]:
    """The golden values of an image: counts, sums and the strongest features of each preset."""
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
    """Descriptions of all differences beyond the tolerances."""
    found_differences = []
    for preset in PRESETS:
        f, g = found[preset], golden[preset]
        if abs(f["n"] - g["n"]) > COUNT_TOLERANCE * g["n"]:
            found_differences.append(f"{preset}: {f['n']} features, not {g['n']}")
        for name, total in g["sums"].items():
            if abs(f["sums"][name] - total) > SUM_TOLERANCE * abs(total):
                found_differences.append(f"{preset}: the sum of {name} is {f['sums'][name]}, not {total}")
        n = _n_missing(f["strongest"], g["strongest"])
        if n > N_MISSING:
            found_differences.append(
                f"{preset}: {n} of the {len(g['strongest']['x'])} strongest features have no counterpart"
            )
    return found_differences


def _n_missing(found: dict[str, list[float]], golden: dict[str, list[float]]) -> int:
    """Number of golden features without a counterpart within all tolerances."""
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
