"""What the script for an emulated ARM processor compares; the script itself is run by hand."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ARM = Path(__file__).parents[1] / "arm"


def compare(here, there):
    command = [sys.executable, ARM / "compare.py", here, there]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.fixture
def folders(tmp_path):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "a.npz", xy=np.arange(6, dtype=np.float32), kind=np.array("sift"))
    return tmp_path / "here", tmp_path / "there"


def test_the_same_bytes(folders):
    assert compare(*folders) == (0, "1 of 1 files of there have the same bytes\n")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"xy": np.arange(6, dtype=np.float32) + np.float32(0.5)}, "a.npz: xy: largest difference 0.5"),
        ({"xy": np.arange(6, dtype=np.float64)}, "a.npz: xy: float32 (6,), float64 (6,)"),
        ({"kind": np.array("root")}, "a.npz: kind: largest difference text"),
        ({"more": np.zeros(1)}, "a.npz: more is in one of them only"),
    ],
)
def test_what_differs_is_told(folders, changed, said):
    whole = {"xy": np.arange(6, dtype=np.float32), "kind": np.array("sift"), **changed}
    np.savez(folders[1] / "a.npz", **whole)
    status, printed = compare(*folders)
    assert status == 1
    assert printed.splitlines() == [said, "0 of 1 files of there have the same bytes"]


def test_other_files_are_a_difference(folders):
    np.savez(folders[1] / "b.npz", xy=np.zeros(1))
    assert compare(*folders)[0] == 1


def test_nothing_is_no_success(tmp_path):
    assert compare(tmp_path, tmp_path)[0] == 1


@pytest.mark.skipif(os.name == "nt", reason="a script for bash")
def test_an_unknown_step_is_refused():
    done = subprocess.run(["bash", ARM / "run", "gold"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no step gold" in done.stderr
