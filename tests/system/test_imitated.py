"""Commands in interpreters that lack what macOS and Windows lack: the same bytes as on Linux.

An imitation is no proof: it has no other file system, linker or processor. It finds what siftcli asks of
Linux, and where it would break Windows' rules on open files and on names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from batches import ARGUMENTS, content
from conftest import SAMPLES
from PIL import Image

import siftcli
from siftcli.formats._collections import WriteOptions, open_writer
from siftcli.system import names

pytestmark = pytest.mark.slow

IMITATION = Path(__file__).parent / "imitation"
SYSTEMS = ("darwin", "win32")

PROGRAM = """\
import json, os, sys
from siftcli.__main__ import main, run
from siftcli.system.program import prepare_streams
prepare_streams()
*lines, last = json.load(sys.stdin)
for line in lines:
    if line[0] == "remove":
        os.remove(line[1])
        continue
    status = run(line)
    if status:
        sys.exit(f"{status}: {line}")
main(last)
"""

EVALUATE = [
    "evaluate",
    "a.png",
    "-o",
    "evaluation",
    "--detectors",
    "siftcli,opencv",
    "--angles",
    "30,90",
    "--jobs",
    "2",
]
COMMANDS = [
    ["detect", "a.png", "-o", "a.npz", "--draw", "a-drawn.png"],
    ["detect", "b.png", "-o", "b.npz", "--threads", "2"],
    ["detect", "in", "-o", "out", "--jobs", "2", *ARGUMENTS],
    ["remove", "out/deeper/c.png.npz"],
    ["detect", "in", "-o", "out", "--check", *ARGUMENTS],
    ["detect", "in", "-o", "out.h5", "--jobs", "2", *ARGUMENTS],
    ["detect", "in", "-o", "out.h5", "--overwrite", *ARGUMENTS],
    ["detect", "in", "-o", "out.db", "--jobs", "2", *ARGUMENTS],
    ["detect", "in", "-o", "out.parquet", *ARGUMENTS],
    ["match", "a.png", "b.png", "--draw", "a-b.png", "--json"],
    ["match", "--pairs", "exhaustive", "out.db", "--min-inliers", "4", "--jobs", "2"],
    ["match", "--pairs", "exhaustive", "out.h5", "-o", "pairs.h5", "--min-inliers", "4"],
    ["match", "--pairs", "exhaustive", "out.h5", "-o", "pairs.h5", "--min-inliers", "4"],
    EVALUATE,
    EVALUATE,
    ["convert", "out.h5", "converted"],
    ["convert", "out.h5", "converted", "--overwrite"],
    ["convert", "hostile.h5", "hostile"],
    ["convert", "hostile", "back.h5"],
    ["convert", "out", "jsonl", "--to", "jsonl"],
    ["align", "a.png", "b.png", "-o", "aligned.png", "--save-transforms", "transforms.json"],
    ["align", "a.png", "b.png", "c.png", "-o", "aligned", "--report", "aligned.html", "--jobs", "2"],
    ["align", "stack.tif", "-o", "aligned.tif"],
    ["info", "out.h5", "--json"],
]
HOSTILE = ("con.jpg", "sub/a:b.jpg", "dot./x.png", "question?", "plain.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures, a folder and a stack of them, and a collection with names that Windows refuses."""
    folder = tmp_path_factory.mktemp("imitated")
    picture = Image.open(next(path for path in SAMPLES if path.name == "camera.png")).convert("L")
    views = [picture.crop((40 + i, 60, 240 + i, 220)).rotate(2 * i) for i in range(5)]
    (folder / "in/deeper").mkdir(parents=True)
    for name, view in zip("abcde", views, strict=True):
        view.save(folder / f"{name}.png")
        view.save(folder / "in" / ("deeper" if name > "b" else "") / f"{name}.png")
    tifffile.imwrite(
        folder / "stack.tif", np.stack([np.asarray(view) for view in views[:3]]), photometric="minisblack"
    )
    one = siftcli.detect(np.asarray(views[0]), max_features=5)
    with open_writer(folder / "hostile.h5", "hloc", WriteOptions()) as writer:
        for name in HOSTILE:
            writer.write(name, replace(one, image_name=name))
    return folder


