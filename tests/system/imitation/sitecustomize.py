"""Makes every interpreter that starts with this folder in PYTHONPATH an imitation of another system.

Which one is in the environment variable ``IMITATED``: ``darwin`` or ``win32``. What that system lacks
(``lacking.py``) is taken out of the standard library before siftcli is imported, in worker processes too,
and siftcli's modules see its ``sys.platform``. Libraries, and the parts of the standard library that start
processes, are those of Linux and go on as there. What only Windows refuses is in ``windows.py``.
"""

from __future__ import annotations

import builtins
import errno
import fnmatch
import io
import os
import re
import sys
import types
from importlib import import_module

import callers
import windows
from lacking import LACKING, LACKING_MODULES

SYSTEM = os.environ["IMITATED"]

MACHINERY = (
    *("subprocess", "socket", "selectors", "tempfile", "shutil", "random", "uuid", "mmap", "platform"),
    *("multiprocessing", "multiprocessing.spawn", "multiprocessing.popen_fork", "multiprocessing.util"),
    *("multiprocessing.popen_spawn_posix", "multiprocessing.connection", "multiprocessing.process"),
    *("multiprocessing.resource_tracker", "multiprocessing.context", "multiprocessing.synchronize"),
    *("concurrent.futures.process", "concurrent.futures.thread", "sysconfig", "posixpath"),
)
"""Modules that keep a whole ``os`` and so on: Linux needs them itself."""


def imported_or_none(name: str) -> types.ModuleType | None:
    try:
        return import_module(name)
    except ImportError:
        return None


def copied(name: str) -> types.ModuleType:
    """A module as it is now."""
    copy = types.ModuleType(name)
    copy.__dict__.update(import_module(name).__dict__)
    return copy


def is_lacking(module: str, name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in LACKING[SYSTEM][module])


def take_away() -> dict[str, types.ModuleType]:
    """Take names and modules away; what is left whole, for libraries."""
    machinery = [import_module(name) for name in MACHINERY]
    whole = {name: copied(name) for name in LACKING[SYSTEM] if name != "sys"}
    for module in machinery:
        for alias, value in list(vars(module).items()):
            if isinstance(value, types.ModuleType) and value is sys.modules.get(value.__name__):
                setattr(module, alias, whole.get(value.__name__, value))
    for name in whole:
        for attribute in list(vars(sys.modules[name])):
            if is_lacking(name, attribute):
                delattr(sys.modules[name], attribute)
    for name in LACKING_MODULES[SYSTEM]:
        if module := imported_or_none(name):
            whole[name] = module
        sys.modules[name] = None  # type: ignore[assignment]
    return whole


class OtherSystem(types.ModuleType):
    """A ``sys`` with another ``platform``."""

    def __getattr__(self, name: str) -> object:
        if is_lacking("sys", name):
            raise AttributeError(name)
        return getattr(sys, name)


def import_as_there(whole: dict[str, types.ModuleType]) -> None:
    """Let siftcli import another ``sys``, and libraries import what is whole."""
    there = OtherSystem("sys")
    there.platform = SYSTEM  # type: ignore[attr-defined]
    import_ = builtins.__import__

    def imported(name, globals=None, locals=None, fromlist=(), level=0):
        caller = (globals or {}).get("__name__", "")
        if level == 0 and name == "sys" and callers.is_ours(caller):
            return there
        if level == 0 and name in whole and callers.is_library(caller):
            return whole[name]
        return import_(name, globals, locals, fromlist, level)

    builtins.__import__ = imported


def hide_proc() -> None:
    """Let siftcli find neither /proc nor /sys, which only Linux has."""
    open_ = builtins.open

    def opened(file, *args, **kwargs):
        if not isinstance(file, int) and re.match(r"/(proc|sys)/", str(file)) and callers.siftcli_called():
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(file))
        return open_(file, *args, **kwargs)

    io.open = builtins.open = opened  # type: ignore[assignment]


import_as_there(take_away())
hide_proc()
if SYSTEM == "win32":
    windows.begin()
