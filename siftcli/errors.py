"""The exceptions of siftcli.

Every message is one line that states what was expected, what was given, and what to do next. The
command line maps the classes to exit statuses.
"""

from __future__ import annotations

from typing import Self


class SiftcliError(Exception):
    """Base class of all errors that siftcli reports.

    Examples
    --------
    >>> import siftcli
    >>> try:
    ...     siftcli.detect("nothing.png")
    ... except siftcli.SiftcliError as error:
    ...     print(error)
    nothing.png: no such file...
    """


class ParameterError(SiftcliError, ValueError):
    """An invalid parameter or combination of parameters."""


class InputError(SiftcliError):
    """An image, mask or feature file that cannot be read or has invalid content."""


class OutputError(SiftcliError):
    """An output that already exists or cannot be written."""


class StorageError(OutputError):
    """An output on a disk that is full, has become read-only or fails."""


class MissingDependencyError(SiftcliError, ImportError):
    """An optional package, or a system library of one, that is not installed."""

    @classmethod
    def of_extra(cls, what: str, package: str, extra: str) -> Self:
        """The error for something that needs a package which an extra of siftcli installs."""
        return cls(
            f"{what} needs the Python package {package}, which is not installed; "
            f"install it with: pip install 'siftcli[{extra}]'"
        )
