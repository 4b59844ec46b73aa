"""Every public name has examples in its docstring, and they are so.

The examples are run as pytest's ``--doctest-modules`` would run them, in a folder with the sample images.
"""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

import siftcli

ROOT = Path(__file__).parents[2]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NAMES = [
    *(name for name in siftcli.__all__ if name not in ("__version__", "compat")),
    "compat.SIFT_create",
    "compat.from_cv2",
]
MODULES = ["siftcli", "siftcli.compat"]


def found(name):
    value = siftcli
    for part in name.split("."):
        value = getattr(value, part)
    return value


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "sample_images").symlink_to(ROOT / "sample_images")
    monkeypatch.chdir(tmp_path)


def run(docstring, name):
    test = doctest.DocTestParser().get_doctest(inspect.cleandoc(docstring), {}, name, name, 0)
    told = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    results = runner.run(test, out=told.append)
    assert not results.failed, "".join(told)
    return len(test.examples)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_examples_that_are_so(name, folder):
    docstring = found(name).__doc__
    heading = "Examples\n--------\n"
    assert heading in inspect.cleandoc(docstring)
    assert run(docstring, name) >= 2


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_so(name, folder):
    assert run(importlib.import_module(name).__doc__, name) >= 2


def test_every_public_name_is_on_the_page_of_the_api():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    shown = re.findall(r"^::: siftcli\.(\S+)$", page, re.MULTILINE)
    assert len(shown) == len(set(shown))
    assert set(NAMES) <= set(shown)
    for name in set(shown) - set(NAMES):
        assert issubclass(found(name), siftcli.SiftcliError)


def test_a_wrong_example_is_found():
    with pytest.raises(AssertionError, match="Expected:"):
        run(">>> 1 + 1\n3\n", "wrong")
