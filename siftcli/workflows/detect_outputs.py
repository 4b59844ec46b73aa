"""Where a batch writes: files of their own for each image, or one collection; and what is there already."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from enum import Enum, auto
from pathlib import Path
from typing import Protocol

from ..errors import OutputError, SiftcliError
from ..features import Features
from ..formats import npz, save, save_inside
from ..formats._collections import WriteOptions, Writer, open_writer
from ..io.locks import locked
from ..io.provenance import Origin, differing
from ..io.reading import absolute
from ..io.writing import remove_temporaries, write_inside
from .detect_plan import Job, Plan

NAMED = 3
"""Images that an error names; it counts the others."""
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


class State(Enum):
    """What a batch finds of an image where it writes."""

    MISSING = auto()
    CHANGED = auto()
    DONE = auto()
    UNKNOWN = auto()
    """There, of another program or command: kept, as it does not say what it was made from."""
    CONFLICT = auto()
    """There, of another picture of the same name."""


def split(plan: Plan, output: Output, settings: str, *, check: bool) -> tuple[dict[Job, State], list[Job]]:
    """Find which images are kept (``DONE`` or ``UNKNOWN``), and which are missing or have changed.

    Raises
    ------
    OutputError
        If what is there was made with other settings, is of other pictures, or may not be replaced.
    """
    if plan.overwrite or not plan.keeps_origins:
        return {}, list(plan.jobs)
    states = {job: _state(plan, job, output, settings, check) for job in plan.jobs}
    if others := [job for job, state in states.items() if state is State.CONFLICT]:
        raise _other_pictures(plan, output, others)
    for job, state in states.items():
        if state is State.MISSING and job.drawing is not None and os.path.lexists(job.drawing):
            raise OutputError(f"{job.drawing} exists; pass --overwrite to replace it")
    kept: dict[Job, State] = {job: s for job, s in states.items() if s in (State.DONE, State.UNKNOWN)}
    return kept, [job for job in plan.jobs if job not in kept]


def _state(plan: Plan, job: Job, output: Output, settings: str, check: bool) -> State:
    if not output.has(job):
        return State.MISSING
    origin = output.origin(job)
    if origin is None:
        if plan.collection is None:
            raise OutputError(f"{job.output} exists; pass --overwrite to replace it")
        return State.UNKNOWN  # it was asked to add, not to replace
    is_same = origin.image.is_still(job.image.path, check=check)
    if not is_same and not origin.image.is_at(job.image.path):
        return State.CONFLICT
    if origin.settings != settings:
        name = f"{job.output}: {job.image.name}" if plan.collection else str(job.output)
        raise other_settings(name, origin.settings, settings)
    is_drawn = job.drawing is None or job.drawing.exists()
    return State.DONE if is_same and is_drawn and origin.has_mask(job.mask, check=check) else State.CHANGED


def _other_pictures(plan: Plan, output: Output, others: list[Job]) -> OutputError:
    """Make the error of images whose names are those of other pictures, which are there already."""
    first = others[0]
    origin = output.origin(first)
    there, now = origin.image.path if origin else "", str(absolute(first.image.path))
    shared = os.path.commonpath([there or now, now])
    count = f"{len(others)} such name{'s' if len(others) > 1 else ''}"
    names = ", ".join(job.image.name for job in others[:NAMED]) + (", ..." if len(others) > NAMED else "")
    return OutputError(
        f"{plan.folder or first.output} holds other pictures of the same names: {first.image.name} of "
        f"{there or 'an unknown file'}, not of {now} ({count}: {names}); pass "
        f"{'--append --overwrite' if plan.collection else '--overwrite'} to replace them, or make the names "
        f"differ: run on {shared} or with --image-root {shared}"
    )


def make_folder(path: Path, plan: Plan) -> None:
    """Make the folder of an output, where that may be done."""
    if not plan.makes_folders:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent} cannot be made: {error.strerror}; choose another folder") from error
