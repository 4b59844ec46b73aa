"""The package as a type checker sees it: a user's script under mypy's strict rules; hints without a gap."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import siftcli

ROOT = Path(__file__).parents[2]
SCRIPT = """
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import siftcli
from siftcli import Features, Matches, SiftParams, Verification

f = siftcli.detect("a.png", preset="dense", max_features=8192)
g = siftcli.detect(np.zeros((40, 50), np.uint8), SiftParams.classic(), threads=2)
assert_type(f, Features)
assert_type(f[:10], Features)
assert_type(f[f.scale > 3], Features)
assert_type(f.select([1, 2]), Features)
assert_type(f.xy, NDArray[np.float32])
assert_type(len(f), int)
assert_type(siftcli.describe("a.png", f, dsp=True), Features)

matches = siftcli.match(f, g, ratio=0.8, guide=siftcli.Guide(model=np.eye(3)))
assert_type(matches, Matches)
verified = siftcli.verify(f, g, matches, "similarity")
assert_type(verified, Verification)
assert_type(matches[verified.inliers], Matches)
assert_type(verified.guide(), siftcli.Guide | None)
assert_type(verified.rotation_deg, float | None)

assert_type(siftcli.draw_keypoints("a.png", f, max_circles=None), NDArray[np.uint8])
assert_type(siftcli.draw_matches("a.png", "b.png", f, g, matches, verified.inliers), NDArray[np.uint8])
aligned = siftcli.align("a.png", "b.png", "affine")
assert_type(aligned, siftcli.Alignment)
assert_type(aligned.valid, NDArray[np.bool_] | None)
siftcli.warp("a.png", np.eye(3), (10, 10))
assert_type(siftcli.explain("a.png", at=(1.5, 2)), siftcli.Explanation)
siftcli.save(f, "a.npz")
assert_type(siftcli.load("a.npz"), Features)

keypoints, descriptors = f.to_cv2()
assert_type(descriptors, NDArray[np.float32])
assert_type(siftcli.compat.from_cv2(keypoints, descriptors), Features)
f.to_pandas(descriptors=True)
matches.to_pandas(f, g)
matches.to_cv2()
try:
    siftcli.load("b.npz")
except siftcli.SiftcliError as error:
    print(error)
"""
WRONG = "import siftcli\nsiftcli.detect('a.png').xyz\nsiftcli.match('a.png')\n"


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """What mypy says of a script; the second check of a run takes what it knows from the first."""
    pytest.importorskip("mypy")
    folder = tmp_path_factory.mktemp("typed")

    def check(name, text):
        (folder / name).write_text(text, encoding="utf-8")
        arguments = ["--strict", "--follow-imports=silent", "--cache-dir=cache", "--no-error-summary", name]
        command = [sys.executable, "-m", "mypy", *arguments]
        environment = {"MYPYPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return check


@pytest.mark.slow  # mypy reads the package and NumPy anew
def test_a_script_passes_mypys_strict_rules(checked):
    result = checked("script.py", SCRIPT)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.slow
def test_a_wrong_script_does_not(checked):
    result = checked("wrong.py", WRONG)
    assert result.returncode == 1
    assert '"Features" has no attribute "xyz"' in result.stdout
    assert "wrong.py:3: error" in result.stdout


def public_functions():
    """Public functions, and the public methods of public classes, by name."""
    for name in siftcli.__all__:
        value = getattr(siftcli, name)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            for method, member in vars(value).items():
                function = getattr(member, "__func__", member)  # of a classmethod
                if not method.startswith("_") and inspect.isfunction(function):
                    yield f"{name}.{method}", function


FUNCTIONS = dict(public_functions())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_hints_have_no_gap(name):
    signature = inspect.signature(FUNCTIONS[name])
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.name in ("self", "cls") or parameter.annotation is not inspect.Parameter.empty


def test_the_package_says_that_it_is_typed():
    assert (Path(siftcli.__file__).parent / "py.typed").is_file()
    assert {"detect", "Features.select", "SiftParams.preset"} <= set(FUNCTIONS)
