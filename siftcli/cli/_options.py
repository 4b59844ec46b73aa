"""Options that commands share; every default and range is read from ``params``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import click

from ..errors import ParameterError
from ..formats import CAMERA_CHOICES, CAMERA_MODELS, DEFAULT_CAMERA, DEFAULT_CAMERA_MODEL
from ..parallel.sharing import most_processes
from ..params import SIFT_OPTIONS, SiftParams
from ..presets import DEFAULT_PRESET, PRESETS
from ..system.cores import usable_cores
from ..words import counted
from ._output import note

_Command = TypeVar("_Command", bound=Callable[..., Any])

DESCRIPTOR_OPTIONS = ("levels_per_octave", "sigma", "first_octave", "rootsift", "dsp")
"""Those of them that descriptors of given keypoints depend on."""


def param_options(names: Sequence[str]) -> Callable[[_Command], _Command]:
    """Add an option for each of these parameters."""

    def decorate(command: _Command) -> _Command:
        by_name = {f.name: f for f in fields(SiftParams)}
        for name in reversed(names):
            command = _sift_option(by_name[name])(command)
        return command

    return decorate


def sift_options(command: _Command) -> _Command:
    """Add ``--preset`` and an option for each of ``SIFT_OPTIONS``."""
    command = param_options(SIFT_OPTIONS)(command)
    return click.option(
        "--preset",
        type=click.Choice(PRESETS),
        default=DEFAULT_PRESET,
        show_default=True,
        help="Values to start from; other options override single ones. 'classic' is Lowe's SIFT, "
        "comparable with OpenCV's; 'dense' finds more features, for reconstruction.",
    )(command)


def _sift_option(f: Any) -> Callable[[_Command], _Command]:
    """Make the option of one field; None when not given, so that the preset decides."""
    flag = f"--{f.name.replace('_', '-')}"
    help = f"{f.metadata['doc'][0].upper()}{f.metadata['doc'][1:]}.{_values_note(f)}"
    if isinstance(f.default, bool):
        return click.option(f"{flag}/--no-{flag[2:]}", is_flag=True, default=None, help=help)
    if f.metadata["choices"]:
        return click.option(flag, type=click.Choice(f.metadata["choices"]), help=help)
    if isinstance(f.default, str):
        return click.option(flag, metavar="FILE", help=help)
    kind = float if isinstance(f.default, float) else int
    return click.option(flag, type=kind, metavar="N" if kind is int else "X", help=help)


def _values_note(f: Any) -> str:
    """The value in every preset, and the range."""
    values = {preset: getattr(SiftParams.preset(preset), f.name) for preset in PRESETS}
    parts = []
    if len(set(values.values())) > 1:
        parts = [", ".join(f"{preset} {_value_text(value)}" for preset, value in values.items())]
    elif values[DEFAULT_PRESET] not in (None, ""):
        parts = [f"{_value_text(values[DEFAULT_PRESET])} in every preset"]
    low, high = f.metadata["low"], f.metadata["high"]
    if low is not None:
        parts.append(f"{low:g} to {high:g}" if high is not None else f"at least {low:g}")
    return f"  [{'; '.join(parts)}]" if parts else ""


def _value_text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


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
    verbose = click.option(
        "-v", "--verbose", is_flag=True, help="Print versions, threads and times on standard error."
    )
    return verbose(quiet_option(command))


def camera_options(command: _Command) -> _Command:
    """Add ``--camera``, ``--camera-model`` and ``--no-pose-priors``, for COLMAP databases."""
    sharing = click.option(
        "--camera",
        type=click.Choice(CAMERA_CHOICES),
        default=DEFAULT_CAMERA,
        show_default=True,
        help="The images that share a camera; with --append, of those that are added.",
    )
    model = click.option(
        "--camera-model",
        type=click.Choice(tuple(CAMERA_MODELS)),
        default=DEFAULT_CAMERA_MODEL,
        show_default=True,
        help="The camera model.",
    )
    priors = click.option(
        "--pose-priors/--no-pose-priors",
        default=True,
        help="Write the GPS position and the gravity direction from EXIF, for COLMAP 4. COLMAP 3.10 to 3.13 "
        "cannot open a database that has them: use --no-pose-priors.  [default: on]",
    )
    return sharing(model(priors(command)))


def names_callback(_ctx: click.Context, _param: click.Parameter, text: str) -> tuple[str, ...]:
    """Names separated by commas, one at least."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise click.BadParameter("expected at least one name, got none.")
    return names


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON instead of text, one object per line."
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace existing outputs.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print errors only.")


def check_verbosity(verbose: bool, quiet: bool) -> None:
    """Check that at most one of ``-v`` and ``-q`` is given.

    Raises
    ------
    ParameterError
        If both are.
    """
    if verbose and quiet:
        raise ParameterError("expected -v or -q, got both; drop one of them")


def check_standard_output(format: str | None, *, is_binary: bool, as_json: bool) -> None:
    """Check that the standard output can take the result of ``-o -``.

    Raises
    ------
    ParameterError
        If ``--json`` uses it too, or it is a terminal and the format is binary.
    """
    if as_json:
        raise ParameterError("-o - and --json both write to the standard output; name a file, or drop one")
    if is_binary and sys.stdout.isatty():
        raise ParameterError(
            f"expected a file or a pipe for the binary format {format}, got a terminal; redirect the output"
        )


def tell_jobs(jobs: int | None, n_tasks: int, noun: str, *, quiet: bool) -> None:
    """Say so if fewer processes than asked for are of use."""
    most = most_processes(n_tasks)
    if jobs is not None and jobs > most and not quiet:
        note(
            f"--jobs {jobs}: {counted(most, 'process', 'processes')} used, for {counted(n_tasks, noun)} "
            f"on {counted(usable_cores(), 'core')}"
        )
