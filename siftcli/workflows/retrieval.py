"""Indexing the images of a collection, so that similar ones can be found: a pass over their features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, OutputError, SiftcliError
from ..formats._collections import Reader, open_reader
from ..formats._matches import features_digest
from ..io.locks import locked
from ..io.reading import absolute
from ..parallel.sharing import shared_cores
from ..retrieval.index_file import Entry, RetrievalIndex, index_path
from ..retrieval.vlad import image_vector
from ..retrieval.vocabulary import (
    SAMPLED_DESCRIPTORS,
    SAMPLED_IMAGES,
    SEED,
    Vocabulary,
    load_faiss,
    rootsift,
    train,
)
from .engine import Engine, check_cluster_use, engine, failure
from .stale import read_stored

WRITTEN_TOGETHER = 64
"""Images of one transaction: what a kill loses at most, and about 0.1 s of work."""

_Task = tuple[str, str]
"""An image, and the digest of its features when it was indexed; empty if it was not."""


@dataclass(frozen=True)
class Indexed:
    """What became of an image."""

    name: str
    skipped: bool = False
    """Whether the index has it already."""
    error: str | None = None


@dataclass(frozen=True, eq=False)
class Indexer:
    """Computes the vectors of images. The collection is opened in the process that works."""

    source: str
    source_format: str | None
    vocabulary: Vocabulary

    @cached_property
    def _reader(self) -> Reader:
        return open_reader(self.source, self.source_format)

    def __call__(self, task: _Task, /) -> Entry | str | None:
        """Return the entry of an image, None if its features are as they were, or the reason of a failure."""
        name, known = task
        try:
            features = read_stored(self._reader, name)
            digest = features_digest(features)
            return None if digest == known else Entry(name, digest, image_vector(features, self.vocabulary))
        except Exception as error:
            return failure(error, name, "index it")

    def failed(self, task: _Task, reason: str, /) -> str:
        """Return the error of an image that could not be indexed."""
        return f"{task[0]}: {reason}"

    def close(self) -> None:
        """Close the collection, if this process has opened it."""
        reader = self.__dict__.pop("_reader", None)
        if reader is not None:
            reader.close()


def collection_names(source: str, source_format: str | None = None) -> list[str]:
    """Names of the images of a collection, sorted."""
    with open_reader(source, source_format) as reader:
        return sorted(reader.names())


def index_images(
    source: str,
    names: Sequence[str],
    *,
    source_format: str | None = None,
    jobs: int | None = None,
    dask: str | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Indexed]:
    """Index the images of a collection that are not in its index, or whose features have changed.

    The vocabulary is trained once, on a seeded sample of the images that there are when the index is made.

    Parameters
    ----------
    source, source_format
        The collection.
    names
        Names of its images, from :func:`collection_names`.
    jobs, dask, stop
        As for :func:`siftcli.workflows.detect.run`.

    Returns
    -------
    iterator of Indexed
        First the images that the index has.

    Raises
    ------
    InputError
        If the collection or the index cannot be read, or there are no features to train on.
    OutputError
        If the index belongs to another collection or was made with other settings, or cannot be written.
    MissingDependencyError
        If faiss is not installed.
    """
    check_cluster_use(dask, jobs)
    load_faiss()
    path, here = index_path(source), str(absolute(source))
    with ExitStack() as stack:
        stack.enter_context(locked(path, is_folder=False))
        index = stack.enter_context(RetrievalIndex(path))
        if index.vocabulary is None:
            index.begin(here, train(_sample(source, source_format, names)))
        vocabulary = index.vocabulary
        assert vocabulary is not None
        digests, was_at = index.digests(), index.source
        if was_at != here and not digests.keys() <= set(names):
            raise _belongs_to(path, was_at, here)
        tasks = sorted(((name, digests.get(name, "")) for name in names), key=lambda task: not task[1])
        jobs, _ = shared_cores(len(tasks), jobs, None)
        indexer = Indexer(source if dask is None else here, source_format, vocabulary)
        run: Engine[_Task, Entry | str | None] = stack.enter_context(engine(indexer, jobs=jobs, dask=dask))
        writer = stack.enter_context(_Batch(index))
        for (name, known), found in run(tasks, stop):
            if isinstance(found, Entry) and known and was_at != here:
                raise _belongs_to(path, was_at, here)
            writer.add(name, found)
            yield Indexed(name, found is None, found if isinstance(found, str) else None)
        if was_at != here and not stop():
            index.set_source(here)


class _Batch:
    """Writes entries in transactions of several; also those that are left when the run ends early."""

    def __init__(self, index: RetrievalIndex) -> None:
        self.index = index
        self.entries: list[Entry] = []
        self.failed: list[str] = []

    def add(self, name: str, found: Entry | str | None) -> None:
        """Write an entry soon; an image that cannot be read is removed."""
        if isinstance(found, Entry):
            self.entries.append(found)
        elif found is not None:
            self.failed.append(name)
        if len(self.entries) + len(self.failed) >= WRITTEN_TOGETHER:
            self.write()

    def write(self) -> None:
        """Write what was added."""
        entries, failed, self.entries, self.failed = self.entries, self.failed, [], []
        if entries or failed:
            self.index.put(entries, failed)

    def __enter__(self) -> _Batch:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None or not issubclass(kind, OutputError):
            self.write()


def _sample(source: str, source_format: str | None, names: Sequence[str]) -> NDArray[np.float32]:
    """(N, 128) RootSIFT descriptors: some of each of some images."""
    rng = np.random.default_rng(SEED)
    chosen = [names[i] for i in np.sort(rng.permutation(len(names))[:SAMPLED_IMAGES])]
    n_each = max(1, SAMPLED_DESCRIPTORS // max(1, len(chosen)))
    found = [np.empty((0, 128), np.float32)]
    with open_reader(source, source_format) as reader:
        for name in chosen:
            try:
                features = read_stored(reader, name)
            except SiftcliError:
                continue  # reported when it is indexed
            found.append(rootsift(features.select(np.sort(rng.permutation(len(features))[:n_each]))))
    sample = np.concatenate(found)
    if not len(sample):
        raise InputError(f"{source}: expected images with features, found none; detect features first")
    return sample


def _belongs_to(path: Path, other: str | None, here: str) -> OutputError:
    return OutputError(
        f"{path} is the index of other features, of {other}, not of {here} as it is now; "
        "remove it to make it anew"
    )
