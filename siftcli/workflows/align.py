"""Alignment of stacks and sets of pictures: find the transforms, then warp frame by frame.

Two passes over the frames: the first finds the transforms of pairs, from which those of all frames
follow; the second warps. No more than a few frames are in memory at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .._version import __version__
from ..alignment.canvas import Canvas
from ..errors import InputError, OutputError
from ..formats.transforms import Transforms, load_transforms, save_transforms
from ..frames.reading import close_all
from ..image import check_max_image_size
from ..io.locks import locked
from ..io.writing import remove_temporaries
from ..parallel.sharing import shared_cores
from .align_engine import Engine, check_cluster_use
from .align_journal import NAME, Journal
from .align_output import FrameWriter
from .align_plan import Plan
from .align_results import FAILED, FrameResult, applied, canvas_of, solve, transforms_of
from .align_work import Chunk, Found, FrameFound, Options, chunk_died, find_transforms, make_chunks
from .detect_outputs import ABANDONED_S

REDUCED_PIXELS, REDUCED_SIZE = 50_000_000, 4096
"""In larger frames transforms are found on copies reduced to this longest side, then refined on tiles."""
Follow = Callable[[Iterator[Any], int, str], Iterator[Any]]
"""Shows the progress of an iterator of so many items with this name."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for beside the plan."""

    canvas: str = "reference"
    on_failure: str = "copy"
    """"copy", "skip" or "stop"."""
    apply: str | None = None
    """A file of transforms to apply."""
    scale: float = 1.0
    """Size of the frames relative to those that the transforms were made for."""
    inverse: bool = False
    jobs: int | None = None
    dask: str | None = None
    gcps: bool = False
    """Write ground control points into the frames, as they are, instead of warping them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignRun:
    """The result of an alignment."""

    frames: list[FrameResult]
    canvas: Canvas
    transforms: Transforms
    thumbnails: dict[int, dict[str, bytes]]
    """For some frames, pictures of the report by their names."""
    is_interrupted: bool = False

    @property
    def failed(self) -> list[FrameResult]:
        """The frames without a transform."""
        return [frame for frame in self.frames if frame.status == FAILED]


def run(
    plan: Plan,
    options: Options,
    request: Request,
    *,
    follow: Follow = lambda items, _n, _unit: items,
    stop: Callable[[], bool] = lambda: False,
) -> AlignRun:
    """Align the frames of a plan and write what it names.

    Parameters
    ----------
    plan
        From :func:`~siftcli.workflows.align_plan.make_plan`.
    options
        How frames are read, matched and warped.
    request
        What else is asked for.
    follow
        Shows the progress.
    stop
        Once it returns true, no further work is begun, and nothing but the journal is left.

    Raises
    ------
    InputError
        If the reference cannot be used, a file of transforms does not fit, or with ``on_failure="stop"`` a
        frame cannot be aligned.
    OutputError
        If an output cannot be written.
    """
    check_cluster_use(request.dask, request.jobs)
    jobs, threads = shared_cores(len(plan.frames), request.jobs, options.threads)
    options = replace(options, threads=threads, max_image_size=_max_image_size(plan, options))
    with ExitStack() as stack:
        stack.callback(close_all)
        journal = _opened_journal(plan, options, request, stack)
        engine = Engine.open(options, jobs, request.dask, stack)
        if request.apply is not None:
            saved = load_transforms(request.apply)
            saved = saved.scaled(request.scale)
            saved = saved.inverse() if request.inverse else saved
            results, canvas = applied(plan, saved, request.apply)
            model = saved.model
        else:
            found = _found(plan, engine, journal, follow, stop)
            if found is None:
                return _interrupted(plan)
            results, model = solve(plan, options.align, found), options.align.model
            canvas = canvas_of(plan, request.canvas, results)
        _check_failures(results, request)
        transforms = transforms_of(plan, model, results, canvas)
        written = FrameWriter(plan, engine, request, results, canvas, journal, follow, stop).write()
        if written is None:
            return _interrupted(plan)
        if plan.targets.transforms is not None:
            save_transforms(plan.targets.transforms, transforms, overwrite=plan.targets.overwrite)
        if plan.kind != "folder":
            journal.remove()
        results, thumbnails = written
    return AlignRun(frames=results, canvas=canvas, transforms=transforms, thumbnails=thumbnails)


def _interrupted(plan: Plan) -> AlignRun:
    empty = Canvas((1, 1))
    return AlignRun(
        frames=[], canvas=empty, transforms=Transforms(frames=()), thumbnails={}, is_interrupted=True
    )


def _found(
    plan: Plan, engine: Engine, journal: Journal, follow: Follow, stop: Callable[[], bool]
) -> dict[int, FrameFound] | None:
    """What is known of each frame; None if the run was interrupted."""
    chunks = make_chunks(
        plan.frames, plan.reference, is_chained=plan.is_chained, neighbours=plan.neighbours, jobs=engine.jobs
    )
    to_do = [
        chunk
        for chunk in chunks
        if any(i >= chunk.first and i != plan.reference and i not in journal.found for i, _ in chunk.frames)
    ]
    done = engine.run(find_transforms, chunk_died, to_do, stop)
    wanted = [i for chunk in to_do for i in chunk.own]
    for index, of_frame in follow(_each_frame(done), len(wanted), "frames"):
        journal.found[index] = of_frame
        journal.add_found(index, of_frame)
    return journal.found if all(i in journal.found for i in wanted) else None


def _each_frame(done: Iterable[tuple[Chunk, Found]]) -> Iterator[tuple[int, FrameFound]]:
    for _, found in done:
        if found.error is not None:
            raise InputError(f"the reference cannot be used: {found.error}")
        yield from found.frames.items()


def _check_failures(results: Sequence[FrameResult], request: Request) -> None:
    failed = [result for result in results if result.status == FAILED]
    if failed and request.on_failure == "stop":
        first = failed[0]
        raise InputError(
            f"{first.frame.label}: {first.reason}; pass --on-failure copy or skip to go on without it"
            f"{f' ({len(failed)} frames failed)' if len(failed) > 1 else ''}"
        )


def _max_image_size(plan: Plan, options: Options) -> int | None:
    """The longest side that transforms are found at; reduced for frames that would need gigabytes."""
    most = max(width * height for width, height in (frame.size for frame in plan.frames))
    if options.max_image_size is None and most > REDUCED_PIXELS:
        return REDUCED_SIZE
    return check_max_image_size(options.max_image_size)


# --- journal -------------------------------------------------------------------------------------------


def _opened_journal(plan: Plan, options: Options, request: Request, stack: ExitStack) -> Journal:
    """Lock the output and open the journal in it; where nothing is written there is none."""
    targets = plan.targets
    place = targets.output or targets.transforms or targets.report
    if place is None:
        return stack.enter_context(Journal(None, {}))
    path = Path(place)
    if plan.kind == "folder":
        _make_folder(path)
        stack.enter_context(locked(path, is_folder=True))
        remove_temporaries(path, recursive=True)
        journal = path / NAME
    else:
        stack.enter_context(locked(path, is_folder=False))
        remove_temporaries(path.absolute().parent, recursive=False, older_than_s=ABANDONED_S)
        journal = path.absolute().with_name(f".{path.name}{NAME}")
    return stack.enter_context(Journal(journal, _head(plan, options, request)))


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be created: {error.strerror}; choose another folder") from error


def _head(plan: Plan, options: Options, request: Request) -> dict[str, Any]:
    """Everything that the transforms depend on."""
    return {
        "siftcli": __version__,
        "align": options.align.__dict__,
        "params": options.params.to_dict(),
        "reading": [options.channel, options.stretch, repr(options.nodata), options.max_image_size],
        "reference": plan.reference,
        "is_chained": plan.is_chained,
        "neighbours": plan.neighbours,
        "frames": [[frame.path, frame.index, *_state(frame.path)] for frame in plan.frames],
        "apply": None if request.apply is None else [_digest(request.apply), request.scale, request.inverse],
    }


def _state(path: str) -> tuple[int, int]:
    try:
        found = Path(path).stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _digest(path: str) -> str:
    try:
        return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return ""
