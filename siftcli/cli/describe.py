"""``siftcli describe``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import ParameterError
from ..formats import FORMATS
from ..params import SiftParams
from ..presets import PRESETS
from ._image_options import page_option, stretch_options, threads_option
from ._modes import Command
from ._options import (
    DESCRIPTOR_OPTIONS,
    check_standard_output,
    check_verbosity,
    json_option,
    overwrite_option,
    param_options,
    verbosity_options,
)
from ._output import note, print_circumstances

_READABLE = tuple(name for name, entry in FORMATS.items() if entry.can_read)


@click.command("describe", cls=Command, short_help="Describe your own keypoints, or another detector's.")
@click.argument("image", metavar="IMAGE")
@click.option(
    "--keypoints",
    required=True,
    metavar="FILE",
    help="The keypoints: a feature file of any format that is read, a collection, or text (.txt, .csv) with "
    "'x y scale angle' on each line, or with columns of these names. (0, 0) is the centre of the top-left "
    "pixel, scale is σ in pixels, angle is clockwise on the screen from the x axis.",
)
@click.option(
    "--keypoints-format",
    type=click.Choice((*_READABLE, "table")),
    help="Format of FILE; 'table' is text with x y scale angle. When not given, its suffix decides.",
)
@click.option(
    "--image-name",
    metavar="NAME",
    help="Image of a collection FILE whose keypoints are taken. When not given, the one with IMAGE's name.",
)
@click.option(
    "--angle-unit",
    type=click.Choice(("radians", "degrees")),
    help="Unit of the angles in a table.  [default: radians]",
)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="File for the features; its suffix names the format. '-' is the standard output. Without -o a "
    "summary is printed and nothing is written.",
)
@click.option(
    "--format",
    type=click.Choice(tuple(FORMATS)),
    help="Format of the output. When not given, the suffix of OUT decides.",
)
@click.option("--draw", metavar="PNG", help="Draw the keypoints into a PNG file, as detect does.")
@click.option(
    "--preset",
    type=click.Choice(PRESETS),
    help="Values to start from. When not given, those that the keypoints were made with, if FILE tells them, "
    "else the default preset.",
)
@param_options(DESCRIPTOR_OPTIONS)
@click.option(
    "--exif-orientation",
    type=click.Choice(("apply", "ignore")),
    help="For keypoints that do not tell their frame (a table, or files without it): whether they are in the "
    "image as its EXIF tag rotates it, or in the stored pixels.  [default: apply]",
)
@stretch_options
@page_option(takes_all=False)
@threads_option
@json_option
@overwrite_option
@verbosity_options
def command(
    image: str,
    output: str | None,
    format: str | None,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Compute SIFT descriptors of keypoints that you bring: of another detector, or your own.

    The keypoints keep their order, and each gets one descriptor. The output is that of 'siftcli detect'.

    Exit status: 0 done, 1 an input failed, 2 wrong usage.
    """
    check_verbosity(verbose, quiet)
    if output == "-":
        is_binary = format is not None and FORMATS[format].is_binary
        check_standard_output(format, is_binary=is_binary, as_json=as_json)
    if Path(image).is_dir():
        raise ParameterError(f"expected one image, got the folder {image}; name an image in it")

    from ..workflows.describe import describe_image, read_keypoints
    from ..workflows.detect_plan import make_plan
    from ._detect_report import Reporter, conclude, follow

    plan = make_plan(
        [image],
        output=output,
        format=format,
        drawing=options.pop("draw"),
        overwrite=options.pop("overwrite"),
        page=options.pop("page"),
    )
    found = read_keypoints(
        options.pop("keypoints"),
        options.pop("keypoints_format"),
        image_name=options.pop("image_name") or Path(image).name,
        angle_unit=options.pop("angle_unit"),
    )
    params = _params(found.features.params, options, wants_rootsift=plan.wants_rootsift)
    if plan.loss and not quiet:
        note(plan.loss)
    if verbose:
        print_circumstances(options["threads"])
    report = Reporter(plan, as_json=as_json, verbose=verbose, quiet=quiet)
    follow(describe_image(plan, found, params, **options), report)
    return conclude(report, output, is_interrupted=False)


def _params(known: SiftParams | None, options: dict[str, Any], *, wants_rootsift: bool) -> SiftParams:
    """The keypoints' own parameters, or a preset's, with those of the command line."""
    given = {name: value for name in DESCRIPTOR_OPTIONS if (value := options.pop(name)) is not None}
    preset = options.pop("preset")
    params = SiftParams.preset(preset) if preset is not None else known or SiftParams()
    return params.override(**({"rootsift": True} if wants_rootsift else {}) | given)
