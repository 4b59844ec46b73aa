"""The same bytes from processors with narrower vectors: SSE2 without fused multiply-adds, and AVX2."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SAMPLES
from PIL import Image

import siftcli

PROCESSORS = {"sse2": "x86-64", "avx2": "haswell"}
"""LLVM's names. Without FMA a fused multiply-add is a call of the C library, which is exact."""

PROGRAM = """\
import sys
from siftcli.__main__ import run
sys.exit(run(["detect", "a.png", "-o", "a.csv", "-q"])
         or run(["match", "a.png", "b.png", "--model", "similarity", "-o", "matches.csv", "-q"]))
"""
FEATURES = """\
from numba.core.registry import cpu_target
print(cpu_target.target_context.codegen()._tm_features)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="x86 only"),
]


def written(folder: Path, environment: dict[str, str]) -> dict[str, bytes]:
    """What the commands write into a new folder."""
    folder.mkdir()
    picture = Image.open(next(path for path in SAMPLES if path.name == "camera.png")).convert("L")
    picture.crop((60, 60, 220, 200)).save(folder / "a.png")
    picture.rotate(30).crop((60, 60, 220, 200)).save(folder / "b.png")
    found = {}
    environment = {**os.environ, "PYTHONPATH": str(Path(siftcli.__file__).parents[1]), **environment}
    for program in (PROGRAM, FEATURES):
        command = [sys.executable, "-c", program]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found["features"] = done.stdout.encode()
    return found | {name: (folder / name).read_bytes() for name in ("a.csv", "matches.csv")}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return written(tmp_path_factory.mktemp("widths") / "here", {})


@pytest.mark.parametrize("name", PROCESSORS)
def test_narrower_vectors_give_the_same_bytes(expected, tmp_path, name):
    here = dict(expected)
    there = written(
        tmp_path / name,
        {
            "NUMBA_CPU_NAME": PROCESSORS[name],
            "NUMBA_CPU_FEATURES": "+avx2,+fma" if name == "avx2" else "+sse2",
            "NUMBA_CACHE_DIR": str(tmp_path / "kernels"),
        },
    )
    features = there.pop("features").decode()
    assert ("+avx2" in features, "+fma" in features, "+avx512f" in features) == (name == "avx2",) * 2 + (
        False,
    )
    assert here.pop("features")
    assert here["a.csv"].count(b"\n") > 30
    assert here["matches.csv"].count(b"\n") > 10
    assert there == here
