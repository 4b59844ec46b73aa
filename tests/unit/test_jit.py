"""Kernels without the compiler, without a cache, and what the first run says."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import texture

import siftcli

pytestmark = pytest.mark.slow

DETECT = """
import sys, numpy as np, siftcli
features = siftcli.detect(np.load(sys.argv[1]), max_features=40)
np.savez(sys.argv[2], xy=features.xy, orientation=features.orientation, descriptors=features.descriptors)
"""


def run(tmp_path: Path, **environment: str) -> tuple[dict[str, np.ndarray], str]:
    """Features of a small image, found by another process, and what it wrote to standard error."""
    image, result = tmp_path / "image.npy", tmp_path / "result.npz"
    np.save(image, texture((48, 56), smoothness=0.8))
    kept = {k: v for k, v in os.environ.items() if k not in {"NUMBA_CACHE_DIR", "XDG_CACHE_HOME"}}
    done = subprocess.run(
        [sys.executable, "-c", DETECT, image, result],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(result)), done.stderr


def test_kernels_give_the_same_without_the_compiler(tmp_path):
    plain, said = run(tmp_path, NUMBA_DISABLE_JIT="1")
    compiled = siftcli.detect(texture((48, 56), smoothness=0.8), max_features=40)
    assert said == ""
    assert len(compiled) == 40
    np.testing.assert_allclose(plain["xy"], compiled.xy, atol=1e-4)
    np.testing.assert_allclose(plain["orientation"], compiled.orientation, atol=1e-4)
    # The interpreter computes some intermediate values in double precision.
    assert np.abs(plain["descriptors"].astype(int) - compiled.descriptors).max() <= 1


def test_first_run_says_that_it_compiles_and_the_second_loads(tmp_path):
    cache = tmp_path / "cache"
    first, said_first = run(tmp_path, XDG_CACHE_HOME=str(cache))
    second, said_second = run(tmp_path, XDG_CACHE_HOME=str(cache))
    assert said_first.count("\n") == 1
    assert "compiling its kernels" in said_first
    assert said_second == ""
    (folder,) = (cache / "siftcli").iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize("variable", ["HOME", "XDG_CACHE_HOME"])
def test_without_a_place_for_a_cache_it_works_and_says_so(tmp_path, variable):
    # Below a file no folder can be made, whoever asks; so for a read-only install without a home.
    found, said = run(tmp_path, **{variable: "/dev/null/nowhere"})
    assert len(found["xy"]) == 40
    lines = said.splitlines()
    assert len(lines) == 2
    assert "cannot be kept in /dev/null/nowhere" in lines[0]
    assert "Set NUMBA_CACHE_DIR" in lines[0]


def test_a_cache_that_others_may_write_to_is_not_used(tmp_path):
    run(tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    (folder,) = (tmp_path / "cache" / "siftcli").iterdir()
    folder.chmod(0o777)
    found, said = run(tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert len(found["xy"]) == 40
    assert "others may write there" in said.splitlines()[0]


def test_a_users_own_kernels_keep_their_cache():
    from numba.core import config

    from siftcli.sift import pipeline  # noqa: F401  (its kernels are compiled by now)

    assert os.environ.get("NUMBA_CACHE_DIR", "") == config.CACHE_DIR
