"""``siftcli match --pairs``: the form of the command for a collection."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ParameterError
from ..formats import PAIR_FAILURES, PAIR_FAILURES_HEADER
from ..matching.options import MatchOptions
from ..pairs.request import SIMILAR, parse_pairs
from ..words import counted
from . import INTERRUPTED_STATUS
from ._graph_options import GraphPage
from ._options import tell_jobs
from ._output import complain, note, print_circumstances, print_json, say_nothing
from ._progress import progress, waiting
from ._workers import announce_matching

if TYPE_CHECKING:
    from ..workflows.match_collection import PairOutcome
    from ..workflows.match_plan import PairPlan


@dataclass
class _Tally:
    """What became of the pairs so far. Only failures are kept one by one."""

    n_pairs: int = 0
    n_kept: int = 0
    n_verified: int = 0
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    """Two names and the reason; one name if an image could not be indexed."""

    def add(self, outcome: PairOutcome) -> None:
        """Count a pair."""
        self.n_pairs += 1
        self.n_kept += outcome.skipped
        self.n_verified += outcome.is_verified
        if outcome.error is not None:
            self.fail(*outcome.names, outcome.error)

    def fail(self, first: str, second: str, error: str) -> None:
        """Report and list a failure."""
        complain(error)
        self.failures.append((first, second, error))

    def __str__(self) -> str:
        n_failed = len(self.failures)
        if not self.n_kept:
            return f"{counted(self.n_pairs, 'pair')}, {self.n_verified} verified, {n_failed} failed"
        n_now = self.n_pairs - self.n_kept
        now = (
            f"{counted(n_now, 'pair')} matched now, {self.n_verified} verified"
            if n_now
            else "nothing to match"
        )
        return f"{now}, {n_failed} failed, {self.n_kept} kept as they were"


def match_collection(  # noqa: PLR0913  the options of a command
    source: str,
    pairs: str,
    search: MatchOptions,
    page: GraphPage,
    *,
    output: str | None,
    format: str | None,
    overwrite: bool,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    jobs: int | None,
    dask: str | None,
    **how: Any,
) -> int:
    """Match the pairs of a collection (``how`` as for :func:`match_pairs`); return the exit status."""
    if output == "-":
        raise ParameterError("--pairs cannot write to the standard output; name a .h5 or .db file with -o")
    wanted = parse_pairs(pairs)
    page.check()
    announce_matching(jobs, dask)

    from ..parallel.interrupt import Interrupt
    from ..workflows.match_collection import match_pairs
    from ..workflows.match_plan import plan_pairs, plan_target

    start, tally, to = time.perf_counter(), _Tally(), {"output": output, "format": format}
    target = plan_target(source, **to).target
    with Interrupt() as interrupt, _failures_listed(tally, Path(target).parent):
        run: dict[str, Any] = {"jobs": jobs, "dask": dask, "stop": lambda: interrupt.is_wanted}
        if any(one.kind == SIMILAR for one in wanted) and (n_left := _index(source, tally, run, quiet=quiet)):
            complain(
                f"interrupted, {counted(n_left, 'image')} not indexed; run the same command again to resume"
            )
            return INTERRUPTED_STATUS
        tell = say_nothing if quiet else note
        with waiting("choosing pairs", show=not quiet):
            plan = plan_pairs(source, wanted, images=page.images, overwrite=overwrite, tell=tell, **to)
        tell_jobs(jobs, len(plan.pairs), "pair", quiet=quiet)
        outcomes = match_pairs(plan, search, **run, **how)
        with progress(outcomes, len(plan.pairs), show=not quiet, unit="pairs") as tracked:
            for outcome in tracked:
                tally.add(outcome)
                if as_json:
                    print_json(outcome.to_dict())
    if verbose:
        print_circumstances(how["threads"], time.perf_counter() - start)
    status = _conclude(plan, tally, quiet=quiet, is_interrupted=interrupt.is_wanted)
    if page.target is not None and not interrupt.is_wanted:
        page.write(plan.target, plan.target_format, quiet=quiet)
    return status


@contextmanager
def _failures_listed(tally: _Tally, folder: Path) -> Iterator[None]:
    """List the failures at the end, also when the run ends early."""
    from ..io.failures import write_failures

    try:
        yield
    finally:
        if tally.n_pairs or tally.failures:
            write_failures(folder / PAIR_FAILURES, PAIR_FAILURES_HEADER, tally.failures)


def _index(source: str, tally: _Tally, run: dict[str, Any], *, quiet: bool) -> int:
    """Index the images of the collection; return how many are left."""
    from ..workflows.retrieval import collection_names, index_images

    names = collection_names(source)
    n_done = n_kept = 0
    with progress(index_images(source, names, **run), len(names), show=not quiet) as tracked:
        for image in tracked:
            n_done += 1
            n_kept += image.skipped
            if image.error is not None:
                tally.fail(image.name, "", image.error)
    if not quiet:
        note(f"{counted(n_done, 'image')} indexed, {n_kept} kept as they were -> {source}.retrieval")
    return len(names) - n_done


def _total(plan: PairPlan) -> str:
    """What the output of several runs holds."""
    from ..workflows.collection_info import stored_totals

    n_pairs, n_verified = stored_totals(plan.target, plan.target_format)
    verified = "none verified with a model" if n_verified is None else f"{n_verified} verified"
    return f"; in all {counted(n_pairs, 'pair')}, {verified}"


def _conclude(plan: PairPlan, tally: _Tally, *, quiet: bool, is_interrupted: bool) -> int:
    """Print the result; return the exit status."""
    n_left = len(plan.pairs) - tally.n_pairs
    if not quiet:
        total = _total(plan) if tally.n_kept else ""
        note(f"{tally}{f', {n_left} not begun' if n_left else ''}{total} -> {plan.target}")
    if is_interrupted:
        complain(f"interrupted, {n_left} not begun; run the same command again to resume")
        return INTERRUPTED_STATUS
    return 1 if tally.failures else 0
