"""``siftcli train-orientation``."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from ._output import note, progress, say_nothing


@click.command(short_help="Train the network that finds orientations.")
@click.argument("inputs", metavar="IMAGE...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    help="File of the weights, NAME.npz. The curves of the training go beside it, to NAME.png; so does "
    "NAME.npz.unfinished, from which the same command goes on after a stop.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    metavar="N",
    help="How often every image is looked at, each time in another way.  [default: as in the training of "
    "siftcli's own weights]",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all that is random."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads that take views of the images; all cores when not given. The result does not depend on it.",
)
@click.option("--overwrite", is_flag=True, help="Replace the output, and begin an unfinished training anew.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(inputs: tuple[str, ...], output: str, quiet: bool, jobs: int | None, **options: Any) -> int:
    """Train the network that finds orientations on images.

    Keypoints are looked at again turned, tilted, resized, blurred and with noise; the answer is the
    histogram's orientation of the clean image, turned along. Some of the images are held out:
    accuracy is measured on those. Use the result with --orientation learned --orientation-weights FILE.

    Exit status: 0 done, 1 an input failed, 2 wrong use, 130 interrupted.
    """
    from ..learned.session import Session

    tell = say_nothing if quiet else note
    session = Session(inputs, output, command=_as_given(), tell=tell, **options)
    with progress(
        session.run(jobs or _usable_cores()), session.epochs, show=not quiet, unit="epochs"
    ) as epochs:
        for _ in epochs:
            pass
    if not quiet:
        for line in session.result():
            note(line)
    return 0


def _as_given() -> tuple[str, ...]:
    return tuple(sys.argv[1:])


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
