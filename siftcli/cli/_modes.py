"""When each option of each command has an effect: one table, and the command class that applies it.

An option that was given where it has no effect is refused, as it would be ignored silently otherwise.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from ..errors import ParameterError
from ..formats import FORMATS
from ..formats._registry import MATCH_COLLECTIONS
from ..matching.options import ESSENTIAL
from ..pairs.request import GPS
from ..params import SIFT_OPTIONS
from ..workflows.match_request import POINT_MAPS, is_feature_file
from ._groups import UNBROKEN, help_all_option, help_flag, write_options
from ._options import DESCRIPTOR_OPTIONS

Values = Mapping[str, Any]
"""The values of a command's arguments and options, by their names in Python."""
_TYPED = f"{__name__}.typed"
_PRODUCTS = ("warp", "find", "save_transforms")
"""Options of match for files that need a map from A to B."""
_REPLACEABLE = ("output", "draw", "draw_rejected", "pairs", *_PRODUCTS)


class Need(NamedTuple):
    """What an option needs to have an effect."""

    is_met: Callable[[Values], bool]
    lack: str
    """Where it has no effect: "without --pairs"."""
    remedy: str
    """What gives it one: "add --pairs"."""


def _given(name: str) -> Callable[[Values], bool]:
    return lambda values: values[name] is not None


def _goes_to_database(path: str, format: str) -> Callable[[Values], bool]:
    """Whether the output whose path and format have these names is a COLMAP database."""

    def is_met(values: Values) -> bool:
        if values[format] is not None:
            return bool(values[format] == "colmap-db")
        return PurePath(values[path] or "").suffix.lower() in FORMATS["colmap-db"].suffixes

    return is_met


def holds_matches(path: str) -> bool:
    """Whether a path has the suffix of a file that can hold the matches of many pairs."""
    return any(PurePath(path).suffix.lower() in FORMATS[name].suffixes for name in MATCH_COLLECTIONS)


ALWAYS = Need(lambda _: True, "", "")
_DATABASE = ("without a COLMAP database as the output", "name one (database.db)")
WRITES = Need(_given("output"), "without -o", "name an output with -o")
REPLACES = Need(
    lambda values: any(values.get(name) not in (None, "-") for name in _REPLACEABLE),
    "without -o or --draw",
    "name an output",
)
MASKED = Need(_given("mask"), "without --mask", "add --mask FOLDER")
LIMITED = Need(
    lambda values: values["selection"] != "even" or values["max_features"] is not None,
    "without --max-features",
    "add --max-features N",
)
LEARNED = Need(
    lambda values: values["orientation"] == "learned",
    "without --orientation learned",
    "add --orientation learned",
)
ROTATED = Need(lambda values: not values["upright"], "with --upright", "drop --upright")
ON_THIS_MACHINE = Need(
    lambda values: values["dask"] in (None, "local"),
    "on a Dask cluster, which has its own workers",
    "use --dask local",
)
TO_DATABASE = Need(_goes_to_database("output", "format"), *_DATABASE)
CONVERTS_TO_DATABASE = Need(_goes_to_database("target", "to"), *_DATABASE)

PAIRS = Need(_given("pairs"), "without --pairs", "add --pairs WHICH")
TWO_INPUTS = Need(
    lambda values: values["pairs"] is None, "with --pairs, which matches saved features", "drop --pairs"
)
AN_IMAGE = Need(
    lambda values: (
        values["pairs"] is not None
        or not (is_feature_file(values["a"]) and is_feature_file(values["b"] or values["a"]))
    ),
    "on saved features",
    "give an image",
)
A_MODEL = Need(lambda values: values["model"] != "none", "with --model none", "choose another --model")

SEARCHES = Need(
    lambda values: values["show"] is None, "with --show, which shows what is stored", "drop --show"
)


