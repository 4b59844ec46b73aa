"""What the README says is what is so; the links and commands of all pages are tested in ``test_docs.py``."""

import re
from pathlib import Path

from siftcli.presets import PRESETS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def set_up_commands() -> list[str]:
    return re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)


def test_ci_runs_the_readmes_test_command():
    _, test_command = set_up_commands()
    assert test_command in map(str.strip, (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines())


def test_it_shows_a_picture():
    assert re.search(r"!\[.+\]\(docs/images/\S+\)", README)


def test_it_names_every_preset():
    assert all(f"| `{name}` |" in README for name in PRESETS)


def test_defaults_are_told_in_one_place_only():
    # The help states them, from the parameters; a copy in the README would go stale.
    assert "contrast_threshold=0.04" not in README
    assert "--contrast-threshold 0.04" not in README