def run_all(folder: Path, system: str) -> tuple[dict[str, object], str]:
    """Run the commands as on a system: everything that they have written, and what they have printed."""
    before = set(folder.iterdir())
    environment = dict(os.environ, PYTHONIOENCODING="cp1252" if system == "win32" else "utf-8")
    if system != "linux":
        path = [str(IMITATION), os.environ.get("PYTHONPATH", ""), str(Path(siftcli.__file__).parents[1])]
        environment |= {"IMITATED": system, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(COMMANDS),
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    written = {}
    for path in sorted(set(folder.iterdir()) - before):
        written[path.name] = (
            content(path) if path.is_dir() or path.suffix in (".h5", ".db") else path.read_bytes()
        )
        if path.name == "aligned":
            del written[path.name][".siftcli-align.jsonl"]  # it has times
        if path.name == "evaluation":
            written[path.name] = rows(json.loads((path / "results.json").read_text(encoding="utf-8")))
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return written, done.stdout


def rows(results: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of an evaluation without times."""
    return [{name: value for name, value in row.items() if "time" not in name} for row in results["rows"]]


@pytest.fixture(scope="module")
def expected(folder):
    return run_all(folder, "linux")


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_same_bytes(folder, expected, system):
    written, printed = run_all(folder, system)
    wanted = dict(expected[0])
    if system == "win32":  # names of files that Windows refuses; what they hold is the same
        hostile = written.pop("hostile")
        assert set(hostile) != set(wanted["hostile"])
        assert {names.original_name(name): digest for name, digest in hostile.items()} == wanted.pop(
            "hostile"
        )
    assert written.keys() == wanted.keys()
    assert [name for name in written if written[name] != wanted[name]] == []
    assert printed == expected[1]
    assert {"out", "out.h5", "out.db", "pairs.h5", "evaluation", "back.h5", "aligned", "aligned.tif"} <= set(
        written
    )
    assert len(written["hostile"] if system != "win32" else hostile) == len(HOSTILE)


PROBE = """\
import importlib.util, os, select, signal, sys
import siftcli.system.cores as cores
found = [name for name in {modules!r} if importlib.util.find_spec(name)]
found += [f"{{m}}.{{n}}" for m, names in {names!r}.items() for n in names if hasattr(sys.modules[m], n)]
print(cores.sys.platform, sys.platform, *found)
"""


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_imitation_lacks_what_it_should(system):
    names = {"darwin": {"os": ["sched_getaffinity", "pipe2"], "select": ["epoll"], "signal": ["SIGRTMIN"]}}
    names["win32"] = {
        "os": ["fork", "O_NOFOLLOW", "getuid", "mkfifo", "register_at_fork", "sysconf", "pread"],
        "select": ["poll"],
        "signal": ["SIGKILL", "SIGHUP", "pthread_sigmask"],
    }
    modules = {"darwin": ["spwd"], "win32": ["fcntl", "resource", "pwd", "grp"]}
    program = PROBE.format(modules=modules[system], names=names[system])
    here = dict(os.environ, PYTHONPATH=str(Path(siftcli.__file__).parents[1]))
    whole = subprocess.run(
        [sys.executable, "-c", program], env=here, capture_output=True, text=True, check=True
    )
    assert len(whole.stdout.split()) > 5 + (system == "win32")
    there = here | {"IMITATED": system, "PYTHONPATH": os.pathsep.join([str(IMITATION), here["PYTHONPATH"]])}
    done = subprocess.run(
        [sys.executable, "-c", program], env=there, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [system, "linux"]


RULES = """\
import os, sys
exec(compile({body!r}, "siftcli.rule", "exec"), {{"__name__": "siftcli.rule", "__builtins__": __builtins__}})
"""


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("f = open('x', 'wb'); import os; os.unlink('x')", "SharingError"),
        ("open('y', 'wb').close(); f = open('x', 'wb'); import os; os.replace('y', 'x')", "SharingError"),
        ("import os; os.mkdir('con')", "syntax is incorrect"),
        ("open('a:b', 'wb')", "syntax is incorrect"),
        ("open('x', 'w')", "code page"),
        ("import os; os.open('x', os.O_CREAT | os.O_WRONLY)", "line ends"),
        ("import os; os.symlink('x', 'y')", "privilege"),
        ("open('/proc/cpuinfo', 'rb')", "No such file"),
        ("import fcntl", "fcntl"),
    ],
)
def test_the_imitation_of_windows_refuses(tmp_path, body, error):
    environment = dict(os.environ, IMITATED="win32", PYTHONPATH=str(IMITATION))
    command = [sys.executable, "-c", RULES.format(body=body)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert error in done.stderr
