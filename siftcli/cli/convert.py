"""``siftcli convert``."""

from __future__ import annotations

from typing import Any

import click

from ..formats import FORMATS
from ..words import counted
from ._modes import Command
from ._options import camera_options, overwrite_option, quiet_option
from ._output import complain, note
from ._progress import progress


@click.command("convert", cls=Command, short_help="Convert feature files from one format to another.")
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@click.option(
    "--from",
    "from_",
    type=click.Choice(tuple(name for name, entry in FORMATS.items() if entry.can_read)),
    help="Format of IN. When not given, its suffix decides.",
)
@click.option(
    "--to",
    type=click.Choice(tuple(FORMATS)),
    help="Format of OUT. When not given, its suffix decides; in a folder it is npz.",
)
@click.option(
    "--images",
    metavar="FOLDER",
    help="Folder of the images, for what feature files may lack: image sizes, and for COLMAP focal lengths "
    "and pose priors.",
)
@click.option(
    "--view-ids",
    metavar="FILE.sfm",
    help="Use AliceVision's names for openmvg files, <view id>.sift.feat, with the view ids of this file: "
    "for a folder OUT with --to openmvg, or for a folder IN with --from openmvg.",
)
@camera_options
@click.option("--append", is_flag=True, help="Add images to an existing collection.")
@overwrite_option
@quiet_option
def command(
    source: str, target: str, images: str | None, view_ids: str | None, quiet: bool, **options: Any
) -> int:
    """Convert feature files from one format to another.

    IN is a feature file, a folder of them, or a collection (features.h5, database.db, a parquet
    folder); OUT is a file, a collection, or a folder that gets a file per image. 'siftcli formats'
    lists what each format cannot store.

    Exit status: 0 done, 1 an input failed, 2 wrong usage, 130 interrupted.
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
    if plan.n_without_image and not quiet:
        note(f"{plan.n_without_image} of {counted(len(plan.names or ()), 'image')} not in {images}")
    has_failed = []
    with progress(convert(plan), len(plan.names or ()), show=not quiet) as tracked:
        for result in tracked:
            has_failed.append(result.error is not None)
            if result.error is not None:
                is_named = result.error.startswith(f"{result.name}: ")
                complain(result.error if is_named else f"{result.name}: {result.error}")
    n_done = has_failed.count(False)
    if not quiet:
        note(f"{counted(n_done, 'image')}, {has_failed.count(True)} failed -> {target}")
        if plan.views is not None and n_done < (n_views := len(plan.views.images)):
            note(f"{view_ids} has {counted(n_views, 'view')}; AliceVision needs the features of each")
    return 1 if any(has_failed) else 0
