"""``siftcli match A [B]``: the form of the command for two images."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from ..errors import ParameterError
from ..matching.options import MatchOptions
from ..params import SiftParams
from ..workflows.match_request import BINARY_MATCH_FORMATS, MATCH_FORMATS, check_request
from ._hints import Hints
from ._options import check_standard_output
from ._output import note, print_circumstances, print_json, print_table

if TYPE_CHECKING:
    from ..workflows.match_images import ImageMatch


def match_two(
    a: str,
    b: str | None,
    search: MatchOptions,
    params: SiftParams,
    *,
    output: str | None,
    format: str | None,
    draw: str | None,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Match two images, write and print the result; return the exit status."""
    if output == "-":
        _check_standard_output(format, as_json=as_json)
    check_request(
        a,
        b,
        rotate=options["rotate"],
        scale=options["scale"],
        draw=draw is not None,
        focal_px=options["focal_px"],
    )

    from ..image.quiet import quiet_decoders
    from ..workflows.match_files import check_outputs, encode_matches, write
    from ..workflows.match_images import match_images

    outputs = check_outputs(output, format, draw, overwrite=options.pop("overwrite"))
    start = time.perf_counter()
    with quiet_decoders():
        result = match_images(a, b, options=search, params=params, **options)
    seconds = time.perf_counter() - start
    write(result, outputs)
    if output == "-":
        sys.stdout.buffer.write(encode_matches(result, outputs.format))
    elif as_json:
        print_json(result.to_dict())
    elif not quiet:
        _print_text(result, output, draw)
    if not quiet:
        _print_hints(result, options["page"])
    if verbose:
        print_circumstances(options["threads"], seconds)
    return 0


def _check_standard_output(format: str | None, *, as_json: bool) -> None:
    if format is None:
        names = ", ".join(MATCH_FORMATS)
        raise ParameterError(f"expected --format with -o -, got none; add --format with one of {names}")
    check_standard_output(format, is_binary=format in BINARY_MATCH_FORMATS, as_json=as_json)


def _print_text(result: ImageMatch, output: str | None, draw: str | None) -> None:
    print_table(f"{result.a.features.image_name} and {result.b.features.image_name}", result.rows())
    for path in (output, draw):
        if path is not None:
            note(f"-> {path}")


def _print_hints(result: ImageMatch, page: int) -> None:
    hints = Hints()
    for side in (result.a, result.b):
        if page == 1:
            hints.add_pages(side.name, side.n_pages)
        if side.is_faint:
            hints.add_faint(side.name, len(side.features))
    hints.tell()
