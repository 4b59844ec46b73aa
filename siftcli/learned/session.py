"""A run of ``train-orientation``: from the paths of images to a weights file, its curves, and a verdict."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import OutputError, ParameterError
from ..image import read_image
from ..io.provenance import file_digest
from ..io.work_list import Tell, find_images
from . import checkpoint, training
from .curves import draw_curves
from .judging import histogram_accuracy
from .samples import Examples
from .training import DEFAULT_EPOCHS, Epoch, State
from .weights import load

SUFFIX = ".npz"


class Session:
    """A training, checked before any work.

    Parameters
    ----------
    inputs
        Images and folders of images.
    output
        The weights file.
    epochs, seed
        As for :func:`training.train`; the usual number of epochs when None.
    overwrite
        Replace the output, and begin an unfinished training anew.
    command
        The command line, to be recorded in the file without the names of folders.
    tell
        Takes a line on pictures in folders that are not read.

    Raises
    ------
    ParameterError, OutputError, InputError
        If the output is no npz file or exists, or an input cannot be read.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        output: str,
        *,
        epochs: int | None = None,
        seed: int = 0,
        overwrite: bool = False,
        command: Sequence[str] = (),
        tell: Tell = lambda _line: None,
    ) -> None:
        self.output, self.epochs, self.seed = Path(output), epochs or DEFAULT_EPOCHS, seed
        if self.output.suffix != SUFFIX:
            raise ParameterError(f"{output}: expected the name of a weights file, NAME{SUFFIX}")
        if not self.output.parent.is_dir():
            raise OutputError(f"{output}: the folder {self.output.parent} does not exist; make it first")
        if self.output.exists() and not overwrite:
            raise OutputError(f"{output} exists; pass --overwrite to replace it")
        self.images = find_images(inputs, tell=tell)
        self.command = _without_folders(command)
        self._unfinished = checkpoint.checkpoint_path(self.output)
        if overwrite:
            self._unfinished.unlink(missing_ok=True)

    def run(self, jobs: int) -> Iterator[Epoch]:
        """Train, keep the state after each epoch, and write the weights and their curves at the end."""
        split = training.split_of(
            [(Path(i.path).name, read_image(i.path).grey) for i in self.images], self.seed
        )
        about = self._about(split)
        state = (
            checkpoint.resume(self._unfinished, about)
            if self._unfinished.exists()
            else State.first(self.seed)
        )
        test = training.held_out_examples(split, self.seed)
        yield from state.history
        for _ in training.train(split, test, state, epochs=self.epochs, seed=self.seed, jobs=jobs):
            checkpoint.save(self._unfinished, state.parameters, about, state)
            yield state.history[-1]
        histogram = histogram_accuracy(test)
        parameters = training.calibrated(state.parameters, split, self.seed)
        checkpoint.save(self.output, parameters, {**about, **_verdict(state, histogram, test)}, None)
        draw_curves(state.history, histogram, self.output.with_suffix(".png"))
        self._unfinished.unlink(missing_ok=True)

    def result(self) -> list[str]:
        """The result, in lines for people."""
        about = load(self.output).about
        accuracy, histogram = about["held_out_accuracy"], about["histogram_accuracy"]
        return [
            f"{about['n_held_out']} patches of {', '.join(about['held_out'])}, held out: within 10° "
            f"{accuracy:.3f}, by the histogram {histogram:.3f}",
            f"-> {self.output}, {self.output.with_suffix('.png')}",
        ]

    def _about(self, split: training.Split) -> dict[str, Any]:
        """What the weights depend on, as plain values."""
        digests = {Path(image.path).name: file_digest(image.path) for image in self.images}
        return {
            "command": self.command,
            **split.names,
            "blake2b": {name: digests[name] for part in split.names.values() for name in part},
            "epochs": self.epochs,
            "seed": self.seed,
        }


def _verdict(state: State, histogram: float, test: Sequence[Examples]) -> dict[str, Any]:
    last = state.history[-1]
    return {
        "loss": last.loss,
        "held_out_loss": last.held_out_loss,
        "held_out_accuracy": last.held_out_accuracy,
        "histogram_accuracy": histogram,
        "n_held_out": sum(len(example.patches) for example in test),
    }


def _without_folders(command: Sequence[str]) -> str:
    """The command as it can be published: without the folders of this machine."""
    return shlex.join(["siftcli", *(part if part.startswith("-") else Path(part).name for part in command)])
