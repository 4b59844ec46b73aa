"""Descriptors in text files: whole numbers or of unit length, told by their values; all else is refused."""

import numpy as np
import pytest
from conftest import SAMPLES
from test_foreign_formats import name_of, one

import siftcli
from siftcli import load, save
from siftcli.__main__ import run

TEXTS = {"lowe": "a.png.key", "vlfeat": "a.png.sift", "vlfeat pair": "a.png.frame", "oxford": "a.png.oxford",
         "colmap-text": "a.png.txt"}  # fmt: skip
"""Formats whose descriptors are numbers in text."""


@pytest.fixture(scope="module")
def real():
    return siftcli.detect(next(p for p in SAMPLES if p.name == "camera.png"), max_features=3)


def rewritten(case, values, decimals=None):
    """The text of a file of ``values`` (N, 128) for descriptors, in Lowe's order."""
    cells = [[f"{v:.{decimals}f}" if decimals else f"{v:.9g}" for v in row] for row in values]
    frames = ["1 2 1 0", "3 4 2 0.5", "5 6 3 1"]
    if name_of(case) == "vlfeat":
        order = [8 * (i // 8) + (-i) % 8 for i in range(128)]
        cells = [[row[i] for i in order] for row in cells]
    if case == "oxford":
        frames = ["1 2 1 0 1", "3 4 0.25 0 0.25", "5 6 0.1 0 0.1"]
    if case == "vlfeat pair":
        return "\n".join(frames) + "\n", "".join(" ".join(row) + "\n" for row in cells)
    body = "".join(f"{frame} {' '.join(row)}\n" for frame, row in zip(frames, cells, strict=True))
    head = {"lowe": "3 128\n", "colmap-text": "3 128\n", "oxford": "128\n3\n"}.get(name_of(case), "")
    return head + body, None


def converted(tmp_path, case, values, decimals=None):
    """What ``siftcli convert`` makes of such a file: its status, and the features."""
    path = tmp_path / TEXTS[case]
    text, second = rewritten(case, values, decimals)
    path.write_text(text)
    if second is not None:
        path.with_suffix(".descr").write_text(second)
    status = run(["convert", str(path), str(tmp_path / "x.npz"), "--from", name_of(case), "-q"])
    return status, load(tmp_path / "x.npz") if status == 0 else None


def real_descriptors(real):
    return real.descriptors[:3].astype(float)


def unit(values):
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.mark.parametrize("case", TEXTS)
def test_descriptors_of_bytes(tmp_path, case, real):
    status, f = converted(tmp_path, case, real_descriptors(real))
    assert status == 0
    np.testing.assert_array_equal(f.descriptors, real.descriptors[:3])


@pytest.mark.parametrize("case", TEXTS)
@pytest.mark.parametrize("decimals", [None, 4])
def test_descriptors_of_unit_length(tmp_path, case, decimals, real):
    values = unit(real_descriptors(real))
    status, f = converted(tmp_path, case, values, decimals)
    assert status == 0
    expected = np.minimum(np.rint(512 * values), 255)
    assert expected.max() > 50
    np.testing.assert_allclose(f.descriptors, expected, atol=1 if decimals else 0)


@pytest.mark.parametrize("case", TEXTS)
def test_a_vector_of_zeros_is_of_either_kind(tmp_path, case, real):
    values = unit(real_descriptors(real))
    values[1] = 0
    status, f = converted(tmp_path, case, values)
    assert status == 0
    assert f.descriptors.any(axis=1).tolist() == [True, False, True]


@pytest.mark.parametrize("case", TEXTS)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v + 0.25, "row 0 is neither"),  # fractions of bytes
        (lambda v: np.vstack([v[:2], v[2:] + 0.5]), "row 2 is neither"),
        (lambda v: np.vstack([v[:1], unit(v[1:])]), "row 0 is of whole numbers, and others are not"),
        (lambda v: v * [[1], [20], [1]], "row 1 is neither"),  # beyond a byte
        (lambda v: v - 1, "is neither"),  # negative
        (lambda v: np.vstack([unit(v[:2]), 2 * unit(v[2:])]), "row 2 is neither (length 2)"),
        (lambda v: np.vstack([unit(v[:2]), -unit(v[2:])]), "row 2 is neither (length 1)"),
        (lambda v: v / v.sum(axis=1, keepdims=True), "row 0 is neither"),  # of sum 1
        (lambda v: v * np.nan, "row 0 is neither"),
    ],
)
def test_other_descriptors_are_refused(tmp_path, case, change, said, real, capfd):
    assert real_descriptors(real).max() > 15
    status, _ = converted(tmp_path, case, change(real_descriptors(real)))
    assert status == 1
    err = capfd.readouterr().err
    assert "expected descriptors of whole numbers from 0 to 255, or all of unit length" in err
    assert said in err
    assert TEXTS[case] in err


@pytest.mark.parametrize("name", ["csv", "json", "jsonl"])
@pytest.mark.parametrize("value", ["12.5", "256", "-1", "0.25"])
def test_our_own_texts_hold_whole_numbers_only(tmp_path, name, value, capfd):
    path = tmp_path / f"a.{name}"
    save(one(), path)
    separator = "," if name == "csv" else ", "
    text = path.read_text()
    assert text.count(f"{separator}77{separator}") == 1
    path.write_text(text.replace(f"{separator}77{separator}", f"{separator}{value}{separator}"))
    assert run(["convert", str(path), str(tmp_path / "x.npz"), "-q"]) == 1
    assert "expected descriptors whole numbers from 0 to 255; row 0 is not" in capfd.readouterr().err
