"""``siftcli train-orientation``."""

from __future__ import annotations

import sys
from typing import Any

import click

from ..parallel.sharing import most_processes
from ..system.cores import usable_cores
from ._modes import Command
from ._options import quiet_option
from ._output import note, say_nothing
from ._progress import progress
from ._types import WholeNumber


@click.command("train-orientation", cls=Command, short_help="Train the network that finds orientations.")
@click.argument("inputs", metavar="IMAGE...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    help="File for the weights, NAME.npz. The training curves go to NAME.png. After an interruption the same "
    "command resumes from NAME.npz.unfinished.",
)
@click.option(
    "--epochs",
    type=WholeNumber(),
    help="Number of passes over the images, each with new random views.  [default: as for the weights that "
    "come with siftcli]",
)
@click.option(
    "--seed", type=WholeNumber(0), default=0, show_default=True, help="Seed of everything that is random."
)
@click.option(
    "--jobs",
    type=WholeNumber(),
    help="Number of threads that render views; all cores when not given. It does not change the result.",
)
@click.option("--overwrite", is_flag=True, help="Replace the output, and restart an unfinished training.")
@quiet_option
def command(inputs: tuple[str, ...], output: str, quiet: bool, jobs: int | None, **options: Any) -> int:
    """Train the network that finds orientations on your own images.

    The network sees keypoints in views of the images that are rotated, tilted, resized, blurred and noisy.
    Its target is the orientation that the histogram finds in the clean image, rotated with the view. Accuracy
    is measured on some images that are held out. Use the result with --orientation learned
    --orientation-weights FILE.

    Exit status: 0 done, 1 an input failed, 2 wrong usage, 130 interrupted.
    """
    from ..learned.session import Session

    tell = say_nothing if quiet else note
    session = Session(inputs, output, command=_as_given(), tell=tell, **options)
    with progress(
        session.run(min(jobs or usable_cores(), most_processes(len(session.images)))),
        session.epochs,
        show=not quiet,
        unit="epochs",
    ) as epochs:
        for _ in epochs:
            pass
    if not quiet:
        for line in session.result():
            note(line)
    return 0


def _as_given() -> tuple[str, ...]:
    return tuple(sys.argv[1:])
