"""``siftcli bench``."""

from __future__ import annotations

from typing import Any

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
@click.option(
    "--megapixels",
    type=click.FloatRange(min=0.01, max=200),
    metavar="N",
    help="Enlarge the images to this size, by mirror images side by side and added noise.",
)
@click.option(
    "--first",
    is_flag=True,
    help="Measure too, in fresh processes, the time of a process's first image and the memory it needs.",
)
@json_option
def command(
    inputs: tuple[str, ...],
    thread_counts: tuple[int, ...],
    n_pairs: int,
    megapixels: float | None,
    first: bool,
    as_json: bool,
) -> None:
    """Time detection and description beside OpenCV's SIFT (enable_precise_upscale).

    Both run in this process and take turns, warm. The ratio is OpenCV's time divided by
    siftcli's, the median over the pairs with the range of their middle half.
    """
    from ..batch import find_images
    from ..bench import compare, first_image

    paths = [image.path for image in find_images(inputs)]
    if not as_json:
        head = "image", "size", "threads", "features (cv2)", "siftcli", "cv2", "ratio", "middle half"
        say(_ROW.format(*head))
    for threads in thread_counts:
        timings = compare(paths, threads=threads, n_pairs=n_pairs, megapixels=megapixels)
        with progress(timings, len(paths), show=not as_json) as tracked:
            for path, timing in zip(paths, tracked, strict=True):
                row = timing.to_dict()
                if first:
                    row |= first_image(path, threads=threads, megapixels=megapixels).to_dict()
                if as_json:
                    print_json({"schema": 1, **row})
                else:
                    _print_row(row)


def _print_row(row: dict[str, Any]) -> None:
    say(
        _ROW.format(
            row["image"],
            "{} x {}".format(*row["size"]),
            row["threads"],
            f"{row['n_siftcli']} ({row['n_opencv']})",
            f"{row['siftcli_ms']:.1f} ms",
            f"{row['opencv_ms']:.1f} ms",
            f"{row['ratio']:.2f}",
            f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}",
        )
    )
    if "first_ratio" in row:
        say(
            "{:24} {:.2f} s, cv2 {:.2f} s, ratio {:.2f}; {:.0f} MB, cv2 {:.0f} MB, ratio {:.1f}".format(
                "  first of a process",
                *(row[f"first_{name}"] for name in ("siftcli_s", "opencv_s", "ratio")),
                *(row[f"first_{name}"] for name in ("siftcli_peak_mb", "opencv_peak_mb", "peak_ratio")),
            )
        )
