"""Compare two folders of npz files, array by array: ``python tests/arm/compare.py HERE THERE``.

Prints a line for each file that differs, with the largest difference of each array, and fails then.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ABOUT_THE_RUN = {"origin"}
"""What the file was made from, which is no part of the features."""


def differences(here: Path, there: Path) -> list[str]:
    """What differs between two files; nothing if all arrays are the same bytes."""
    found = []
    with np.load(here) as a, np.load(there) as b:
        for name in sorted({*a.files, *b.files} - ABOUT_THE_RUN):
            if name not in a.files or name not in b.files:
                found.append(f"{name} is in one of them only")
            elif a[name].dtype != b[name].dtype or a[name].shape != b[name].shape:
                found.append(f"{name}: {a[name].dtype} {a[name].shape}, {b[name].dtype} {b[name].shape}")
            elif a[name].tobytes() != b[name].tobytes():
                numbers = np.issubdtype(a[name].dtype, np.number)
                largest = np.abs(a[name].astype(float) - b[name].astype(float)).max() if numbers else "text"
                found.append(f"{name}: largest difference {largest}")
    return found


def main(here: Path, there: Path) -> int:
    """Compare the files of both folders; returns the exit status."""
    names = sorted(path.name for path in here.glob("*.npz"))
    if names != sorted(path.name for path in there.glob("*.npz")) or not names:
        print(f"{here} and {there} hold different files")
        return 1
    differing = {name: found for name in names if (found := differences(here / name, there / name))}
    for name, found in differing.items():
        print(f"{name}: {'; '.join(found)}")
    print(f"{len(names) - len(differing)} of {len(names)} files of {there.name} have the same bytes")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:3])))
