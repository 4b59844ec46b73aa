"""Training of the orientation network: examples, mini-batches, Adam, a held-out part, checkpoints.

Everything random is drawn for (seed, epoch, image), so a run that was stopped and taken up again
ends with the bytes of one that was not, and the number of threads changes nothing but the time.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, OutputError, ParameterError
from ..evaluation.metrics import angle_difference
from ..formats.npz import read_arrays
from . import layers, network, weights
from .network import N_CLASSES, SHAPES
from .samples import Examples, Scene, photograph, targets, variants

DEFAULT_EPOCHS = 120
BATCH_SIZE = 128
LEARNING_RATE = 3e-3
"""At the start; it falls to 0 along half a cosine (Loshchilov and Hutter 2017, equation 5)."""
WARM_UP_EPOCHS = 2
MEAN_DECAY, SQUARE_DECAY, EPSILON = 0.9, 0.99, 1e-8
"""Adam (Kingma and Ba 2015, algorithm 1)."""
HELD_OUT_SHARE = 0.2
"""Of the images, at least one: none of their views is trained on."""
HELD_OUT_VIEWS = 6
"""Views of each image held out; the same in every epoch."""
ACCURATE_DEG = 10.0
MIN_KEYPOINTS = 20
"""An image with fewer has nothing to teach."""

_TRAIN, _HELD_OUT, _SPLIT, _SHUFFLE, _START = range(5)
"""What random numbers are drawn for."""


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to."""

    number: int
    """From 1."""
    loss: float
    """Mean over the batches, while they were trained on."""
    held_out_loss: float
    held_out_accuracy: float
    """Share of the held-out patches whose strongest orientation is within 10° of the answer."""


@dataclass(frozen=True, eq=False)
class Split:
    """Scenes (the four variants of each image) by what they are for."""

    train: list[list[Scene]]
    held_out: list[list[Scene]]

    @property
    def names(self) -> dict[str, list[str]]:
        """Names of the images of each part."""
        return {part: [image[0].name for image in getattr(self, part)] for part in ("train", "held_out")}


@dataclass(eq=False)
class State:
    """All that an unfinished training consists of."""

    parameters: dict[str, NDArray[np.float32]]
    mean: dict[str, NDArray[np.float32]]
    square: dict[str, NDArray[np.float32]]
    step: int
    history: list[Epoch]

    @classmethod
    def first(cls, seed: int) -> State:
        """Random weights, nothing learned."""
        parameters = network.initial_parameters(np.random.default_rng([seed, _START]))
        zeros = [{name: np.zeros_like(p) for name, p in parameters.items()} for _ in range(2)]
        return cls(parameters, *zeros, step=0, history=[])


def split_of(images: Sequence[tuple[str, NDArray[np.float32]]], seed: int) -> Split:
    """Find the keypoints of images (name, grey) and part them.

    Raises
    ------
    InputError
        If fewer than two images have keypoints enough.
    """
    scenes = [variants(name, grey) for name, grey in images]
    useful = [image for image in scenes if len(image[0].xy) >= MIN_KEYPOINTS]
    if len(useful) < 2:
        raise InputError(
            f"expected at least 2 images with {MIN_KEYPOINTS} keypoints, one to train on and one to hold out; "
            f"got {len(useful)}: give more images"
        )
    order = np.random.default_rng([seed, _SPLIT]).permutation(len(useful))
    n_held_out = max(1, round(HELD_OUT_SHARE * len(useful)))
    held_out = set(order[:n_held_out].tolist())
    return Split(
        [image for i, image in enumerate(useful) if i not in held_out],
        [image for i, image in enumerate(useful) if i in held_out],
    )


def held_out_examples(split: Split, seed: int) -> list[Examples]:
    """The views that accuracy is measured on, with what the histogram finds in them."""
    return [
        photograph(image[0], np.random.default_rng([seed, _HELD_OUT, i, view]), with_histogram=True)
        for i, image in enumerate(split.held_out)
        for view in range(HELD_OUT_VIEWS)
    ]


def train(
    split: Split, test: Sequence[Examples], state: State, *, epochs: int, seed: int, jobs: int = 1
) -> Iterator[State]:
    """Train until ``epochs`` are done.

    Parameters
    ----------
    split
        The scenes.
    test
        Held-out examples.
    state
        Where to begin; it is changed.
    epochs
        In all, those done before included. The learning rate depends on it.
    seed
        Of everything random.
    jobs
        Threads that take views of the images; the result does not depend on it.

    Yields
    ------
    State
        After each epoch.
    """
    with ThreadPoolExecutor(jobs) as pool:
        first = len(state.history)
        coming = _views(split, first, seed, pool) if first < epochs else []
        for epoch in range(first, epochs):
            views = [view.result() for view in coming]
            coming = _views(split, epoch + 1, seed, pool) if epoch + 1 < epochs else []
            loss = _learn(views, state, epoch, epochs, seed)
            held_out_loss, accuracy = judge(state.parameters, test)
            state.history.append(Epoch(epoch + 1, loss, held_out_loss, accuracy))
            yield state


def _views(split: Split, epoch: int, seed: int, pool: ThreadPoolExecutor) -> list[Future[Examples]]:
    """A view of each image's four variants, turned about one by one: what an epoch learns from."""
    rngs = [np.random.default_rng([seed, _TRAIN, epoch, i]) for i in range(len(split.train))]
    return [
        pool.submit(photograph, image[rng.integers(len(image))], rng)
        for image, rng in zip(split.train, rngs, strict=True)
    ]


