"""``siftcli detect``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from ..errors import ParameterError
from ..formats import FAILURES, FAILURES_HEADER, FORMATS
from . import INTERRUPTED_STATUS
from ._hints import Hints
from ._image_options import page_option, reading_options, stretch_options
from ._options import camera_options, json_option, sift_options, sift_params, verbosity_options
from ._output import complain, note, print_json, print_table, progress, say, say_nothing, summary_rows

if TYPE_CHECKING:
    from ..workflows.detect_image import Outcome
    from ..workflows.detect_plan import Plan


@click.command(short_help="Find SIFT features in images.")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="For one image a file (its suffix names the format), for several or a name without a suffix "
    "a folder with OUT/<image name>.<format>, or a collection of all images (features.h5, database.db, "
    "NAME.parquet); '-' is the standard output. "
    "Without it a summary is printed and nothing is written.",
)
@click.option(
    "--format",
    type=click.Choice(tuple(FORMATS)),
    help="Format of the output; from its suffix when not given, npz in a folder.",
)
@click.option("--draw", metavar="PNG", help="Draw the keypoints: for one image a PNG file, else a folder.")
@click.option(
    "--mask",
    metavar="PATH",
    help="Drop keypoints whose centre falls on zero (black) of this mask, one for all images, or a folder "
    "of masks: NAME.png or NAME.mask.png, with or without the image's suffix in NAME. It lies on the picture "
    "in the output's frame: as stored for COLMAP, hloc and OpenMVG, as turned by EXIF for others. A mask's "
    "own EXIF turn comes first.",
)
@click.option(
    "--image-root",
    metavar="FOLDER",
    help="Name images relative to this folder, which must hold them all, so that several runs can fill one "
    "collection; relative to the folder that all inputs share when not given.",
)
@click.option("--mask-optional", is_flag=True, help="Images without a mask in that folder are used whole.")
@sift_options
@reading_options
@stretch_options
@page_option(takes_all=True)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads inside an image; the cores are shared among the jobs when not given. The result does "
    "not depend on it.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Images at once, each on a process of its own; of 16 and more images as many as cores when not "
    "given. The result does not depend on it.",
)
@click.option(
    "--check",
    is_flag=True,
    help="When a batch is taken up again, tell by their content which images have changed, not by size "
    "and time.",
)
@click.option(
    "--dask",
    metavar="ADDRESS|local",
    help="Send the work to a Dask cluster: the address of its scheduler (tcp://HOST:8786), or 'local' for "
    "workers here. Its workers read the images, by the same paths.",
)
@click.option("--strict", is_flag=True, help="Stop at the first image that fails.")
@json_option
@camera_options
@click.option(
    "--append",
    is_flag=True,
    help="Add images to an existing collection; with --overwrite also replace the features of those it has.",
)
@click.option("--overwrite", is_flag=True, help="Replace existing outputs.")
@verbosity_options
def command(
    inputs: tuple[str, ...],
    output: str | None,
    format: str | None,
    preset: str,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Find SIFT features in images.

    INPUT is an image (PNG, JPEG, TIFF, WebP, PGM/PPM, BMP; 8-bit, 16-bit or float), a
    folder, which is searched for images, a quoted pattern ('photos/**/*.jpg'), or a list NAME.txt with
    an input a line.

    A folder of npz files or a collection that an interrupted run has begun is gone on with: the same
    command does what is missing or has changed.

    Exit status: 0 done (no keypoints is done), 1 an input failed, 2 wrong use, 130 interrupted.
    """
    says_rootsift = options["rootsift"] is not None
    params = sift_params(preset, options)
    _check_use(output, format, as_json, verbose, quiet, options)

    from ..formats._collections import WriteOptions
    from ..parallel.interrupt import Interrupt
    from ..workflows.detect import run
    from ..workflows.detect_plan import make_plan

    plan = make_plan(
        inputs,
        output=output,
        format=format,
        drawing=options.pop("draw"),
        mask=options.pop("mask"),
        mask_optional=options.pop("mask_optional"),
        overwrite=options.pop("overwrite"),
        image_root=options.pop("image_root"),
        collection=WriteOptions(
            **{name: options.pop(name) for name in ("append", "camera", "camera_model", "pose_priors")}
        ),
        page=options.pop("page"),
        tell=say_nothing if quiet else note,
    )
    if plan.wants_rootsift and not says_rootsift:
        params = params.override(rootsift=True)
    if plan.loss and not quiet:
        note(plan.loss)
    if verbose:
        _print_circumstances(options["threads"])
    report = _Reporter(plan, as_json=as_json, verbose=verbose, quiet=quiet)
    with Interrupt() if plan.is_batch else nullcontext(None) as interrupt:
        if interrupt is not None:
            options["stop"] = lambda: interrupt.is_wanted
        _follow(run(plan, params, **options), report)
    if not quiet:
        report.hints.tell()
    return _conclude(report, output, is_interrupted=interrupt is not None and interrupt.is_wanted)


