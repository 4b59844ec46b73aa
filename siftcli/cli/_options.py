"""Options that commands share; every default and range is read from ``params``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import click

from ..formats import CAMERA_CHOICES, CAMERA_MODELS, DEFAULT_CAMERA, DEFAULT_CAMERA_MODEL
from ..params import DEFAULT_PRESET, PRESETS, SiftParams

_Command = TypeVar("_Command", bound=Callable[..., Any])

SIFT_OPTIONS = (
    "max_features",
    "selection",
    "levels_per_octave",
    "sigma",
    "contrast_threshold",
    "edge_threshold",
    "first_octave",
    "orientation",
    "orientation_weights",
    "upright",
    "max_orientations",
    "rootsift",
    "dsp",
)
"""Parameters that have an option of their own, in the order of the help."""


def sift_options(command: _Command) -> _Command:
    """Add ``--preset`` and an option for each of ``SIFT_OPTIONS``."""
    by_name = {f.name: f for f in fields(SiftParams)}
    for name in reversed(SIFT_OPTIONS):
        command = _sift_option(by_name[name])(command)
    return click.option(
        "--preset",
        type=click.Choice(PRESETS),
        default=DEFAULT_PRESET,
        show_default=True,
        help="Parameters to start from; the options below override them.",
    )(command)


def _sift_option(f: Any) -> Callable[[_Command], _Command]:
    """Make the option of one field; None when not given, so that the preset decides."""
    flag = f"--{f.name.replace('_', '-')}"
    doc = f.metadata["doc"][0].upper() + f.metadata["doc"][1:] + "."
    if isinstance(f.default, bool):
        negative = f"--no-{f.name.replace('_', '-')}"
        return click.option(f"{flag}/{negative}", is_flag=True, default=None, help=doc)
    if f.metadata["choices"]:
        return click.option(flag, type=click.Choice(f.metadata["choices"]), help=f"{doc}{_range_note(f)}")
    if isinstance(f.default, str):
        return click.option(flag, metavar="FILE", help=doc)
    kind = float if isinstance(f.default, float) else int
    note = _range_note(f)
    return click.option(flag, type=kind, metavar="N" if kind is int else "X", help=f"{doc}{note}")


def _range_note(f: Any) -> str:
    low, high = f.metadata["low"], f.metadata["high"]
    parts = [] if f.default is None else [f"default: {f.default}"]
    if low is not None:
        parts.append(f"{low} to {high}" if high is not None else f"at least {low}")
    return f"  [{'; '.join(parts)}]" if parts else ""


def sift_params(preset: str, options: dict[str, Any]) -> SiftParams:
    """Take the parameters out of a command's options.

    Raises
    ------
    ParameterError
        If one is out of its range.
    """
    given = {name: value for name in SIFT_OPTIONS if (value := options.pop(name)) is not None}
    return SiftParams.preset(preset, **given)


def verbosity_options(command: _Command) -> _Command:
    """Add ``-v`` and ``-q``, of which at most one may be given."""
    quiet = click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
    verbose = click.option(
        "-v", "--verbose", is_flag=True, help="Print versions, threads and timing on standard error."
    )
    return verbose(quiet(command))


def camera_options(command: _Command) -> _Command:
    """Add ``--camera``, ``--camera-model`` and ``--no-pose-priors``, for COLMAP databases."""
    sharing = click.option(
        "--camera",
        type=click.Choice(CAMERA_CHOICES),
        default=DEFAULT_CAMERA,
        show_default=True,
        help="COLMAP database: which images share a camera.",
    )
    model = click.option(
        "--camera-model",
        type=click.Choice(tuple(CAMERA_MODELS)),
        default=DEFAULT_CAMERA_MODEL,
        show_default=True,
        help="COLMAP database: the model of its cameras.",
    )
    priors = click.option(
        "--pose-priors/--no-pose-priors",
        default=True,
        show_default=True,
        help="COLMAP database: write GPS position and gravity of the EXIF tags, for COLMAP 4; COLMAP 3.10 to "
        "3.13 cannot open a file that has them.",
    )
    return sharing(model(priors(command)))


def names_callback(_ctx: click.Context, _param: click.Parameter, text: str) -> tuple[str, ...]:
    """Names separated by commas, one at least."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise click.BadParameter("expected a name, got none")
    return names


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one object an image, instead of text."
)
