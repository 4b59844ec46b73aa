"""Write the pages that repeat what the program says of itself: ``python docs/scripts/generate_reference.py``.

``cli.md`` holds the help of every command, ``parameters.md`` every parameter with its value in each
preset. A test fails while either is stale.
"""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from siftcli.cli import COMMANDS, siftcli
from siftcli.cli._groups import ALL
from siftcli.params import (
    PRESETS,
    DescriptorParams,
    KeypointParams,
    OrientationParams,
    ScaleSpaceParams,
    SiftParams,
)

DOCS = Path(__file__).parents[1]
HELP_WIDTH = 100
NOTE = "<!-- Written by docs/scripts/generate_reference.py; change the program instead. -->"

GROUPS = {
    "Scale space": ScaleSpaceParams,
    "Keypoints": KeypointParams,
    "Orientation": OrientationParams,
    "Descriptor": DescriptorParams,
}

CLI_HEAD = f"""# Command line

{NOTE}

Every command with all of its options, as `siftcli COMMAND --help-all` prints them; `--help` leaves the
rarer ones out. The [task pages](index.md#tasks) show the commands at work; [JSON output](json.md)
lists what `--json` prints.

Exit status of every command: 0 done (no keypoints, or no model, is done), 1 an input failed, 2 wrong
use, found before any work, 130 interrupted. Every error is one line on standard error: what was
expected, what came, what to do next.
"""

PARAMETERS_HEAD = f"""# Parameters and presets

{NOTE}

Every field of `siftcli.SiftParams` and its value in each preset. An empty cell means: as in
`default`. Fields marked with an option can be set on the command line too. In Python any of them is
a keyword of `siftcli.detect`; an unknown name is an error.
"""


def pages() -> Mapping[Path, str]:
    """The text of each generated page."""
    return {DOCS / "cli.md": cli_page(), DOCS / "parameters.md": parameters_page()}


def cli_page() -> str:
    """The help of the program and of each command."""
    shown = {**siftcli.context_settings, "terminal_width": HELP_WIDTH}
    group = click.Context(siftcli, info_name="siftcli", **shown)
    parts = [CLI_HEAD, _section("siftcli", siftcli, group)]
    for name in COMMANDS:
        command = siftcli.get_command(group, name)
        assert command is not None
        context = click.Context(command, parent=group, info_name=name, **shown)
        context.meta[ALL] = True
        parts.append(_section(f"siftcli {name}", command, context))
    return "\n".join(parts)


def _section(title: str, command: click.Command, context: click.Context) -> str:
    return f"## {title}\n\n```text\n{command.get_help(context)}\n```\n"


def parameters_page() -> str:
    """A table of each stage's parameters."""
    options = _options()
    in_stages = {f.name for stage in GROUPS.values() for f in fields(stage)}
    rest = [f for f in fields(SiftParams) if f.name not in in_stages]
    groups = {title: list(fields(stage)) for title, stage in GROUPS.items()} | {"Selection": rest}
    return "\n".join([PARAMETERS_HEAD, *(_table(title, group, options) for title, group in groups.items())])


def _options() -> set[str]:
    """Names of the parameters that ``siftcli detect`` has an option for."""
    detect = siftcli.get_command(click.Context(siftcli), "detect")
    assert detect is not None
    return {str(parameter.name) for parameter in detect.params}


def _table(title: str, group: list[Any], options: set[str]) -> str:
    heads = " | ".join(f"`{name}`" for name in PRESETS)
    lines = [f"## {title}\n", f"| parameter | {heads} | what it does |", "|---" * (len(PRESETS) + 2) + "|"]
    return "\n".join([*lines, *(_row(f, options) for f in group)]) + "\n"


def _row(f: Any, options: set[str]) -> str:
    values = [getattr(SiftParams.preset(name), f.name) for name in PRESETS]
    cells = [_text(values[0]), *("" if value == values[0] else _text(value) for value in values[1:])]
    doc = f.metadata["doc"][0].upper() + f.metadata["doc"][1:]
    option = f" (`--{f.name.replace('_', '-')}`)" if f.name in options else ""
    return f"| `{f.name}` | {' | '.join(cells)} | {doc}{option} |".replace("|DoG|", r"\|DoG\|")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None or value == "" else str(value)


def main() -> None:
    """Write the pages, and the manual pages too, which change with the same help."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    runpy.run_path(str(Path(__file__).with_name("generate_man.py")), run_name="__main__")


if __name__ == "__main__":
    main()
