"""Files inside a page."""

from __future__ import annotations

import base64


def data_url(content: bytes, kind: str) -> str:
    """A file of a media type as a URL that holds all of it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
