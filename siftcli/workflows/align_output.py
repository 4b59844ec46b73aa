"""Write aligned frames: one picture, a folder of them, or a stack."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..alignment.canvas import Canvas
from ..alignment.models import grid, mapped
from ..errors import InputError, OutputError, SiftcliError
from ..frames.encoding import encode
from ..frames.geo import Georeference, is_georeferenced, read_georeference, write_gcps, write_georeference
from ..frames.reading import layout_of, metadata_of
from ..frames.records import Metadata, Samples
from ..frames.tiff_writing import TiffShape, write_tiff
from ..io.writing import whole_file
from .align_engine import Engine
from .align_journal import Journal
from .align_plan import Frame, Plan, format_for
from .align_results import ALIGNED, FAILED, FrameResult, with_output
from .align_warp import Warped, WarpTask, warp_frame, warping_died

if TYPE_CHECKING:
    from .align import Follow, Request

LARGE_BYTES = 1 << 28
"""Larger frames are warped tile by tile, and not read whole."""
N_THUMBNAILS = 8
"""Frames that the report shows: those that failed, then those with the largest residuals."""
N_GCPS_ASIDE = 5
"""Ground control points lie on a grid of so many by so many."""
MASK_TAGS = {"photometric": "minisblack", "compression": "zlib"}

Written = tuple[list[FrameResult], dict[int, dict[str, bytes]]]


@dataclass(eq=False)
class FrameWriter:
    """Warps and writes the frames of a plan."""

    plan: Plan
    engine: Engine
    request: Request
    results: list[FrameResult]
    """Of all frames; those that are written get their files."""
    canvas: Canvas
    journal: Journal
    follow: Follow
    stop: Callable[[], bool]
    thumbnails: dict[int, dict[str, bytes]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.shown = _worst(self.results) if self.plan.targets.report is not None else set[int]()
        self.ground = self._georeference()

    def write(self) -> Written | None:
        """Warp and write; None if the run was interrupted.

        Returns
        -------
        results, thumbnails
            The results with their files, and for some frames the pictures of the report.
        """
        return self._stack() if self.plan.kind == "stack" else self._files()

    def _georeference(self) -> Georeference | None:
        reference = self.plan.frames[self.plan.reference].path
        if self.request.gcps and not is_georeferenced(reference):
            raise InputError(
                f"{reference}: expected a georeferenced TIFF as the reference with --gcps; give one"
            )
        if not self.plan.kind or not is_georeferenced(reference):
            return None
        return read_georeference(reference)

    @property
    def kept(self) -> list[int]:
        """The frames that are written."""
        skips = self.request.on_failure == "skip"
        kept = [i for i in self.plan.written if not (skips and self.results[i].status == FAILED)]
        if not kept and self.plan.kind:
            raise InputError("no frame could be aligned, so nothing is written; try another --model")
        return kept

    def task(self, i: int, format: str | None) -> WarpTask:
        """The task of warping a frame."""
        frame = self.plan.frames[i]
        reference = self.plan.frames[self.plan.reference]
        return WarpTask(
            i,
            frame,
            self.results[i].matrix,
            self.canvas,
            format=format,
            wants_mask=self.plan.targets.valid is not None,
            thumbnail=reference if i in self.shown else None,
        )

    # --- files -----------------------------------------------------------------------------------------

    def _files(self) -> Written | None:
        """Write a file for each frame, or none but what the report shows."""
        chosen = self.kept if self.plan.kind else sorted(self.shown)
        tasks = []
        for i in chosen:
            if self._is_there(i):
                self._note_output(i)
                continue
            tasks.append(self.task(i, format_for(self.plan, i) if self.plan.kind else None))
        if self.request.gcps:
            return self._with_gcps(tasks)
        small, large = list[WarpTask](), list[WarpTask]()
        for task in tasks:
            is_large = layout_of(task.frame.path).frame_bytes > LARGE_BYTES
            (large if is_large else small).append(task)
        done = self.engine.run(warp_frame, warping_died, small, self.stop)
        n_done = 0
        for task, warped in self.follow(done, len(small), "frames"):
            self._take(task, warped)
            n_done += 1
        if n_done < len(small):
            return None
        for task in large if self.plan.kind else ():
            if self.stop():
                return None
            self._write_large(task)
        return self.results, self.thumbnails

    def _is_there(self, i: int) -> bool:
        """Whether an earlier, interrupted run wrote the file. Refuses one that it did not."""
        if self.plan.kind != "folder" or self.plan.targets.overwrite:
            return False
        path = self._path(i)
        if not os.path.lexists(path):
            return False
        if self.journal.is_written(i, path, self._made_from(i)):
            return i not in self.shown and self._has_mask(i)
        if self.journal.has_begun(i, self._made_from(i)):
            return False
        raise OutputError(
            f"{path} exists and was not made by these settings; pass --overwrite to replace it, or choose "
            "another folder"
        )

    def _has_mask(self, i: int) -> bool:
        mask = self._mask_path(i)
        return mask is None or mask.exists()

    def _made_from(self, i: int) -> str:
        """A digest of all that a file depends on beside the frame."""
        matrix, warp = self.results[i].matrix, self.engine.options.warp
        parts = [
            None if matrix is None else matrix.tolist(),
            [*self.canvas.size, *self.canvas.origin],
            [warp.interpolation, str(warp.fill)],
            format_for(self.plan, i),
            self.request.gcps,
            self.plan.targets.valid,
        ]
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()

    def _path(self, i: int) -> Path:
        return self.plan.path_of(self.plan.targets.output or "", i)

    def _mask_path(self, i: int) -> Path | None:
        root = self.plan.targets.valid
        if root is None:
            return None
        path = self.plan.path_of(root, i)
        return path if self.plan.kind == "file" else path.with_suffix(".png")

    def _note_output(self, i: int) -> None:
        self.results[i] = with_output(self.results[i], str(self._path(i)))

    def _take(self, task: WarpTask, warped: Warped) -> None:
        """Write one warped frame."""
        i = task.index
        if warped.thumbnails is not None:
            self.thumbnails[i] = warped.thumbnails
        if warped.error is not None:
            self._fail(i, warped.error)
            return
        if not self.plan.kind or warped.data is None:
            return
        data = warped.data
        self._begin(i)
        self._put(self._path(i), lambda path: path.write_bytes(data), format_for(self.plan, i) == "tiff")
        mask = self._mask_path(i)
        if mask is not None and warped.valid is not None:
            masked = _mask_bytes(warped.valid, mask)
            self._put(mask, lambda path: path.write_bytes(masked), is_tiff=False)
        self._finished(i)

    def _begin(self, i: int) -> None:
        if self.plan.kind == "folder":
            self.journal.add_begun(i, self._made_from(i))

    def _finished(self, i: int) -> None:
        if self.plan.kind == "folder":
            self.journal.add_written(i, self._path(i), self._made_from(i))
        self._note_output(i)

    def _fail(self, i: int, error: str) -> None:
        if self.plan.kind == "file" or self.request.on_failure == "stop":
            raise InputError(error)
        self.results[i] = replace(self.results[i], status=FAILED, reason=error)

    def _put(self, path: Path, write: Callable[[Path], object], is_tiff: bool) -> None:
        """Write a file whole, with the coordinate system of the reference."""
        in_folder = self.plan.kind == "folder"
        if in_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, overwrite=in_folder or self.plan.targets.overwrite) as temporary:
            write(temporary)
            if is_tiff and self.ground is not None:
                write_georeference(temporary, self.ground, self.canvas.origin)

    def _write_large(self, task: WarpTask) -> None:
        from .align_tiles import write_large

        if task.format != "tiff":
            raise OutputError(
                f"{task.frame.label}: a frame of this size is written as TIFF; pass --format tiff"
            )
        matrix = np.eye(3) if task.matrix is None else task.matrix
        moved = replace(task, matrix=matrix)
        mask = self._mask_path(task.index)
        if mask is not None:
            raise OutputError("--valid is not made for frames that are warped by tiles; drop it")
        self._begin(task.index)
        self._put(self._path(task.index), lambda path: write_large(self.engine.options, moved, path), True)
        self._finished(task.index)

    def _with_gcps(self, tasks: Sequence[WarpTask]) -> Written | None:
        """Write the frames as they are, with ground control points."""
        from ..frames.reading import read_frame

        assert self.ground is not None
        for task in tasks:
            result = self.results[task.index]
            if result.status != ALIGNED or result.matrix is None:
                continue
            if task.format != "tiff":
                raise OutputError(
                    f"{self._path(task.index)}: --gcps writes TIFF; name a .tif file, or pass --format tiff"
                )
            points = grid(task.frame.size, N_GCPS_ASIDE)
            reference = mapped(result.matrix, points)
            samples = read_frame(task.frame.path, task.frame.index)
            data = encode(samples, metadata_of(task.frame.path), "tiff", layout_of(task.frame.path).alpha)

            path = self._path(task.index)
            self._begin(task.index)
            with whole_file(path, overwrite=self.plan.targets.overwrite) as temporary:
                temporary.write_bytes(data)
                write_gcps(temporary, self.ground, points, reference)
            self._finished(task.index)
        return self.results, self.thumbnails

    # --- stack -----------------------------------------------------------------------------------------

    def _stack(self) -> Written | None:
        """Write one TIFF file of all frames, and one of their masks."""
        targets, kept = self.plan.targets, self.kept
        assert targets.output is not None
        if max(layout_of(self.plan.frames[i].path).frame_bytes for i in kept) > LARGE_BYTES:
            raise OutputError(
                f"{targets.output}: expected frames of at most {LARGE_BYTES >> 20} MiB in a stack; "
                "name a folder"
            )
        if targets.format not in (None, "tiff"):
            raise OutputError(f"{targets.output}: a stack is a TIFF file; drop --format, or name a folder")
        first = self.plan.frames[kept[0]]
        layout = (
            self.plan.layout
            if self.plan.is_stack_file
            else replace(self.plan.layout, axes="T", shape=(len(kept),))
        )
        shape = TiffShape.of(layout, self.canvas.size, len(kept))
        metadata = _stack_metadata(self.plan, first, kept)
        try:
            with ExitStack() as stack:
                temporary = stack.enter_context(whole_file(targets.output, overwrite=targets.overwrite))
                masks = self._mask_stack(stack, len(kept))
                write_tiff(temporary, self._warped(kept, masks), shape, metadata)
                if self.ground is not None:
                    write_georeference(temporary, self.ground, self.canvas.origin)
        except _InterruptedError:
            return None
        for i in kept:
            self.results[i] = with_output(self.results[i], targets.output)
        return self.results, self.thumbnails

    def _mask_stack(self, stack: ExitStack, n_frames: int) -> Callable[[NDArray[np.bool_]], None] | None:
        import tifffile

        if self.plan.targets.valid is None:
            return None
        path = stack.enter_context(whole_file(self.plan.targets.valid, overwrite=self.plan.targets.overwrite))
        file = stack.enter_context(
            tifffile.TiffWriter(path, bigtiff=n_frames * np.prod(self.canvas.size) > 1 << 32)
        )

        def add(valid: NDArray[np.bool_]) -> None:
            file.write(valid.view(np.uint8) * np.uint8(255), metadata=None, contiguous=False, **MASK_TAGS)

        return add

    def _warped(
        self, kept: Sequence[int], masks: Callable[[NDArray[np.bool_]], None] | None
    ) -> Iterator[Samples]:
        """The warped frames, one after the other."""
        tasks = [self.task(i, None) for i in kept]
        done = self.engine.run(warp_frame, warping_died, tasks, self.stop)
        n_done = 0
        for task, warped in self.follow(done, len(tasks), "frames"):
            if warped.error is not None or warped.samples is None:
                raise InputError(warped.error or f"{task.frame.label}: it could not be warped; try again")
            if warped.thumbnails is not None:
                self.thumbnails[task.index] = warped.thumbnails
            if masks is not None and warped.valid is not None:
                masks(warped.valid)
            n_done += 1
            yield warped.samples
        if n_done < len(tasks):
            raise _InterruptedError


class _InterruptedError(SiftcliError):
    """Ends the writing of a stack whose frames stopped coming."""


def _stack_metadata(plan: Plan, first: Frame, kept: Sequence[int]) -> Metadata:
    """The metadata of a stack: those of its file, with the labels of the frames that are left."""
    found = metadata_of(plan.frames[plan.reference].path if not plan.is_stack_file else first.path)
    if found.format != "tiff":
        return replace(found, tags={"compression": "zlib"})
    labels = (found.imagej or {}).get("Labels")
    n_planes = plan.layout.n_planes
    if found.imagej is None or labels is None or len(labels) != n_planes * len(plan.frames):
        return found
    left = [label for i in kept for label in labels[i * n_planes : (i + 1) * n_planes]]
    return replace(found, imagej={**found.imagej, "Labels": left})


def _worst(results: Sequence[FrameResult]) -> set[int]:
    """The frames that the report shows."""
    others = [r for r in results if r.status in (ALIGNED, FAILED)]
    order = sorted(others, key=lambda r: (r.status != FAILED, -(r.residual_px or 0.0), r.index))
    return {r.index for r in order[:N_THUMBNAILS]}


def _mask_bytes(valid: NDArray[np.bool_], path: Path) -> bytes:
    from ..frames.encoding import format_of

    format = format_of(str(path))
    if format not in ("png", "tiff"):
        raise OutputError(f"{path}: expected a .png or .tif file for the mask; rename it")
    samples = (valid.view(np.uint8) * np.uint8(255))[None, :, :, None]
    return encode(samples, Metadata(format=format, tags=MASK_TAGS if format == "tiff" else {}), format)
