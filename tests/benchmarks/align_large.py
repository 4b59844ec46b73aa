"""Memory and time of ``siftcli align`` on two TIFF files of 20,000 x 20,000 pixels of 16 bits.

    python tests/benchmarks/align_large.py --side 20000

The second is the first under a known similarity. Prints the error of the recovered transform, the peak
memory of the process, and its time. Making the files takes more memory than aligning them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import tifffile

from siftcli.alignment.models import rms_distance
from siftcli.views.planar import similarity

ROOT = Path(__file__).resolve().parents[2]
TURN_DEG, ZOOM, SHIFT_PX = 0.7, 1.002, (83.4, -41.7)
BLOB_PX = 8
MEASURED = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(status, used.ru_maxrss, used.ru_utime + used.ru_stime)
"""


def scene(side: int) -> np.ndarray:
    """(side, side) uint16 blobs of several sizes that nowhere repeat."""
    rng = np.random.default_rng(11)
    total = np.full((side, side), 20_000, np.uint16)
    for size, height in ((BLOB_PX, 9_000), (8 * BLOB_PX, 9_000)):
        n = -(-side // size)
        coarse = rng.integers(0, height, (n, n)).astype(np.uint16)
        total += cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return total


def make(folder: Path, side: int) -> np.ndarray:
    """Write both files; returns the map from the second to the first."""
    first = scene(side)
    tifffile.imwrite(folder / "first.tif", first, metadata=None, tile=(512, 512))
    centre = ((side - 1) / 2, (side - 1) / 2)
    shifted = (centre[0] + SHIFT_PX[0], centre[1] + SHIFT_PX[1])
    back = similarity(ZOOM, TURN_DEG, centre, shifted)
    second = cv2.warpAffine(first, back[:2], (side, side), flags=cv2.INTER_LINEAR)
    tifffile.imwrite(folder / "second.tif", second, metadata=None, tile=(512, 512))
    return np.linalg.inv(back)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="where the files are made; a temporary folder by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        program = (
            f"import sys; sys.path.insert(0, {str(ROOT / 'tests/benchmarks')!r}); import align_large as a; "
        )
        program += f"from pathlib import Path; print(a.make(Path({name!r}), {options.side}).tolist())"
        made = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        truth = np.array(json.loads(made.stdout))
        start = time.perf_counter()
        command = [sys.executable, "-m", "siftcli", "align", "first.tif", "second.tif", "-o", "out.tif"]
        # A process of its own for each, so that the memory of the one does not count for the other.
        command += ["--save-transforms", "t.json", "-q"]
        result = subprocess.run(
            [sys.executable, "-c", MEASURED, *command], check=True, capture_output=True, text=True, cwd=folder
        )
        status, peak_kib, cpu_s = result.stdout.split()
        saved = json.loads((folder / "t.json").read_text())
        matrix = np.array(saved["frames"][1]["matrix"])
        with tifffile.TiffFile(folder / "out.tif") as out:
            shape, dtype = out.pages.first.shape, str(out.pages.first.dtype)
        print(
            json.dumps(
                {
                    "side": options.side,
                    "status": int(status),
                    "error_px": round(rms_distance(matrix, truth, (options.side, options.side)), 4),
                    "peak_gib": round(int(peak_kib) / 2**20, 2),
                    "wall_s": round(time.perf_counter() - start, 1),
                    "processor_s": round(float(cpu_s), 1),
                    "shape": shape,
                    "dtype": dtype,
                }
            )
        )


if __name__ == "__main__":
    main()
