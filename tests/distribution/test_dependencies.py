"""What pip finds for each system and Python: everything that siftcli and its tests ask for, as wheels.

Nothing is installed; uv resolves for systems other than this one, and asks the package index.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
SYSTEMS = {
    "Linux x86-64": ("x86_64-manylinux_2_28", True),
    "Linux ARM": ("aarch64-manylinux_2_28", False),
    "macOS ARM": ("aarch64-apple-darwin", True),
    "Windows x86-64": ("x86_64-pc-windows-msvc", True),
}
"""System -> uv's name of it, and whether PoseLib and pycolmap have wheels for it."""


def test_no_requirement_is_listed_twice():
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    for wanted in (project["dependencies"], *project["optional-dependencies"].values()):
        names = [requirement.partition(">")[0].partition(";")[0] for requirement in wanted]
        assert len(set(names)) == len(names), names


@pytest.mark.distribution
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_everything_is_to_be_had(system, python):
    platform, has_poselib = SYSTEMS[system]
    command = [
        sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate",
        "--only-binary", ":all:", "--extra", "test", "--python-platform", platform,
        "--python-version", python, str(PROJECT),
    ]  # fmt: skip
    # The oldest macOS that pycolmap's wheels are for; uv assumes an older one.
    env = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = {line.partition("==")[0] for line in done.stdout.splitlines()}
    assert {"numpy", "numba", "opencv-contrib-python", "rawpy", "faiss-cpu"} <= names
    assert ({"poselib", "pycolmap"} <= names) == has_poselib
