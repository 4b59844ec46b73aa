"""What README and the pages in docs/ say is so: links lead somewhere, commands exist and run.

A block of commands or of Python is marked by a comment above it: ``<!-- run -->`` is run here, in a
fresh folder with the sample images and the scripts of docs/; ``<!-- not run: REASON -->`` is not. Blocks
of a page are run in order, in the same folder.
"""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from siftcli.cli import COMMANDS, siftcli

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
RUNNABLE = ("sh", "python")
FENCE = re.compile(r"^(?P<before>.*)\n```(?P<language>\w+)\n(?P<code>(?:.*\n)*?)```$", re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """The line before, the language and the code of each block."""
    return [match.group("before", "language", "code") for match in FENCE.finditer(page.read_text("utf-8"))]


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as code hosts and site builders make them."""
    heads = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[`*]|\]\(.*?\)|\[", "", head).strip().lower() for head in heads)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", head)) for head in plain}


def commands(code: str) -> list[list[str]]:
    """The words of each command that is siftcli's, up to a pipe or a redirection."""
    found = []
    for line in code.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        is_file = False  # the name of one, to which output is redirected
        for word in [*lexer, ";"]:
            if set(word) <= set(";&|<>()"):
                if words and Path(words[0]).name == "siftcli" and not is_file:
                    found.append(words[1:])
                words, is_file = [], set(word) <= set("<>")
            else:
                words.append(word)
    return found


def all_commands() -> list[tuple[str, list[str]]]:
    return [
        (name_of(page), words)
        for page in PAGES
        for _, language, code in blocks(page)
        if language == "sh"
        for words in commands(code)
    ]


def known_options() -> set[str]:
    root = click.Context(siftcli)
    every = [siftcli, *(siftcli.get_command(root, name) for name in COMMANDS)]
    params = [param for command in every for param in command.params]
    return {"--help", "--help-all"} | {
        option for param in params for option in (*param.opts, *param.secondary_opts)
    }


def test_readme_is_short():
    assert len(README.read_text("utf-8").splitlines()) <= 200


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_anchors_lead_somewhere(page):
    for target in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert page == README or DOCS in file.parents, f"{target}: a site of docs/ alone has no such page"
        if anchor:
            assert anchor in anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_are_marked(page):
    found = blocks(page)
    assert 2 * len(found) == page.read_text("utf-8").count("```"), "a block that is not seen here"
    for before, language, code in found:
        if language in RUNNABLE:
            assert re.fullmatch(r"<!-- (run|not run: \S.*) -->", before), code


def test_there_are_commands_to_check():
    assert {words[0] for _, words in all_commands()} >= set(COMMANDS)


@pytest.mark.parametrize(
    "words", [pytest.param(w, id=f"{page}: {shlex.join(w)}") for page, w in all_commands()]
)
def test_commands_are_accepted(words):
    context = siftcli.make_context("siftcli", [words[0]] if words[0] in COMMANDS else list(words))
    if words[0] in COMMANDS:
        siftcli.get_command(context, words[0]).make_context(words[0], words[1:], parent=context)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_options_named_in_the_text_exist(page):
    spans = re.findall(r"`([^`\n]+)`", prose(page))
    named = {word for span in spans if span.startswith("--") for word in re.findall(r"--[a-z-]+", span)}
    assert named <= known_options()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_modules_and_scripts_of_commands_exist(page):
    for _, language, code in blocks(page):
        if language == "sh":
            for module in re.findall(r"python3? -m (siftcli[\w.]*)", code):
                assert importlib.util.find_spec(module), module
            for script in re.findall(r"python3? ((?:tests|docs)/\S+\.py)", code):
                assert (ROOT / script).is_file(), script


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [p for p in PAGES if any(before == "<!-- run -->" for before, _, _ in blocks(p))], ids=name_of
)
def test_what_is_marked_runs(page, tmp_path):
    (tmp_path / "sample_images").symlink_to(ROOT / "sample_images")
    (tmp_path / "docs").symlink_to(DOCS)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for before, language, code in blocks(page):
        if before == "<!-- run -->":
            run = ["bash", "-euo", "pipefail", "-c"] if language == "sh" else [sys.executable, "-c"]
            done = subprocess.run(
                [*run, code], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True,
                check=False, timeout=600,
            )  # fmt: skip
            assert done.returncode == 0, f"{code}\n{done.stderr[-2000:]}"


def script(name: str):
    spec = importlib.util.spec_from_file_location(name, DOCS / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current():
    for path, text in script("generate_reference").pages().items():
        expected = "run python docs/scripts/generate_reference.py"
        assert path.read_text("utf-8") == text, f"{name_of(path)} is stale: {expected}"


def test_figures_of_the_algorithm_can_be_drawn_and_are_shown():
    drawn = dict(script("make_figures").figures())
    assert set(drawn) == {path.name for path in (DOCS / "images" / "algorithm").iterdir()}
    shown = prose(DOCS / "algorithm.md")
    assert all(f"images/algorithm/{name}" in shown for name in drawn)


def test_every_page_is_on_the_site_map():
    listed = re.findall(r"([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in PAGES[1:])


@pytest.mark.parametrize("folder", ["benchmarks", "decisions"])
def test_an_index_lists_its_folder(folder):
    index = (DOCS / folder / "index.md").read_text("utf-8")
    assert all(f"({page.name})" in index for page in (DOCS / folder).glob("[0-9]*.md"))


def test_figures_of_the_readme_are_those_of_a_benchmark():
    rows = [line for line in README.read_text("utf-8").splitlines() if re.match(r"\| .*\d\.\d{2,}", line)]
    assert rows
    reports = "\n".join(page.read_text("utf-8") for page in (DOCS / "benchmarks").glob("*.md"))
    for row in rows:
        assert row in reports.splitlines(), row
