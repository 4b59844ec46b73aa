"""What the README says is what is so."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from siftcli.cli import COMMANDS, siftcli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def set_up_commands() -> list[str]:
    return re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)


def test_ci_runs_the_readmes_test_command():
    _, test_command = set_up_commands()
    assert test_command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_pictures_and_links_exist():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert len(targets) >= 2
    for target in targets:
        assert (ROOT / target).exists(), target


def test_every_command_is_in_the_readme():
    for name in COMMANDS:
        assert f"siftcli {name}" in README, name


@pytest.mark.parametrize(
    "arguments",
    [
        ("detect", "sample_images/chelsea.png"),
        ("match", "sample_images/chelsea.png", "--rotate", "30"),
        ("bench", "sample_images/chelsea.png", "--pairs", "3", "--threads", "1"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_json_keys_are_in_the_readme(arguments, monkeypatch):
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(siftcli, [*arguments, "--json"])
    row = next(line for line in README.splitlines() if line.startswith(f"| `{arguments[0]}`"))
    for key in json.loads(result.stdout):
        assert f"`{key}`" in row, key


def test_defaults_are_told_in_one_place_only():
    # The help states them, from the parameters; a copy in the README would go stale.
    assert "contrast_threshold=0.04" not in README
    assert "--contrast-threshold 0.04" not in README
