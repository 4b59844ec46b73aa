"""The manual pages: as the help says, and as the programs that show them want them."""

import os
import shutil
import subprocess

import pytest
from test_docs import script

from siftcli.cli import COMMANDS
from siftcli.cli import siftcli as program

generate = script("generate_man")
PAGES = generate.pages()


def test_there_is_a_page_for_each_command():
    assert {path.name for path in PAGES} == {"siftcli.1", *(f"siftcli-{name}.1" for name in COMMANDS)}
    assert set(generate.FOLDER.iterdir()) == set(PAGES)


def test_pages_are_current():
    for path, text in PAGES.items():
        assert path.read_text("utf-8") == text, (
            f"{path.name} is stale: run python docs/scripts/generate_man.py"
        )


def test_every_option_is_on_the_page():
    for name in COMMANDS:
        command = program.get_command(None, name)
        text = PAGES[generate.FOLDER / f"siftcli-{name}.1"].replace("\\-", "-")
        assert all(
            option in text for parameter in command.params for option in parameter.opts if option[0] == "-"
        )


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
def test_mandoc_has_no_complaint():
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", *PAGES], capture_output=True, text=True, check=False
    )
    # Pages have no date: that of their version is in the list of changes.
    complaints = [line for line in done.stdout.splitlines() if "missing date" not in line]
    assert complaints == []


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
def test_what_is_shown_is_the_help():
    page = generate.FOLDER / "siftcli-match.1"
    shown = subprocess.run(["mandoc", "-T", "utf8", page], capture_output=True, text=True, check=True).stdout
    plain = " ".join(
        "".join(c for i, c in enumerate(shown) if c != "\b" and shown[i + 1 : i + 2] != "\b").split()
    )
    assert "siftcli match [OPTIONS] A [B]" in plain
    assert "--no-mutual" in plain
    assert "\\" not in plain


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_man_shows_it():
    page = generate.FOLDER / "siftcli-detect.1"
    env = {"MANWIDTH": "80", "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["man", "-l", page], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0
    assert "--max-features" in done.stdout
