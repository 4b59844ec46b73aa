"""``siftcli convert``."""

from __future__ import annotations

from typing import Any

import click

from ..formats import FORMATS
from ._options import camera_options
from ._output import complain, note, progress


@click.command(short_help="Convert feature files from one format to another.")
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@click.option(
    "--from",
    "from_",
    type=click.Choice(tuple(name for name, entry in FORMATS.items() if entry.can_read)),
    help="Format of IN; from its suffix when not given.",
)
@click.option(
    "--to", type=click.Choice(tuple(FORMATS)), help="Format of OUT; from its suffix, npz in a folder."
)
@click.option(
    "--images",
    metavar="FOLDER",
    help="Folder of the images, for what only they say: sizes, and for COLMAP focal lengths and pose priors.",
)
@click.option(
    "--view-ids",
    metavar="FILE.sfm",
    help="Name openmvg files as AliceVision does, <view id>.sift.feat, by the views of this file: those of a "
    "folder OUT (--to openmvg), or of a folder IN (--from openmvg).",
)
@camera_options
@click.option("--append", is_flag=True, help="Add images to an existing collection.")
@click.option("--overwrite", is_flag=True, help="Replace existing outputs.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    source: str, target: str, images: str | None, view_ids: str | None, quiet: bool, **options: Any
) -> int:
    """Convert feature files from one format to another.

    IN is a feature file, a folder of them, or a collection (features.h5, database.db, a parquet
    folder); OUT is a file, a collection, or a folder for a file an image. 'siftcli formats' lists
    what each format carries.

    Exit status: 0 done, 1 an input failed, 2 wrong use, 130 interrupted.
    """
    from ..formats._collections import WriteOptions
    from ..workflows.convert import convert, plan_conversion

    from_, to = options.pop("from_"), options.pop("to")
    plan = plan_conversion(
        source,
        target,
        from_=from_,
        to=to,
        images=images,
        view_ids=view_ids,
        options=WriteOptions(**options),
    )
    if plan.loss and not quiet:
        note(plan.loss)
    n_failed, n_done = 0, 0
    with progress(convert(plan), len(plan.names or ()), show=not quiet) as tracked:
        for result in tracked:
            if result.error is not None:
                complain(f"{result.name}: {result.error}")
            n_failed += result.error is not None
            n_done += result.error is None
    if not quiet:
        note(f"{n_done} images, {n_failed} failed -> {target}")
        if plan.views is not None and n_done < (n_views := len(plan.views.images)):
            note(f"{view_ids} has {n_views} views; AliceVision needs the features of each")
    return 1 if n_failed else 0
