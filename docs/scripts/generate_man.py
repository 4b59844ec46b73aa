"""Write the manual pages, from the help of the commands: ``python docs/scripts/generate_man.py``.

A wheel brings them as ``share/man/man1``, where ``man siftcli`` and ``man siftcli-detect`` find them. A test
fails while one is stale.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from siftcli import __version__
from siftcli.cli import COMMANDS, siftcli

FOLDER = Path(__file__).parents[1] / "man"
NOTE = '.\\" Written by docs/scripts/generate_man.py; change the program instead.'


def pages() -> Mapping[Path, str]:
    """The text of each page."""
    root = click.Context(siftcli, info_name="siftcli", **siftcli.context_settings)
    listed = [f".TP\n.BR siftcli\\-{_text(name)} (1)\n{_text(does)}" for name, does in COMMANDS.items()]
    commands = "\n".join([".SH COMMANDS", *listed])
    found = {FOLDER / "siftcli.1": _page("siftcli", siftcli, root, str(siftcli.help), commands)}
    for name, does in COMMANDS.items():
        command = siftcli.get_command(root, name)
        assert command is not None
        context = click.Context(command, parent=root, info_name=name)
        also = ".SH SEE ALSO\n.BR siftcli (1)"
        found[FOLDER / f"siftcli-{name}.1"] = _page(f"siftcli-{name}", command, context, does, also)
    return found


def _page(name: str, command: click.Command, context: click.Context, does: str, more: str) -> str:
    usage = [_text(piece) for piece in command.collect_usage_pieces(context)]
    lines = [
        NOTE,
        f'.TH {_text(name.upper())} 1 "" "siftcli {_text(__version__)}" "siftcli manual"',
        ".SH NAME",
        f"{_text(name)} \\- {_text(does.rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_text(context.command_path)}",
        *usage,
        ".SH DESCRIPTION",
        *_paragraphs(inspect.cleandoc(command.help or "")),  # since CPython 3.13 it has no indentation
        ".SH OPTIONS",
        *_options(command, context),
        more,
    ]
    return "\n".join(lines) + "\n"


def _paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a help text; one that begins with Click's mark for it keeps its lines."""
    is_first = True
    for paragraph in re.split(r"\n\s*\n", text.replace("\r", "").strip()):
        yield from [] if is_first else [".PP"]
        is_first = False
        lines = [line.strip() if "\b" not in paragraph else line for line in paragraph.splitlines()]
        if lines[0].strip() == "\b":
            yield from (".nf", *map(_line, lines[1:]), ".fi")
        else:
            yield _line(" ".join(lines))


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:  # arguments have no help of their own
            yield from (".TP", f".B {_text(record[0])}", _line(" ".join(record[1].split())))


def _line(text: str) -> str:
    """A line of text; one that begins with a full stop or an apostrophe is no request."""
    escaped = _text(text)
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def _text(text: str) -> str:
    """Text with what roff would interpret, and hyphens that are typed, escaped."""
    return text.replace("\\", "\\e").replace("-", "\\-")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.1"):
        old.unlink()
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
