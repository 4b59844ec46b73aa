"""The help of a command: its options in groups, common ones in ``--help``, all of them in ``--help-all``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import click

UNBROKEN = "\u2011"
"""Stands for the hyphens of a text while it is wrapped, so that names of options stay whole."""
COLUMN = 26
"""Width of the column of options."""
LONGEST_CHOICES = 60
"""Characters of the choices that an option shows as its value."""
ALL = f"{__name__}.all"
"""Key in a context's ``meta``: whether the help shows the rarer options too."""


class Group(NamedTuple):
    """Options under one heading, in the order of the help; by their names in Python, with blanks between."""

    title: str
    common: str
    rare: str = ""

    def shown(self, *, is_all: bool) -> list[str]:
        """The options that the help shows."""
        return self.common.split() + (self.rare.split() if is_all else [])


_RARE_SIFT = "edge_threshold levels_per_octave sigma first_octave max_orientations orientation"
_RARE_SIFT += " orientation_weights"
_SIFT = Group(
    "What to find",
    "preset max_features contrast_threshold upright rootsift dsp",
    f"selection {_RARE_SIFT} views",
)
_FEW_SIFT = Group(
    "What to find",
    "preset max_features upright",
    f"contrast_threshold rootsift dsp selection {_RARE_SIFT} views",
)
_COLMAP = Group("COLMAP databases", "camera camera_model pose_priors")
_MESSAGES = Group("Messages", "quiet verbose help help_all")
_FEW_MESSAGES = Group("Messages", "quiet help help_all")
_READING = "exif_orientation stretch nodata"

HELP: dict[str, tuple[Group, ...]] = {
    "detect": (
        Group("Input", "mask page max_image_size", f"mask_optional image_root check strict {_READING}"),
        Group("Output", "output format append overwrite draw as_json", "draw_rejected"),
        _SIFT,
        Group("Speed", "jobs threads", "dask"),
        _COLMAP,
        _MESSAGES,
    ),
    "describe": (
        Group("Input", "keypoints angle_unit", f"keypoints_format image_name page {_READING}"),
        Group("Output", "output format overwrite draw as_json"),
        Group("Descriptors", "preset rootsift dsp", "levels_per_octave sigma first_octave"),
        Group("Speed", "threads"),
        _MESSAGES,
    ),
    "match": (
        Group("Input", "rotate scale images page max_image_size", _READING),
        Group("Matching", "model ratio max_error", "focal_px no_mutual guided"),
        Group("Collections", "pairs min_inliers show report", "pictures"),
        Group("Output", "output format overwrite draw warp onto find save_transforms as_json"),
        _FEW_SIFT,
        Group("Speed", "jobs threads", "dask"),
        _MESSAGES,
    ),
    "align": (
        Group("Input", "channel", "max_image_size stretch nodata"),
        Group("Alignment", "model to refine", "neighbours ratio max_error on_failure"),
        Group("Output", "output canvas format overwrite report as_json", "interpolation fill valid gcps"),
        Group("Transforms", "save_transforms apply", "scale inverse"),
        _FEW_SIFT,
        Group("Speed", "jobs threads", "dask"),
        _MESSAGES,
    ),
    "info": (
        Group("Input", "format image images"),
        Group("Output", "draw overwrite as_json"),
        Group("Messages", "help"),
    ),
    "convert": (
        Group("Input", "from_ images view_ids"),
        Group("Output", "to append overwrite"),
        _COLMAP,
        _FEW_MESSAGES,
    ),
    "explain": (
        Group("What to explain", "at keypoint rotate"),
        Group("Input", "mask page", _READING),
        Group("Output", "output overwrite as_json"),
        _FEW_SIFT,
        Group("Speed", "threads"),
        _FEW_MESSAGES,
    ),
    "formats": (Group("Output", "as_json"), Group("Messages", "help")),
    "evaluate": (
        Group("What to measure", "detectors sweeps angles dataset max_features", "mode orientation seed"),
        Group(
            "Poses (with --dataset poses)",
            "budgets degradations reconstruct",
            "geometries view_angles overlap max_side_px n_seeds",
        ),
        Group("Input", "", "stretch nodata"),
        Group("Output", "output overwrite as_json"),
        Group("Speed", "jobs"),
        _FEW_MESSAGES,
    ),
    "report": (Group("Output", "output overwrite fail_below images pictures as_json"), _FEW_MESSAGES),
    "train-orientation": (
        Group("Training", "epochs seed"),
        Group("Output", "output overwrite"),
        Group("Speed", "jobs"),
        _FEW_MESSAGES,
    ),
    "cache": (Group("Speed", "jobs"), Group("Output", "as_json"), _FEW_MESSAGES),
    "completion": (Group("Messages", "help"),),
    "bench": (
        Group(
            "What to time", "sizes detectors thread_counts equal_counts process with_stages", "made n_pairs"
        ),
        Group("Output", "output overwrite as_json"),
        Group("Messages", "help help_all"),
    ),
}
"""For each command its groups. What a group does not have is under the last heading."""


def help_all_option(command: str) -> click.Option | None:
    """``--help-all``, if the command has rarer options."""
    if not any(group.rare for group in HELP[command]):
        return None

    def show(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
        if wanted and not ctx.resilient_parsing:
            ctx.meta[ALL] = True
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()

    return click.Option(
        ["--help-all"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show the rarer options too, and exit.",
    )


def help_flag(command: str, option: str) -> str:
    """The flag of the help that shows an option."""
    return "--help-all" if any(option in group.rare.split() for group in HELP[command]) else "--help"


def write_options(ctx: click.Context, params: Sequence[click.Parameter], formatter: Any) -> None:
    """Write the options under their headings, their texts in one column."""
    help_option = ctx.command.get_help_option(ctx)
    records = {
        "help" if param is help_option else str(param.name): _record(param, ctx)
        for param in params
        if isinstance(param, click.Option) and not param.hidden
    }
    for title, names in _sections(str(ctx.command.name), list(records), is_all=ctx.meta.get(ALL, False)):
        with formatter.section(title):
            rows = [(records[name][0].ljust(COLUMN), records[name][1]) for name in names]
            formatter.write_dl(rows, col_max=COLUMN)


def _record(option: click.Option, ctx: click.Context) -> tuple[str, str]:
    """An option with its value, and its text; many choices stand in the text."""
    spelling, text = option.get_help_record(ctx) or ("", "")
    choices = getattr(option.type, "choices", ())
    listed = f"[{'|'.join(choices)}]"
    if len(listed) > LONGEST_CHOICES and listed in spelling:
        spelling = spelling.replace(listed, "NAME")
        text = f"{text}  One of {', '.join(choices)}."
    return spelling, text.replace("-", UNBROKEN)


def _sections(command: str, names: Sequence[str], *, is_all: bool) -> Iterator[tuple[str, list[str]]]:
    """Headings with the options that are shown below them."""
    groups = HELP[command]
    known = {name for group in groups for name in group.shown(is_all=True)}
    for group in groups:
        shown = [name for name in group.shown(is_all=is_all) if name in names]
        if group is groups[-1]:
            shown = [name for name in names if name not in known] + shown
        if shown:
            yield group.title, shown
