"""The notebooks in docs/examples/, kept as scripts, run, and come out as they say."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))


def run(name, folder):
    """The standard output of an example, started beside the sample images."""
    (folder / "sample_images").symlink_to(ROOT / "sample_images")
    shutil.copy(ROOT / "docs" / "examples" / name, folder)
    result = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", name],
        cwd=folder, env=None, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_cells_are_marked(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# %% [markdown]\n# # ")
    for kind, cell in re.findall(r"^# %%( \[markdown\])?\n(.*?)(?=^# %%|\Z)", text, re.MULTILINE | re.DOTALL):
        lines = [line for line in cell.splitlines() if line]
        assert lines
        assert all(line.startswith("#") for line in lines) == bool(kind)


def test_every_example_is_linked_and_tested():
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert {path.name for path in EXAMPLES} == {"detect_draw_match_align.py", "colmap_arrays.py"}
    for path in EXAMPLES:
        assert f"(examples/{path.name})" in page


def test_detect_draw_match_align(tmp_path):
    told = run("detect_draw_match_align.py", tmp_path)
    assert "rotation 25.0" in told
    n_inliers, residual = re.search(r"(\d+) inliers, median residual (\d\.\d+) px", told).groups()
    assert int(n_inliers) > 200
    assert float(residual) < 0.3  # a photograph that was turned and reduced
    difference = float(re.search(r"both are seen: (\d+\.\d) of 255", told).group(1))
    assert difference < 4  # what reducing takes away; unaligned it is some tens
    for name in ("keypoints.png", "matches.png", "aligned.png"):
        with Image.open(tmp_path / name) as image:
            assert np.ptp(np.asarray(image.convert("L"))) > 150


def test_colmap_arrays(tmp_path):
    pytest.importorskip("pycolmap")
    told = run("colmap_arrays.py", tmp_path)
    theirs, ours = map(int, re.search(r"COLMAP: (\d+) inliers; siftcli: (\d+)", told).groups())
    assert min(theirs, ours) > 500
    assert abs(theirs - ours) < 0.05 * ours
    angle, axis = re.search(r"rotation (\d+\.\d+) degrees, about \[(.*)\]", told).groups()
    assert float(angle) == pytest.approx(8, abs=0.1)
    np.testing.assert_allclose(np.array(axis.split(), float), [0, 1, 0], atol=0.02)
