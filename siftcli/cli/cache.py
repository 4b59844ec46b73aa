"""``siftcli cache``."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..system.cores import usable_cores
from ..words import counted
from ._modes import Command
from ._options import json_option, quiet_option
from ._output import note, print_json, print_table, say
from ._progress import progress
from ._types import WholeNumber

if TYPE_CHECKING:
    from ..kernels.upkeep import Kept

SCHEMA = 1


@click.command("cache", cls=Command, short_help="Show, warm or clear the cache of compiled kernels.")
@click.argument("action", type=click.Choice(("show", "warm", "clear")), default="show")
@click.option("--jobs", type=WholeNumber(), help="Processes that compile. When not given, one for each core.")
@json_option
@quiet_option
def command(action: str, jobs: int | None, as_json: bool, quiet: bool) -> None:
    """Show, warm or clear the cache of compiled kernels.

    Kernels are compiled for this machine when they are first used, which takes a first run some 10 s.
    'warm' compiles those of detection, description and matching now, side by side: after an installation,
    or where a container is built. 'show' lists what is kept and where, 'clear' removes it. What has not
    been used for 90 days is removed when something new is compiled.

    Exit status: 0 done, 1 the cache cannot be read or written, 2 wrong usage, 130 interrupted.
    """
    if action == "warm":
        _warm(jobs or usable_cores(), as_json=as_json, quiet=quiet)
        return
    from ..kernels.upkeep import kept
    from ..workflows.kernel_cache import clear, folder

    where = folder()
    entries = kept(where)
    if action == "show":
        _show(where, entries, as_json=as_json)
        return
    n_files, n_bytes = clear(entries)
    if as_json:
        print_json({"schema": SCHEMA, "folder": str(where), "n_files": n_files, "n_bytes": n_bytes})
    else:
        say(f"removed {counted(n_files, 'file')}, {_size(n_bytes)}, from {where}")


def _warm(jobs: int, *, as_json: bool, quiet: bool) -> None:
    from ..kernels.ahead import MODULES
    from ..workflows.kernel_cache import warm

    began = time.perf_counter()
    if not (quiet or as_json):
        note(f"compiling the kernels that are not in the cache, with {counted(jobs, 'process', 'processes')}")
    with progress(warm(jobs), len(MODULES), show=not (quiet or as_json), unit="modules") as tracked:
        found = sorted(tracked, key=lambda done: -done.time_s)
    time_s = time.perf_counter() - began
    n_compiled = sum(done.n_compiled for done in found)
    if as_json:
        modules = [
            {"module": done.module, "n_compiled": done.n_compiled, "time_s": done.time_s} for done in found
        ]
        print_json({"schema": SCHEMA, "n_compiled": n_compiled, "time_s": time_s, "modules": modules})
        return
    if quiet:
        return
    rows = [(done.module, done.n_compiled, f"{done.time_s:.1f}") for done in found]
    print_table("warmed", rows, heads=("module", "compiled", "seconds"))
    say(f"{counted(n_compiled, 'kernel')} compiled in {time_s:.1f} s")


def _show(where: Path, entries: list[Kept], *, as_json: bool) -> None:
    from ..kernels.upkeep import UNUSED_DAYS

    by_kernel: dict[str, list[Kept]] = {}
    for entry in entries:
        by_kernel.setdefault(entry.kernel, []).append(entry)
    kernels: list[dict[str, Any]] = [
        {
            "name": name,
            "n_variants": len(variants),
            "n_files": sum(len(entry.files) for entry in variants),
            "n_bytes": sum(entry.n_bytes for entry in variants),
            "last_used": _day(max(entry.last_used for entry in variants)),
            "oldest_used": _day(min(entry.last_used for entry in variants)),
        }
        for name, variants in sorted(by_kernel.items())
    ]
    total = sum(kernel["n_bytes"] for kernel in kernels)
    if as_json:
        shown = {"schema": SCHEMA, "folder": str(where), "n_bytes": total, "unused_days": UNUSED_DAYS}
        print_json({**shown, "kernels": kernels})
        return
    if not kernels:
        say(f"{where}: empty; 'siftcli cache warm' fills it")
        return
    rows = [
        (
            k["name"].removeprefix("siftcli."),
            k["n_variants"],
            _size(k["n_bytes"]),
            k["last_used"],
            k["oldest_used"],
        )
        for k in kernels
    ]
    heads = ("kernel", "variants", "size", "last used", "oldest used")
    print_table(str(where), rows, heads=heads)
    say(f"{_size(total)}; what is not used for {UNUSED_DAYS} days is removed when something is compiled")


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().date().isoformat()


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.0f} KB"