def _follow(outcomes: Iterator[Outcome], report: _Reporter) -> None:
    """Report what becomes of each image; when the run ends early, list the failures so far."""
    from ..io.failures import write_failures

    plan = report.plan
    try:
        with progress(outcomes, len(plan.jobs), show=not report.quiet) as tracked:
            for outcome in tracked:
                report(outcome)
    finally:
        if plan.failures_folder is not None and report.n_done:
            rows = [(outcome.job.image.label, outcome.error or "") for outcome in report.failed]
            write_failures(plan.failures_folder / FAILURES, FAILURES_HEADER, rows)


def _conclude(report: _Reporter, output: str | None, *, is_interrupted: bool) -> int:
    """Print the result of a batch; return the exit status."""
    plan = report.plan
    left = f", {report.n_left} not begun" if report.n_left else ""
    if plan.failures_folder is not None and (plan.is_batch or report.n_kept) and not report.quiet:
        note(f"{len(plan.jobs)} images, {len(report.failed)} failed{report.kept}{left} -> {output}")
    if is_interrupted:
        complain(f"interrupted{left}; {plan.resume_hint}" if report.n_left else "interrupted")
        return INTERRUPTED_STATUS
    return 1 if report.failed else 0


def _check_use(
    output: str | None, format: str | None, as_json: bool, verbose: bool, quiet: bool, options: dict[str, Any]
) -> None:
    if verbose and quiet:
        raise ParameterError("-v and -q exclude each other; pass one of them")
    if options["mask_optional"] and options["mask"] is None:
        raise ParameterError("--mask-optional expects --mask with a folder; pass both or neither")
    if output != "-":
        return
    if as_json:
        raise ParameterError("-o - and --json both want the standard output; write to a file, or drop one")
    if format is not None and FORMATS[format].is_binary and sys.stdout.isatty():
        raise ParameterError(f"{format} is binary and the standard output is a terminal; send it to a file")


def _print_circumstances(threads: int | None) -> None:
    from ..versions import versions

    note(", ".join(f"{name} {version}" for name, version in versions().items()))
    note(f"threads: {threads or 'all cores'}")


class _Reporter:
    """Prints what became of each image, as the options ask."""

    def __init__(self, plan: Plan, *, as_json: bool, verbose: bool, quiet: bool) -> None:
        self.plan, self.as_json, self.verbose, self.quiet = plan, as_json, verbose, quiet
        self.n_kept = self.n_unknown = self.n_done = 0
        self.failed: list[Outcome] = []
        self.has_told_frame = False
        self.hints = Hints()

    @property
    def n_left(self) -> int:
        """Images that a run which ended early has not begun."""
        return len(self.plan.jobs) - self.n_done

    @property
    def kept(self) -> str:
        """What to say of images that the output had already."""
        unknown = f" ({self.n_unknown} without provenance: --append --overwrite replaces them)"
        return f", {self.n_kept} kept as they were{unknown if self.n_unknown else ''}" if self.n_kept else ""

    def __call__(self, outcome: Outcome) -> None:
        self.n_kept += outcome.skipped
        self.n_unknown += not outcome.is_known
        self.n_done += 1
        if outcome.error is not None:
            self.failed.append(outcome)
            complain(outcome.error)
        self._tell_frame(outcome)
        self._collect_hints(outcome)
        if self.as_json:
            print_json(outcome.to_dict())
        elif outcome.features is None:
            return
        elif self.plan.to_stdout:
            self._write_stdout(outcome)
        elif not self.quiet:
            self._print_text(outcome)
        if self.verbose:
            note(f"{outcome.job.image.label}: {outcome.time_s:.3f} s")

    def _tell_frame(self, outcome: Outcome) -> None:
        if outcome.features is None or self.quiet or self.has_told_frame:
            return
        if told := self.plan.frame_note(outcome.features):
            note(told)
            self.has_told_frame = True

    def _collect_hints(self, outcome: Outcome) -> None:
        image = outcome.job.image
        if image.page == 1 and not image.is_page:
            self.hints.add_pages(image.path, outcome.n_pages)
        if outcome.is_faint and outcome.features is not None:
            self.hints.add_faint(image.label, len(outcome.features))

    def _write_stdout(self, outcome: Outcome) -> None:
        from ..workflows.detect import features_bytes

        sys.stdout.buffer.write(features_bytes(outcome, self.plan))

    def _print_text(self, outcome: Outcome) -> None:
        if self.plan.is_batch and self.plan.failures_folder is not None:
            return  # the bar tells how far it is, and a last line the result
        if outcome.job.output is not None:
            note(f"{_one_line(outcome)} -> {outcome.job.output}")
        elif self.plan.is_batch:
            say(_one_line(outcome))
        else:
            info = outcome.to_dict()
            rows = [*summary_rows(info), ("time", f"{outcome.time_s:.3f} s")]
            print_table(outcome.job.image.label, rows)


def _one_line(outcome: Outcome) -> str:
    info = outcome.to_dict()
    width, height = info["image_size"]
    return (
        f"{outcome.job.image.label}: {width} x {height}, "
        f"{info['n_keypoints']} keypoints, {outcome.time_s:.2f} s"
    )
