"""What ``siftcli detect`` prints of each image and at the end of a batch."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..formats import FAILURES, FAILURES_HEADER
from ..words import counted
from . import INTERRUPTED_STATUS
from ._hints import Hints
from ._output import complain, note, print_json, print_table, say, summary_rows
from ._progress import progress

if TYPE_CHECKING:
    from ..params import SiftParams
    from ..workflows.detect_image import Outcome
    from ..workflows.detect_plan import Plan


class Reporter:
    """Prints the result of each image, as the options ask."""

    def __init__(self, plan: Plan, *, as_json: bool, verbose: bool, quiet: bool) -> None:
        self.plan, self.as_json, self.verbose, self.quiet = plan, as_json, verbose, quiet
        self.n_kept = self.n_unknown = self.n_done = 0
        self.failed: list[Outcome] = []
        self.has_told_frame = False
        self.hints = Hints()

    @property
    def n_left(self) -> int:
        """Number of images that an interrupted run has not begun."""
        return len(self.plan.jobs) - self.n_done

    @property
    def kept(self) -> str:
        """Text on the images whose features the output already had."""
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
            return  # a bar shows the progress, and a last line the result
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
        f"{counted(info['n_keypoints'], 'keypoint')}, {outcome.time_s:.2f} s"
    )


def tell_before(plan: Plan, params: SiftParams, options: Mapping[str, Any]) -> None:
    """Tell what the format cannot store, and how much memory several processes may need."""
    if plan.loss:
        note(plan.loss)
    if len(plan.jobs) == 1 or options["dask"] is not None:
        return
    from ..workflows.detect_memory import forecast

    names = ("jobs", "threads", "max_image_size")
    found = forecast(plan, params, **{name: options[name] for name in names})
    if found is not None and (found.jobs > 1 or found.fitting_jobs < found.jobs):
        note(found)


def follow(outcomes: Iterator[Outcome], report: Reporter) -> None:
    """Report on each image; list the failures, also when the run ends early."""
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


def conclude(report: Reporter, output: str | None, *, is_interrupted: bool) -> int:
    """Print the result of a batch; return the exit status."""
    plan = report.plan
    left = f", {report.n_left} not begun" if report.n_left else ""
    if plan.failures_folder is not None and (plan.is_batch or report.n_kept) and not report.quiet:
        note(
            f"{counted(len(plan.jobs), 'image')}, {len(report.failed)} failed{report.kept}{left} -> {output}"
        )
    if is_interrupted:
        complain(f"interrupted{left}; {plan.resume_hint}" if report.n_left else "interrupted")
        return INTERRUPTED_STATUS
    return 1 if report.failed else 0
