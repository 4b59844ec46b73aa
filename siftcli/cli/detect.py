"""``siftcli detect``."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import click

from ..formats import FORMATS
from ..system.program import without_blas_threads
from ._image_options import page_option, reading_options, stretch_options
from ._modes import Command
from ._options import (
    camera_options,
    check_standard_output,
    check_verbosity,
    json_option,
    overwrite_option,
    sift_options,
    sift_params,
    tell_jobs,
    verbosity_options,
)
from ._output import note, print_circumstances, say_nothing
from ._progress import waiting
from ._types import WholeNumber
from ._workers import announce_detection

_PLAN = ("mask", "mask_optional", "overwrite", "image_root", "page")
_READING = ("exif_orientation", "max_image_size", "stretch", "nodata")
_COLLECTION = ("append", "camera", "camera_model", "pose_priors")


@click.command("detect", cls=Command, short_help="Find SIFT features in images.")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="Where the features go: a file for one image (its suffix names the format); a folder for several, "
    "or if OUT has no suffix, with a file OUT/<image name>.<format> for each image; or a collection of all "
    "images (features.h5, database.db, NAME.parquet). '-' is the standard output. Without -o a summary is "
    "printed and nothing is written.",
)
@click.option(
    "--format",
    type=click.Choice(tuple(FORMATS)),
    help="Format of the output. When not given, the suffix of OUT decides; in a folder it is npz.",
)
@click.option(
    "--draw",
    metavar="PNG",
    help="Draw the keypoints into a PNG file, the strongest 500 as circles and the density of the others; "
    "for several images, into a folder of PNG files.",
)
@click.option(
    "--draw-rejected",
    metavar="PNG",
    help="Draw the candidates of one image that became no keypoint, coloured by the filter that removed "
    "them. 'siftcli explain' tells of one by which number.",
)
@click.option(
    "--mask",
    metavar="PATH",
    help="Drop keypoints whose centre is on a black (zero) pixel of a mask: one mask for all images, or a "
    "folder with NAME.png or NAME.mask.png for each image, where NAME may include the image's suffix. Masks "
    "are in the frame of the output: the stored pixels for COLMAP, hloc and OpenMVG, the image as rotated by "
    "its EXIF tag for other formats. A mask is first rotated by its own EXIF tag. --max-features counts what "
    "remains.",
)
@click.option("--mask-optional", is_flag=True, help="Use images without a mask in that folder whole.")
@click.option(
    "--image-root",
    metavar="FOLDER",
    help="Name images relative to this folder, which must contain all of them, so that several runs can "
    "fill one collection. When not given, it is the folder that all inputs share.",
)
@sift_options
@reading_options
@stretch_options
@page_option(takes_all=True)
@click.option(
    "--threads",
    type=WholeNumber(),
    help="Threads per image. When not given, the jobs share all cores. It does not change the result.",
)
@click.option(
    "--jobs",
    type=WholeNumber(),
    help="Images processed at the same time, each in its own process. When not given, one for each core "
    "from 16 images on, else 1. It does not change the result.",
)
@click.option(
    "--check",
    is_flag=True,
    help="When a batch is resumed, compare the content of images with the earlier run, not only their size "
    "and modification time.",
)
@click.option(
    "--dask",
    metavar="ADDRESS|local",
    help="Run on a Dask cluster: the address of its scheduler (tcp://HOST:8786), or 'local' for workers on "
    "this machine. The workers must see the images under the same paths.",
)
@click.option("--strict", is_flag=True, help="Stop at the first image that fails.")
@json_option
@camera_options
@click.option(
    "--append",
    is_flag=True,
    help="Add images to an existing collection; with --overwrite, also replace the features of images that "
    "it already has.",
)
@overwrite_option
@verbosity_options
def command(
    inputs: tuple[str, ...],
    output: str | None,
    format: str | None,
    draw_rejected: str | None,
    preset: str,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Find SIFT features in images.

    INPUT is an image (PNG, JPEG, TIFF, WebP, AVIF, JPEG 2000, JPEG XL, PGM/PPM or BMP of any depth; HEIC
    and camera raw files with extras), a folder, which is searched for images, a quoted pattern
    ('photos/**/*.jpg'), a list NAME.txt with one input per line, or - for an image on the standard input.

    An interrupted run into a folder of npz files or into a collection is resumed by the same command,
    which processes only the images that are missing or have changed.

    Exit status: 0 done (finding no keypoints is not an error), 1 an input failed, 2 wrong usage,
    130 interrupted.
    """
    without_blas_threads()
    is_descriptor_chosen = options["rootsift"] is not None
    params = sift_params(preset, options)
    check_verbosity(verbose, quiet)
    if output == "-":
        check_standard_output(
            format, is_binary=format is not None and FORMATS[format].is_binary, as_json=as_json
        )

    announce_detection(inputs, options["jobs"], options["dask"])

    from ..formats._collections import WriteOptions
    from ..parallel.interrupt import Interrupt
    from ..parallel.sharing import shared_cores
    from ..workflows.detect import run
    from ..workflows.detect_plan import make_plan
    from ._detect_report import Reporter, conclude, follow, tell_before

    overwrite = options["overwrite"]
    plan = make_plan(
        inputs,
        output=output,
        format=format,
        drawing=options.pop("draw"),
        collection=WriteOptions(**{name: options.pop(name) for name in _COLLECTION}),
        tell=say_nothing if quiet else note,
        **{name: options.pop(name) for name in _PLAN},
    )
    if plan.wants_rootsift and not is_descriptor_chosen:
        params = params.override(rootsift=True)
    if draw_rejected is not None:
        from ..workflows.detect_rejected import check_rejected

        check_rejected(plan, draw_rejected, params, overwrite=overwrite)
    if not quiet:
        tell_before(plan, params, options)
    tell_jobs(options["jobs"], len(plan.jobs), "image", quiet=quiet)
    if verbose:
        jobs, threads = shared_cores(len(plan.jobs), options["jobs"], options["threads"])
        print_circumstances(threads, jobs=jobs)
    report = Reporter(plan, as_json=as_json, verbose=verbose, quiet=quiet)
    with Interrupt() if plan.is_batch else nullcontext(None) as interrupt:
        if interrupt is not None:
            options["stop"] = lambda: interrupt.is_wanted
        follow(run(plan, params, **options), report)
    if draw_rejected is not None and not report.failed:
        from ..io.writing import write_output
        from ..workflows.detect_rejected import rejected_png

        reading = {name: options[name] for name in _READING}
        with waiting("drawing candidates", show=not quiet):
            drawing = rejected_png(plan, params, options["threads"], **reading)
        write_output(draw_rejected, drawing, overwrite=overwrite)
        if not (quiet or as_json):
            note(f"-> {draw_rejected}")
    if not quiet:
        report.hints.tell()
    return conclude(report, output, is_interrupted=interrupt is not None and interrupt.is_wanted)
