"""Time whole commands, from the start of the process to its end.

This is the only file of the package that starts an interpreter. It does so directly, without a shell,
by the interpreter's own path, and runs only the programs below.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import InputError
from ..system.cores import usable_cores
from .options import DEFAULT_PAIRS
from .records import Spread
from .worker import milliseconds

SIFTCLI = "from siftcli.__main__ import main; main()"
"""The same as the installed program ``siftcli``."""

OPENCV = """\
import sys, cv2, numpy
sift = cv2.SIFT_create(enable_precise_upscale=True)
keypoints, descriptors = sift.detectAndCompute(cv2.imread(sys.argv[1], cv2.IMREAD_GRAYSCALE), None)
frames = numpy.array([(*k.pt, k.size, k.angle, k.response, k.octave) for k in keypoints])
numpy.savez(sys.argv[2], frames=frames, descriptors=descriptors)
"""
"""A minimal OpenCV program that is equivalent to ``siftcli detect IMAGE -o x.npz``."""


@dataclass(frozen=True)
class Command:
    """Times of ``siftcli detect IMAGE -o x.npz`` and of the OpenCV program, as whole processes."""

    image: str
    threads: int
    """Number of available cores, all of which both programs use."""
    n_pairs: int
    siftcli_ms: Spread
    opencv_ms: Spread
    ratio: Spread
    """OpenCV's time divided by siftcli's, for each pair of runs."""


def time_command(path: str | Path, n_pairs: int | None = None) -> Command:
    """Time whole processes alternately, after one warm-up run of each.

    Raises
    ------
    InputError
        If one of them fails.
    """
    image = str(Path(path).absolute())
    ours, theirs = [], []
    with TemporaryDirectory(prefix="siftcli-") as folder:
        for i in range(1 + (n_pairs or DEFAULT_PAIRS)):
            a, b = f"{folder}/{i}.npz", f"{folder}/{i}-opencv.npz"
            ours.append(milliseconds(_run, SIFTCLI, ["detect", image, "-o", a], folder))
            theirs.append(milliseconds(_run, OPENCV, [image, b], folder))
    ours, theirs = ours[1:], theirs[1:]
    ratio = Spread.of([b / a for a, b in zip(ours, theirs, strict=True)])
    threads = usable_cores()
    return Command(Path(path).name, threads, len(ours), Spread.of(ours), Spread.of(theirs), ratio)


def _run(program: str, arguments: Sequence[str], folder: str) -> None:
    """Run one of the programs above in an interpreter that does not import from the current directory."""
    command = [sys.executable, "-P", "-c", program, *arguments]
    with Path(folder, "messages").open("w+b") as messages:
        done = subprocess.run(  # noqa: S603
            command, stdout=subprocess.DEVNULL, stderr=messages, env=environment(), check=False
        )
        if done.returncode:
            messages.seek(0)
            reason = messages.read().decode(errors="replace").splitlines()[-1:]
            raise InputError(f"{program.split()[1]} failed in its own process: {' '.join(reason)}")


def environment() -> dict[str, str]:
    """That of this process, in which modules may be compiled once: an installed program has them compiled.

    Where Python must not write bytecode, a checkout would be compiled in every process, OpenCV's package not.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
