"""The command line: one module a command, imported when the command is used.

Nothing heavy is imported before a command does its work, so that every ``--help`` is quick.
"""

from __future__ import annotations

import difflib
import os
import sys
from importlib import import_module
from typing import Any

import click

COMMANDS = {
    "detect": "Find SIFT features in images.",
    "describe": "Describe your own keypoints, or another detector's.",
    "match": "Match two images and recover the rotation between them.",
    "align": "Align pictures and stacks with a reference.",
    "info": "Show what a file of features or matches holds.",
    "convert": "Convert feature files from one format to another.",
    "explain": "Follow one keypoint from pixels to 128 numbers.",
    "formats": "List the formats that are read and written.",
    "evaluate": "Compare detectors under rotation and other changes of images.",
    "report": "Show an evaluation, two compared, or the pairs of a collection.",
    "train-orientation": "Train the network that finds orientations.",
    "cache": "Show, warm or clear the cache of compiled kernels.",
    "bench": "Compare the speed with OpenCV's SIFT.",
    "completion": "Print the script that completes commands in a shell.",
}
"""The commands, each a module of this package, and what they do."""

INTERRUPTED_STATUS = 130  # 128 + SIGINT
CLOSED_PIPE_STATUS = 141  # 128 + SIGPIPE, as a shell reports it


class LazyGroup(click.Group):
    """A group that imports the module of a command when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context | None, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f".{cmd_name.replace('-', '_')}", __name__).command
        if ctx is not None and ctx.resilient_parsing:  # a shell asks how a word may go on
            for parameter in command.params:
                parameter.type = click.Path() if parameter.type is click.STRING else parameter.type
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for an unknown one, say which may be meant."""
        name = args[0]
        if name in COMMANDS or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        raise click.UsageError(f"No such command {name!r}{_suggestion(name)}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a closed pipe ends it quietly, an interruption with one line."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _discard_stdout()
            ctx.exit(CLOSED_PIPE_STATUS)
        except KeyboardInterrupt:  # before Click adds an empty line
            click.echo("siftcli: interrupted", err=True)
            ctx.exit(INTERRUPTED_STATUS)
        return result


def _suggestion(name: str) -> str:
    """The command that may be meant by an unknown name; ``detect`` for a file."""
    started = [command for command in COMMANDS if command.startswith(name)]
    if close := started or difflib.get_close_matches(name, COMMANDS, n=1):
        return f"; did you mean {close[0]!r}?"
    return f"; did you mean 'siftcli detect {name}'?" if os.path.exists(name) else "."  # noqa: PTH110  any name


def _discard_stdout() -> None:
    """Discard what is still buffered, or Python would report the closed pipe when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _print_versions(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from ..versions import versions

    for name, version in versions().items():
        click.echo(f"{name} {version}")
    sys.stdout.flush()
    ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="'siftcli COMMAND --help' explains a command.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_versions,
    help="Print the versions of siftcli, Python, NumPy, Numba and OpenCV.",
)
def siftcli() -> None:
    """Detect, match and evaluate SIFT features."""
