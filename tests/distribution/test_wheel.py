"""What is published: a source archive that passes its own tests, and a wheel that works by itself."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from test_docs import blocks

from siftcli import __version__

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.distribution


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The folder of both files, built as for a release: the wheel from the source archive."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    assert sorted(path.name for path in folder.iterdir()) == [
        f"siftcli-{__version__}-py3-none-any.whl",
        f"siftcli-{__version__}.tar.gz",
    ]
    return folder


@pytest.fixture(scope="module")
def wheel(published):
    return next(published.glob("*.whl"))


@pytest.fixture(scope="module")
def unpacked(published, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(next(published.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"siftcli-{__version__}"


def test_the_index_would_take_it(published):
    run(sys.executable, "-m", "twine", "check", "--strict", *published.iterdir())


def test_the_wheel_holds_the_package_and_the_manual(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    outside = [
        name for name in names if not name.startswith(("siftcli/", f"siftcli-{__version__}.dist-info/"))
    ]
    assert sorted(outside) == sorted(
        f"siftcli-{__version__}.data/data/share/man/man1/{page.name}"
        for page in (ROOT / "docs/man").glob("*.1")
    )
    tracked = run("git", "-C", ROOT, "ls-files", "siftcli") if (ROOT / ".git").exists() else ""
    assert set(tracked.splitlines()) <= set(names)


def test_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"siftcli-{__version__}.dist-info/METADATA").decode()
    fields = [line for line in metadata.partition("\n\n")[0].splitlines() if ": " in line]
    assert "License-Expression: MIT" in fields
    assert "Requires-Python: >=3.11" in fields
    assert "Description-Content-Type: text/markdown" in fields
    assert sum(line.startswith("Classifier: ") for line in fields) >= 10


def test_the_source_archive_passes_its_own_tests(unpacked):
    """Those of its pages (but for what these run), layout and features; all others must at least be found."""
    env = {**os.environ, "PYTHONPATH": str(unpacked)}
    run(sys.executable, "-m", "pytest", "--collect-only", "-q", "-n0", cwd=unpacked, env=env)
    chosen = ["cli/test_docs.py", "cli/test_readme.py", "unit/test_architecture.py", "unit/test_golden.py"]
    which = [*(Path("tests", name) for name in chosen), "-k", "not what_is_marked_runs"]
    passed = run(sys.executable, "-m", "pytest", "-n2", *which, cwd=unpacked, env=env)
    assert " passed" in passed


def test_the_wheel_runs_the_readme_without_the_repository(wheel, unpacked, tmp_path):
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    run(programs / "python", "-m", "pip", "install", "-q", wheel)
    here = tmp_path / "here"
    here.mkdir()
    (here / "sample_images").symlink_to(unpacked / "sample_images")
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env = {
        **kept,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
    }
    ran = 0
    for before, language, code in blocks(ROOT / "README.md"):
        if before == "<!-- run -->":
            start = ["bash", "-euo", "pipefail", "-c"] if language == "sh" else [programs / "python", "-c"]
            run(*start, code, cwd=here, env=env)
            ran += 1
    assert ran >= 2
    where = run(programs / "python", "-c", "import siftcli; print(siftcli.__file__)", cwd=here, env=env)
    assert Path(where.strip()).is_relative_to(environment)
    assert (environment / "share" / "man" / "man1" / "siftcli-detect.1").is_file()
