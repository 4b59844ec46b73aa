"""Training of the orientation network: examples, mini-batches, Adam, a held-out part, checkpoints.

Everything random is drawn for (seed, epoch, image), so a run that was stopped and resumed
ends with the bytes of one that was not, and the number of threads changes nothing but the time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..params import OrientationParams
from . import layers, network
from .judging import judge
from .samples import Examples, Scene, photograph, targets, variants

DEFAULT_EPOCHS = 120
PASSES = 2
"""Over the views of an epoch: to take a view costs about as much as to learn from it."""
BATCH_SIZE = 128
LEARNING_RATE = 3e-3
"""At the start; it falls to 0 along half a cosine (Loshchilov and Hutter 2017, equation 5)."""
WARM_UP_EPOCHS = 2
MEAN_DECAY, SQUARE_DECAY, EPSILON = 0.9, 0.99, 1e-8
"""Adam (Kingma and Ba 2015, algorithm 1)."""
HELD_OUT_SHARE = 0.15
"""Of the images, at least one: none of their views is trained on."""
HELD_OUT_VIEWS = 6
"""Views of each image held out; the same in every epoch."""
CALIBRATION_VIEWS = 4
"""Views of each image trained on, in which orientations are counted at the end."""
MIN_KEYPOINTS = 20
"""An image with fewer has nothing to teach."""

_TRAIN, _HELD_OUT, _SPLIT, _SHUFFLE, _START, _CALIBRATION = range(6)
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
        mean, square = ({name: np.zeros_like(p) for name, p in parameters.items()} for _ in range(2))
        return cls(parameters, mean, square, step=0, history=[])


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
            f"expected at least 2 images with {MIN_KEYPOINTS} keypoints, one to train on, one to hold out; "
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
    """A view of one of the variants of each image: what an epoch learns from."""
    rngs = [np.random.default_rng([seed, _TRAIN, epoch, i]) for i in range(len(split.train))]
    return [
        pool.submit(photograph, image[rng.integers(len(image))], rng)
        for image, rng in zip(split.train, rngs, strict=True)
    ]


def _learn(views: Sequence[Examples], state: State, epoch: int, epochs: int, seed: int) -> float:
    """``PASSES`` over the examples in mini-batches; the mean loss."""
    patches = np.concatenate([view.patches for view in views])
    answers = np.concatenate([targets(view.angles) for view in views])
    rng = np.random.default_rng([seed, _SHUFFLE, epoch])
    order = np.concatenate([rng.permutation(len(patches)) for _ in range(PASSES)])
    batches = np.array_split(order, max(1, len(order) // BATCH_SIZE))
    losses = []
    for i, rows in enumerate(batches):
        scores, trace = network.forward(state.parameters, patches[rows])
        loss, dscores = layers.softmax_cross_entropy(scores, answers[rows])
        losses.append(loss)
        adam(
            state, network.backward(state.parameters, trace, dscores), rate(epoch + i / len(batches), epochs)
        )
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


def calibrated(parameters: network.Parameters, split: Split, seed: int) -> dict[str, NDArray[np.float32]]:
    """The network with its scores scaled so that it finds as many orientations as the histogram does.

    A network that is trained on hard examples is unsure, so that second orientations come within 0.8 of
    the first more or less often than they should. The scale changes no angle and no order.
    """
    examples = [
        photograph(image[0], np.random.default_rng([seed, _CALIBRATION, i, view]), with_histogram=True)
        for i, image in enumerate(split.train)
        for view in range(CALIBRATION_VIEWS)
    ]
    gaps = np.sort(np.concatenate([_gaps(network.forward(parameters, e.patches)[0]) for e in examples]))
    n_wanted = sum(e.n_histogram - len(e.patches) for e in examples)
    largest = gaps[min(n_wanted, len(gaps) - 1)] if len(gaps) else 0.0
    scale = np.float32(-math.log(OrientationParams.peak_ratio) / largest) if largest > 0 else np.float32(1)
    return {name: scale * p if name.endswith("3") else p for name, p in parameters.items()}


def _gaps(scores: layers.Array) -> NDArray[np.float64]:
    """How far below the highest score of their row the other maxima of scores (M, N_CLASSES) are."""
    is_maximum = (scores > np.roll(scores, 1, axis=1)) & (scores >= np.roll(scores, -1, axis=1))
    below = scores.max(axis=1, keepdims=True) - scores
    return np.asarray(below[is_maximum & (below > 0)], np.float64)
