"""What can go wrong, told so that the reader knows what to do next.

Every message says what was expected, what came, and what to do. The classes
know nothing of the command line; it maps them to exit statuses.
"""


class SiftcliError(Exception):
    """Anything that siftcli reports in one line; the parent of all its errors."""


class ParameterError(SiftcliError, ValueError):
    """A parameter, or a combination of them, that cannot be meant."""


class InputError(SiftcliError):
    """An image, mask or feature file that cannot be read or is not what it should be."""


class OutputError(SiftcliError):
    """An output that exists already or cannot be written."""


class StorageError(OutputError):
    """An output that can take no more: its disk is full, has become read-only or fails."""


class MissingDependencyError(SiftcliError, ImportError):
    """An optional package, or a system library of one, that is not installed."""
