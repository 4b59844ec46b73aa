"""Types of option values that Click lacks."""

from __future__ import annotations

from typing import Any

import click

ALL_PAGES = "all"


class WholeNumber(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A whole number of at least ``low``, or one of some words."""

    name = "whole number"

    def __init__(self, low: int = 1, words: tuple[str, ...] = ()) -> None:
        self.low, self.words = low, words

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What the help shows."""
        return "|".join(("N", *self.words))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Read it."""
        text = str(value)
        if text in self.words:
            return text
        if not text.isascii() or not text.isdigit() or int(text) < self.low:
            choices = ", or ".join((f"a whole number of at least {self.low}", *self.words))
            self.fail(f"expected {choices}; got {value!r}.", param, ctx)
        return int(text)


class FocalLengths(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """One or two lengths in pixels, with a comma between them; their range is checked elsewhere."""

    name = "focal lengths"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Read them."""
        try:
            return tuple(float(word) for word in str(value).split(","))
        except ValueError:
            self.fail(f"expected PX or PX,PX, such as 1200 or 1200,950; got {value!r}.", param, ctx)
