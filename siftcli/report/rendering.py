"""Rendering a page as one HTML file with everything in it: styles, scripts, Plotly and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any


def rendered(
    template: str, page: Any, *, scripts: Sequence[str], styles: Sequence[str] = ("page.css",)
) -> str:
    """The HTML of a template of this package.

    Parameters
    ----------
    template
        Name of the template, which gets ``page``, ``css``, ``script`` and ``plotly``.
    page
        What it renders.
    scripts, styles
        Names of files beside the template.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("siftcli.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(template).render(
        page=page,
        css="\n".join(map(_text, styles)),
        script="\n".join(map(_text, scripts)),
        plotly=_plotly(),
    )


def _text(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def _plotly() -> str:
    """Plotly's JavaScript; a closing tag in it would end the script element."""
    text = resources.files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    return text.replace("</script", "<\\/script")
