"""``siftcli completion``."""

from __future__ import annotations

from typing import cast

import click
from click.shell_completion import ShellComplete, get_completion_class

from ._modes import Command
from ._output import say_table

PROGRAM = "siftcli"
VARIABLE = "_SIFTCLI_COMPLETE"
"""The environment variable by which the script asks the program, as Click names it."""
SHELLS = ("bash", "zsh", "fish")


@click.command("completion", cls=Command, short_help="Print the script that completes commands in a shell.")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that completes commands, options, their choices and file names in a shell.

    Write it to the file where the shell looks for it:

    \b
    bash  ~/.local/share/bash-completion/completions/siftcli
    zsh   ~/.zfunc/_siftcli, with fpath+=~/.zfunc before compinit in ~/.zshrc
    fish  ~/.config/fish/completions/siftcli.fish

    It takes effect in the next shell.
    """  # noqa: D301 (Click's mark of lines that stay as they are is a backspace)
    script = cast("type[ShellComplete]", get_completion_class(shell))
    context = click.get_current_context()
    # Click's own source() for bash starts that shell to ask its version.
    completer = script(context.find_root().command, {}, PROGRAM, VARIABLE)
    say_table(completer.source_template % completer.source_vars())
