"""``siftcli match --pairs``: the form of the command for a collection."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ParameterError
from ..formats import PAIR_FAILURES, PAIR_FAILURES_HEADER
from ..matching.options import MatchOptions
from . import INTERRUPTED_STATUS
from ._graph_options import GraphPage
from ._output import complain, note, print_circumstances, print_json, progress

if TYPE_CHECKING:
    from ..workflows.match_collection import PairOutcome, PairPlan


def match_collection(
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
    **how: Any,
) -> int:
    """Match the pairs of a collection (``how`` as for :func:`match_pairs`); return the exit status."""
    if output == "-":
        raise ParameterError("--pairs cannot write to the standard output; name a .h5 or .db file with -o")

    page.check()

    from ..parallel.interrupt import Interrupt
    from ..workflows.match_collection import match_pairs, plan_pairs

    plan = plan_pairs(source, pairs, output=output, format=format, overwrite=overwrite)
    results: list[PairOutcome] = []
    start = time.perf_counter()
    with Interrupt() as interrupt:
        outcomes = match_pairs(plan, search, stop=lambda: interrupt.is_wanted, **how)
        _follow(outcomes, plan, results, as_json=as_json, quiet=quiet)
    if verbose:
        print_circumstances(how["threads"], time.perf_counter() - start)
    status = _conclude(plan, results, quiet=quiet, is_interrupted=interrupt.is_wanted)
    if page.target is not None and not interrupt.is_wanted:
        page.write(plan.target, plan.target_format, quiet=quiet)
    return status


def _follow(
    outcomes: Iterator[PairOutcome], plan: PairPlan, results: list[PairOutcome], *, as_json: bool, quiet: bool
) -> None:
    """Report on each pair; list the failures, also when the run ends early."""
    from ..io.failures import write_failures

    try:
        with progress(outcomes, len(plan.pairs), show=not quiet, unit="pairs") as tracked:
            for outcome in tracked:
                results.append(outcome)
                if outcome.error is not None:
                    complain(outcome.error)
                if as_json:
                    print_json(outcome.to_dict())
    finally:
        if results:
            rows = [(*outcome.names, outcome.error) for outcome in results if outcome.error is not None]
            write_failures(Path(plan.target).parent / PAIR_FAILURES, PAIR_FAILURES_HEADER, rows)


def _conclude(plan: PairPlan, results: list[PairOutcome], *, quiet: bool, is_interrupted: bool) -> int:
    """Print the result; return the exit status."""
    n_left = len(plan.pairs) - len(results)
    if not quiet:
        note(f"{_counts(results)}{f', {n_left} not begun' if n_left else ''} -> {plan.target}")
    if is_interrupted:
        complain(f"interrupted, {n_left} not begun; run the same command again to resume")
        return INTERRUPTED_STATUS
    return 1 if any(outcome.error is not None for outcome in results) else 0


def _counts(results: list[PairOutcome]) -> str:
    kept = sum(outcome.skipped for outcome in results)
    failed = sum(outcome.error is not None for outcome in results)
    verified = sum(outcome.is_verified for outcome in results)
    text = f"{len(results)} pairs, {verified} verified, {failed} failed"
    return f"{text}, {kept} kept as they were" if kept else text
