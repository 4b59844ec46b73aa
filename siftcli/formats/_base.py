"""What the readers and writers of collections share: closing in a ``with`` statement, and two errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from ..errors import InputError, OutputError
from ..words import counted


class Closing(ABC):
    """A context manager that calls ``close`` at its end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Release what is open."""


def refuse_replacing(path: Path, name: str) -> OutputError:
    """Return the error for an image whose features exist and may not be replaced."""
    return OutputError(f"{path}: {name} has features already; pass --overwrite to replace them")


def unknown_image(path: Path, name: str, names: list[str]) -> InputError:
    """Return the error for an image that is not in the collection."""
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return InputError(
        f"{path}: expected the name of one of its {counted(len(names), 'image')}, got {name!r}; "
        f"it has {shown}"
    )
