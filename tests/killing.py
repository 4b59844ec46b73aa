"""Kill batches at random moments and resume them; with 2,000 images: ``python tests/killing.py``."""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from batches import ARGUMENTS, OUTPUTS, command, content, make_images

from siftcli.__main__ import run

PRELOADED = ["killing", "siftcli.api", "siftcli.workflows.match_collection", "h5py", "pyarrow.parquet"]


def whole_command(images: Path, output: Path) -> subprocess.Popen[bytes]:
    """The command as a user starts it, with two workers."""
    return subprocess.Popen(command(str(images), "-o", str(output), *ARGUMENTS, "--jobs", "2", "-q"))


def forked(images: Path, output: Path) -> Any:
    """The same in a forked process that has all imports already, with one worker."""
    return _forked("detect", str(images), "-o", str(output), *ARGUMENTS)


def forked_match(source: str, target: str) -> Any:
    """Match all pairs of a collection in a forked process."""
    return _forked("match", "--pairs", "exhaustive", source, "-o", target, "--min-inliers", "8")


def _forked(*args: str) -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=_exit_with, args=([*args, "--jobs", "1", "-q"],))
    process.start()
    return process


def _exit_with(args: list[str]) -> None:
    raise SystemExit(run(args))


def seconds(start: Callable[[Path, Path], Any], images: Path, output: Path) -> float:
    """The duration of an uninterrupted run, which must succeed."""
    begin = time.perf_counter()
    assert end(start(images, output)) == 0
    return time.perf_counter() - begin


def run_and_kill(
    start: Callable[[Path, Path], Any],
    images: Path,
    output: Path,
    *,
    n_kills: int,
    within_s: float,
    seed: int,
) -> int:
    """Kill runs at uniformly random moments, then let one finish; returns how many were killed in time."""
    rng = np.random.default_rng(seed)
    struck = 0
    for _ in range(n_kills):
        process = start(images, output)
        time.sleep(float(rng.uniform(0.1, 1.0)) * within_s)
        process.kill()  # SIGKILL
        status = end(process)
        assert status in (0, -9), status
        struck += status == -9
    seconds(start, images, output)
    return struck


def end(process: Any) -> int:
    """Wait for a process and return its status, which is negative for a signal."""
    if isinstance(process, subprocess.Popen):
        return process.wait()
    process.join()
    return int(process.exitcode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=list(OUTPUTS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images = make_images(Path(folder, "in"), options.images)
        for kind in options.kinds:
            whole, killed = (Path(folder, name, OUTPUTS[kind]) for name in ("whole", "killed"))
            for path in (whole, killed):
                path.parent.mkdir(exist_ok=True)
            total_s = seconds(whole_command, images, whole)
            # resumed runs have less to do: wait for only a part of the total time
            within_s = 1.5 + total_s / options.kills
            struck = run_and_kill(
                whole_command, images, killed, n_kills=options.kills, within_s=within_s, seed=options.seed
            )
            assert content(whole) == content(killed), kind
            print(
                f"{kind}: {struck} of {options.kills} runs killed; equal to an uninterrupted run", flush=True
            )


if __name__ == "__main__":
    main()
