"""An extension of griffe: roles in docstrings, such as ``:func:`siftcli.detect```, in Markdown.

They become links to the page of the API, or plain code where it does not show what they name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import griffe

ROLE = re.compile(r":(?:func|class|mod|meth|data|attr):`~?([^`]+)`")
PAGE = Path(__file__).parents[1] / "api.md"
SHOWN = set(re.findall(r"^::: siftcli\.(\S+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))


class DocstringRoles(griffe.Extension):
    """Rewrites the roles of a docstring when it is read."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = ROLE.sub(_in_markdown, obj.docstring.value)


def _in_markdown(role: re.Match[str]) -> str:
    name = role.group(1).removeprefix("siftcli.").replace("params.SiftParams", "SiftParams")
    if name in SHOWN or name.split(".")[0] in SHOWN:
        return f"[`{name}`][siftcli.{name}]"
    return f"`{role.group(1)}`"
