"""Files for LightGlue: its names, units and types, and a refusal where it would misunderstand."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import SAMPLES

import siftcli
from siftcli import load, save
from siftcli.__main__ import run
from siftcli.errors import InputError, OutputError

CAMERA = next(path for path in SAMPLES if path.name == "camera.png")


@pytest.fixture(scope="module")
def rootsift():
    return siftcli.detect(CAMERA, max_features=300, rootsift=True)


def arrays_of(path):
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def test_names_units_and_types(tmp_path, rootsift):
    save(rootsift, tmp_path / "a.npz", "lightglue")
    arrays = arrays_of(tmp_path / "a.npz")
    np.testing.assert_array_equal(arrays["keypoints"], rootsift.xy)  # the centre of the first pixel is (0, 0)
    np.testing.assert_array_equal(arrays["scales"], rootsift.scale)  # σ, not OpenCV's diameter
    np.testing.assert_array_equal(arrays["oris"], rootsift.orientation)  # radians
    np.testing.assert_array_equal(arrays["image_size"], rootsift.image_size)
    assert arrays["descriptors"].shape == (len(rootsift), 128)
    names = ("keypoints", "descriptors", "scales", "oris", "image_size")
    assert {arrays[name].dtype for name in names} == {np.dtype(np.float32)}
    # float32 has 24 bits; a sum of 128 squares is off by a few of the last
    np.testing.assert_allclose(np.linalg.norm(arrays["descriptors"], axis=1), 1, atol=1e-6)
    assert all(array.dtype.kind in "if" for array in arrays.values())  # each can become a tensor


def test_descriptors_are_the_square_root(tmp_path, rootsift):
    """RootSIFT of SIFT descriptors in bytes is that of the file, but for rounding to bytes, twice."""
    save(rootsift, tmp_path / "a.npz", "lightglue")
    stored = arrays_of(tmp_path / "a.npz")["descriptors"]
    plain = siftcli.describe(CAMERA, rootsift, rootsift=False).descriptors.astype(float)
    expected = np.sqrt(plain / plain.sum(axis=1, keepdims=True))
    cosines = (expected * stored).sum(axis=1)
    assert cosines.min() > 0.99
    assert np.median(cosines) > 0.999


def test_it_reads_back(tmp_path, rootsift):
    turned = replace(rootsift, exif_orientation=6)
    save(turned, tmp_path / "a.npz", "lightglue")
    read = load(tmp_path / "a.npz", "lightglue")
    for name in ("xy", "scale", "orientation", "response"):
        np.testing.assert_array_equal(getattr(read, name), getattr(turned, name))
    # unit vectors are multiplied by 512 again, where the real length was a little off
    assert np.abs(read.descriptors.astype(int) - turned.descriptors).max() <= 1
    assert (read.descriptor_kind, read.exif_orientation) == ("rootsift", 6)
    assert read.image_size == turned.image_size


def test_what_lightglue_would_misunderstand_is_refused(tmp_path, rootsift):
    cases = {
        "expects RootSIFT, got SIFT": replace(rootsift, descriptor_kind="sift"),
        "expects descriptors, got none": replace(rootsift, descriptors=np.zeros((len(rootsift), 128))),
        "expects the size of the image": replace(rootsift, image_size=(0, 0)),
    }
    for said, features in cases.items():
        with pytest.raises(OutputError, match=said):
            save(features, tmp_path / "x.npz", "lightglue")
    assert not (tmp_path / "x.npz").exists()
    save(replace(rootsift.select(slice(0)), descriptor_kind="sift"), tmp_path / "x.npz", "lightglue")
    assert len(load(tmp_path / "x.npz", "lightglue")) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"oris": np.array([90.0, 350])}, "radians, got 350; are they in degrees"),
        ({"oris": None}, "an array oris"),
        ({"descriptors": np.full((2, 128), 9.0)}, "of unit length"),
        ({"exif_orientation": np.array(9)}, "exif_orientation"),
        ({"image_size": np.array([-1.0, 5])}, "image_size"),
    ],
)
def test_files_of_other_arrays(tmp_path, change, said):
    good = {
        "keypoints": np.ones((2, 2)),
        "descriptors": np.eye(2, 128),
        "scales": np.ones(2),
        "oris": np.ones(2),
    }
    arrays = {name: array for name, array in {**good, **change}.items() if array is not None}
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError, match=said) as refused:
        load(tmp_path / "x.npz", "lightglue")
    assert "\n" not in str(refused.value)
    np.savez(tmp_path / "x.npz", **good)
    assert len(load(tmp_path / "x.npz", "lightglue")) == 2


def test_the_suffix_alone_means_siftclis_own_npz(tmp_path, rootsift):
    save(rootsift, tmp_path / "a.npz", "lightglue")
    with pytest.raises(InputError, match="LightGlue's, name that format"):
        load(tmp_path / "a.npz")


def test_detect_and_convert(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    small = ["--max-features", "50", "-q"]
    assert run(["detect", str(CAMERA), "-o", "direct", "--format", "lightglue", *small]) == 0
    assert run(["detect", str(CAMERA), "-o", "database.db", *small]) == 0  # RootSIFT, as COLMAP's are
    assert run(["convert", "database.db", "converted", "--to", "lightglue", "-q"]) == 0
    direct, converted = (arrays_of(f"{folder}/camera.png.npz") for folder in ("direct", "converted"))
    np.testing.assert_array_equal(direct["descriptors"], converted["descriptors"])
    np.testing.assert_allclose(direct["keypoints"], converted["keypoints"], atol=1e-4)  # COLMAP's half pixel
    # a database has no responses, and zeros would be taken for some
    assert direct.keys() - converted.keys() == {"keypoint_scores"}
    assert (load("converted/camera.png.npz", "lightglue").response == 0).all()
    assert run(["detect", str(CAMERA), "-o", "sift.h5", "--no-rootsift", *small]) == 0
    assert run(["convert", "sift.h5", "refused", "--to", "lightglue", "-q"]) == 1
    assert "expects RootSIFT, got SIFT" in capfd.readouterr().err
