"""Options that have no effect are refused: every option of every command is in the table, and obeys it."""

import itertools
import re
from dataclasses import fields

import click
import pytest

from siftcli.__main__ import run
from siftcli.cli import COMMANDS, siftcli
from siftcli.cli import _modes as modes
from siftcli.cli._groups import help_flag
from siftcli.cli._options import SIFT_OPTIONS
from siftcli.errors import ParameterError
from siftcli.params import SiftParams
from siftcli.presets import PRESETS

IN_EFFECT = {
    "detect": {
        modes.ALWAYS: ["a.png"],
        modes.WRITES: ["a.png", "-o", "x.npz"],
        modes.REPLACES: ["a.png", "--draw", "x.png"],
        modes.MASKED: ["a.png", "--mask", "masks"],
        modes.ON_THIS_MACHINE: ["a.png", "--dask", "local"],
        modes.TO_DATABASE: ["a.png", "--output=x.db"],
        modes.LIMITED: ["a.png", "--max-features", "5"],
        modes.LEARNED: ["a.png", "--orientation", "learned"],
        modes.ROTATED: ["a.png", "--no-upright"],
    },
    "describe": {
        modes.ALWAYS: ["a.png", "--keypoints", "k.txt"],
        modes.WRITES: ["a.png", "--keypoints", "k.txt", "-o", "x.npz"],
        modes.REPLACES: ["a.png", "--keypoints", "k.txt", "--draw", "x.png"],
    },
    "match": {
        modes.ALWAYS: ["a.png", "b.png"],
        modes.SEARCHES: ["a.png", "b.png"],
        modes.PAIRS: ["x.db", "--pairs", "exhaustive"],
        modes.ON_THIS_MACHINE: ["x.db", "--pairs", "exhaustive"],
        modes.A_PAGE: ["x.db", "--pairs", "exhaustive", "--report", "x.html"],
        modes.PICTURES: ["x.db", "--show", "a", "b", "--draw", "x.png"],
        modes.TWO_INPUTS: ["a.png", "b.png"],
        modes.AN_IMAGE: ["f.npz", "b.png"],
        modes.A_MODEL: ["a.png", "b.png", "--model", "similarity"],
        modes.A_MAP: ["a.png", "b.png"],
        modes.WARPS: ["a.png", "b.png", "--warp", "w.png"],
        modes.OF_CAMERAS: ["a.png", "b.png", "--model", "essential"],
        modes.LIMITED: ["a.png", "b.png", "--max-features", "5"],
        modes.LEARNED: ["a.png", "b.png", "--orientation", "learned"],
        modes.ROTATED: ["a.png", "b.png"],
        modes.WRITES: ["a.png", "b.png", "-o", "x"],
        modes.REPLACES: ["x.db", "--pairs", "exhaustive"],
    },
    "align": {
        modes.ALWAYS: ["a.png", "b.png"],
        modes.ESTIMATES: ["a.png", "b.png"],
        modes.APPLIES: ["a.png", "b.png", "--apply", "t.json"],
        modes.WRITES: ["a.png", "b.png", "-o", "x"],
        modes.WRITES_ANYTHING: ["a.png", "b.png", "--report", "x"],
        modes.ON_THIS_MACHINE: ["a.png", "b.png", "--dask", "local"],
        modes.LEARNED: ["a.png", "b.png", "--orientation", "learned"],
        modes.ROTATED: ["a.png", "b.png", "--no-upright"],
    },
    "explain": {
        modes.ALWAYS: ["a.png"],
        modes.WRITES: ["a.png", "-o", "x.html"],
        modes.LIMITED: ["a.png", "--max-features", "9"],
        modes.LEARNED: ["a.png", "--orientation", "learned"],
        modes.ROTATED: ["a.png"],
    },
    "info": {
        modes.ALWAYS: ["f.npz"],
        modes.DRAWS: ["f.npz", "--draw", "x.png"],
        modes.REPLACES: ["f.npz", "--draw", "x.png"],
    },
    "convert": {
        modes.ALWAYS: ["f.npz", "g.npz"],
        modes.CONVERTS_TO_DATABASE: ["f", "x", "--to", "colmap-db"],
    },
    "formats": {modes.ALWAYS: []},
    "evaluate": {
        modes.ALWAYS: ["a.png"],
        modes.NOT_POSES: ["a.png"],
        modes.POSES: ["scene", "--dataset", "poses"],
        modes.SWEEPS: ["a.png"],
        modes.ROTATES: ["a.png", "--sweep", "blur,canvas"],
        modes.ROTATES_BY_MODE: ["a.png"],
        modes.OWN: ["a.png", "--detectors", "opencv,siftcli-classic"],
    },
    "report": {
        modes.ALWAYS: ["folder"],
        modes.OF_MATCHES: ["m.h5"],
        modes.OF_EVALUATIONS: ["folder"],
        modes.WRITES_A_PAGE: ["folder"],
    },
    "train-orientation": {modes.ALWAYS: ["a.png", "-o", "x.npz"]},
    "cache": {modes.ALWAYS: [], modes.WARMS: ["warm"]},
    "completion": {modes.ALWAYS: ["bash"]},
    "bench": {
        modes.ALWAYS: ["a.png"],
        modes.RESIZED: ["a.png", "--sizes", "1"],
        modes.WRITES: ["a.png", "-o", "x.json"],
    },
}
"""Arguments with which each need is met."""

