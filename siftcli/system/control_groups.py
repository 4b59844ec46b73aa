"""Limits of Linux control groups: processor time and memory, as containers and batch systems set them.

A limit may stand at the process's own group or at any above it, and the least holds. Both versions are
read; with none of them (other systems, no such files) there is no limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path("/")


class _Mount(NamedTuple):
    """A mounted hierarchy of groups."""

    controllers: frozenset[str]
    """Empty for version 2, which has one hierarchy for all."""
    group: PurePosixPath
    """The group that is seen at the mount point; not ``/`` in some containers."""
    point: PurePosixPath


@cache
def cores_allowed(root: Path = ROOT) -> float | None:
    """The cores' worth of time that this process may use in a while, such as 1.5; None without a limit.

    It is read once, as the memory is.
    """
    shares = []
    for folder in _folders("cpu", root):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if not quota:
            quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(quota) and int(period):
            shares.append(int(quota) / int(period))
    return min(shares, default=None)


@cache
def memory_allowed(root: Path = ROOT) -> int | None:
    """The bytes of memory that this process's groups may use; None without a limit.

    They are read once: they are asked for at every image.
    """
    texts = (
        _text(folder / name)
        for folder in _folders("memory", root)
        for name in ("memory.max", "memory.limit_in_bytes")
    )
    return min((int(text) for text in texts if text.isdigit()), default=None)


def _folders(controller: str, root: Path) -> Iterator[Path]:
    """The folders of this process's groups that may limit something, and of all groups above them."""
    mounts = list(_mounts(_text(root / "proc/self/mountinfo")))
    for line in _text(root / "proc/self/cgroup").splitlines():
        names, _, group = line.partition(":")[2].partition(":")
        if not group or (names and controller not in names.split(",")):
            continue
        for mount in mounts:
            if bool(names) == bool(mount.controllers) and (not names or controller in mount.controllers):
                for place in _upwards(PurePosixPath(group), mount):
                    yield root / place.relative_to("/")


def _upwards(group: PurePosixPath, mount: _Mount) -> Iterator[PurePosixPath]:
    """The places of a group and of those above it, up to the mount point."""
    inside = group.relative_to(mount.group) if group.is_relative_to(mount.group) else PurePosixPath()
    if ".." not in inside.parts:  # of a process that was moved here from outside the namespace
        for above in (inside, *inside.parents):
            if above.parts:
                yield mount.point / above
    yield mount.point


def _mounts(text: str) -> Iterator[_Mount]:
    """The hierarchies in ``mountinfo``, see proc_pid_mountinfo(5)."""
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.partition(" ")
        if kind in ("cgroup", "cgroup2") and len(fields.split(" ")) >= 5:
            group, point = (PurePosixPath(_unescaped(field)) for field in fields.split(" ")[3:5])
            controllers = options.rpartition(" ")[2].split(",") if kind == "cgroup" else []
            yield _Mount(frozenset(controllers), group, point)


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