def _learn(views: Sequence[Examples], state: State, epoch: int, epochs: int, seed: int) -> float:
    """One pass over the examples in mini-batches; the mean loss."""
    patches = np.concatenate([view.patches for view in views])
    answers = np.concatenate([targets(view.angles) for view in views])
    order = np.random.default_rng([seed, _SHUFFLE, epoch]).permutation(len(patches))
    batches = np.array_split(order, max(1, len(order) // BATCH_SIZE))
    losses = []
    for i, rows in enumerate(batches):
        scores, trace = network.forward(state.parameters, patches[rows])
        loss, dscores = layers.softmax_cross_entropy(scores, answers[rows])
        losses.append(loss)
        adam(state, network.backward(state.parameters, trace, dscores), rate(epoch + i / len(batches), epochs))
    return float(np.mean(losses))


def rate(epoch: float, epochs: int) -> float:
    """The learning rate after some, possibly broken, number of epochs."""
    warm = min(1.0, (epoch + 1e-2) / min(WARM_UP_EPOCHS, epochs))
    return LEARNING_RATE * warm * 0.5 * (1 + math.cos(math.pi * epoch / epochs))


def adam(state: State, gradients: Mapping[str, layers.Array], learning_rate: float) -> None:
    """One step of Adam (Kingma and Ba 2015, algorithm 1)."""
    state.step += 1
    for name, gradient in gradients.items():
        mean, square = state.mean[name], state.square[name]
        mean += np.float32(1 - MEAN_DECAY) * (gradient - mean)
        square += np.float32(1 - SQUARE_DECAY) * (gradient**2 - square)
        unbiased_mean = mean / np.float32(1 - MEAN_DECAY**state.step)
        unbiased_square = square / np.float32(1 - SQUARE_DECAY**state.step)
        change = np.float32(learning_rate) * unbiased_mean / (np.sqrt(unbiased_square) + np.float32(EPSILON))
        state.parameters[name] -= change


# --- how good it is ------------------------------------------------------------------------------


def judge(parameters: network.Parameters, examples: Sequence[Examples]) -> tuple[float, float]:
    """Mean loss over examples, and the share whose strongest orientation is within 10° of the answer."""
    losses, hits, counts = [], [], []
    for example in examples:
        scores, _ = network.forward(parameters, example.patches)
        losses.append(layers.softmax_cross_entropy(scores, targets(example.angles))[0] * len(scores))
        hits.append(n_accurate(strongest(scores), example))
        counts.append(len(scores))
    return float(sum(losses) / sum(counts)), sum(hits) / sum(counts)


def histogram_accuracy(examples: Sequence[Examples]) -> float:
    """The share that the histogram gets right of the same perturbed patches."""
    hits = sum(n_accurate(example.histogram, example) for example in examples)
    return hits / sum(len(example.histogram) for example in examples)


def n_accurate(angles: NDArray[np.floating], example: Examples) -> int:
    """How many angles (M,) in radians are within 10° of the strongest answer."""
    error = angle_difference(angles, example.angles[:, 0])
    return int(np.sum(np.rad2deg(error) <= ACCURATE_DEG))


def strongest(scores: layers.Array) -> NDArray[np.float64]:
    """Angles (M,) of the highest scores (M, N_CLASSES), by a parabola through three of them."""
    best = scores.argmax(axis=1)
    before, here, after = (
        np.take_along_axis(scores, ((best + shift) % N_CLASSES)[:, None], axis=1)[:, 0].astype(np.float64)
        for shift in (-1, 0, 1)
    )
    offset = 0.5 * (before - after) / np.minimum(before - 2 * here + after, -np.finfo(float).tiny)
    return np.asarray((best + offset) * 2 * math.pi / N_CLASSES % (2 * math.pi))


# --- checkpoints ---------------------------------------------------------------------------------


def checkpoint_path(output: Path) -> Path:
    """The file that an unfinished training leaves beside its output."""
    return output.with_name(f"{output.name}.unfinished")


def save(path: Path, parameters: network.Parameters, about: Mapping[str, Any], state: State | None) -> None:
    """Write weights, whole or not at all; with a state, so that training can go on."""
    more: dict[str, NDArray[Any]] = {}
    if state is not None:
        more = {f"mean_{name}": a for name, a in state.mean.items()}
        more |= {f"square_{name}": a for name, a in state.square.items()}
        more |= {"step": np.array(state.step), "history": np.array(_history_text(state.history))}
    data = weights.encode(weights.Weights({name: parameters[name] for name in SHAPES}, about), **more)
    beside = path.with_name(f"{path.name}.tmp")
    try:
        beside.write_bytes(data)
        os.replace(beside, path)  # noqa: PTH105
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
    differing = [key for key in about if found.about.get(key) != about[key]]
    if differing:
        raise ParameterError(
            f"{path}: was begun with other {', '.join(differing)}; give the same again, or pass --overwrite"
        )
    names = [f"{kind}_{name}" for kind in ("mean", "square") for name in SHAPES]
    arrays = read_arrays(data, [*names, "step", "history"])
    try:
        return State(
            {name: np.array(a) for name, a in found.parameters.items()},
            *({n: np.array(arrays[f"{kind}_{n}"], np.float32).reshape(SHAPES[n]) for n in SHAPES}
              for kind in ("mean", "square")),
            step=int(arrays["step"]),
            history=[Epoch(**epoch) for epoch in json.loads(str(arrays["history"]))],
        )  # fmt: skip
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: expected the state of a training; pass --overwrite to begin anew") from error


def _history_text(history: Sequence[Epoch]) -> str:
    return json.dumps([asdict(epoch) for epoch in history])
