"""Completion in bash, zsh and fish: what the shell itself makes of a tabulator key."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from siftcli.__main__ import run
from siftcli.cli import COMMANDS
from siftcli.cli.completion import SHELLS, VARIABLE

PATIENCE_S = 120
"""A shell that has not shown what is expected by then fails the test; it takes a second."""
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[=>()][0-9AB]?)")

START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
LOAD = {
    "bash": "source script\n",
    "zsh": "autoload -U compinit; compinit -u -D; source ./script\n",
    "fish": "source script\n",
}


class Shell:
    """A shell on a terminal of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "HOME": str(folder), "TERM": "xterm", "PS1": "$ "}
        self.process, self.terminal = pty.fork()
        if not self.process:
            os.chdir(folder)
            os.execvpe(START[name][0], START[name], env)
        self.seen = ""

    def types(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def shows(self, text: str) -> bool:
        """Wait until it shows a text after what was typed last."""
        until = time.monotonic() + PATIENCE_S
        while text not in ESCAPES.sub("", self.seen):
            ready, _, _ = select.select([self.terminal], [], [], max(0, until - time.monotonic()))
            if not ready:
                return False
            try:
                data = os.read(self.terminal, 65536)
            except OSError:
                return False
            if b"\x1b[c" in data or b"\x1b[0c" in data:  # fish asks what terminal this is
                os.write(self.terminal, b"\x1b[?62c")
            self.seen += data.decode(errors="replace")
        return True

    def close(self) -> None:
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.terminal)


@pytest.fixture
def shell(request, tmp_path):
    name = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    program = tmp_path / "siftcli"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m siftcli \"$@\"\n")
    program.chmod(0o755)
    with (tmp_path / "script").open("wb") as script:
        subprocess.run([program, "completion", name], stdout=script, check=True)
    (tmp_path / "features.npz").touch()
    started = Shell(name, tmp_path)
    yield started, name
    started.close()


@pytest.mark.parametrize("shell", SHELLS, indirect=True)
@pytest.mark.parametrize(
    ("typed", "rest"),
    [
        ("siftcli conv", "ert"),
        ("siftcli detect --max-f", "eatures"),
        ("siftcli detect --preset cla", "ssic"),
        ("siftcli info feat", "ures.npz"),
        ("siftcli detect -o feat", "ures.npz"),
        ("siftcli cache wa", "rm"),
    ],
)
def test_a_tabulator_key_completes(shell, typed, rest):
    started, name = shell
    started.types(LOAD[name] + "echo rea''dy\n")
    assert started.shows("ready"), started.seen
    started.seen = ""
    started.types(f"{typed}\t")
    # The shell echoes what was typed and then what it adds.
    assert started.shows(f"{typed}{rest}"), started.seen


@pytest.mark.parametrize("name", SHELLS)
def test_the_script_asks_the_program(name, capsys):
    assert run(["completion", name]) == 0
    printed = capsys.readouterr().out
    assert f"{VARIABLE}={name}_complete" in printed
    assert "siftcli" in printed


def test_all_commands_are_offered():
    env = {**os.environ, VARIABLE: "zsh_complete", "COMP_WORDS": "siftcli ", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "siftcli"], env=env, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert lines[1::3] == list(COMMANDS)
    assert done.stderr == ""


@pytest.mark.parametrize("typed", ["detect ", "match a.png ", "detect -o "])
def test_where_nothing_else_is_known_files_are_offered(typed):
    words = f"siftcli {typed}"
    env = {
        **os.environ,
        VARIABLE: "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split())),
    }
    done = subprocess.run(
        [sys.executable, "-m", "siftcli"], env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["file,"]