NOT_IN_EFFECT = {
    "detect": {
        modes.WRITES: ["a.png"],
        modes.REPLACES: ["a.png"],
        modes.MASKED: ["a.png"],
        modes.ON_THIS_MACHINE: ["a.png", "--dask", "tcp://127.0.0.1:1"],
        modes.TO_DATABASE: ["a.png", "-o", "x.h5"],
        modes.LIMITED: ["a.png", "--preset", "dense"],
        modes.LEARNED: ["a.png", "--orientation", "histogram"],
        modes.ROTATED: ["a.png", "--upright"],
    },
    "describe": {
        modes.WRITES: ["a.png", "--keypoints", "k.txt"],
        modes.REPLACES: ["a.png", "--keypoints", "k.txt"],
    },
    "info": {modes.DRAWS: ["f.npz"], modes.REPLACES: ["f.npz"]},
    "explain": {
        modes.WRITES: ["a.png"],
        modes.LIMITED: ["a.png", "--preset", "dense"],
        modes.LEARNED: ["a.png", "--orientation", "histogram"],
        modes.ROTATED: ["a.png", "--upright"],
    },
    "match": {
        modes.SEARCHES: ["x.db", "--show", "a", "b"],
        modes.PAIRS: ["a.png", "b.png"],
        modes.ON_THIS_MACHINE: ["x.db", "--pairs", "exhaustive", "--dask", "tcp://127.0.0.1:1"],
        modes.A_PAGE: ["x.db", "--pairs", "exhaustive"],
        modes.PICTURES: ["x.db", "--show", "a", "b"],
        modes.TWO_INPUTS: ["x.db", "--pairs", "exhaustive"],
        modes.AN_IMAGE: ["f.npz", "g.csv"],
        modes.A_MODEL: ["a.png", "b.png", "--model", "none"],
        modes.A_MAP: ["a.png", "b.png", "--model", "fundamental"],
        modes.WARPS: ["a.png", "b.png"],
        modes.OF_CAMERAS: ["a.png", "b.png", "--model", "fundamental"],
        modes.LIMITED: ["a.png", "b.png"],
        modes.LEARNED: ["a.png", "b.png"],
        modes.ROTATED: ["a.png", "b.png", "--upright"],
        modes.WRITES: ["a.png", "b.png"],
        modes.REPLACES: ["a.png", "b.png"],
    },
    "align": {
        modes.ESTIMATES: ["a.png", "b.png", "--apply", "t.json"],
        modes.APPLIES: ["a.png", "b.png"],
        modes.WRITES: ["a.png", "b.png", "--report", "x"],
        modes.WRITES_ANYTHING: ["a.png", "b.png"],
        modes.ON_THIS_MACHINE: ["a.png", "b.png", "--dask", "tcp://127.0.0.1:1"],
        modes.LEARNED: ["a.png", "b.png"],
        modes.ROTATED: ["a.png", "b.png", "--upright"],
    },
    "cache": {modes.WARMS: ["show"]},
    "convert": {modes.CONVERTS_TO_DATABASE: ["x.db", "x.h5"]},
    "evaluate": {
        modes.NOT_POSES: ["scene", "--dataset", "poses"],
        modes.POSES: ["folder", "--dataset", "oxford"],
        modes.SWEEPS: ["folder", "--dataset", "oxford"],
        modes.ROTATES: ["a.png", "--sweep", "blur,noise"],
        modes.ROTATES_BY_MODE: ["a.png", "--sweep", "canvas"],
        modes.OWN: ["a.png", "--detectors", "opencv"],
    },
    "report": {
        modes.OF_MATCHES: ["folder"],
        modes.OF_EVALUATIONS: ["m.h5"],
        modes.WRITES_A_PAGE: ["folder", "--json"],
    },
    "bench": {modes.RESIZED: ["a.png"], modes.WRITES: ["a.png"]},
}
"""Arguments with which it is not, and every other one of the same options is."""

VALUES = {
    "angles": "30",
    "detectors": "siftcli",
    "sweeps": "rotation",
    "made": "resized",
    "max_side_px": "64",
    "dask": "local",
    "page": "2",
    "pairs": "exhaustive",
    "output": "x.db",
    "selection": "even",
}
"""Values for which a number or the first choice is not enough."""


