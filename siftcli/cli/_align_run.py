"""How ``siftcli align`` runs, and what it prints."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..words import counted
from ._options import tell_jobs
from ._output import complain, note, print_circumstances, print_json, print_table, say_nothing
from ._progress import progress

if TYPE_CHECKING:
    from ..workflows.align import AlignRun
    from ..workflows.align_plan import Plan
    from ..workflows.align_results import FrameResult

LARGEST_TABLE = 30
"""Frames that are listed; of more, those that failed and the worst."""
N_WORST = 10
_HEADS = ("frame", "", "inliers", "residual px", "shift x", "shift y", "rotation °", "scale")


def run_align(
    inputs: tuple[str, ...],
    how: dict[str, Any],
    *,
    targets: dict[str, Any],
    request: dict[str, Any],
    to: str,
    neighbours: int | None,
    output: tuple[bool, bool, bool],
) -> int:
    """Align, write and print; return the exit status."""
    # Products of 2 x 3 numbers gain nothing from threads of BLAS, which take four times the processor time.
    # It has an effect because NumPy is not loaded yet, and in the processes that are started.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from ..parallel.interrupt import Interrupt
    from ..workflows.align import Request, run
    from ..workflows.align_plan import Targets, make_plan
    from ..workflows.align_work import Options

    as_json, verbose, quiet = output
    plan = make_plan(
        inputs, Targets(**targets), to=to, neighbours=neighbours, tell=say_nothing if quiet else note
    )
    tell_jobs(request["jobs"], len(plan.frames), "frame", quiet=quiet)
    start = time.perf_counter()

    def follow(items: Iterator[Any], total: int, unit: str) -> Iterator[Any]:
        with progress(items, total, show=not quiet, unit=unit) as tracked:
            yield from tracked

    with Interrupt() as interrupt:
        result = run(
            plan, Options(**how), Request(**request), follow=follow, stop=lambda: interrupt.is_wanted
        )
    if result.is_interrupted:
        from . import INTERRUPTED_STATUS

        complain("interrupted; run the same command again to resume")
        return INTERRUPTED_STATUS
    if plan.targets.report is not None:
        from ..report.align import write_align_report

        write_align_report(plan, result, how["align"], plan.targets.report)
    _print(plan, result, as_json=as_json, quiet=quiet)
    if verbose:
        print_circumstances(how["threads"], time.perf_counter() - start)
    return 1 if result.failed else 0


def _print(plan: Plan, result: AlignRun, *, as_json: bool, quiet: bool) -> None:
    for frame in result.failed:
        complain(f"{frame.frame.label}: not aligned: {frame.reason}")
    if as_json:
        for frame in result.frames:
            print_json(frame.to_dict())
        return
    if quiet:
        return
    listed = _listed(result.frames)
    print_table(_title(plan, result), [_row(frame) for frame in listed], heads=_HEADS, n_names=2)
    for path in (plan.targets.output, plan.targets.transforms, plan.targets.report):
        if path is not None:
            note(f"-> {path}")


def _title(plan: Plan, result: AlignRun) -> str:
    width, height = result.canvas.size
    counts = (
        f"{counted(len(result.frames), 'frame')}, {len(result.failed)} not aligned, {width} x {height} pixels"
    )
    drifts = [frame.drift_px for frame in result.frames if frame.drift_px is not None]
    removed = f"; drift of up to {max(drifts):.2f} px removed" if drifts else ""
    more = "" if len(result.frames) <= LARGEST_TABLE else f"; the {N_WORST} with the largest residuals:"
    return counts + removed + more


def _listed(frames: list[FrameResult]) -> list[FrameResult]:
    if len(frames) <= LARGEST_TABLE:
        return frames
    worst = sorted(
        frames, key=lambda frame: (frame.status != "failed", -(frame.residual_px or 0), frame.index)
    )
    n_failed = sum(frame.status == "failed" for frame in frames)
    return sorted(worst[: n_failed + N_WORST], key=lambda frame: frame.index)


def _row(frame: FrameResult) -> tuple[str, ...]:
    found = frame.to_dict()
    if frame.status != "aligned":
        return (frame.frame.name, frame.status, *[""] * 6)
    residual = "" if frame.residual_px is None else f"{frame.residual_px:.3f}"
    inliers = str(frame.n_inliers) if frame.n_pairs else ""
    x, y = found["shift"]
    return (
        frame.frame.name, "", inliers, residual,
        f"{x:z.2f}", f"{y:z.2f}", f"{found['rotation_deg']:z.3f}", f"{found['scale']:.5f}",
    )  # fmt: skip
