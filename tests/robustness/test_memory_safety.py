"""The kernels with every index checked; and that the check is on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1] / "unit"
KERNEL_TESTS = (
    "test_scalespace.py",
    "test_extrema_and_keypoints.py",
    "test_orientation_and_descriptor.py",
    "test_matching.py",
    "test_numerical_edges.py",
    "test_pipeline.py::test_whatever_the_image_the_features_are_finite_and_in_range",
    "test_pipeline.py::test_images_without_structure_have_no_features",
)

WRONG_KERNEL = """
import numpy as np
from siftcli.kernels.decorators import kernel

@kernel("float64(float64[::1])")
def one_too_far(row):
    return row[len(row)]

row = np.arange(5.0)
print(one_too_far(row[:4]))  # what stands there is the row's own: to read it harms nothing
"""


def run(args, cache: Path, flag: str) -> subprocess.CompletedProcess[str]:
    # Numba keeps no record of the flag with its cached code: with a warm cache nothing would be checked.
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": flag, "NUMBA_CACHE_DIR": str(cache)}
    return subprocess.run(args, env=environment, capture_output=True, text=True, check=False, timeout=900)


@pytest.mark.parametrize("flag", ["0", "1"])
def test_a_wrong_kernel_is_caught_when_the_check_is_on(tmp_path, flag):
    script = tmp_path / "wrong_kernel.py"  # Numba caches functions of files only
    script.write_text(WRONG_KERNEL)
    done = run([sys.executable, str(script)], tmp_path / "cache", flag)
    assert done.returncode == int(flag)
    assert ("IndexError: index is out of bounds" in done.stderr) == (flag == "1")
    assert done.stdout == ("" if flag == "1" else "4.0\n")


def test_no_kernel_leaves_its_arrays(tmp_path):
    cache = tmp_path / "cache"
    args = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = run([*args, *(str(TESTS / name) for name in KERNEL_TESTS)], cache, "1")
    assert done.returncode == 0, done.stdout[-3000:]
    assert len(list(cache.rglob("*.nbi"))) > 5  # compiled here, not loaded from elsewhere
