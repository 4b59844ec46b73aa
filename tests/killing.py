"""Kill batches at random moments and take them up again; with 2,000 images: ``python tests/killing.py``."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from batches import ARGUMENTS, OUTPUTS, command, content, detect, make_images


def run_and_kill(images: Path, output: Path, n_kills: int, total_s: float, seed: int) -> int:
    """Kill at moments of one run's time, each as likely; then let it finish. How many kills struck."""
    rng = np.random.default_rng(seed)
    struck = 0
    for _ in range(n_kills):
        args = command(str(images), "-o", str(output), *ARGUMENTS, "--jobs", "2", "-q")
        process = subprocess.Popen(args, stderr=subprocess.PIPE, text=True)
        try:
            process.wait(float(rng.uniform(0.1, 1.0)) * total_s)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        _, err = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), err
        struck += process.returncode != 0
    done = detect(str(images), "-o", str(output), *ARGUMENTS)
    assert done.returncode == 0, done.stderr
    return struck


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
            start = time.perf_counter()
            assert detect(str(images), "-o", str(whole), *ARGUMENTS).returncode == 0
            total_s = time.perf_counter() - start
            # later runs have less to do: shorter waits, so that all strike
            struck = run_and_kill(images, killed, options.kills, total_s / options.kills * 2, options.seed)
            assert content(whole) == content(killed), kind
            print(f"{kind}: {struck} kills of {options.kills} struck; equal to an undisturbed run")


if __name__ == "__main__":
    main()