def _draws_saved(values: Values) -> bool:
    """Whether pictures of two inputs are wanted of which one is a feature file."""
    is_wanted = any(values.get(name) is not None for name in ("draw", "warp", "find"))
    return is_wanted and values["pairs"] is None and any(is_feature_file(values[name]) for name in "ab")


DRAWS = Need(_given("draw"), "without --draw", "add --draw PNG")
A_PAGE = Need(_given("report"), "without --report", "add --report HTML")
PICTURES = Need(
    lambda values: (
        values["report"] is not None
        or None not in (values["show"], values["draw"])
        or GPS in (values["pairs"] or "")
        or _draws_saved(values)
    ),
    "without --report, --show with --draw, --pairs gps:K, or a picture of feature files",
    "add one of them",
)
OF_MATCHES = Need(
    lambda values: any(map(holds_matches, values["inputs"])),
    "without a file of matches",
    "name one (database.db, matches.h5)",
)
A_MAP = Need(
    lambda values: values["model"] in (None, *POINT_MAPS),
    f"with a --model other than {' or '.join(POINT_MAPS)}",
    "choose one of them",
)
WARPS = Need(_given("warp"), "without --warp", "add --warp OUT")
OF_EVALUATIONS = Need(
    lambda values: not any(map(holds_matches, values["inputs"])),
    "with a file of matches",
    "name an evaluation",
)
WRITES_A_PAGE = Need(
    lambda values: values["output"] is not None or not values["as_json"],
    "with --json, which writes a page only with -o",
    "name an output with -o",
)
OF_CAMERAS = Need(
    lambda values: values["model"] == ESSENTIAL, f"without --model {ESSENTIAL}", f"add --model {ESSENTIAL}"
)

SWEEPS = Need(lambda values: values["dataset"] is None, "with --dataset", "drop --dataset")
POSES = Need(lambda values: values["dataset"] == "poses", "without --dataset poses", "add --dataset poses")
NOT_POSES = Need(lambda values: values["dataset"] != "poses", "with --dataset poses", "drop --dataset poses")
ROTATES = Need(
    lambda values: bool({"rotation", "canvas"} & set(values["sweeps"])),
    "without the sweep rotation or canvas",
    "add one of them to --sweep",
)
ROTATES_BY_MODE = Need(
    lambda values: "rotation" in values["sweeps"],
    "without the sweep rotation",
    "add it to --sweep",
)
OWN = Need(
    lambda values: any(name.startswith("siftcli") for name in values["detectors"]),
    "without one of siftcli's own detectors",
    "add siftcli to --detectors",
)
RESIZED = Need(lambda values: bool(values["sizes"] or not values["inputs"]), "without --sizes", "add --sizes")

WARMS = Need(lambda values: values["action"] == "warm", "without warm", "use 'siftcli cache warm'")
ESTIMATES = Need(lambda values: values["apply"] is None, "with --apply", "drop --apply")
APPLIES = Need(_given("apply"), "without --apply", "add --apply FILE")
WRITES_ANYTHING = Need(
    lambda values: any(values[name] is not None for name in ("output", "save_transforms", "report")),
    "without -o, --save-transforms or --report",
    "name an output",
)

_READING = ("exif_orientation", "max_image_size", "stretch", "nodata", "page")
_CAMERAS = ("camera", "camera_model", "pose_priors")
_SIFT = ("preset", *SIFT_OPTIONS)
_ORIENTATION = ("orientation", "max_orientations")
_FREE_SIFT = tuple(
    name for name in _SIFT if name not in ("selection", "orientation_weights", "views", *_ORIENTATION)
)
"""Those that need nothing else."""

