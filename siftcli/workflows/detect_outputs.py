"""The output of a detection run: one file per image or one collection, and what it already holds."""

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
from ..formats._collections import MadeWith, WriteOptions, Writer, open_writer
from ..formats._made_with import check_made_with
from ..io.locks import locked
from ..io.provenance import Provenance, differing
from ..io.reading import absolute
from ..io.writing import remove_temporaries, write_inside
from ..words import counted
from .detect_plan import Job, Plan

NAMED = 3
"""How many images an error names; the others are only counted."""
ABANDONED_S = 3600.0
"""Age from which a temporary file counts as left by a killed run; writing takes seconds."""


class Output(Protocol):
    """Where the features of a run are written."""

    def has(self, job: Job) -> bool:
        """Whether the output has the features of this image."""

    def provenance(self, job: Job) -> Provenance | None:
        """What these features were made from; None if it is not recorded."""

    def write(self, job: Job, features: Features, provenance: Provenance | None) -> None:
        """Write the features, completely or not at all."""


class Files:
    """One file per image, or no output at all."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def has(self, job: Job) -> bool:
        """Whether the image's file exists."""
        return self.plan.folder is not None and job.output is not None and job.output.exists()

    def provenance(self, job: Job) -> Provenance | None:
        """The provenance stored in the image's npz file."""
        return Provenance.from_json(npz.read_provenance(job.output)) if job.output is not None else None

    def write(self, job: Job, features: Features, provenance: Provenance | None) -> None:
        """Write a file. In a folder of npz files an outdated one is replaced."""
        if job.output is None:
            return
        make_folder(job.output, self.plan)
        if provenance is not None and self.plan.records_provenance:
            write_inside(job.output, npz.encode(features, provenance.to_json()), overwrite=True)
        else:
            write = save_inside if self.plan.folder is not None else save
            write(features, job.output, self.plan.format, overwrite=self.plan.overwrite)


class Collection:
    """A collection that holds all images."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    def has(self, job: Job) -> bool:
        """Whether the collection has this image."""
        return _has(self.writer, job.image.name)

    def provenance(self, job: Job) -> Provenance | None:
        """The provenance stored with the image."""
        return Provenance.from_json(self.writer.provenance(job.image.name))

    def write(self, job: Job, features: Features, provenance: Provenance | None) -> None:
        """Write features and provenance in one step."""
        self.writer.write(job.image.name, features, "" if provenance is None else provenance.to_json())


def open_output(plan: Plan, settings: str, stack: ExitStack) -> Output:
    """Open and lock the output; ``stack`` closes it.

    Raises
    ------
    OutputError
        If another run is writing to it, or it was made with other settings.
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
            _check_same_run(target, plan.format, options)
        # split() decides which images are replaced.
        options = replace(options, append=True, overwrite=True)
    return Collection(stack.enter_context(open_writer(target, plan.format, options)))


def _check_same_run(target: Path, format: str, options: WriteOptions) -> None:
    """Check that an existing collection was begun with the same settings, and with these images."""
    found, made_with, n_others, missing = None, {}, 0, list(options.images)
    try:
        with open_writer(target, format, replace(options, images={}, append=True)) as writer:
            found = writer.settings()
            made_with = writer.made_with() if isinstance(writer, MadeWith) else {}
            missing = [name for name in options.images if not _has(writer, name)]
            n_others = writer.n_images() - (len(options.images) - len(missing)) if missing else 0
    except SiftcliError:
        pass  # not a collection: refused below, like any other existing file
    if found is None:
        raise OutputError(f"{target} exists; pass --overwrite to replace it or --append to add images to it")
    if found and found != options.settings:
        raise other_settings(str(target), found, options.settings)
    if found:
        check_made_with(target, made_with, options)
    if missing and n_others:
        raise OutputError(
            f"{target} holds {counted(n_others, 'other image')}, and not {missing[0]} "
            f"({counted(len(missing), 'new image')}); pass --append to add to it, --overwrite to replace all "
            "of it, or choose another output"
        )


