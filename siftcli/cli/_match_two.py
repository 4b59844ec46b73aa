"""``siftcli match A [B]``: the form of the command for two images."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import ParameterError, SiftcliError
from ..matching.options import MatchOptions
from ..params import SiftParams
from ..workflows.match_request import BINARY_MATCH_FORMATS, MATCH_FORMATS, check_request
from ._hints import Hints
from ._match_result import say_result
from ._options import check_standard_output
from ._output import complain, note, print_circumstances, print_json, say
from ._progress import waiting

if TYPE_CHECKING:
    from ..workflows.match_result import ImageMatch


@dataclass
class Wanted:
    """The files that need the map from A to B."""

    warp: str | None = None
    onto: str = "A"
    find: str | None = None
    save_transforms: str | None = None
    images: str | None = None
    """Folder of the pictures of feature files."""
    written: list[str] = field(default_factory=list)

    @property
    def needs_pictures(self) -> bool:
        """Whether the pictures of feature files are needed."""
        return self.warp is not None or self.find is not None

    def check(self, *, overwrite: bool) -> None:
        """Check that all can be written."""
        if any((self.warp, self.find, self.save_transforms)):
            from ..workflows.match_products import check_products

            check_products(self.warp, self.find, self.save_transforms, overwrite=overwrite)

    def write(self, result: ImageMatch, *, overwrite: bool) -> int:
        """Write them; complain of what cannot be, and return how many these are."""
        if not any((self.warp, self.find, self.save_transforms)):
            return 0
        from ..workflows.match_products import write_outline, write_transform, write_warped

        n_failed = 0
        for path, write in (
            (self.warp, partial(write_warped, result, self.onto)),
            (self.find, partial(write_outline, result)),
            (self.save_transforms, partial(write_transform, result)),
        ):
            if path is None:
                continue
            try:
                write(path, overwrite=overwrite)
                self.written.append(path)
            except SiftcliError as error:
                complain(error)
                n_failed += 1
        return n_failed


def match_two(  # noqa: PLR0913  the options of a command
    a: str,
    b: str | None,
    search: MatchOptions,
    params: SiftParams,
    *,
    output: str | None,
    format: str | None,
    draw: str | None,
    wanted: Wanted,
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
        focal_px=options["focal_px"],
    )

    from ..image.quiet import quiet_decoders
    from ..workflows.match_files import check_outputs, encode_matches, write
    from ..workflows.match_images import match_images

    overwrite = options.pop("overwrite")
    outputs = check_outputs(output, format, draw, overwrite=overwrite)
    wanted.check(overwrite=overwrite)
    start = time.perf_counter()
    with quiet_decoders(), waiting("matching", show=not quiet):
        pictures = wanted.images or "" if draw is not None or wanted.needs_pictures else None
        result = match_images(a, b, options=search, params=params, pictures=pictures, **options)
    seconds = time.perf_counter() - start
    write(result, outputs)
    if output == "-":
        sys.stdout.buffer.write(encode_matches(result, outputs.format))
    elif as_json:
        print_json(result.to_dict())
    elif not quiet:
        _print_text(result, wanted)
    n_failed = wanted.write(result, overwrite=overwrite)
    if not (quiet or as_json or output == "-"):
        for path in (output, draw, *wanted.written):
            if path is not None:
                note(f"-> {path}")
    if not quiet:
        _print_hints(result, options["page"])
    if verbose:
        print_circumstances(options["threads"], seconds)
    return 1 if n_failed else 0


def _check_standard_output(format: str | None, *, as_json: bool) -> None:
    if format is None:
        names = ", ".join(MATCH_FORMATS)
        raise ParameterError(f"expected --format with -o -, got none; add --format with one of {names}")
    check_standard_output(format, is_binary=format in BINARY_MATCH_FORMATS, as_json=as_json)


def _print_text(result: ImageMatch, wanted: Wanted) -> None:
    say(f"A: {result.a.name}, B: {result.b.name}")
    say_result(result.to_dict(), with_corners=wanted.find is not None)


def _print_hints(result: ImageMatch, page: int) -> None:
    hints = Hints()
    for side in (result.a, result.b):
        if page == 1:
            hints.add_pages(side.name, side.n_pages)
        if side.is_faint:
            hints.add_faint(side.name, len(side.features))
    hints.tell()
