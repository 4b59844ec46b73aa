"""``siftcli info``."""

from __future__ import annotations

from typing import Any

import click

from ..errors import ParameterError
from ..formats import FORMATS
from ._info_tables import say_collection, say_matches
from ._modes import Command
from ._options import json_option, overwrite_option
from ._output import note, print_json, print_table, say, summary_rows
from ._progress import waiting


@click.command("info", cls=Command, short_help="Show what a file of features or matches holds.")
@click.argument("file", metavar="FILE|FOLDER")
@click.option(
    "--format",
    type=click.Choice(tuple(FORMATS)),
    help="Format of the file. When not given, its suffix decides.",
)
@click.option("--image", metavar="NAME", help="Show this image of a collection.")
@click.option(
    "--draw",
    metavar="PNG",
    help="Draw the features in their picture, the strongest 500 as circles and the density of the others; of "
    "a collection those of --image.",
)
@click.option(
    "--images",
    metavar="FOLDER",
    help="Folder that names of images are relative to, for --draw. When not given, the picture is where it "
    "was at detection, if the file records that.",
)
@overwrite_option
@json_option
def command(
    file: str,
    format: str | None,
    image: str | None,
    draw: str | None,
    images: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Show what a file of features, a collection, or a file of matches holds.

    Of the features of an image: counts, parameters, coordinate convention. Of a collection (database.db,
    features.h5, a folder of feature files): images, features, masks, settings; of a COLMAP database also
    cameras and where their focal lengths came from, priors, pairs, connected components and the weakest
    images. Of the matches of many pairs (matches.h5) the pairs; of two images the result.

    Exit status: 0 done, 1 the file cannot be read, 2 wrong usage.
    """
    if draw is not None:
        from ..workflows.match_files import check_drawing

        check_drawing(draw, overwrite=overwrite)
    info = _described(file, format, image)
    if draw is not None and info["kind"] in ("pairs", "matches"):
        raise ParameterError(
            f"--draw draws features, and {file} holds matches; draw a pair with siftcli match --show"
        )
    if draw is not None:
        from ..io.writing import write_output
        from ..workflows.saved_drawing import drawn_features

        write_output(draw, drawn_features(file, format, image, images), overwrite=overwrite)
    _say(info, as_json=as_json)
    if draw is not None and not as_json:
        note(f"-> {draw}")


def _say(info: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(info)
    elif info["kind"] == "features":
        _say_features(info)
    elif info["kind"] == "matches":
        say_matches(info)
    else:
        say_collection(info)


def _described(file: str, format: str | None, image: str | None) -> dict[str, Any]:
    from ..workflows.collection_info import describe_collection, is_collection
    from ..workflows.matches_info import describe_matches
    from ..workflows.summary import describe_file

    if image is None and is_collection(file, format):
        with waiting(f"reading {file}", show=True):
            return describe_collection(file, format)
    matches = describe_matches(file, format)
    if matches is None:
        return describe_file(file, format, image)
    if image is not None:
        raise ParameterError(f"--image has no effect on {file}, the matches of two images; drop it")
    return matches


def _say_features(info: dict[str, Any]) -> None:
    names = ("format", "version", "image_name", "exif_orientation", "descriptor_kind")
    head = [(name.replace("_", " "), info[name]) for name in names]
    print_table(info["file"], [*head, *summary_rows(info)])
    if info["params"] is not None:
        print_table("parameters", info["params"].items())
    say(f"convention: {info['convention']}")