TABLE: dict[str, dict[Need, tuple[str, ...]]] = {
    "detect": {
        ALWAYS: (
            "output", "draw", "draw_rejected", "mask", "image_root", *_FREE_SIFT, *_READING, "threads",
            "check", "dask", "strict", "as_json", "append", "verbose", "quiet",
        ),
        WRITES: ("format",),
        REPLACES: ("overwrite",),
        MASKED: ("mask_optional",),
        ON_THIS_MACHINE: ("jobs",),
        TO_DATABASE: _CAMERAS,
        LIMITED: ("selection",),
        LEARNED: ("orientation_weights",),
        ROTATED: (*_ORIENTATION, "views"),
    },
    "describe": {
        ALWAYS: (
            "keypoints", "keypoints_format", "image_name", "angle_unit", "output", "draw", "preset",
            *DESCRIPTOR_OPTIONS, "exif_orientation", "stretch", "nodata", "page", "threads", "as_json",
            "verbose", "quiet",
        ),
        WRITES: ("format",),
        REPLACES: ("overwrite",),
    },
    "match": {
        ALWAYS: ("show", "as_json", "quiet"),
        SEARCHES: (
            "ratio", "no_mutual", "model", "max_error", "guided", "pairs", "output", "threads", "verbose",
            "rotate", "scale", *_PRODUCTS, *_SIFT, *_READING,
        ),
        PAIRS: ("min_inliers", "jobs", "dask", "report"),
        ON_THIS_MACHINE: ("jobs",),
        A_PAGE: ("pictures",),
        PICTURES: ("images",),
        TWO_INPUTS: ("rotate", "scale", "draw", "focal_px", *_PRODUCTS, *_SIFT, *_READING),
        AN_IMAGE: (*_SIFT, *_READING),
        A_MODEL: ("max_error", "guided"),
        A_MAP: _PRODUCTS,
        WARPS: ("onto",),
        OF_CAMERAS: ("focal_px",),
        LIMITED: ("selection",),
        LEARNED: ("orientation_weights",),
        ROTATED: (*_ORIENTATION, "views"),
        WRITES: ("format",),
        REPLACES: ("overwrite",),
    },
    "align": {
        ALWAYS: (
            "output", "to", "save_transforms", "apply", "report", "channel", "on_failure", "stretch",
            "nodata", "threads", "dask", "as_json", "verbose", "quiet",
        ),
        ESTIMATES: (
            "model", "refine", "ratio", "max_error", "neighbours", "canvas", "max_image_size", *_SIFT,
        ),
        APPLIES: ("scale", "inverse"),
        WRITES: ("valid", "format", "interpolation", "fill", "gcps"),
        WRITES_ANYTHING: ("overwrite",),
        ON_THIS_MACHINE: ("jobs",),
        LEARNED: ("orientation_weights",),
        ROTATED: _ORIENTATION,
    },
    "explain": {
        ALWAYS: (
            "at", "keypoint", "rotate", "output", "mask", *_FREE_SIFT, "exif_orientation", "stretch",
            "nodata", "page", "threads", "as_json", "quiet",
        ),
        WRITES: ("overwrite",),
        LIMITED: ("selection",),
        LEARNED: ("orientation_weights",),
        ROTATED: (*_ORIENTATION, "views"),
    },
    "info": {ALWAYS: ("format", "image", "draw", "as_json"), DRAWS: ("images",), REPLACES: ("overwrite",)},
    "convert": {
        ALWAYS: ("from_", "to", "images", "view_ids", "append", "overwrite", "quiet"),
        CONVERTS_TO_DATABASE: _CAMERAS,
    },
    "formats": {ALWAYS: ("as_json",)},
    "evaluate": {
        ALWAYS: (
            "output", "detectors", "dataset", "jobs", "seed", "overwrite", "as_json", "quiet",
        ),
        NOT_POSES: ("max_features", "stretch", "nodata"),
        POSES: (
            "budgets", "degradations", "geometries", "view_angles", "overlap", "max_side_px",
            "reconstruct", "n_seeds",
        ),
        SWEEPS: ("sweeps", "angles", "mode"),
        ROTATES: ("angles",),
        ROTATES_BY_MODE: ("mode",),
        OWN: ("orientation",),
    },
    "report": {
        ALWAYS: ("output", "quiet"),
        OF_MATCHES: ("images", "pictures"),
        OF_EVALUATIONS: ("fail_below", "as_json"),
        WRITES_A_PAGE: ("overwrite",),
    },
    "train-orientation": {ALWAYS: ("output", "epochs", "seed", "jobs", "overwrite", "quiet")},
    "completion": {ALWAYS: ()},
    "cache": {ALWAYS: ("as_json",), WARMS: ("jobs", "quiet")},
    "bench": {
        ALWAYS: (
            "sizes", "detectors", "thread_counts", "n_pairs", "equal_counts", "process", "with_stages",
            "output", "as_json",
        ),
        RESIZED: ("made",),
        WRITES: ("overwrite",),
    },
}  # fmt: skip
"""For each command the options by what they need; one of several needs stands under each."""


