"""How much memory a batch may need, told before it begins, from the headers of the images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..detection import working_bytes
from ..image.header import size_of
from ..image.quiet import quiet_decoders
from ..io.limits import MAX_MEMORY
from ..parallel.sharing import shared_cores
from ..params import SiftParams
from ..system.memory import available_memory
from .detect_plan import Job, Plan

PROCESS_BYTES = 160_000_000
"""Of a process with its libraries and kernels; measured on Linux x86-64."""
DECODING_BYTES = 14
"""Per pixel of a colour image of 8 bits while it is decoded; measured."""
MOST_HEADERS = 400
"""Images whose headers are read, spread over the batch; they take 0.1 s."""


@dataclass(frozen=True)
class Forecast:
    """An upper estimate for a batch."""

    size: tuple[int, int]
    """(width, height) of the largest image."""
    is_of_all: bool
    """Whether all headers were read."""
    jobs: int
    job_bytes: int
    """Of each process, while it works on the largest image."""
    own_bytes: int
    """Of the process that writes, besides."""
    available_bytes: int

    @property
    def n_bytes(self) -> int:
        """Of the whole batch, if all processes work on images as large as the largest."""
        return self.jobs * self.job_bytes + self.own_bytes

    @property
    def fitting_jobs(self) -> int:
        """The most processes that fit; 0 if none does."""
        return max(0, min(self.jobs, (self.available_bytes - self.own_bytes) // self.job_bytes))

    def __str__(self) -> str:
        width, height = self.size
        which = "the largest image" if self.is_of_all else f"the largest of {MOST_HEADERS} images"
        text = f"memory: up to {_gigabytes(self.n_bytes)} in {self.jobs} process{'es' * (self.jobs > 1)}"
        text += f" ({which} has {width} x {height} pixels); {_gigabytes(self.available_bytes)} available"
        if self.fitting_jobs == self.jobs:
            return text
        advice = f"--jobs {self.fitting_jobs}" if self.fitting_jobs else "--jobs 1 or --max-image-size"
        return f"{text}, which may not suffice: use {advice}"


def forecast(
    plan: Plan, params: SiftParams, *, jobs: int | None, threads: int | None, max_image_size: int | None
) -> Forecast | None:
    """Estimate the memory of a batch on this machine; None if no header can be read.

    Parameters
    ----------
    plan, params, jobs, threads, max_image_size
        As for :func:`siftcli.workflows.detect.run`.
    """
    n, _ = shared_cores(len(plan.jobs), jobs, threads)
    n = min(n, len(plan.jobs))
    every = -(-len(plan.jobs) // MOST_HEADERS)
    size = _largest(plan.jobs[::every])
    if size is None:
        return None
    width, height = size
    scale = min(1.0, (max_image_size or max(size)) / max(size))
    working = working_bytes((max(1, round(height * scale)), max(1, round(width * scale))), params)
    job_bytes = width * height * DECODING_BYTES + working
    if n > 1:
        job_bytes += PROCESS_BYTES
    return Forecast(size, every == 1, n, job_bytes, PROCESS_BYTES, min(available_memory(), MAX_MEMORY.value))


def _largest(jobs: Iterable[Job]) -> tuple[int, int] | None:
    with quiet_decoders():  # what is wrong with an image is told when its turn comes
        sizes = [size for job in jobs if (size := size_of(job.image.path)) is not None]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _gigabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
