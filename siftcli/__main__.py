"""The ``siftcli`` program: run a command, and report errors as one line and an exit status."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import InputError, MissingDependencyError, SiftcliError, StorageError
from .system.program import allow_processes, leave, on_termination, prepare_streams

if TYPE_CHECKING:
    import click

DONE, FAILED, WRONG_USE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
_ALLOCATIONS_BEFORE_COLLECTION = 100_000


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the program and exit."""
    on_termination(_terminate)
    prepare_streams()
    # Commands are short-lived, so the cyclic garbage collector runs rarely, and not at all at exit.
    gc.set_threshold(_ALLOCATIONS_BEFORE_COLLECTION)
    allow_processes()
    status = run(args)
    gc.freeze()
    leave(status)


def run(args: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 success, 1 failure, 2 wrong usage, 130 interrupted."""
    try:
        return _run(args)
    except KeyboardInterrupt:
        return _interrupted()


def _run(args: Sequence[str] | None) -> int:
    import click

    from .cli import siftcli
    from .cli._output import complain
    from .io.limits import check_limits

    try:
        check_limits()
        status: Any = siftcli.main(args, prog_name="siftcli", standalone_mode=False)
    except click.Abort:
        return _interrupted()
    except click.ClickException as error:
        _tell_wrong_use(error)
        return error.exit_code
    except SiftcliError as error:
        complain(error)
        return FAILED if isinstance(error, InputError | MissingDependencyError | StorageError) else WRONG_USE
    except MemoryError:
        complain("not enough memory; use fewer or smaller inputs")
        return FAILED
    except OSError as error:
        complain(_reason(error))
        return FAILED
    return status if isinstance(status, int) else DONE


def _tell_wrong_use(error: click.ClickException) -> None:
    """One line on what Click refuses; the help as it is, where no command was given."""
    from click.exceptions import NoArgsIsHelpError

    from .cli._groups import HELP, help_flag
    from .cli._output import complain

    if isinstance(error, NoArgsIsHelpError):
        return error.show()
    where = getattr(getattr(error, "ctx", None), "command_path", "siftcli")
    command, option = where.rpartition(" ")[2], getattr(getattr(error, "param", None), "name", None)
    flag = help_flag(command, option) if command in HELP and option else "--help"
    return complain(f"{' '.join(error.format_message().split())} See '{where} {flag}'.")


def _reason(error: OSError) -> str:
    """The message for an error that was not handled where the file was read or written.

    The cause is an unusual file name, or a standard stream.
    """
    if error.filename is None:
        return f"the output cannot be written: {error.strerror or error}"
    return f"{os.fsdecode(error.filename)}: {error.strerror or 'cannot be used'}; check the path"


def _interrupted() -> int:
    with contextlib.suppress(OSError):
        print("siftcli: interrupted", file=sys.stderr)
    return INTERRUPTED


def _terminate(*_: object) -> NoReturn:
    """Exit in the normal way, so that unfinished files are removed."""
    sys.exit(TERMINATED)


if __name__ == "__main__":
    main()
