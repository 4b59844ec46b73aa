"""What ``siftcli info`` prints of a collection and of matches."""

from __future__ import annotations

from typing import Any

from ..words import counted
from ._match_result import say_result
from ._output import print_table, say

Rows = list[tuple[str, object]]

_FOCAL_LENGTHS = {
    "EXIF": "from EXIF",
    "guess": "guessed, 1.2 x the longer side",
    "another program, known": "of another program, known",
    "another program, not known": "of another program, not marked as known",
}
_SIZES = 3
"""Sizes of images that are shown."""
_COMPONENTS = 5


def say_collection(info: dict[str, Any]) -> None:
    """Print what a collection, or a file of the matches of many pairs, holds."""
    rows: Rows = [("format", info["format"])]
    if info["kind"] == "collection":
        rows += _image_rows(info) + _camera_rows(info["cameras"]) + _prior_rows(info["priors"])
    rows += _pair_rows(info["pairs"])
    print_table(info["file"], rows, n_names=2)
    if info["weakest"] and (info["n_images"] if "n_images" in info else info["pairs"]["n_images"]) > 1:
        _say_weakest(info)
    for failed in info.get("unreadable", ()):
        say(f"cannot be read: {failed['image']}: {failed['error']}")


def _image_rows(info: dict[str, Any]) -> Rows:
    n_there = info["cameras"]["n_images"] if info["cameras"] else info["n_images"]
    rows: Rows = [("images", n_there)]
    for label, n in (
        ("  not detected yet", n_there - info["n_images"]),
        ("  without a feature", info["n_without_features"]),
        ("  cannot be read", info["n_unreadable"]),
    ):
        rows += [(label, n)] if n else []
    rows.append(("features", info["n_features"]))
    if info["features_per_image"] is not None:
        rows.append(("  of an image", "{} (median), {} to {}".format(*info["features_per_image"])))
    sizes = info["image_sizes"]
    for size in sizes[:_SIZES]:
        what = "{width} x {height}".format(**size) if size["width"] else "not known"
        rows.append(("size", f"{what}: {counted(size['n_images'], 'image')}"))
    if info["n_sizes"] > _SIZES:
        rows.append(("", f"{info['n_sizes'] - _SIZES} more"))
    if info["n_recorded"]:
        rows.append(("masks", f"{counted(info['n_masks'], 'image')}" if info["n_masks"] else "none"))
        differ = f"{info['n_settings']} different: {info['settings_differ']}"
        rows.append(("settings", differ if info["n_settings"] > 1 else "the same for all images"))
    return rows


def _camera_rows(cameras: dict[str, Any] | None) -> Rows:
    if cameras is None:
        return []
    models = ", ".join(f"{one['n_cameras']} {one['model']}" for one in cameras["models"])
    rows: Rows = [("cameras", models or "none")]
    for one in cameras["focal_lengths"]:
        what = f"{counted(one['n_cameras'], 'camera')}, {counted(one['n_images'], 'image')}"
        rows.append(("  focal length", f"{_FOCAL_LENGTHS[one['source']]}: {what}"))
    return rows


def _prior_rows(priors: dict[str, Any] | None) -> Rows:
    if priors is None:
        return []
    found = [
        f"{what} of {counted(priors[key], 'image')}"
        for key, what in (
            ("n_wgs84", "latitude and longitude"),
            ("n_cartesian", "position in metres"),
            ("n_gravity", "gravity"),
        )
        if priors[key]
    ]
    return [("priors", ", ".join(found) or "none")]


def _pair_rows(pairs: dict[str, Any] | None) -> Rows:
    if pairs is None:
        return [("pairs", "none matched")]
    rows: Rows = [("pairs tried", pairs["n_tried"]), ("  with matches", pairs["n_matched"])]
    if pairs["n_verified"] is None:
        rows.append(("  verified", "none: no model was fitted"))
    else:
        rows.append(("  verified", pairs["n_verified"]))
    rows.append(("connected components", pairs["n_components"]))
    for one in pairs["components"][:_COMPONENTS]:
        first = ", ".join(one["first"]) + (", ..." if one["n_images"] > len(one["first"]) else "")
        rows.append((f"  {counted(one['n_images'], 'image')}", f"{counted(one['n_pairs'], 'pair')}: {first}"))
    if pairs["n_components"] > _COMPONENTS:
        rows.append(("", f"{pairs['n_components'] - _COMPONENTS} more"))
    rows.append(("images without a partner", pairs["n_alone"]))
    return rows


def _say_weakest(info: dict[str, Any]) -> None:
    has_pairs = info["pairs"] is not None
    is_verified = has_pairs and info["pairs"]["n_verified"] is not None
    heads = {"image": "", "n_features": "features"}
    if has_pairs:
        heads |= {"n_partners": "partners", "n_inliers": "inliers" if is_verified else "matches"}
    shown = [key for key in heads if any(one[key] is not None for one in info["weakest"])]
    rows = [tuple(one[key] for key in shown) for one in info["weakest"]]
    title = "weakest images" if has_pairs else "fewest features"
    print_table(title, rows, heads=[heads[key] for key in shown])


def say_matches(info: dict[str, Any]) -> None:
    """Print the result that a file of the matches of two images was written with."""
    say(f"{info['file']}: {info['image_a']} and {info['image_b']}" if "image_a" in info else info["file"])
    say_result(info)