class Command(click.Command):
    """A command that refuses options without effect, names options as they are typed, and groups its help."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Add ``--help-all``, if there is more than ``--help`` shows."""
        more = help_all_option(str(self.name))
        return [*super().get_params(ctx), *([more] if more is not None else [])]

    def get_help(self, ctx: click.Context) -> str:
        """The help, with its hyphens."""
        return super().get_help(ctx).replace(UNBROKEN, "-")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in groups."""
        write_options(ctx, self.get_params(ctx), formatter)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what was typed, for messages."""
        ctx.meta[_TYPED] = tuple(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:  # Click's parser does not know the command
            error.ctx = error.ctx or ctx
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, if every option that was given has an effect."""
        try:
            check_options(ctx)
            return super().invoke(ctx)
        except ParameterError as error:
            message = _as_typed(str(error), ctx)
            named = next((name for s, name in spellings(ctx) if message.startswith(f"{s} ")), None)
            pointer = (
                "" if named is None else f". See '{ctx.command_path} {help_flag(str(self.name), named)}'."
            )
            raise ParameterError(message + pointer) from error


def command_line(ctx: click.Context) -> str:
    """The command as it was typed, for a shell."""
    return shlex.join(["siftcli", str(ctx.command.name), *ctx.meta.get(_TYPED, ())])


def check_options(ctx: click.Context) -> None:
    """Refuse the options on the command line that have no effect.

    Raises
    ------
    ParameterError
        If there is one; the message names it as it was typed.
    """
    for need, names in TABLE[str(ctx.command.name)].items():
        if need.is_met(ctx.params):
            continue
        for option in _options_given(ctx):
            if option.name in names:
                typed = typed_name(option, ctx)
                raise ParameterError(f"{typed} has no effect {need.lack}; {need.remedy}, or drop {typed}")


def _options_given(ctx: click.Context) -> Iterator[click.Parameter]:
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(str(parameter.name))
        if parameter.param_type_name == "option" and source is ParameterSource.COMMANDLINE:
            yield parameter


def typed_name(option: click.Parameter, ctx: click.Context) -> str:
    """The spelling of an option on the command line; its long one if it is not there."""
    spellings = (*option.opts, *option.secondary_opts)
    typed = {word.partition("=")[0] for word in ctx.meta.get(_TYPED, ())}
    return next((name for name in spellings if name in typed), max(option.opts, key=len))


def spellings(ctx: click.Context) -> list[tuple[str, str]]:
    """Every spelling of the command's options, with the option's name in Python."""
    options = (option for option in ctx.command.params if option.param_type_name == "option")
    return [(s, str(option.name)) for option in options for s in (*option.opts, *option.secondary_opts)]


def _as_typed(message: str, ctx: click.Context) -> str:
    """A message of the library with parameters named as options: "max_error must be ..."."""
    name, must, rest = message.partition(" must ")
    option = next((option for option in _options_given(ctx) if option.name == name), None)
    if option is not None:
        message = f"{typed_name(option, ctx)}{must}{rest}"
    for option in ctx.command.params:
        if option.param_type_name == "option" and "_" in str(option.name):
            message = re.sub(rf"(?<![\w./-]){option.name}(?![\w./-])", typed_name(option, ctx), message)
    return message
