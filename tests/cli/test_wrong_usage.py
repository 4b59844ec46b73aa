"""What the command line says of wrong usage: ``wrong_usage.txt`` has each command and its message.

After a change of messages, ``python tests/cli/test_wrong_usage.py`` writes the file again.
"""

import contextlib
import io
import os
import shlex
import tempfile
from pathlib import Path

import pytest
from PIL import Image

import siftcli
from siftcli.__main__ import run

GOLDEN = Path(__file__).with_name("wrong_usage.txt")
PROMPT = "$ siftcli "


def golden():
    """Each command and its message."""
    lines = GOLDEN.read_text("utf-8").splitlines()
    assert all(line.startswith(PROMPT) for line in lines[::2])
    return list(zip([line.removeprefix(PROMPT) for line in lines[::2]], lines[1::2], strict=True))


def make_files(folder):
    """The files that the commands name."""
    for name in ("a.png", "b.png"):
        Image.new("L", (40, 30), 128).save(folder / name)
    (folder / "empty").mkdir()
    features = siftcli.detect(folder / "a.png")
    for name in ("f.npz", "g.npz"):
        siftcli.save(features, folder / name)
    assert run(["detect", str(folder / "a.png"), "-o", str(folder / "x.db"), "-q"]) == 0


def outcome(command):
    """The exit status and what is printed on standard error."""
    with contextlib.redirect_stderr(io.StringIO()) as printed:
        status = run(shlex.split(command))
    return status, printed.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    make_files(folder)
    return folder


def test_there_are_enough():
    assert len({command for command, _ in golden()}) == len(golden()) >= 20


@pytest.mark.parametrize(("command", "message"), [pytest.param(*case, id=case[0]) for case in golden()])
def test_wrong_usage(folder, monkeypatch, command, message):
    monkeypatch.chdir(folder)
    before = sorted(path.name for path in folder.iterdir())
    found = outcome(command)
    if "package poselib" in found[1]:
        pytest.importorskip("poselib")  # the models of match need it, and it is asked for first
    assert found == (2, f"{message}\n")
    assert sorted(path.name for path in folder.iterdir()) == before


def main():
    """Write the messages again, for the same commands."""
    commands = [command for command, _ in golden()]
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder))
        os.chdir(folder)
        messages = [outcome(command) for command in commands]
    if accepted := [c for c, (status, _) in zip(commands, messages, strict=True) if status != 2]:
        raise SystemExit(f"expected exit status 2 of: {', '.join(accepted)}")
    texts = [f"{PROMPT}{c}\n{text}" for c, (_, text) in zip(commands, messages, strict=True)]
    GOLDEN.write_text("".join(texts), "utf-8")


if __name__ == "__main__":
    main()
