"""Turn the user's request into the settings and the tasks of an evaluation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError, ParameterError
from ..image.decoding import check_kind
from ..io.work_list import ImageFile, Tell, find_images, require_files
from .datasets import DATASETS
from .options import DEFAULT_DETECTORS, DEFAULT_SWEEPS, DEFAULT_VALUES, MODES
from .runner import plan_sweeps
from .settings import Settings
from .work import Task


def make_request(
    inputs: Sequence[str],
    folder: str,
    *,
    sweeps: Sequence[str] = DEFAULT_SWEEPS[:1],
    angles: Sequence[float] | None = None,
    mode: str = MODES[0],
    detectors: Sequence[str] = DEFAULT_DETECTORS,
    dataset: str | None = None,
    tell: Tell = lambda _line: None,
    **options: Any,
) -> tuple[Settings, list[Task]]:
    """Check a request and list its tasks.

    Parameters
    ----------
    inputs
        Images and folders of images; for a dataset, its folder or CSV file.
    folder
        Folder for the results; images in it are not used as inputs.
    sweeps
        Names of sweeps. ``rotation`` rotates in the given mode; in mode ``"rendered"`` it also adds
        the lossless rotations by 90, 180 and 270°.
    angles
        Angles of the rotation sweep in degrees; every 15° by default.
    mode
        ``"rendered"`` or ``"canvas"``.
    detectors
        As for :class:`Settings`.
    dataset
        ``"oxford"``, ``"hpatches"`` or ``"csv"``: pairs of photographs instead of sweeps.
    tell
        Called with a line of text about images in the folders that are not read.
    **options
        ``max_features``, ``seed``, ``stretch`` and ``nodata``, as for :class:`Settings`.

    Raises
    ------
    ParameterError, InputError, MissingDependencyError
        If the request is inconsistent, an input cannot be read, or a detector is not installed.

    Returns
    -------
    settings, tasks
        The settings, and the tasks in the order in which they are run.
    """
    options["detectors"] = tuple(detectors)
    if dataset is not None:
        reading: dict[str, Any] = {name: options[name] for name in ("stretch", "nodata") if name in options}
        for path in inputs:
            if not os.path.lexists(path):
                raise InputError(f"{path}: no such file or folder; check the path")
        jobs = [job for path in inputs for job in DATASETS[dataset](Path(path), reading)]
        names = list(dict.fromkeys(job.transform.sweep for job in jobs))
        return Settings.for_dataset(names, **options), jobs
    settings = Settings(sweeps=_values(sweeps, angles, mode), **options)
    output = Path(os.path.abspath(folder))  # noqa: PTH100  Path.resolve would follow links
    images = [i for i in find_images(inputs, tell=tell) if output not in Path(i.path).absolute().parents]
    if not images:
        raise InputError(
            f"{inputs[0]}: holds no images except those of {folder}; choose another folder of images"
        )
    require_files(images)
    _require_an_image(images)
    return settings, plan_sweeps(images, settings)


def _require_an_image(images: Sequence[ImageFile]) -> None:
    """Check that one of the files at least is an image, by its first bytes."""
    reasons = []
    for image in images:
        try:
            check_kind(image.path)
        except InputError as error:
            reasons.append(error)
        else:
            return
    raise reasons[0]


def _values(sweeps: Sequence[str], angles: Sequence[float] | None, mode: str) -> dict[str, tuple[float, ...]]:
    """The values of each sweep; rotation is replaced by the sweep of the given mode."""
    values: dict[str, tuple[float, ...]] = {}
    for name in sweeps:
        if name == "rotation" and mode == "canvas":
            name = "canvas"  # noqa: PLW2901
        if name not in DEFAULT_VALUES:
            raise ParameterError(f"unknown sweep {name!r}; expected some of {', '.join(DEFAULT_VALUES)}")
        values[name] = DEFAULT_VALUES[name]
        if name in ("rotation", "canvas") and angles is not None:
            values[name] = tuple(angles)
        if name == "rotation":
            values["lossless"] = DEFAULT_VALUES["lossless"]
    return values
