"""``siftcli match --pairs``: the form of the command for a collection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ParameterError
from ..formats import PAIR_FAILURES, PAIR_FAILURES_HEADER
from ..matching.options import MatchOptions
from . import INTERRUPTED_STATUS
from ._options import SIFT_OPTIONS
from ._output import complain, note, print_json, progress

if TYPE_CHECKING:
    from ..workflows.match_collection import PairOutcome, PairPlan

_FOR_TWO = ("rotate", "scale", "draw", "max_image_size", "nodata", *SIFT_OPTIONS)
"""Options that make sense for two images only."""
_DEFAULTS_FOR_TWO = {"stretch": "none", "page": 1}
"""More of them, with what they are when not given."""


def check_use(b: str | None, output: str | None, verbose: bool, quiet: bool, options: dict[str, Any]) -> None:
    """Refuse what belongs to the other form of the command.

    Raises
    ------
    ParameterError
        If an option of it is given, or a second input.
    """
    given = [name for name in _FOR_TWO if options.get(name) is not None]
    given += [name for name, value in _DEFAULTS_FOR_TWO.items() if options.get(name, value) != value]
    if b is not None or given:
        what = "a second input" if b is not None else f"--{given[0].replace('_', '-')}"
        raise ParameterError(f"--pairs matches the images of one collection; drop {what}, or --pairs")
    if output == "-":
        raise ParameterError("--pairs writes a .h5 or .db file, not the standard output; name one with -o")
    if verbose and quiet:
        raise ParameterError("-v and -q exclude each other; pass one of them")


def match_collection(
    source: str,
    pairs: str,
    search: MatchOptions,
    *,
    output: str | None,
    format: str | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **how: Any,
) -> int:
    """Match the pairs of a collection, as :func:`match_pairs` is told; return the exit status."""
    from ..parallel.interrupt import Interrupt
    from ..workflows.match_collection import match_pairs, plan_pairs

    plan = plan_pairs(source, pairs, output=output, format=format, overwrite=overwrite)
    results: list[PairOutcome] = []
    with Interrupt() as interrupt:
        outcomes = match_pairs(plan, search, stop=lambda: interrupt.is_wanted, **how)
        _follow(outcomes, plan, results, as_json=as_json, quiet=quiet)
    n_left = len(plan.pairs) - len(results)
    if not quiet:
        note(f"{_counts(results)}{f', {n_left} not begun' if n_left else ''} -> {plan.target}")
    if interrupt.is_wanted:
        complain(f"interrupted, {n_left} not begun; run the same command again to go on")
        return INTERRUPTED_STATUS
    return 1 if any(outcome.error is not None for outcome in results) else 0


def _follow(
    outcomes: Iterator[PairOutcome], plan: PairPlan, results: list[PairOutcome], *, as_json: bool, quiet: bool
) -> None:
    """Report what becomes of each pair; in the end, also an early one, list the failures."""
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


def _counts(results: list[PairOutcome]) -> str:
    kept = sum(outcome.skipped for outcome in results)
    failed = sum(outcome.error is not None for outcome in results)
    verified = sum(outcome.is_verified for outcome in results)
    text = f"{len(results)} pairs, {verified} verified, {failed} failed"
    return f"{text}, {kept} kept as they were" if kept else text
