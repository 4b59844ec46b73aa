"""Files of a training: the weights at its end, and beside them the state of an unfinished one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, OutputError, ParameterError
from ..formats.npz import read_arrays
from ..system.files import replace
from . import network, weights
from .network import SHAPES
from .training import Epoch, State


def checkpoint_path(output: Path) -> Path:
    """The file that an unfinished training leaves beside its output."""
    return output.with_name(f"{output.name}.unfinished")


def save(path: Path, parameters: network.Parameters, about: Mapping[str, Any], state: State | None) -> None:
    """Write weights, whole or not at all; with the state of an unfinished training, to resume it."""
    more: dict[str, NDArray[Any]] = {}
    if state is not None:
        more = {f"mean_{name}": a for name, a in state.mean.items()}
        more |= {f"square_{name}": a for name, a in state.square.items()}
        more |= {"step": np.array(state.step), "history": np.array(_history_text(state.history))}
    data = weights.encode(weights.Weights({name: parameters[name] for name in SHAPES}, about), **more)
    beside = path.with_name(f"{path.name}.tmp")
    try:
        beside.write_bytes(data)
        replace(beside, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another place") from error


def resume(path: Path, about: Mapping[str, Any]) -> State:
    """The state that an earlier run with the same settings has left.

    Raises
    ------
    ParameterError
        If it was a run with other settings.
    InputError
        If the file is damaged.
    """
    data = weights.read(path)
    found = weights.decode(data, path)
    differing = [key for key in about if key != "command" and found.about.get(key) != about[key]]
    if differing:
        raise ParameterError(
            f"{path}: was begun with other {', '.join(differing)}; give the same again, or pass --overwrite"
        )
    names = [f"{kind}_{name}" for kind in ("mean", "square") for name in SHAPES]
    arrays = read_arrays(data, [*names, "step", "history"])
    try:
        mean, square = (
            {
                name: np.array(arrays[f"{kind}_{name}"], np.float32).reshape(shape)
                for name, shape in SHAPES.items()
            }
            for kind in ("mean", "square")
        )
        history = [Epoch(**epoch) for epoch in json.loads(str(arrays["history"]))]
        parameters = {name: np.array(p) for name, p in found.parameters.items()}
        return State(parameters, mean, square, int(arrays["step"]), history)
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: expected the state of a training; pass --overwrite to begin anew"
        ) from error


def _history_text(history: Sequence[Epoch]) -> str:
    return json.dumps([asdict(epoch) for epoch in history])
