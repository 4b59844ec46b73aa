"""Announce the worker processes of a command before its own modules are imported."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from itertools import islice
from pathlib import Path

from ..parallel.sharing import SMALLEST_BATCH

_DETECTION = "siftcli.workflows.detect_image", "siftcli.detection", "siftcli.image.pillow"
_MATCHING = (
    "siftcli.matching.search",
    "siftcli.workflows.match_collection",
    "siftcli.formats.colmap_db",
    "poselib",
)


def announce_detection(inputs: tuple[str, ...], jobs: int | None, dask: str | None) -> None:
    """Announce workers if a run on these inputs will probably have several; a wrong guess costs 0.2 s."""
    least = SMALLEST_BATCH if jobs is None else 2
    if jobs != 1 and dask is None and _seem_at_least(inputs, least):
        _compile_first()
        _announce(_DETECTION)


def announce_matching(jobs: int | None, dask: str | None) -> None:
    """Announce the workers of a collection."""
    if jobs != 1 and dask is None:
        _announce(_MATCHING)


def _seem_at_least(inputs: tuple[str, ...], least: int) -> bool:
    """Whether there are this many inputs, or entries of a folder that is the only one."""
    if len(inputs) == 1:
        with suppress(OSError, ValueError):  # no folder: what it is, is told when it is read
            return len(list(islice(Path(inputs[0]).iterdir(), least))) == least
    return len(inputs) >= least


def _compile_first() -> None:
    """Where nothing was ever compiled, do that here, on all cores: the server would on one."""
    from ..kernels.cache import cache_folder  # late: it imports NumPy, after what a command sets for it

    folder = cache_folder()
    if folder is not None and not any(Path(folder).glob("numba-*")):
        import_module("siftcli.detection")


def _announce(modules: tuple[str, ...]) -> None:
    from ..parallel.starting import announce_workers  # late: most commands have no workers

    announce_workers(*modules)
