"""Whole commands, from the start of their process to its end.

An interpreter is started here, and nowhere else in this package: directly, without a shell, by its own
path, on a program that stands in this file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import InputError
from .options import DEFAULT_PAIRS
from .records import Spread
from .worker import milliseconds

SIFTCLI = "from siftcli.__main__ import main; main()"
"""What the installed program ``siftcli`` does."""

OPENCV = """\
import sys, cv2, numpy
sift = cv2.SIFT_create(enable_precise_upscale=True)
keypoints, descriptors = sift.detectAndCompute(cv2.imread(sys.argv[1], cv2.IMREAD_GRAYSCALE), None)
frames = numpy.array([(*k.pt, k.size, k.angle, k.response, k.octave) for k in keypoints])
numpy.savez(sys.argv[2], frames=frames, descriptors=descriptors)
"""
"""The shortest program with OpenCV that does the same as ``siftcli detect IMAGE -o x.npz``."""


@dataclass(frozen=True)
class Command:
    """``siftcli detect IMAGE -o x.npz`` beside the OpenCV program, from the process's start to its end."""

    image: str
    threads: int
    """All cores, as both programs take of themselves."""
    n_pairs: int
    siftcli_ms: Spread
    opencv_ms: Spread
    ratio: Spread
    """OpenCV's time divided by siftcli's, pair by pair."""


def time_command(path: str | Path, n_pairs: int | None = None) -> Command:
    """Time whole processes that take turns, after one of each that is not counted.

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
    threads = len(os.sched_getaffinity(0))
    return Command(Path(path).name, threads, len(ours), Spread.of(ours), Spread.of(theirs), ratio)


def _run(program: str, arguments: Sequence[str], folder: str) -> None:
    """One of the programs above in an interpreter that looks for no module in the current folder."""
    messages = Path(folder, "messages")
    streams = [
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, messages, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    ]
    command = [sys.executable, "-P", "-c", program, *arguments]
    process = os.posix_spawn(sys.executable, command, os.environ, file_actions=streams)
    if os.waitpid(process, 0)[1]:
        reason = messages.read_text(errors="replace").splitlines()[-1:]
        raise InputError(f"{program.split()[1]} failed in a process of its own: {' '.join(reason)}")
