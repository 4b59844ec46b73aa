"""``siftcli align``."""

from __future__ import annotations

from typing import Any

import click

from ..alignment.options import (
    CANVASES,
    DEFAULT_INTERPOLATION,
    DEFAULT_MODEL,
    DEFAULT_NEIGHBOURS,
    DEFAULT_REFINEMENT,
    FAILURE_CHOICES,
    INTERPOLATIONS,
    LARGEST_CHAIN,
    MODELS,
    REFINEMENTS,
    AlignOptions,
    WarpOptions,
)
from ..errors import ParameterError
from ..matching.options import DEFAULT_MAX_ERROR, DEFAULT_RATIO
from ._image_options import STRETCHES
from ._modes import Command
from ._options import (
    check_verbosity,
    json_option,
    overwrite_option,
    sift_options,
    sift_params,
    verbosity_options,
)
from ._types import WholeNumber

_FORMATS = ("tiff", "png", "jpeg", "webp")
_TARGETS = ("output", "valid", "report", "format", "overwrite")
_REQUEST = ("canvas", "on_failure", "apply", "scale", "inverse", "jobs", "dask", "gcps")
_ALIGN = ("model", "refine", "ratio", "max_error")
_WARP = ("interpolation", "fill")
_READING = ("channel", "stretch", "nodata", "max_image_size", "threads")


