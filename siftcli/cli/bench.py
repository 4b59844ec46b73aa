"""``siftcli bench``."""

from __future__ import annotations

import click

from ._options import json_option
from ._output import print_json, progress, say

_ROW = "{:24} {:>11} {:>7} {:>15} {:>10} {:>10} {:>7} {:>13}"


@click.command(short_help="Time detection and description beside OpenCV's SIFT.")
@click.argument("inputs", metavar="IMAGE...", nargs=-1, required=True)
@click.option(
    "--threads",
    "thread_counts",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1, 2),
    show_default=True,
    help="Threads for both; may be given several times.",
)
@click.option(
    "--pairs", "n_pairs", type=click.IntRange(min=3), default=15, show_default=True, help="Runs of each."
)
@json_option
def command(inputs: tuple[str, ...], thread_counts: tuple[int, ...], n_pairs: int, as_json: bool) -> None:
    """Time detection and description beside OpenCV's SIFT (enable_precise_upscale).

    Both run in this process and take turns, warm. The ratio is OpenCV's time divided by
    siftcli's, the median over the pairs with the range of their middle half.
    """
    from ..batch import find_images
    from ..bench import compare

    paths = [image.path for image in find_images(inputs)]
    if not as_json:
        say(
            _ROW.format(
                "image", "size", "threads", "features (cv2)", "siftcli", "cv2", "ratio", "middle half"
            )
        )
    for threads in thread_counts:
        timings = compare(paths, threads=threads, n_pairs=n_pairs)
        with progress(timings, len(paths), show=not as_json) as tracked:
            for timing in tracked:
                if as_json:
                    print_json({"schema": 1, **timing.to_dict()})
                    continue
                say(
                    _ROW.format(
                        timing.image,
                        "{} x {}".format(*timing.size),
                        timing.threads,
                        f"{timing.n_siftcli} ({timing.n_opencv})",
                        f"{timing.siftcli_ms:.1f} ms",
                        f"{timing.opencv_ms:.1f} ms",
                        f"{timing.ratio:.2f}",
                        f"{timing.ratio_low:.2f} to {timing.ratio_high:.2f}",
                    )
                )