def _has(writer: Writer, name: str) -> bool:
    """Whether a collection has an image. A name that it cannot store fails when it is written."""
    try:
        return writer.has(name)
    except OutputError:
        return False


def other_settings(name: str, found: str, wanted: str) -> OutputError:
    """Return the error for features that were made with other settings."""
    return OutputError(
        f"{name} was made with other settings ({differing(found, wanted)}); "
        "use the same settings to resume, pass --overwrite to redo all, or choose another output"
    )


class State(Enum):
    """What the output already holds of an image."""

    MISSING = auto()
    CHANGED = auto()
    DONE = auto()
    UNKNOWN = auto()
    """Present without provenance, as other programs and commands write it: kept unexamined."""
    CONFLICT = auto()
    """Present, but made from another image of the same name."""


def split(plan: Plan, output: Output, settings: str, *, check: bool) -> tuple[dict[Job, State], list[Job]]:
    """Split the jobs into those that are kept (``DONE`` or ``UNKNOWN``) and those to process.

    Raises
    ------
    OutputError
        If existing features were made with other settings or from other images, or may not be replaced.
    """
    if plan.overwrite or not plan.records_provenance:
        return {}, list(plan.jobs)
    states = {job: _state(plan, job, output, settings, check) for job in plan.jobs}
    if others := [job for job, state in states.items() if state is State.CONFLICT]:
        raise _other_images(plan, output, others)
    for job, state in states.items():
        if state is State.MISSING and job.drawing is not None and os.path.lexists(job.drawing):
            raise OutputError(f"{job.drawing} exists; pass --overwrite to replace it")
    kept: dict[Job, State] = {job: s for job, s in states.items() if s in (State.DONE, State.UNKNOWN)}
    return kept, [job for job in plan.jobs if job not in kept]


def _state(plan: Plan, job: Job, output: Output, settings: str, check: bool) -> State:
    if not output.has(job):
        return State.MISSING
    provenance = output.provenance(job)
    if provenance is None:
        if plan.collection is None:
            raise OutputError(f"{job.output} exists; pass --overwrite to replace it")
        return State.UNKNOWN  # --append adds images, it replaces none
    is_same = provenance.image.is_still(job.image.path, check=check)
    if not is_same and not provenance.image.is_at(job.image.path):
        return State.CONFLICT
    if provenance.settings != settings:
        name = f"{job.output}: {job.image.name}" if plan.collection else str(job.output)
        raise other_settings(name, provenance.settings, settings)
    is_drawn = job.drawing is None or job.drawing.exists()
    return (
        State.DONE if is_same and is_drawn and provenance.has_mask(job.mask, check=check) else State.CHANGED
    )


def _other_images(plan: Plan, output: Output, others: list[Job]) -> OutputError:
    """Return the error for outputs that were made from other images of the same names."""
    first = others[0]
    provenance = output.provenance(first)
    there, now = provenance.image.path if provenance else "", str(absolute(first.image.path))
    shared = os.path.commonpath([there or now, now])
    count = f"{len(others)} such name{'s' if len(others) > 1 else ''}"
    names = ", ".join(job.image.name for job in others[:NAMED]) + (", ..." if len(others) > NAMED else "")
    return OutputError(
        f"{plan.folder or first.output} holds features of other images of the same names: {first.image.name} "
        f"is of {there or 'an unknown file'}, not of {now} ({count}: {names}); pass "
        f"{'--append --overwrite' if plan.collection else '--overwrite'} to replace them, or make the names "
        f"differ: run on {shared} or with --image-root {shared}"
    )


def make_folder(path: Path, plan: Plan) -> None:
    """Create the folder of an output, if the plan creates folders."""
    if not plan.makes_folders:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path.parent} cannot be created: {error.strerror}; choose another folder"
        ) from error