@click.command("align", cls=Command, short_help="Align pictures and stacks with a reference.")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="Where the aligned pictures go: for a reference and one other picture a file; for more a folder, in "
    "which each keeps its name; or a stack (.tif) of all. Without -o nothing is warped.",
)
@click.option(
    "--model",
    type=click.Choice(MODELS),
    default=DEFAULT_MODEL,
    show_default=True,
    help="What the transform may do: shift; also turn; also scale; also shear; also tilt.",
)
@click.option(
    "--refine",
    type=click.Choice(REFINEMENTS),
    default=DEFAULT_REFINEMENT,
    show_default=True,
    help="Go on with the intensities of both pictures, or end with the features.",
)
@click.option(
    "--to",
    metavar="first|previous|middle|NAME",
    default="first",
    show_default=True,
    help="What frames are aligned with: the first, the middle one, that of a name (of a stack a number), or "
    "each with the one before it.",
)
@click.option(
    "--neighbours",
    type=WholeNumber(low=0),
    help="Match each frame also with this many before it, and adjust all transforms together, which removes "
    f"drift.  [default: {DEFAULT_NEIGHBOURS} for more than {LARGEST_CHAIN} frames, else 0]",
)
@click.option(
    "--interpolation",
    type=click.Choice(INTERPOLATIONS),
    default=DEFAULT_INTERPOLATION,
    show_default=True,
    help="How pictures are resampled; 'nearest' keeps the values of labels.",
)
@click.option(
    "--fill",
    default="0",
    show_default=True,
    metavar="VALUE|nan|mirror",
    help="Value of pixels that a picture does not reach; 'mirror' continues the picture.",
)
@click.option(
    "--canvas",
    type=click.Choice(CANVASES),
    default=CANVASES[0],
    show_default=True,
    help="Size of the result: that of the reference, or the union or intersection of all aligned pictures.",
)
@click.option(
    "--valid",
    metavar="PATH",
    help="Write masks too, white where a picture has a value: a file, or for several files a folder.",
)
@click.option(
    "--save-transforms",
    metavar="FILE",
    help="Write the transforms: .json, .csv, or .txt for ITK. They map pixels of a frame to those of the "
    "reference, (0, 0) being the centre of the first pixel; ITK's map back.",
)
@click.option(
    "--apply",
    metavar="FILE",
    help="Warp by saved transforms, without detecting anything: other channels, or originals in full size.",
)
@click.option(
    "--scale",
    type=float,
    default=1.0,
    show_default=True,
    metavar="F",
    help="With --apply: the frames are F times as large as those that the transforms were made for.",
)
@click.option("--inverse", is_flag=True, help="With --apply: warp by the inverse transforms.")
@click.option(
    "--channel",
    type=WholeNumber(),
    help="Channel that frames are aligned by; all are warped alike. When not given, the first of channels "
    "that are stored one by one, and the grey of colours.",
)
@click.option(
    "--on-failure",
    type=click.Choice(FAILURE_CHOICES),
    default=FAILURE_CHOICES[0],
    show_default=True,
    help="What becomes of a frame that cannot be aligned: it is kept as it is, left out, or ends the run.",
)
@click.option(
    "--report",
    metavar="HTML",
    help="Write a page with curves of all frames, and pictures of the worst before and after.",
)
@click.option(
    "--format",
    type=click.Choice(_FORMATS),
    help="Format of the pictures. When not given, the suffix of OUT decides; in a folder each keeps its own.",
)
@click.option(
    "--gcps",
    is_flag=True,
    help="Write the pictures as they are, as TIFF with ground control points of the georeferenced reference.",
)
@click.option(
    "--ratio", type=float, default=DEFAULT_RATIO, show_default=True, metavar="R", help="As for match."
)
@click.option(
    "--max-error",
    type=float,
    default=DEFAULT_MAX_ERROR,
    show_default=True,
    metavar="PX",
    help="Largest distance of an inlier from the model, in pixels.",
)
@sift_options
@click.option(
    "--max-image-size",
    type=int,
    metavar="N",
    help="Find transforms on copies reduced to this longest side, in pixels, and refine them on tiles of "
    "full size. When not given, frames of over 50 megapixels are reduced to 4096.",
)
@click.option(
    "--stretch",
    type=click.Choice(STRETCHES),
    help="Stretch the grey values for detection; the result keeps its values.  [default: percentile; none "
    "for 8-bit samples]",
)
@click.option("--nodata", type=float, metavar="VALUE", help="Value of pixels to ignore in detection.")
@click.option(
    "--threads",
    type=WholeNumber(),
    help="Threads per frame. When not given, the jobs share all cores. It does not change the result.",
)
@click.option(
    "--jobs",
    type=WholeNumber(),
    help="Processes at the same time. When not given, one for each core from 16 frames on, else 1. It does "
    "not change the result.",
)
@click.option(
    "--dask",
    metavar="ADDRESS|local",
    help="Run on a Dask cluster: the address of its scheduler, or 'local'. The workers must see the pictures "
    "under the same paths.",
)
@json_option
@overwrite_option
@verbosity_options
def command(
    inputs: tuple[str, ...],
    to: str,
    neighbours: int | None,
    save_transforms: str | None,
    preset: str,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Align pictures and stacks with a reference.

    INPUT is a reference followed by pictures, a stack (a TIFF file of several pages, an ImageJ hyperstack, an
    OME-TIFF), a folder, a quoted pattern ('frames/*.png') or a list NAME.txt.

    The result keeps the type of samples, all channels, the colour profile, the resolution, and the axes and
    spacing of ImageJ and OME. A transform is used only if chance does not explain it.

    An interrupted run is resumed by the same command, which finds the rest of the transforms.

    Exit status: 0 done, 1 an input failed or a frame could not be aligned, 2 wrong usage, 130 interrupted.
    """
    params = sift_params(preset, options)
    check_verbosity(verbose, quiet)
    if not options["scale"] > 0:
        raise ParameterError(f"scale must be above 0; got {options['scale']}")
    align = AlignOptions(**{name: options.pop(name) for name in _ALIGN})
    warp = WarpOptions(**{name: options.pop(name) for name in _WARP})
    targets = {name: options.pop(name) for name in _TARGETS}
    request = {name: options.pop(name) for name in _REQUEST}
    from ._align_run import run_align

    reading = {name: options.pop(name) for name in _READING}
    return run_align(
        inputs,
        {"align": align, "warp": warp, "params": params, **reading},
        targets={**targets, "transforms": save_transforms},
        request=request,
        to=to,
        neighbours=neighbours,
        output=(as_json, verbose, quiet),
    )
