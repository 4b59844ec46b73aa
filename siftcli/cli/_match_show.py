"""``siftcli match --show``: the form of the command for a pair that was matched before."""

from __future__ import annotations

from typing import Any

from ._output import note, print_json, print_table, say

_ROWS = (
    ("n_features_a", "features of A"),
    ("n_features_b", "features of B"),
    ("n_matches", "matches"),
    ("n_inliers", "inliers"),
    ("pair_reason", "tried as"),
)


def show_pair(
    source: str,
    pair: tuple[str, str],
    *,
    images: str | None,
    draw: str | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Print a pair of a file of matches and draw it; return the exit status."""
    from ..drawing.encoding import png
    from ..io.writing import write_output
    from ..workflows.match_files import check_drawing
    from ..workflows.stored_pairs import StoredPairs

    check_drawing(draw, overwrite=overwrite)
    with StoredPairs(source, images=images) as stored:
        found = stored.show(*pair)
        if draw is not None:
            write_output(draw, png(stored.draw(found)), overwrite=overwrite)
    _print(found.to_dict(), draw, as_json=as_json, quiet=quiet)
    return 0


def _print(found: dict[str, Any], draw: str | None, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        print_json(found)
    elif not quiet:
        rows = [(label, found[key]) for key, label in _ROWS if found[key] not in (None, "")]
        say(f"A: {found['image_a']}, B: {found['image_b']}")
        print_table(_verdict(found), rows)
    if draw is not None and not (quiet or as_json):
        note(f"-> {draw}")


def _verdict(found: dict[str, Any]) -> str:
    n, n_inliers = found["n_matches"], found["n_inliers"]
    if found["is_verified"] is None:
        return f"not checked: {n} matches, no model was fitted"
    word = "verified" if found["is_verified"] else "not verified"
    return f"{word}: {n_inliers} of {n} matches agree with a model"
