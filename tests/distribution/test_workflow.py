"""The workflow for public CI is valid, and runs steps of ``.ci/run`` that exist."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "run"
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def functions():
    return set(re.findall(r"^(\w+)\(\) \{$", SCRIPT.read_text("utf-8"), re.MULTILINE))


def test_it_calls_steps_that_exist():
    calls = re.findall(r"run: \.ci/run(.*)$", WORKFLOW.read_text("utf-8"), re.MULTILINE)
    assert calls == [" system quick", ""]
    assert {"system", "quick"} <= functions()


def test_without_a_step_all_are_run():
    (line,) = re.findall(r"set -- (.*)$", SCRIPT.read_text("utf-8"), re.MULTILINE)
    assert set(line.split()) == functions()


@pytest.mark.skipif(os.name == "nt", reason="a script for bash")
def test_an_unknown_step_is_refused_before_any_is_run():
    done = subprocess.run(["bash", SCRIPT, "linters", "lint"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "no step lint" in done.stderr


def test_windows_runs_the_readmes_test_command():
    (command,) = re.findall(r"run: (python -m venv .*)$", WORKFLOW.read_text("utf-8"), re.MULTILINE)
    elsewhere = command.replace("python -m", "python3 -m").replace("/Scripts/", "/bin/")
    assert elsewhere in (ROOT / "README.md").read_text("utf-8").splitlines()


def test_the_oldest_python_is_the_one_that_is_required():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pythons = re.findall(
        r"\"(3\.\d+)\"", WORKFLOW.read_text("utf-8").partition("python: [")[2].partition("]")[0]
    )
    assert project["requires-python"] == f">={pythons[0]}"
    assert pythons == ["3.11", "3.12", "3.13", "3.14"]


@pytest.mark.distribution
def test_it_is_valid():
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        WORKFLOW,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
