"""Worker processes that are forked from a server, and those that are spawned."""

import subprocess
import sys
from textwrap import dedent

import pytest

from siftcli.system.program import has_fork_server

needs_server = pytest.mark.skipif(not has_fork_server(), reason="workers are spawned on this system")


def printed(tmp_path, program):
    """What a program prints that has a pool of workers; each program has at most one server."""
    path = tmp_path / "program.py"
    path.write_text(PROLOGUE + dedent(program))
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True, cwd=tmp_path)
    return done.stdout.splitlines()


PROLOGUE = """
import os, signal, sys
from siftcli.parallel.processes import LocalPool
from siftcli.parallel.starting import announce_workers

def parent(task):
    return os.getppid()

def variable(task):
    return os.environ.get("SEEN_BY_WORKERS")

def imported(task):
    return "colorsys" in sys.modules

def double(task):
    if task == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * task

def results(work, tasks=range(6)):
    return [result for _, result in LocalPool(work, lambda task: "lost", 2).run(tasks, lambda: False)]
"""


@needs_server
def test_workers_come_from_a_server_with_its_modules(tmp_path):
    program = """
    if __name__ == "__main__":
        announce_workers("colorsys", "no_such_module")
        print(os.getpid() in results(parent), "colorsys" in sys.modules, set(results(imported)))
    """
    assert printed(tmp_path, program) == ["False False {True}"]


@needs_server
def test_a_changed_environment_is_seen_by_workers(tmp_path):
    program = """
    if __name__ == "__main__":
        os.environ["SEEN_BY_WORKERS"] = "first"
        announce_workers("colorsys")
        print(set(results(variable)))
        os.environ["SEEN_BY_WORKERS"] = "second"
        print(set(results(variable)), set(results(parent)) == {os.getpid()})
    """
    assert printed(tmp_path, program) == ["{'first'}", "{'second'} True"]


@pytest.mark.parametrize("announce", ["", "announce_workers('colorsys')"])
def test_a_killed_worker_loses_its_own_task_only(tmp_path, announce):
    program = f"""
    if __name__ == "__main__":
        {announce}
        print(results(double))
    """
    assert printed(tmp_path, program) == ["[0, 2, 4, 'lost', 8, 10]"]
