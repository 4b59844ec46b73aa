"""No way in: what a hostile name, file or folder could do, and does not."""

import ast
import contextlib
import csv
import io
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_fuzz import example

import siftcli
from siftcli import load, save
from siftcli.__main__ import run
from siftcli.cli._output import printable
from siftcli.errors import InputError, OutputError
from siftcli.evaluation.runner import write_csv
from siftcli.evaluation.store import FINISHED_FILE, Store, write_json
from siftcli.features import Features
from siftcli.formats import encode
from siftcli.formats._collections import open_reader
from siftcli.formats._journaled import JournaledFile
from siftcli.io.csv_text import cell
from siftcli.io.failures import write_failures
from siftcli.io.writing import write_inside
from siftcli.workflows.photographs import Photographs

PACKAGE = Path(siftcli.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
ESCAPE = "\x1b[31mred\x1b]0;title\x07\x9b2J\r\u202e"


# --- no code from data -----------------------------------------------------------------------------------

RUNS_CODE = {"eval", "exec", "compile", "__import__", "execfile"}
LOADERS = {
    "pickle",
    "cPickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
    "yaml",
    "ruamel",
    "xml",
    "code",
    "ctypes",
}


def calls(tree: ast.AST):
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.fixture(scope="module")
def trees():
    assert len(SOURCES) > 100
    return {path.relative_to(PACKAGE): ast.parse(path.read_text()) for path in SOURCES}


def test_nothing_imports_a_loader_of_objects(trees):
    found = {str(path): names for path, tree in trees.items() if (names := imported(tree) & LOADERS)}
    # It runs the kernels that Numba has compiled, from files that nobody else can write: test_stored.py.
    assert found == {"kernels/runtime.py": {"ctypes"}}


def test_nothing_evaluates_text(trees):
    for path, tree in trees.items():
        names = {call.func.id for call in calls(tree) if isinstance(call.func, ast.Name)}
        assert not names & RUNS_CODE, path


def test_numpy_is_told_never_to_unpickle(trees):
    allowed = {"load", "read_array", "savez", "write_array", "savez_compressed", "save"}
    seen = 0
    for path, tree in trees.items():
        for call in calls(tree):
            func = call.func
            of_numpy = isinstance(func, ast.Attribute) and getattr(func.value, "id", "") in (
                "np",
                "npy",
                "numpy",
            )
            if of_numpy and func.attr in allowed:
                given = {key.arg: getattr(key.value, "value", None) for key in call.keywords}
                assert given.get("allow_pickle") is False, f"{path}: {ast.unparse(call)}"
                seen += 1
    assert seen >= 3


def test_no_shell_is_started(trees):
    starts = []
    for path, tree in trees.items():
        assert not imported(tree) & {"pty", "commands"}, path
        for call in calls(tree):
            function = ast.unparse(call.func)
            assert not re.match(r"os\.(system|popen|exec|spawn|posix_spawn|fork|startfile)", function), path
            if function.startswith("subprocess."):
                starts.append((str(path), ast.unparse(call)))
        if "subprocess" in imported(tree):
            command = next(node for node in ast.walk(tree) if ast.unparse(node).startswith("command = "))
            starts.append((str(path), ast.unparse(command.value.elts[0])))
    # The benchmark times whole processes: this interpreter, on programs that stand in its source.
    run = (
        "subprocess.run(command, stdout=subprocess.DEVNULL, stderr=messages, env=environment(), check=False)"
    )
    assert starts == [("bench/process.py", run), ("bench/process.py", "sys.executable")]


def test_a_timed_process_runs_nothing_that_a_name_says_or_the_current_folder_holds(images):
    from siftcli.bench.process import time_command

    trap = "open('trapped', 'w')"
    for name in ("cv2", "siftcli", "numpy"):
        Path(f"{name}.py").write_text(trap)
    name = f"-c;touch trapped; $(touch trapped) {trap}.png"
    Path("in/a.png").rename(name)
    assert time_command(name, 1).siftcli_ms.median > 0
    assert not Path("trapped").exists()


class Payload:
    def __reduce__(self):
        return os.mkdir, (os.environ["SIFTCLI_TEST_TRAP"],)


@pytest.mark.parametrize("key", ["xy", "params", "image_name"])
def test_a_pickle_in_an_npz_file_is_not_run(tmp_path, monkeypatch, key):
    monkeypatch.setenv("SIFTCLI_TEST_TRAP", str(tmp_path / "trap"))
    save(example(), tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as archive:
        members = {**archive, key: np.array([Payload()], object)}
    np.savez(tmp_path / "x.npz", **members)
    with pytest.raises(InputError):
        load(tmp_path / "x.npz")
    assert not (tmp_path / "trap").exists()
    with pytest.raises(OSError):
        (tmp_path / "trap").mkdir()
        with np.load(tmp_path / "x.npz", allow_pickle=True) as archive:
            archive[key]


# --- HTML ------------------------------------------------------------------------------------------------


def test_templates_escape_and_data_cannot_end_a_script(trees):
    from siftcli.report import page

    assert "autoescape=True" in ast.unparse(trees[Path("report/rendering.py")])
    templates = sorted((Path(page.__file__).parent / "templates").glob("*.j2"))
    assert [path.name for path in templates] == [
        "align.html.j2",
        "explanation.html.j2",
        "graph.html.j2",
        "page.html.j2",
    ]
    for path in templates:
        parts = path.read_text().split("}}")
        unescaped = {part.split("|")[0].strip(" {") for part in parts if "| safe" in part.split("{{")[-1]}
        own = {"css", "plotly", "script"}
        if path.name == "explanation.html.j2":
            own.add("content")  # SVG of numbers, from report/explanation_svg.py
        assert {name.split("{{")[-1].strip() for name in unescaped} == own


def test_a_collection_cannot_bring_other_images_into_a_page(images):
    """A foreign database may record any path; the image there must have the digest that it records."""
    Path("in/bad.png").unlink()
    assert run(["detect", "in", "-o", "x.db", "--max-features", "20", "-q"]) == 0
    private = Path("private.png").absolute()
    Image.new("L", (40, 30), 77).save(private)
    with contextlib.closing(sqlite3.connect("x.db")) as database:
        rows = database.execute("SELECT name, origin FROM siftcli_images").fetchall()
        for name, origin in rows:
            record = json.loads(origin)
            found = private.stat()
            record["image"] |= {"path": str(private), "size": found.st_size, "mtime_ns": found.st_mtime_ns}
            database.execute(
                "UPDATE siftcli_images SET origin = ? WHERE name = ?", (json.dumps(record), name)
            )
        database.commit()
    with open_reader("x.db") as reader, pytest.raises(InputError, match="that is as it was at detection"):
        Photographs(reader).read(str(rows[0][0]))


# --- the terminal ----------------------------------------------------------------------------------------


def test_control_characters_are_escaped():
    assert printable(ESCAPE).isprintable()
    assert "\x1b" not in printable(ESCAPE)
    assert printable("grün 画像.png") == "grün 画像.png"


def hostile_features() -> Features:
    f = example()
    texts = {"image_name": ESCAPE, "removed": {ESCAPE: 3}}
    return Features(**{**{n: getattr(f, n) for n in f.__dataclass_fields__}, **texts})


@pytest.mark.parametrize(
    "command", [["info"], ["info", "--json"], ["convert"], ["match", "x.json"]], ids=" ".join
)
def test_texts_of_a_file_cannot_command_the_terminal(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    save(hostile_features(), "x.json")
    name, *rest = command
    run([name, "x.json", *rest, *(["out/"] if name == "convert" else [])])
    out, err = capsys.readouterr()
    assert out or err
    assert all(line.isprintable() for line in (out + err).splitlines())


def test_a_line_that_quotes_a_file_is_not_endless(tmp_path, capsys):
    save(example(), tmp_path / "x.json")
    text = (tmp_path / "x.json").read_text()
    (tmp_path / "x.json").write_text(text.replace('"sigma": 1', f'"{"s" * 10**6}": 1', 1))
    assert run(["info", str(tmp_path / "x.json")]) == 1
    assert len(capsys.readouterr().err) < 10_000


# --- spreadsheets ----------------------------------------------------------------------------------------

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_cell_is_no_formula(text):
    assert cell(text) == "'" + text
    assert cell("a" + text) == "a" + text


def is_formula(text: str) -> bool:
    return text.startswith(("=", "+", "@", "\t", "\r")) or (text.startswith("-") and not is_number(text))


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_failures_csv_has_no_formula(tmp_path):
    write_failures(tmp_path / "failures.csv", ("image", "reason"), [(text, text) for text in FORMULAS])
    rows = list(csv.reader((tmp_path / "failures.csv").open(newline="")))[1:]
    assert len(rows) == len(FORMULAS)
    assert not any(is_formula(text) for row in rows for text in row)
    assert [row[0].removeprefix("'") for row in rows] == FORMULAS


def test_summary_csv_has_no_formula(tmp_path):
    from siftcli.evaluation.summary import METRICS

    means = {metric.name: -1.0 for metric in METRICS}
    row = {"sweep": "=a", "budget": "@b", "detector": "+c", "n_images": 1, "n_rows": 1, "means": means}
    write_csv(tmp_path / "summary.csv", {"summary": [row]})
    (_, values) = csv.reader((tmp_path / "summary.csv").open())
    assert not any(is_formula(text) for text in values)
    assert values[0] == "'=a"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_features_csv_has_no_formula(tmp_path, delimiter):
    name = 'a,=1+1;=2+2\t@x,+3,"=4".png'
    f = example()
    f = Features(
        **{**{n: getattr(f, n) for n in f.__dataclass_fields__}, "image_name": name, "removed": {",=5": 1}}
    )
    text = encode(f, "csv").decode()
    for row in csv.reader(io.StringIO(text), delimiter=delimiter):
        assert not any(is_formula(part) for part in row)
    save(f, tmp_path / "x.csv")
    assert load(tmp_path / "x.csv").image_name == name
    assert dict(load(tmp_path / "x.csv").removed) == {",=5": 1}


# --- outputs ---------------------------------------------------------------------------------------------


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim"
    path.write_bytes(b"precious")
    return path


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Two images and one that fails, in a folder ``in`` of the current folder."""
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(rng.integers(0, 256, (40, 40), np.uint8)).save(f"in/{name}")
    Path("in/bad.png").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("name", ["failures.csv", "a.png.npz"])
def test_a_batch_writes_through_no_link_that_was_planted(images, victim, name):
    Path("out").mkdir()
    Path("out", name).symlink_to(victim)
    run(["detect", "in", "-o", "out", "--overwrite", "-q"])
    assert victim.read_bytes() == b"precious"
    assert not Path("out", name).is_symlink()
    assert Path("out", name).is_file()


def test_drawings_and_converted_files_are_written_through_no_link(images, victim):
    for folder in ("out", "drawn", "csv"):
        Path(folder).mkdir()
    Path("drawn/a.png.png").symlink_to(victim)
    run(["detect", "in", "-o", "out", "--draw", "drawn", "--overwrite", "-q"])
    Path("csv/a.png.csv").symlink_to(victim)
    assert run(["convert", "out", "csv/", "--to", "csv", "--overwrite"]) == 0
    assert victim.read_bytes() == b"precious"
    assert Path("drawn/a.png.png").read_bytes()[:4] == b"\x89PNG"
    assert len(load("csv/a.png.csv")) > 0


def test_a_pipe_planted_as_an_output_blocks_nothing(images):
    Path("out").mkdir()
    os.mkfifo("out/failures.csv")
    run(["detect", "in", "-o", "out", "-q"])
    assert Path("out/failures.csv").is_file()


def test_what_an_evaluation_keeps_is_written_through_no_link(tmp_path, victim):
    folder = tmp_path / "run"
    store = Store(folder, {"a": 1})
    (folder / "results.json").symlink_to(victim)
    write_json(folder / "results.json", {"b": 2})
    assert json.loads((folder / "results.json").read_text()) == {"b": 2}
    (folder / FINISHED_FILE).symlink_to(victim)
    with pytest.raises(OSError):
        store.add(_Done(), [])
    assert victim.read_bytes() == b"precious"


class _Done:
    key = ("x",)


def test_a_finished_file_of_something_else_is_told(tmp_path):
    store = Store(tmp_path / "run", {"a": 1})
    for text in ("{}\n", "[]\n", "7\n", '{"key": 3, "records": 1}\n', "[" * 5000 + "\n"):
        (tmp_path / "run" / FINISHED_FILE).write_text(text)
        with pytest.raises(OutputError, match="start over"):
            store.finished()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_journal_that_was_planted_is_not_followed(tmp_path, victim, kind):
    path, journal = tmp_path / "x.h5", tmp_path / ".x.h5.journal"
    save(example(), path)
    if kind == "link":
        journal.symlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(journal)
    else:
        journal.mkdir()
    assert len(load(path)) == 3
    with pytest.raises(OSError):
        JournaledFile(path)
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("suffix", ["h5", "db"])
def test_a_collection_is_made_under_a_safe_name(tmp_path, monkeypatch, victim, suffix):
    monkeypatch.setattr(os, "urandom", bytes)
    (tmp_path / f".siftcli-{bytes(8).hex()}.tmp").symlink_to(victim)
    with pytest.raises((OutputError, InputError)):
        save(example(), tmp_path / f"x.{suffix}")
    assert victim.read_bytes() == b"precious"


def test_a_lock_that_was_planted_is_not_followed(images, victim):
    Path(".f.h5.lock").symlink_to("nowhere")
    assert run(["detect", "in", "-o", "f.h5", "-q"]) == 2
    assert not Path("nowhere").exists()


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_permissions_of_every_output_follow_the_umask(images, umask):
    old = os.umask(umask)
    try:
        for output in ("out", "f.h5", "f.db", "f.parquet"):
            run(["detect", "in", "-o", output, "-q", "--draw", f"drawn-{output}"])
    finally:
        os.umask(old)
    made = [path for path in images.rglob("*") if path.is_file() and "in" not in path.parts]
    assert len(made) > 10
    for path in made:
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask, path
    for folder in (path for path in images.rglob("*") if path.is_dir() and path.name != "in"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~umask


def test_a_link_planted_between_the_check_and_the_writing_is_not_followed(tmp_path, victim, monkeypatch):
    from siftcli.io import writing as _write
    from siftcli.io.writing import write_output

    path, check = tmp_path / "x.bin", _write.check_output

    def checked_then_planted(*args, **options):
        check(*args, **options)
        path.symlink_to(victim)

    monkeypatch.setattr(_write, "check_output", checked_then_planted)
    write_output(path, b"new")
    assert victim.read_bytes() == b"precious"
    assert path.read_bytes() == b"new"


def test_write_inside_refuses_and_replaces(tmp_path, victim):
    link = tmp_path / "link"
    link.symlink_to(victim)
    with pytest.raises(OutputError, match="exists"):
        write_inside(link, b"new")
    write_inside(link, b"new", overwrite=True)
    assert (victim.read_bytes(), link.read_bytes(), link.is_symlink()) == (b"precious", b"new", False)


# --- what is read ----------------------------------------------------------------------------------------


def test_a_report_embeds_no_file_from_elsewhere(tmp_path):
    from siftcli.report.page import _embedded

    secret = tmp_path / "secret"
    secret.write_bytes(b"RIFF secret")
    folder = tmp_path / "run"
    (folder / "pictures").mkdir(parents=True)
    (folder / "pictures/link.webp").symlink_to(secret)
    for name in (str(secret), "../secret", "pictures/link.webp", "pictures/none.webp", ".."):
        assert _embedded(folder, name) == ""
    (folder / "pictures/good.webp").write_bytes(b"RIFF picture")
    assert _embedded(folder, "pictures/good.webp").startswith("data:image/webp")


@pytest.mark.parametrize("text", ["{}", "[]", '{"schema": 1}', '{"schema": 1, "rows": [{}]}', "[" * 5000])
def test_results_of_something_else_are_told_in_one_line(tmp_path, capsys, text):
    (tmp_path / "results.json").write_text(text)
    assert run(["report", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert str(tmp_path) in err


def test_a_device_without_end_is_no_feature_file(monkeypatch):
    monkeypatch.setenv("SIFTCLI_MAX_FILE_BYTES", "1000000")
    for name in ("npz", "csv", "json", "lowe"):
        with pytest.raises(InputError, match=r"at most 1000000 bytes.*SIFTCLI_MAX_FILE_BYTES"):
            load("/dev/zero", name)


def test_a_pipe_is_read_whole_however_it_comes(tmp_path):
    os.mkfifo(tmp_path / "x.npz")
    data = encode(example(2000), "npz")

    def write():
        with (tmp_path / "x.npz").open("wb", buffering=0) as pipe:
            pipe.write(data[:3])
            pipe.write(data[3:])

    writer = threading.Thread(target=write)
    writer.start()
    assert len(load(tmp_path / "x.npz")) == 2000
    writer.join()


def test_names_of_images_reach_no_place_outside(images):
    Path("evil").mkdir()
    for i, name in enumerate(("../../up.png", "/tmp/siftcli-absolute.png", "a/../../b.png")):
        f = example()
        f = Features(**{**{n: getattr(f, n) for n in f.__dataclass_fields__}, "image_name": name})
        save(f, f"evil/{i}.db")
        assert run(["convert", f"evil/{i}.db", f"to{i}/"]) == 1
        assert not list(images.rglob("*.png.npz"))
    assert not Path("/tmp/siftcli-absolute.png.npz").exists()


def test_the_cache_of_kernels_is_the_users_own(tmp_path):
    code = "from siftcli.kernels import cache; print(cache.cache_folder())"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    folder = Path(done.stdout.strip())
    assert folder.is_relative_to(tmp_path)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
