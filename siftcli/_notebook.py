"""Small pictures for notebooks, as HTML that needs nothing else: a caption and an SVG."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

_WIDTH, _LARGEST_HEIGHT = 320, 320
"""Pixels of a picture on the page."""
_MAX_CIRCLES = 200
_RADIUS_SIGMAS = 3.0
_GROUND = "#2b2e33"
_BAR = "#56b4e9"
_SIGNS = ((1, "dark", "#ffeb3c"), (-1, "bright", "#6ec8ff"), (0, "of unknown sign", "#f0f0f0"))
"""The colours of ``siftcli.draw_keypoints``."""
_BINS = 20
_BARS_HEIGHT = 80

Floats = NDArray[np.floating]


def keypoints_html(
    title: str,
    xy: Floats,
    scale: Floats,
    orientation: Floats,
    sign: NDArray[np.signedinteger],
    size: tuple[int, int],
) -> str:
    """The strongest of N keypoints (in this order) on a plain ground, as circles of radius 3σ.

    Parameters
    ----------
    title
        The caption; escaped here.
    xy, scale, orientation, sign
        (N, 2), (N,), (N,) and (N,), as in :class:`siftcli.Features`.
    size
        (width, height) of the image; (0, 0) if it is unknown.
    """
    n = min(len(xy), _MAX_CIRCLES)
    columns = np.column_stack([xy[:n], _RADIUS_SIGMAS * scale[:n], orientation[:n]]).astype(np.float64)
    left, top, width, height = _frame(columns, size)
    circles = [
        f'<path d="{"".join(map(_circle, columns[sign[:n] == value].tolist()))}" stroke="{colour}"/>'
        for value, _, colour in _SIGNS
        if (sign[:n] == value).any()
    ]
    body = (
        f'<rect x="{left:.6g}" y="{top:.6g}" width="{width:.6g}" height="{height:.6g}" fill="{_GROUND}"/>'
        f'<g fill="none" stroke-width="{1.2 * max(width, height) / _WIDTH:.4g}">{"".join(circles)}</g>'
    )
    note = f"the strongest {n}; radius 3 sigma" if n < len(xy) else "radius 3 sigma"
    keys = [f"{name} {_swatch(colour)}" for v, name, colour in _SIGNS if (sign[:n] == v).any()]
    return _figure(title, _svg((left, top, width, height), body), "; ".join([*keys, note]) if n else "")


def histogram_html(title: str, values: Floats, low: float, high: float, name: str) -> str:
    """A histogram of M values between ``low`` and ``high``."""
    counts = np.histogram(np.clip(values, low, high), _BINS, (low, high))[0]
    most, step = max(int(counts.max()), 1), _WIDTH / _BINS
    bars = [
        f'<rect x="{i * step + 1:g}" y="{_BARS_HEIGHT * (1 - n / most):.1f}" width="{step - 2:g}" '
        f'height="{_BARS_HEIGHT * n / most:.1f}"/>'
        for i, n in enumerate(counts.tolist())
        if n
    ]
    body = f'<g fill="{_BAR}">{"".join(bars)}</g>'
    note = f"{name}, from {low:g} to {high:g}; up to {most} in a bar" if len(values) else ""
    return _figure(title, _svg((0, 0, _WIDTH, _BARS_HEIGHT), body) if len(values) else "", note)


def image_html(title: str, png: bytes | None) -> str:
    """A picture, if there is one."""
    if png is None:
        return _figure(title, "", "")
    return _figure(title, f'<img alt="" src="data:image/png;base64,{b64encode(png).decode()}"/>', "")


def _figure(title: str, svg: str, note: str) -> str:
    small = f'<div style="opacity:.75;font-size:85%">{note}</div>' if note else ""
    return f'<figure style="margin:0"><figcaption>{escape(title)}</figcaption>{svg}{small}</figure>'


def _swatch(colour: str) -> str:
    style = f"display:inline-block;width:.7em;height:.7em;background:{colour};border:1px solid #808080"
    return f'<span style="{style}"></span>'


def _svg(box: tuple[float, float, float, float], body: str) -> str:
    shown = min(_WIDTH / box[2], _LARGEST_HEIGHT / box[3])
    view = " ".join(f"{v:.6g}" for v in box)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" width="{box[2] * shown:.0f}" '
        f'height="{max(1, round(box[3] * shown))}" role="img" style="display:block">{body}</svg>'
    )


def _frame(columns: NDArray[np.float64], size: Sequence[int]) -> tuple[float, float, float, float]:
    """Left, top, width and height: the image, or what holds all circles."""
    if min(size) > 0:
        return -0.5, -0.5, float(size[0]), float(size[1])
    finite = columns[np.isfinite(columns).all(axis=1)]
    if not len(finite):
        return 0.0, 0.0, 1.0, 1.0
    low, high = (finite[:, :2] - finite[:, 2:3]).min(axis=0), (finite[:, :2] + finite[:, 2:3]).max(axis=0)
    width, height = np.maximum(high - low, 1.0).tolist()
    return float(low[0]), float(low[1]), width, height


def _circle(row: list[float]) -> str:
    """A circle that begins and ends where its radius, drawn too, meets it."""
    x, y, radius, theta = row
    if not all(map(math.isfinite, row)):
        return ""
    dx, dy = radius * math.cos(theta), radius * math.sin(theta)
    arc = f"a{radius:.4g} {radius:.4g} 0 1 0 "
    return f"M{x:.6g} {y:.6g}l{dx:.4g} {dy:.4g}{arc}{-2 * dx:.4g} {-2 * dy:.4g}{arc}{2 * dx:.4g} {2 * dy:.4g}"
