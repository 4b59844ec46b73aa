"""``siftcli explain``."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

import click

from ..errors import ParameterError
from ._image_options import EXIF_OPTION, page_option, stretch_options, threads_option
from ._modes import Command
from ._options import json_option, overwrite_option, quiet_option, sift_options, sift_params
from ._output import note, print_json, print_table
from ._progress import waiting
from ._types import WholeNumber

SUFFIXES = (".html", ".png", ".json")


@click.command("explain", cls=Command, short_help="Follow one keypoint from pixels to 128 numbers.")
@click.argument("image")
@click.option(
    "--at",
    metavar="X,Y",
    help="Explain the candidate or keypoint that is nearest to this place, in pixels, and at most 20 away.",
)
@click.option(
    "--keypoint",
    type=WholeNumber(low=0),
    help="Explain a row of the output of 'siftcli detect' with the same options; 0 is the first. When "
    "neither is given, 0.",
)
@click.option(
    "--rotate",
    type=float,
    metavar="DEG",
    help="Show the same keypoint in the rotated picture beside it, and where the two begin to differ. "
    "Counter-clockwise as displayed; multiples of 90 are exact.",
)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="Page (.html), figure for print (.png), or all values (.json). Without -o what each filter said is "
    "printed.",
)
@click.option(
    "--mask", metavar="PATH", help="Mask, as for 'siftcli detect': features are wanted where it is not zero."
)
@sift_options
@EXIF_OPTION
@stretch_options
@page_option(takes_all=False)
@threads_option
@json_option
@overwrite_option
@quiet_option
def command(
    image: str,
    at: str | None,
    output: str | None,
    preset: str,
    as_json: bool,
    overwrite: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Follow one keypoint, or a candidate that was rejected, through the stages.

    Shows the neighbourhood, the octave's Gaussian levels and their differences, each step of the
    refinement, what every filter said with its number and its limit, the histogram of gradients, the turned
    patch and the 128 numbers. The numbers are those of 'siftcli detect', to the bit.

    Exit status: 0 done, 1 the input failed, 2 wrong usage, 130 interrupted.
    """
    suffix = _suffix(output)
    params = sift_params(preset, options)
    place = None if at is None else _place(at)

    from ..explanation import explain
    from ..io.writing import check_output, write_output

    if output is not None:
        check_output(output, overwrite=overwrite)
    with waiting("explaining", show=not quiet):
        found = explain(image, params, at=place, **options)
    if output is not None:
        write_output(output, _content(found, suffix), overwrite=overwrite)
    if as_json:
        print_json(found.to_dict())
    elif not quiet:
        _print(found)
        if output is not None:
            note(f"-> {output}")
    return 0


def _suffix(output: str | None) -> str:
    suffix = "" if output is None else PurePath(output).suffix.lower()
    if output is not None and suffix not in SUFFIXES:
        raise ParameterError(f"expected an output that ends in {', '.join(SUFFIXES)}; got {output}")
    return suffix


def _place(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise ParameterError(f"at must be two numbers X,Y; got {text}") from None
    return x, y


def _content(found: Any, suffix: str) -> bytes:
    """The file as its suffix wants it."""
    if suffix == ".json":
        return (json.dumps(found.to_dict(), allow_nan=False) + "\n").encode()
    if suffix == ".png":
        from ..report.explanation_figure import figure

        return figure(found)
    from ..report.explanation import render

    return render(found).encode("utf-8", "backslashreplace")


def _print(found: Any) -> None:
    """What each filter said, and the difference from the rotated picture."""
    from ..report.explanation_text import bound, headline, number

    rows = [
        (v.filter, v.note, number(v.measured), bound(v), "passed" if v.passed else "REJECTED")
        for v in found.view.verdicts
    ]
    print(headline(found.view))
    print_table("what the filters said", rows, heads=("filter", "what", "measured", "limit", ""), n_names=2)
    if found.turned is not None:
        print(f"\nrotated by {found.rotate_deg:g} degrees: {headline(found.turned)}")
        differences = [
            (d.stage, d.what, f"{d.difference:+.{d.decimals}f}", d.unit) for d in found.differences
        ]
        heads = ("stage", "what", "difference", "")
        print_table("where the two differ", differences, heads=heads, n_names=2)
