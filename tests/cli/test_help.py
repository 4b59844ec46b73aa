"""The help of every command: options in groups, the rarer ones in --help-all only."""

from itertools import takewhile

import click
import pytest

from siftcli.__main__ import run
from siftcli.cli import COMMANDS, siftcli
from siftcli.cli._groups import HELP, help_flag

HELP_NAMES = {"help", "help_all"}


def command_of(name):
    return siftcli.get_command(click.Context(siftcli), name)


def options_of(name):
    return {p.name: p for p in command_of(name).params if isinstance(p, click.Option)}


def spelling(option):
    """The long spelling of an option."""
    return max(option.opts, key=len)


def shown(capsys, name, flag):
    """The headings, and the spellings at the beginnings of the lines below each."""
    assert run([name, flag]) == 0
    lines = capsys.readouterr().out.splitlines()
    found, title = {}, ""
    for line in lines:
        if line.endswith(":") and not line.startswith(" "):
            title = line[:-1]
        elif title and line.startswith("  -"):
            words = takewhile(lambda word: word.startswith("-") or word == "/", line.split())
            found.setdefault(title, []).extend(word.rstrip(",") for word in words if word != "/")
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_one_group(name):
    listed = [option for group in HELP[name] for option in group.shown(is_all=True)]
    assert len(listed) == len(set(listed))
    assert set(listed) - HELP_NAMES == set(options_of(name))
    assert set(listed) >= ({"help", "help_all"} if any(group.rare for group in HELP[name]) else {"help"})


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_shows_the_common_options_and_help_all_every_one(capsys, name):
    options = options_of(name)
    few, full = shown(capsys, name, "--help"), shown(capsys, name, "--help-all" if _has_more(name) else "-h")
    for group in HELP[name]:
        for is_all, found in ((False, few), (True, full)):
            names = [option for option in group.shown(is_all=is_all) if option not in HELP_NAMES]
            spellings = [spelling(options[option]) for option in names]
            assert [s for s in found.get(group.title, []) if s in spellings] == spellings
    flat = {s for spellings in few.values() for s in spellings}
    assert not {spelling(options[o]) for group in HELP[name] for o in group.rare.split()} & flat


def _has_more(name):
    return any(group.rare for group in HELP[name])


def test_help_all_is_offered_only_where_there_is_more(capsys):
    assert run(["info", "--help-all"]) == 2
    assert "No such option '--help-all'" in capsys.readouterr().err
    assert run(["detect", "--help"]) == 0
    assert "--help-all" in capsys.readouterr().out


def test_names_of_options_are_not_broken(capsys):
    for name in COMMANDS:
        assert run([name, "--help-all" if _has_more(name) else "--help"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert not [line for line in lines if line.endswith("-")]
        assert max(map(len, lines)) <= 80


def test_messages_point_to_the_help_that_shows_the_option(capsys, tmp_path):
    assert (help_flag("detect", "max_features"), help_flag("detect", "sigma")) == ("--help", "--help-all")
    assert run(["detect", "a.png", "--sigma", "0.1"]) == 2
    assert capsys.readouterr().err.endswith("got 0.1. See 'siftcli detect --help-all'.\n")
    assert run(["detect", "a.png", "--selection", "none"]) == 2
    assert capsys.readouterr().err.endswith("See 'siftcli detect --help-all'.\n")
    assert run(["detect", "a.png", "--threads", "0"]) == 2
    assert capsys.readouterr().err.endswith("See 'siftcli detect --help'.\n")


def test_masks_are_in_the_help_of_commands_that_have_them(capsys):
    for name in COMMANDS:
        assert run([name, "--help-all" if _has_more(name) else "--help"]) == 0
        assert ("mask" in capsys.readouterr().out) == (name in ("detect", "explain", "align", "info"))
