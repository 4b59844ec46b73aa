"""Match the features of two images, and verify the matches."""

from __future__ import annotations

from ..features import Features, Matches
from .nearest import match
from .options import ESSENTIAL, FUNDAMENTAL, NO_MODEL, MatchOptions
from .verification import Cameras, Verification, verify


def search(
    f: Features,
    g: Features,
    options: MatchOptions,
    threads: int | None = None,
    cameras: Cameras | None = None,
) -> tuple[Matches, Verification | None]:
    """Match the features of two images and verify the matches.

    Parameters
    ----------
    f, g
        Features of the first and the second image.
    options
        With ``guided``, the accepted model guides a second matching, which is verified again.
    threads
        As for :func:`siftcli.match`.
    cameras
        Of both images, for the model ``"essential"``. Without them it is a fundamental matrix.

    Returns
    -------
    matches, verification
        The verification is None if ``options.model`` is ``"none"``.
    """
    matches = match(f, g, ratio=options.ratio, mutual=options.mutual, threads=threads)
    if options.model == NO_MODEL:
        return matches, None
    return verified(f, g, matches, options, threads, cameras)


def verified(
    f: Features,
    g: Features,
    matches: Matches,
    options: MatchOptions,
    threads: int | None = None,
    cameras: Cameras | None = None,
) -> tuple[Matches, Verification]:
    """Verify the matches of two images, and match again if the model is to guide it; as :func:`search`."""
    model = FUNDAMENTAL if options.model == ESSENTIAL and cameras is None else options.model
    how = (model, options.max_error, cameras if model == ESSENTIAL else None)
    found = verify(f, g, matches, *how)
    guide = found.guide() if options.guided else None
    if guide is None:
        return matches, found
    matches = match(f, g, ratio=options.ratio, mutual=options.mutual, guide=guide, threads=threads)
    return matches, verify(f, g, matches, *how)
