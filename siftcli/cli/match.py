"""``siftcli match``."""

from __future__ import annotations

from typing import Any

import click

from ..errors import ParameterError
from ..formats._registry import MATCH_COLLECTIONS
from ..matching.options import (
    DEFAULT_MAX_ERROR,
    DEFAULT_MIN_INLIERS,
    DEFAULT_MODEL,
    DEFAULT_PAIRS_MODEL,
    DEFAULT_RATIO,
    FUNDAMENTAL,
    MODEL_CHOICES,
    MatchOptions,
)
from ..workflows.match_request import MATCH_FORMATS
from ._graph_options import GraphPage, graph_options
from ._image_options import image_options
from ._match_pairs import match_collection
from ._match_show import show_pair
from ._match_two import Wanted, match_two
from ._modes import Command
from ._options import (
    check_verbosity,
    json_option,
    overwrite_option,
    sift_options,
    sift_params,
    verbosity_options,
)
from ._types import FocalLengths, WholeNumber

_COMMON = ("output", "format", "overwrite", "as_json", "verbose", "quiet", "threads")
_WANTED = ("warp", "onto", "find", "save_transforms")
_COLLECTION = ("min_inliers", "jobs", "dask")


@click.command("match", cls=Command, short_help="Match two images and recover the rotation between them.")
@click.argument("a", metavar="A")
@click.argument("b", metavar="[B]", required=False)
@click.option(
    "--rotate",
    type=float,
    metavar="DEG",
    help="Rotate B about its centre, counter-clockwise as displayed, on a canvas large enough for all of it. "
    "Multiples of 90 are exact: no pixel value changes.",
)
@click.option("--scale", type=float, metavar="F", help="Resize B by this factor.")
@click.option(
    "--ratio",
    type=float,
    default=DEFAULT_RATIO,
    show_default=True,
    metavar="R",
    help="Largest ratio of the nearest to the second nearest distance (Lowe, section 7.1). Lower it for "
    "fewer but more reliable matches; 1 keeps all.",
)
@click.option("--no-mutual", is_flag=True, help="Also keep matches that are not mutual nearest neighbours.")
@click.option(
    "--model",
    type=click.Choice(MODEL_CHOICES),
    help="Geometric model that the matches are verified with; 'none' skips verification. A homography is for "
    "flat scenes and pure camera rotation, a fundamental matrix for scenes with depth, an essential matrix "
    "for the same with known focal lengths, which gives the relative pose of the cameras.  "
    f"[default: {DEFAULT_MODEL}; with --pairs: {DEFAULT_PAIRS_MODEL} where the database has known focal "
    f"lengths, else {FUNDAMENTAL}]",
)
@click.option(
    "--focal",
    "focal_px",
    type=FocalLengths(),
    metavar="PX[,PX]",
    help="With --model essential: focal length in pixels, one for both images or one for each. When not "
    "given, it is read from EXIF.",
)
@click.option(
    "--max-error",
    type=float,
    default=DEFAULT_MAX_ERROR,
    show_default=True,
    metavar="PX",
    help="Largest distance of an inlier from the model, in pixels.",
)
@click.option(
    "--guided",
    is_flag=True,
    help="Match a second time, only among pairs that agree with the model; finds more matches.",
)
@click.option(
    "--pairs",
    metavar="WHICH",
    help="Match the images of the collection A (features.h5, database.db, a folder of feature files): "
    "'exhaustive' is every pair, 'sequential:K' each image with the next K by name, 'similar:K' each with "
    "the K most similar ones, 'gps:K' or 'gps:K,METRES' each with the K nearest ones by position, "
    "'transitive' those that are both verified with a third one in the output, and anything else is a text "
    "file with two image names per line. Kinds add up: gps:20+similar:20. 'similar' keeps an index beside A "
    "(A.retrieval); 100,000 images need at most 4 GB of memory and 0.9 GB of disk.",
)
@click.option(
    "--min-inliers",
    type=WholeNumber(),
    default=DEFAULT_MIN_INLIERS,
    show_default=True,
    help="With --pairs: pairs with fewer inliers count as not verified.",
)
@click.option(
    "--jobs",
    type=WholeNumber(),
    help="With --pairs: number of processes that match pairs. When not given, one for each core from 16 "
    "pairs on, else 1. It does not change the result.",
)
@click.option(
    "--dask",
    metavar="ADDRESS|local",
    help="With --pairs: run on a Dask cluster, the address of its scheduler (tcp://HOST:8786), or 'local' "
    "for workers on this machine. The workers must see the collection under the same path.",
)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="File for the matches; '-' is the standard output. With --pairs it is matches.h5 (the inliers, for "
    "hloc) or a COLMAP database; when not given and A is a COLMAP database, the matches are written into A.",
)
@click.option(
    "--format",
    type=click.Choice((*MATCH_FORMATS, *MATCH_COLLECTIONS)),
    help=f"Format of the matches: {', '.join(MATCH_FORMATS)}; with --pairs {', '.join(MATCH_COLLECTIONS)}. "
    "When not given, the suffix of OUT decides.",
)
@click.option(
    "--draw",
    metavar="PNG",
    help="Draw both images side by side, with lines between matches; of feature files, see --images.",
)
@click.option(
    "--warp",
    metavar="OUT",
    help="Write B on A's canvas, warped by the verified map, as PNG, JPEG, WebP or TIFF; in its own type of "
    "samples. siftcli align warps whole stacks, and refines the map.",
)
@click.option(
    "--onto",
    type=click.Choice(("A", "B"), case_sensitive=False),
    default="A",
    show_default=True,
    metavar="A|B",
    help="Canvas of --warp: with B, A is written on B's.",
)
@click.option(
    "--find",
    metavar="PNG",
    help="Find A in B, as an object in a scene: draw its outline in B, and print its corners in pixels of B, "
    "clockwise from the top left.",
)
@click.option(
    "--save-transforms",
    metavar="FILE",
    help="Write the verified map from A to B as a matrix, .csv, .json or .txt (ITK), as siftcli align does.",
)
@click.option(
    "--show",
    nargs=2,
    metavar="IMAGE_A IMAGE_B",
    help="Show a pair of the file of matches A (matches.h5, database.db) from what is stored there; --draw "
    "draws it.",
)
@click.option(
    "--report",
    metavar="HTML",
    help="With --pairs: afterwards write the page of all pairs of the output, as 'siftcli report' does.",
)
@graph_options
@sift_options
@image_options
@json_option
@overwrite_option
@verbosity_options
def command(
    a: str,
    b: str | None,
    pairs: str | None,
    draw: str | None,
    show: tuple[str, str] | None,
    preset: str,
    no_mutual: bool,
    model: str | None,
    **options: Any,
) -> int:
    """Match two images, verify the matches and recover the rotation between them.

    A and B are images or saved feature files. Without B, A is matched with itself, rotated by --rotate or
    resized by --scale. When both have the same pixels, the true matches are known, and precision and
    repeatability are reported too.

    With --pairs, A is a collection of features, whose images are matched pair by pair. An interrupted run
    keeps the pairs it has finished, and the same command resumes it.

    With --show, a pair that was matched before is shown.

    Exit status: 0 done (finding no matches or no model is not an error), 1 an input failed or an output that
    needs a verified map could not be made, 2 wrong usage, 130 interrupted.
    """
    if b is not None and (alone := "--pairs" if pairs is not None else "--show" if show is not None else ""):
        raise ParameterError(f"expected one collection with {alone}, got {b} too; drop it, or {alone}")
    page = GraphPage(*(options.pop(name) for name in ("report", "images", "pictures")))
    if show is not None:
        printing = {name: options[name] for name in ("overwrite", "as_json", "quiet")}
        return show_pair(a, show, images=page.images, draw=draw, **printing)
    search = MatchOptions(
        mutual=not no_mutual,
        model=model or (DEFAULT_MODEL if pairs is None else DEFAULT_PAIRS_MODEL),
        **{name: options.pop(name) for name in ("ratio", "max_error", "guided")},
    )
    params = sift_params(preset, options)
    check_verbosity(options["verbose"], options["quiet"])
    if pairs is None:
        two = {name: value for name, value in options.items() if name not in (*_COLLECTION, *_WANTED)}
        wanted = Wanted(images=page.images, **{name: options[name] for name in _WANTED})
        return match_two(a, b, search, params, draw=draw, wanted=wanted, **two)
    common = {name: options[name] for name in (*_COMMON, *_COLLECTION)}
    return match_collection(a, pairs, search, page, **common)
