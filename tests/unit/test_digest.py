"""The digest that compiled kernels are kept under changes with all that they are made from."""

import ast
import importlib
import sys
from pathlib import Path

import pytest

import siftcli
from siftcli.kernels import vectors
from siftcli.kernels.digest import dependencies, digest_of

PACKAGE = Path(siftcli.__file__).parent
DECORATORS = {"kernel", "subroutine", "inlined", "intrinsic"}


def decorated(path: Path) -> dict[str, set[str]]:
    """Functions of a file, by the name of the decorator that compiles them."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            for mark in node.decorator_list:
                name = getattr(mark.func if isinstance(mark, ast.Call) else mark, "id", "")
                found.setdefault(name, set()).add(node.name)
    return {name: functions for name, functions in found.items() if name in DECORATORS}


COMPILED = {path: functions for path in PACKAGE.rglob("*.py") if (functions := decorated(path))}


def module_of(path: Path):
    return importlib.import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))


def files_imported(path: Path) -> set[Path]:
    """The files whose subroutines a file imports by name, or as a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder, names = path.parents[node.level - 1], {alias.name for alias in node.names}
            source = folder.joinpath(*(node.module or "").split(".")).with_suffix(".py")
            called = set().union(*(f for mark, f in COMPILED.get(source, {}).items() if mark != "kernel"))
            found |= {source} if called & names else set()
            found |= {source.with_suffix("") / f"{name}.py" for name in names} if node.module else set()
            found |= {folder / f"{name}.py" for name in names} if not node.module else set()
    return found & set(COMPILED)


def test_every_file_with_a_kernel_or_a_subroutine_is_part_of_the_digest():
    # Told by the imports of the files, not by the names that their code looks up.
    assert len(COMPILED) > 12
    covered = set()
    for path, functions in COMPILED.items():
        if path.parent.name == "kernels" or "kernel" not in functions:
            continue
        wanted, pending = set(), {path}
        while pending:
            wanted |= pending
            pending = set().union(*map(files_imported, pending)) - wanted
        module = module_of(path)
        files = set().union(
            *(dependencies(getattr(module, name).__wrapped__)[0] for name in functions["kernel"])
        )
        assert wanted <= set(map(Path, files)), path
        covered |= wanted
    assert {path for path in COMPILED if path.parent.name != "kernels"} <= covered


def test_the_package_of_the_kernels_is_part_of_every_digest():
    files, _ = dependencies(lambda x: x)
    assert {str(path) for path in Path(vectors.__file__).parent.glob("*.py")} <= files


FILES = {
    "one/__init__.py": "",
    "two/__init__.py": "",
    "three/__init__.py": "",
    "three/numbers.py": "FACTOR, OTHER = 3, 1\n",
    "two/helpers.py": """
from siftcli.kernels.decorators import subroutine
from three.numbers import FACTOR
@subroutine
def inner(x):
    return x * FACTOR
@subroutine
def outer(x):
    return inner(x) + 1
""",
    "one/work.py": """
from siftcli.kernels.decorators import kernel
from two import helpers
@kernel("float64(float64)")
def of_a_module(x):
    return helpers.outer(x)
@kernel("float64(float64)")
def alone(x):
    return x + 1
""",
}


@pytest.fixture
def digests(tmp_path, monkeypatch):
    """A function that writes the files anew and gives the digests of their two kernels."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def of(name="", old="", new=""):
        changed = FILES | ({name: FILES[name].replace(old, new)} if name else {})
        for path, text in changed.items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(text)
        for module in [m for m in sys.modules if m.split(".")[0] in ("one", "two", "three")]:
            del sys.modules[module]
        importlib.invalidate_caches()
        digest_module = importlib.import_module("siftcli.kernels.digest")
        digest_module._digest_of_file.cache_clear()
        work = importlib.import_module("one.work")
        functions = [getattr(f, "__wrapped__", None) or f.py_func for f in (work.of_a_module, work.alone)]
        return [digest_of(function) for function in functions]

    yield of
    for module in [m for m in sys.modules if m.split(".")[0] in ("one", "two", "three")]:
        del sys.modules[module]


def test_a_change_in_a_subroutine_of_another_package_changes_the_digest(digests):
    before = digests()
    assert digests() == before
    after = digests("two/helpers.py", "inner(x) + 1", "inner(x) + 2")
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_a_change_in_a_constant_of_another_package_changes_the_digest(digests):
    before = digests()
    assert digests("three/numbers.py", "FACTOR, OTHER = 3", "FACTOR, OTHER = 4")[0] != before[0]
    assert digests("three/numbers.py", "OTHER = 3, 1", "OTHER = 3, 2") == before  # not used


def test_a_kernel_without_a_source_has_no_digest():
    namespace: dict = {}
    exec(compile("def f(x):\n    return x\n", "/nowhere/f.py", "exec"), namespace)
    assert digest_of(namespace["f"]) == ""
