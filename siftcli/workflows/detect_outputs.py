"""Where a batch writes: files of their own for each image, or one collection; and what is there already."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from ..errors import OutputError, SiftcliError
from ..features import Features
from ..formats import npz, save, save_inside
from ..formats._collections import WriteOptions, Writer, open_writer
from ..io.locks import locked
from ..io.provenance import Origin, differing
from ..io.writing import remove_temporaries, write_inside
from .detect_plan import Job, Plan

ABANDONED_S = 3600.0
"""An unfinished file of this age is of a run that was killed; a file is written in seconds."""


class Output(Protocol):
    """What takes the features of a batch."""

    def has(self, job: Job) -> bool:
        """Whether the image's features are there."""

    def origin(self, job: Job) -> Origin | None:
        """What they were made with and from; None if they do not say."""

    def write(self, job: Job, features: Features, origin: Origin | None) -> None:
        """Write them, whole or not at all."""


class Files:
    """A file an image, or none."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def has(self, job: Job) -> bool:
        """Whether the image's file is there."""
        return self.plan.folder is not None and job.output is not None and job.output.exists()

    def origin(self, job: Job) -> Origin | None:
        """What an npz file of a folder says."""
        return Origin.from_json(npz.read_origin(job.output)) if job.output is not None else None

    def write(self, job: Job, features: Features, origin: Origin | None) -> None:
        """Write a file; in a folder of npz files one that was found out of date is replaced."""
        if job.output is None:
            return
        make_folder(job.output, self.plan)
        if origin is not None and self.plan.keeps_origins:
            write_inside(job.output, npz.encode(features, origin.to_json()), overwrite=True)
        else:
            write = save_inside if self.plan.folder is not None else save
            write(features, job.output, self.plan.format, overwrite=self.plan.overwrite)


class Collection:
    """One file or folder for all images."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    def has(self, job: Job) -> bool:
        """Whether the image's features are there; one whose name it cannot hold fails when written."""
        try:
            return self.writer.has(job.image.name)
        except OutputError:
            return False

    def origin(self, job: Job) -> Origin | None:
        """What the image's record says."""
        return Origin.from_json(self.writer.origin(job.image.name))

    def write(self, job: Job, features: Features, origin: Origin | None) -> None:
        """Write the image's features and their origin in one step."""
        self.writer.write(job.image.name, features, "" if origin is None else origin.to_json())


def open_output(plan: Plan, settings: str, stack: ExitStack) -> Output:
    """Open and lock where a batch writes; the stack closes it.

    Raises
    ------
    OutputError
        If another run writes there, or what is there was made with other settings.
    """
    if plan.collection is None:
        if plan.folder is not None:
            make_folder(plan.folder / "x", plan)
            stack.enter_context(locked(plan.folder, is_folder=True))
            remove_temporaries(plan.folder, recursive=True)
        return Files(plan)
    target = plan.jobs[0].output
    assert target is not None
    stack.enter_context(locked(target, is_folder=False))
    if target.is_dir():
        remove_temporaries(target, recursive=False)
    remove_temporaries(target.absolute().parent, recursive=False, older_than_s=ABANDONED_S)
    options = replace(plan.collection, settings=settings)
    if target.exists() and not options.overwrite:
        if not options.append:
            _check_begun_here(target, plan.format, options)
        # The batch decides which images are replaced.
        options = replace(options, append=True, overwrite=True)
    return Collection(stack.enter_context(open_writer(target, plan.format, options)))


def _check_begun_here(target: Path, format: str, options: WriteOptions) -> None:
    """Check that a collection that is there is one that these settings began."""
    found = None
    try:
        with open_writer(target, format, replace(options, images={}, append=True)) as writer:
            found = writer.settings()
    except SiftcliError:
        pass  # no collection at all: told as any other file that is in the way
    if found is None:
        raise OutputError(f"{target} exists; pass --overwrite to replace it or --append to add images to it")
    if found and found != options.settings:
        raise other_settings(str(target), found, options.settings)


def other_settings(name: str, found: str, wanted: str) -> OutputError:
    """Make the error of features that were made with other settings."""
    return OutputError(
        f"{name} was made with other settings ({differing(found, wanted)}); "
        "give the same ones to go on, pass --overwrite to redo all, or choose another output"
    )


def split(plan: Plan, output: Output, settings: str, *, check: bool) -> tuple[list[Job], list[Job]]:
    """Find which jobs are done already: the first list; the second is what is missing or has changed.

    Raises
    ------
    OutputError
        If what is there was made with other settings, or may not be replaced.
    """
    if plan.overwrite or not plan.keeps_origins:
        return [], list(plan.jobs)
    done: list[Job] = []
    to_do: list[Job] = []
    for job in plan.jobs:
        (done if _is_done(plan, job, output, settings, check) else to_do).append(job)
    return done, to_do


def _is_done(plan: Plan, job: Job, output: Output, settings: str, check: bool) -> bool:
    if not output.has(job):
        return False
    origin = output.origin(job)
    if origin is None:
        if plan.collection is None:
            raise OutputError(f"{job.output} exists; pass --overwrite to replace it")
        return True  # of another program or another command: it was asked to add, not to replace
    if origin.settings != settings:
        name = f"{job.output}: {job.image.name}" if plan.collection else str(job.output)
        raise other_settings(name, origin.settings, settings)
    is_drawn = job.drawing is None or job.drawing.exists()
    return is_drawn and origin.is_current(job.image.path, job.mask, check=check)


def make_folder(path: Path, plan: Plan) -> None:
    """Make the folder of an output, where that may be done."""
    if not plan.makes_folders:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent} cannot be made: {error.strerror}; choose another folder") from error
