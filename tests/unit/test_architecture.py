"""The layout of the package: imports go one way, and no file grows beyond what can be read at once."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

import pytest

import siftcli

PACKAGE = Path(siftcli.__file__).parent

LAYERS = (
    ("system",),
    ("_version", "errors", "presets", "words"),
    ("_cv2", "_notebook", "_poselib", "_rows", "params", "versions"),
    ("features", "pairs"),
    ("io",),
    ("kernels", "image", "parallel"),
    ("sift", "matching", "views", "retrieval"),
    ("formats", "drawing", "frames"),
    ("learned", "affine_views"),
    ("detection",),
    ("api",),
    ("compat", "detectors", "integrations", "alignment", "explanation"),
    ("workflows",),
    ("evaluation",),
    ("report", "bench"),
    ("cli",),
    ("__main__", "siftcli"),
)
"""From the bottom up: a package (or a module beside them) imports from lower layers only."""
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

LONGEST_FILE = 400
USUAL_FILE = 150
"""Lines of the median file, at most."""


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(name: str) -> set[str]:
    """Modules of the package that a module imports anywhere: late and for type checking too."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {full if (full := f"{base}.{alias.name}") in MODULES else base for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {other for other in found if other in MODULES}


def room(module: str) -> str:
    """The package that a module is in, or the module itself beside the packages."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def arrows() -> dict[str, set[str]]:
    """Packages, and those that each imports."""
    found: dict[str, set[str]] = defaultdict(set)
    for name in MODULES:
        found[room(name)] |= {room(other) for other in imported(name)} - {room(name)}
    return found


def test_every_package_has_its_layer():
    assert {room(name) for name in MODULES} == set(RANK)


@pytest.mark.parametrize("importer", sorted(RANK))
def test_imports_go_down(importer):
    up = {other for other in arrows()[importer] if RANK[other] >= RANK[importer]}
    assert not up, f"{importer} imports {', '.join(sorted(up))}, which are not below it"


def test_the_graph_sees_late_imports():
    # The command line imports what a command needs inside the command.
    assert "siftcli.workflows.detect" in imported("siftcli.cli.detect")


def test_files_are_short():
    n_lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES.values()}
    assert {path.name: n for path, n in n_lines.items() if n > LONGEST_FILE} == {}
    assert median(n_lines.values()) <= USUAL_FILE


def test_the_pair_matcher_starts_without_scipy_evaluation_and_views():
    program = (
        "import sys, siftcli.workflows.match_collection\n"
        "print(*({'scipy', 'siftcli.evaluation', 'siftcli.views'} & sys.modules.keys()))"
    )
    for _ in range(2):  # the first run may compile kernels, and Numba imports SciPy
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