def command_of(name: str) -> click.Command:
    return siftcli.get_command(click.Context(siftcli), name)


def options_of(name: str) -> dict[str, click.Option]:
    return {p.name: p for p in command_of(name).params if isinstance(p, click.Option)}


def spellings(option: click.Option) -> list[list[str]]:
    """Each way to give an option, with a value where it takes one."""
    if option.is_flag:
        return [[spelling] for spelling in (*option.opts, *option.secondary_opts)]
    choices = getattr(option.type, "choices", None)
    value = VALUES.get(option.name) or (choices[0] if choices else "1")
    return [[spelling, *[value] * option.nargs] for spelling in option.opts]


def context_of(name: str, args: list[str]) -> click.Context:
    # Within the group, as when it is run: a command keeps the help option of its first context.
    group = click.Context(siftcli, **siftcli.context_settings)
    return command_of(name).make_context(name, list(args), parent=group)


def cases(arguments):
    for name, needs in arguments.items():
        for need, args in needs.items():
            for option in modes.TABLE[name][need]:
                for given in spellings(options_of(name)[option]):
                    yield pytest.param(name, need, args, given, id=" ".join([name, *args, *given]))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_table(name):
    assert set(itertools.chain.from_iterable(modes.TABLE[name].values())) == set(options_of(name))
    assert type(command_of(name)) is modes.Command


def test_every_need_is_tried_both_ways():
    for name, needs in modes.TABLE.items():
        assert set(IN_EFFECT[name]) == set(needs)
        assert set(NOT_IN_EFFECT.get(name, ())) == set(needs) - {modes.ALWAYS}
        assert not set(needs[modes.ALWAYS]) & {o for need in set(needs) - {modes.ALWAYS} for o in needs[need]}


@pytest.mark.parametrize(("name", "need", "args", "given"), list(cases(NOT_IN_EFFECT)))
def test_an_option_without_effect_is_refused(tmp_path, monkeypatch, capsys, name, need, args, given):
    monkeypatch.chdir(tmp_path)
    assert run([name, *args, *given]) == 2
    typed = given[0]
    (option,) = (
        o for o, option in options_of(name).items() if typed in (*option.opts, *option.secondary_opts)
    )
    remedy = f"{need.remedy}, or drop {typed}. See 'siftcli {name} {help_flag(name, option)}'."
    expected = f"siftcli: {typed} has no effect {need.lack}; {remedy}\n"
    assert capsys.readouterr().err == expected
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "need", "args", "given"), list(cases(IN_EFFECT)))
def test_an_option_with_an_effect_is_accepted(name, need, args, given):
    extra = {"selection": ["--max-features", "3"], "orientation_weights": ["--orientation", "learned"]}
    extra["focal"] = ["--model", "essential"]
    others = extra.get(given[0][2:].replace("-", "_"), [])
    modes.check_options(context_of(name, [*args, *others, *given]))


@pytest.mark.parametrize("name", IN_EFFECT)
def test_a_default_is_not_given(name):
    for args in (*IN_EFFECT[name].values(), *NOT_IN_EFFECT.get(name, {}).values()):
        modes.check_options(context_of(name, args))


def test_the_default_value_when_given_is_refused_too():
    context = context_of("match", ["x.db", "--pairs", "exhaustive", "--preset", "default"])
    with pytest.raises(ParameterError, match=r"^--preset has no effect with --pairs"):
        modes.check_options(context)


def test_the_help_gives_the_values_of_the_presets():
    by_name = {f.name: f for f in fields(SiftParams)}
    for command in ("detect", "match"):
        for name in SIFT_OPTIONS:
            note = re.search(r"\[(.*)\]$", options_of(command)[name].help)
            shown = dict(re.findall(rf"({'|'.join(PRESETS)}) ([^,;]+)", note.group(1))) if note else {}
            if note and (same := re.match(r"(\S+) in every preset", note.group(1))):
                shown = dict.fromkeys(PRESETS, same.group(1))
            assert set(shown) in (set(), set(PRESETS))
            for preset in PRESETS:
                value = getattr(SiftParams.preset(preset), name)
                text = shown.get(preset)
                if text in ("on", "off"):
                    assert value is (text == "on")
                elif text is None:
                    assert value in (None, "")
                else:
                    assert type(by_name[name].default)(text) == value


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_names_options_not_parameters(name):
    command = command_of(name)
    help = " ".join([command.help, *(option.help for option in options_of(name).values())])
    assert not {f.name for f in fields(SiftParams) if "_" in f.name} & set(re.findall(r"\w+", help))
    known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
    known |= {o for p in options_of("detect").values() for o in p.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", help)) <= known
