"""Measure the agreement of siftcli with OpenCV: ``python tests/benchmarks/agreement.py IMAGE...``."""

from __future__ import annotations

import argparse

from siftcli import detectors
from siftcli.image import read_image
from siftcli.views.metrics import Agreement, agreement

OURS, THEIRS = "siftcli-classic", "opencv-precise"


def main() -> None:
    """Print the agreement of the classic preset with OpenCV's precise mode, for each image and pooled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    options = parser.parse_args()
    ours, theirs = detectors.create(OURS), detectors.create(THEIRS)
    pairs = []
    print(f"| image | {THEIRS} found by {OURS} | {OURS} found by {THEIRS} | cosine | {OURS} | {THEIRS} |")
    print("|---" * 6 + "|")
    for path in options.images:
        picture = read_image(path)
        pairs.append((ours.detect(picture.grey), theirs.detect(picture.grey)))
        print(_line(picture.name, agreement(pairs[-1:])), flush=True)
    print(_line("all", agreement(pairs)))


def _line(name: str, a: Agreement) -> str:
    shares = f"{a.found_in_a:.1%} | {a.found_in_b:.1%}"
    return f"| {name} | {shares} | {a.descriptor_cosine:.4f} | {a.n_a} | {a.n_b} |"


if __name__ == "__main__":
    main()
