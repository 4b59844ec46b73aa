"""Files of transforms: JSON, CSV and ITK's text, and what is refused."""

import json

import numpy as np
import pytest

from siftcli.errors import InputError, OutputError
from siftcli.formats.transforms import FrameTransform, Transforms, load_transforms, save_transforms
from siftcli.views.planar import map_points, similarity

TURN = similarity(1.1, 20, (50, 40), (53, 37))
TILT = np.array([[1, 0, 3], [0, 1, -2], [1e-4, 2e-5, 1]])
ITK = "#Insight Transform File V1.0"
POINTS = np.array([[0.0, 0], [99, 0], [40, 70]])


def transforms(*matrices) -> Transforms:
    frames = tuple(FrameTransform(f"a{k}.png", (100, 80), m) for k, m in enumerate(matrices))
    return Transforms(frames=frames, size=(120, 90), origin=(-10, -5), model="similarity")


@pytest.mark.parametrize("suffix", [".json", ".csv", ".txt"])
def test_transforms_come_back(tmp_path, suffix):
    path = str(tmp_path / f"t{suffix}")
    matrices = [np.eye(3), TURN] if suffix == ".txt" else [np.eye(3), TURN, TILT, None]
    save_transforms(path, transforms(*matrices))
    found = load_transforms(path)
    assert len(found.frames) == len(matrices)
    for frame, matrix in zip(found.frames, matrices, strict=True):
        if matrix is None:
            assert frame.matrix is None
        else:
            # JSON and CSV hold every bit; ITK's text the inverse.
            np.testing.assert_allclose(
                map_points(frame.matrix, POINTS), map_points(matrix, POINTS), atol=1e-10
            )
        if suffix != ".txt":
            assert frame.size == (100, 80) and frame.name.startswith("a")
    if suffix == ".json":
        assert (found.size, found.origin, found.model) == ((120, 90), (-10, -5), "similarity")


def test_itk_maps_from_the_reference_to_the_frame(tmp_path):
    path = tmp_path / "t.txt"
    save_transforms(str(path), transforms(TURN))
    lines = path.read_text().splitlines()
    assert lines[0] == "#Insight Transform File V1.0"
    assert lines[2] == "Transform: AffineTransform_double_2_2"
    a, b, c, d, x, y = (float(v) for v in lines[3].removeprefix("Parameters:").split())
    moving = map_points(TURN, POINTS) @ np.array([[a, b], [c, d]]).T + [x, y]
    np.testing.assert_allclose(moving, POINTS, atol=1e-9)


def test_transforms_that_itk_wrote_with_a_centre(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_2_2\n"
        "Parameters: 0 -1 1 0 2 3\nFixedParameters: 10 20\n"
    )
    # A point p of the reference goes to A (p - centre) + centre + translation.
    expected = np.array([[0, -1], [1, 0]]) @ (np.array([11.0, 20]) - [10, 20]) + [12, 23]
    found = map_points(np.linalg.inv(load_transforms(str(path)).frames[0].matrix), np.array([[11.0, 20]]))
    np.testing.assert_allclose(found[0], expected, atol=1e-9)


def test_what_itk_cannot_hold(tmp_path):
    for matrix, reason in ((TILT, "homography"), (None, "no transform")):
        with pytest.raises(OutputError, match=reason):
            save_transforms(str(tmp_path / "t.txt"), transforms(matrix))
    assert not list(tmp_path.iterdir())


def test_scaled_transforms_keep_outer_edges():
    found = transforms(TURN).scaled(4)
    corner = np.array([[-0.5, -0.5]])
    # The corner of the picture is the corner of the larger one.
    small, large = map_points(TURN, corner), map_points(found.frames[0].matrix, corner)
    np.testing.assert_allclose((small + 0.5) * 4 - 0.5, large, atol=1e-9)
    assert found.frames[0].size == (400, 320) and found.size == (480, 360)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("t.json", "{}", "schema"),
        ("t.json", "[", "expected transforms"),
        ("t.json", '{"schema": "siftcli-transforms-1", "frames": []}', "at least one"),
        ("t.csv", "a,b\n1,2\n", "header"),
        ("t.txt", "hello", "first line"),
        ("t.txt", f"{ITK}\nTransform: BSpline_double_2_2\nParameters: 1\nFixedParameters: 0", "affine"),
        ("t.xml", "", "expected a file of transforms"),
    ],
)  # fmt: skip
def test_files_that_hold_no_transforms(tmp_path, name, text, reason):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=reason):
        load_transforms(str(tmp_path / name))


@pytest.mark.parametrize("matrix", [np.zeros((3, 3)), np.full((3, 3), 1.0), np.diag([1.0, 1, 0])])
def test_a_singular_matrix(tmp_path, matrix):
    content = {
        "schema": "siftcli-transforms-1",
        "frames": [{"name": "a", "size": None, "matrix": matrix.tolist()}],
    }
    (tmp_path / "t.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="singular"):
        load_transforms(str(tmp_path / "t.json"))
