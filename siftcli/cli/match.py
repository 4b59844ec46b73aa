"""``siftcli match``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from ..errors import ParameterError
from ..formats._registry import MATCH_COLLECTIONS
from ..matching.options import (
    DEFAULT_MAX_ERROR,
    DEFAULT_MIN_INLIERS,
    DEFAULT_MODEL,
    DEFAULT_PAIRS_MODEL,
    DEFAULT_RATIO,
    MODEL_CHOICES,
    MatchOptions,
)
from ..workflows.match_request import BINARY_MATCH_FORMATS, MATCH_FORMATS, check_request
from ._hints import Hints
from ._image_options import image_options
from ._match_pairs import check_use, match_collection
from ._options import json_option, sift_options, sift_params, verbosity_options
from ._output import note, print_json, print_table

if TYPE_CHECKING:
    from ..workflows.match_images import ImageMatch


@click.command(short_help="Match two images and recover the turn between them.")
@click.argument("a", metavar="A")
@click.argument("b", metavar="[B]", required=False)
@click.option(
    "--rotate",
    type=float,
    metavar="DEG",
    help="Turn B about its centre, counter-clockwise on the screen, on a canvas that holds all of it. "
    "Multiples of 90 move pixels.",
)
@click.option("--scale", type=float, metavar="F", help="Resize B by this factor.")
@click.option(
    "--ratio",
    type=float,
    default=DEFAULT_RATIO,
    show_default=True,
    metavar="R",
    help="Largest ratio of the nearest to the second nearest distance (Lowe, section 7.1).",
)
@click.option("--no-mutual", is_flag=True, help="Keep pairs that are not each other's nearest, too.")
@click.option(
    "--model",
    type=click.Choice(MODEL_CHOICES),
    help="What the matches are verified with.  "
    f"[default: {DEFAULT_MODEL}; with --pairs: {DEFAULT_PAIRS_MODEL}]",
)
@click.option(
    "--max-error",
    type=float,
    default=DEFAULT_MAX_ERROR,
    show_default=True,
    metavar="PX",
    help="Largest error of an inlier, in pixels.",
)
@click.option("--guided", is_flag=True, help="Match again among the pairs that agree with the model.")
@click.option(
    "--pairs",
    metavar="WHICH",
    help="Match the images of the collection A (features.h5, database.db, a folder of feature files): "
    "'exhaustive', 'sequential:K' (each with the next K), or a file with two names a line.",
)
@click.option(
    "--min-inliers",
    type=click.IntRange(min=1),
    default=DEFAULT_MIN_INLIERS,
    show_default=True,
    metavar="N",
    help="Fewest inliers of a verified pair, with --pairs.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --pairs: pairs at once, each on a process of its own; of 16 and more as many as cores when "
    "not given. The result does not depend on it.",
)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="File of the matches; '-' is the standard output. With --pairs matches.h5 (the inliers, for hloc) "
    "or a COLMAP database; a database's matches go into itself when not given.",
)
@click.option(
    "--format",
    type=click.Choice((*MATCH_FORMATS, *MATCH_COLLECTIONS)),
    help="Format of the matches; from the suffix of OUT when not given.",
)
@click.option("--draw", metavar="PNG", help="Draw the images side by side, with lines between matches.")
@sift_options
@image_options
@json_option
@click.option("--overwrite", is_flag=True, help="Replace existing outputs.")
@verbosity_options
def command(
    a: str,
    b: str | None,
    output: str | None,
    format: str | None,
    draw: str | None,
    preset: str,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    pairs: str | None,
    **options: Any,
) -> int:
    """Match two images, verify the matches and recover the turn between them.

    A and B are images or saved feature files. Without B, A is matched with itself, turned or
    resized by --rotate or --scale. When both have the same pixels the truth is known, and the
    matches are judged by it. With --pairs, A is a collection of features, whose images are matched
    pair by pair; what an interrupted run has found is kept, and the same command goes on.

    Exit status: 0 done (no matches and no model is done), 1 an input failed, 2 wrong use,
    130 interrupted.
    """
    min_inliers, jobs = options.pop("min_inliers"), options.pop("jobs")
    search = MatchOptions(
        mutual=not options.pop("no_mutual"),
        model=options.pop("model") or (DEFAULT_MODEL if pairs is None else DEFAULT_PAIRS_MODEL),
        **{name: options.pop(name) for name in ("ratio", "max_error", "guided")},
    )
    if pairs is not None:
        check_use(b, output, verbose, quiet, {**options, "draw": draw})
        kept = {name: options[name] for name in ("overwrite", "threads")}
        return match_collection(
            a, pairs, search, output=output, format=format, min_inliers=min_inliers, jobs=jobs,
            as_json=as_json, quiet=quiet, **kept,
        )  # fmt: skip
    if jobs is not None:
        raise ParameterError("--jobs is for the pairs of a collection; drop it, or pass --pairs")
    params = sift_params(preset, options)
    _check_use(output, format, as_json, verbose, quiet)
    check_request(a, b, rotate=options["rotate"], scale=options["scale"], draw=draw is not None)

    from ..image.quiet import quiet_decoders
    from ..workflows.match_files import check_outputs, encode_matches, write
    from ..workflows.match_images import match_images

    outputs = check_outputs(output, format, draw, overwrite=options.pop("overwrite"))
    start = time.perf_counter()
    with quiet_decoders():
        result = match_images(a, b, options=search, params=params, **options)
    write(result, outputs)
    if output == "-":
        sys.stdout.buffer.write(encode_matches(result, outputs.format))
    elif as_json:
        print_json(result.to_dict())
    elif not quiet:
        _print_text(result, output, draw)
    if not quiet:
        _tell_hints(result, options["page"])
    if verbose:
        _print_circumstances(options["threads"], time.perf_counter() - start)
    return 0


def _check_use(output: str | None, format: str | None, as_json: bool, verbose: bool, quiet: bool) -> None:
    if verbose and quiet:
        raise ParameterError("-v and -q exclude each other; pass one of them")
    if output != "-":
        return
    if as_json:
        raise ParameterError("-o - and --json both want the standard output; write to a file, or drop one")
    if format is None:
        raise ParameterError("-o - expects --format; name one of " + ", ".join(MATCH_FORMATS))
    if format in BINARY_MATCH_FORMATS and sys.stdout.isatty():
        raise ParameterError(f"{format} is binary and the standard output is a terminal; send it to a file")


def _print_text(result: ImageMatch, output: str | None, draw: str | None) -> None:
    print_table(f"{result.a.features.image_name} and {result.b.features.image_name}", result.rows())
    for path in (output, draw):
        if path is not None:
            note(f"-> {path}")


def _tell_hints(result: ImageMatch, page: int) -> None:
    hints = Hints()
    for side in (result.a, result.b):
        if page == 1:
            hints.add_pages(side.name, side.n_pages)
        if side.is_faint:
            hints.add_faint(side.name, len(side.features))
    hints.tell()


def _print_circumstances(threads: int | None, seconds: float) -> None:
    from ..versions import versions

    note(", ".join(f"{name} {version}" for name, version in versions().items()))
    note(f"threads: {threads or 'all cores'}; {seconds:.3f} s")
