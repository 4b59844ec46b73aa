"""Files of other programs: what they carry comes back, in their conventions, read by their own readers."""

import struct
import subprocess
import sys
from dataclasses import replace

import cv2
import h5py
import numpy as np
import pytest
from conftest import SAMPLES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import siftcli
from siftcli import SiftParams, load, save
from siftcli.errors import InputError, OutputError
from siftcli.features import Features
from siftcli.formats import FORMATS, encode
from siftcli.formats._collections import WriteOptions, open_writer
from siftcli.formats._conventions import in_stored_frame, octave_of, reversed_bins

FILES = {"lowe": "x.key", "vlfeat": "x.sift", "vlfeat pair": "x.frame", "oxford": "x.oxford",
         "colmap-text": "x.txt", "hpatches": "x.siftcli", "openmvg": "x.feat"}  # fmt: skip
COLLECTIONS = {"hloc": "x.h5", "colmap-db": "x.db"}
ALL = {**FILES, **COLLECTIONS}
RELATIVE = 4 * np.finfo(np.float32).eps
"""Of numbers that go through degrees, an inverse square, or a cosine: a few roundings of float32."""


def name_of(case):
    return case.split()[0]


@pytest.fixture(scope="module")
def real():
    path = next(p for p in SAMPLES if p.name == "camera.png")
    return siftcli.detect(path, max_features=400)


@st.composite
def features(draw):
    """Features as detectors give them: positions to 2^15, σ to 2^10, whole descriptors, a name and a size."""
    n = draw(st.integers(0, 4))

    def column(dtype, shape, low, high, **options):
        elements = (
            st.floats(low, high, width=32, **options) if dtype == np.float32 else st.integers(low, high)
        )
        return draw(hnp.arrays(dtype, shape, elements=elements))

    return Features(
        xy=column(np.float32, (n, 2), 0, 2**15),
        scale=column(np.float32, n, 0.5, 2**10),
        orientation=column(np.float32, n, 0, 6.25),
        response=column(np.float32, n, 0, 1),
        sign=np.ones(n),
        octave=np.zeros(n),
        descriptors=column(np.uint8, (n, 128), 0, 90),
        image_size=(2**15 + 1, 2**15 + 1),
        image_name="a.png",
    )


def angle_between(a, b):
    return np.abs((a.astype(float) - b + np.pi) % (2 * np.pi) - np.pi)


def assert_carried(case, written, read):
    """What the format carries is as it was."""
    lacks = FORMATS[name_of(case)].lacks
    assert len(read) == len(written)
    # COLMAP's half pixel is rounded to float32 once on the way out and once back
    np.testing.assert_allclose(read.xy, written.xy, rtol=RELATIVE, atol=1e-7)
    np.testing.assert_allclose(read.scale, written.scale, rtol=RELATIVE)
    if "orientation" not in lacks:
        assert (angle_between(read.orientation, written.orientation) <= 7 * RELATIVE).all()
    if "response" not in lacks:
        np.testing.assert_array_equal(read.response, written.response)
    if "image size" not in lacks:
        assert read.image_size == written.image_size
    if "image name" not in lacks:
        assert read.image_name == written.image_name


@pytest.mark.parametrize("case", ALL)
@given(f=features())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_saving_and_loading_keeps_what_is_carried(tmp_path, case, f):
    path = tmp_path / ALL[case]
    save(f, path, name_of(case), overwrite=True)
    read = load(path, name_of(case))
    assert_carried(case, f, read)
    if name_of(case) not in ("hloc", "hpatches"):
        np.testing.assert_array_equal(read.descriptors, f.descriptors)


@pytest.mark.parametrize("case", ALL)
def test_real_features(tmp_path, case, real):
    save(real, tmp_path / ALL[case], name_of(case))
    read = load(tmp_path / ALL[case], name_of(case))
    assert_carried(case, real, read)
    # unit vectors are multiplied by 512 again, where the real length was a little off: at most 1 of 255
    worst = np.abs(read.descriptors.astype(int) - real.descriptors).max()
    assert worst <= (1 if name_of(case) in ("hloc", "hpatches") else 0)
    # refinement may move a keypoint across the border of two octaves
    assert np.mean(read.octave == real.octave) > 0.95
    assert np.abs(read.octave - real.octave).max() <= 1


@pytest.mark.parametrize("case", ALL)
def test_no_features(tmp_path, case, real):
    save(real.select(slice(0)), tmp_path / ALL[case], name_of(case))
    assert len(load(tmp_path / ALL[case], name_of(case))) == 0


def test_octave_of_the_scale():
    sigma = np.float32(SiftParams().sigma * 2.0 ** np.array([-1 + 1 / 3, -0.01, 1 / 3, 1, 4 / 3, 2 + 2 / 3]))
    assert octave_of(sigma).tolist() == [-1, -1, 0, 0, 1, 2]


# --- each format's own convention, from its documentation --------------------------------------------------


def one(**changes):
    base = {
        "xy": [[10.25, 20.5]],
        "scale": [2.0],
        "orientation": [0.5],
        "response": [0.125],
        "sign": [1],
        "octave": [0],
        "descriptors": np.arange(128)[None],
        "image_size": (100, 80),
        "image_name": "a.png",
    }
    return Features(
        **{name: np.array(v) if isinstance(v, list) else v for name, v in {**base, **changes}.items()}
    )


def test_lowe(tmp_path):
    save(one(), tmp_path / "x.key")
    lines = (tmp_path / "x.key").read_text().splitlines()
    assert lines[0] == "1 128"
    assert lines[1] == "20.5 10.25 2.0 -0.5"  # row, column, sigma, counter-clockwise
    assert [len(line.split()) for line in lines[2:]] == [20, 20, 20, 20, 20, 20, 8]
    assert [int(v) for line in lines[2:] for v in line.split()] == list(range(128))
    save(one(orientation=[6.0]), tmp_path / "y.key")
    angle = float((tmp_path / "y.key").read_text().split()[5])
    assert -np.pi <= angle <= np.pi
    assert angle == pytest.approx(2 * np.pi - 6, abs=1e-6)


def test_lowe_in_any_white_space(tmp_path):
    text = " 1\t128\r\n 20.50 10.25\n 2.00 -0.500\n" + "\n".join(str(i) for i in range(128))
    (tmp_path / "x.key").write_text(text)
    f = load(tmp_path / "x.key")
    assert f.xy.tolist() == [[10.25, 20.5]]
    assert f.descriptors[0].tolist() == list(range(128))


def test_vlfeat(tmp_path):
    save(one(), tmp_path / "x.sift")
    save(one(), tmp_path / "x.frame")
    values = (tmp_path / "x.sift").read_text().split()
    assert values[:4] == ["10.25", "20.5", "2.0", "0.5"]
    assert values[4:12] == ["0", "7", "6", "5", "4", "3", "2", "1"]  # k -> (8 - k) mod 8
    assert (tmp_path / "x.frame").read_text().split() == values[:4]
    assert (tmp_path / "x.descr").read_text().split() == values[4:]


def test_oxford(tmp_path):
    save(one(), tmp_path / "x.oxford")
    lines = (tmp_path / "x.oxford").read_text().splitlines()
    assert lines[:2] == ["128", "1"]
    assert lines[2].split()[:5] == ["10.25", "20.5", "0.25", "0", "0.25"]
    (tmp_path / "y.oxford").write_text("1.0\n2\n3 4 0.04 0 0.01\n5 6 1 0 1\n")  # half axes 5 and 10
    f = load(tmp_path / "y.oxford")
    np.testing.assert_allclose(f.scale, [50**0.5, 1])
    assert not f.descriptors.any()


def test_colmap_text(tmp_path):
    save(one(), tmp_path / "x.txt", "colmap-text")
    lines = (tmp_path / "x.txt").read_text().splitlines()
    assert lines[0] == "1 128"
    assert lines[1].split() == ["10.75", "21.0", "2.0", "0.5", *map(str, range(128))]


def test_openmvg(tmp_path):
    save(one(), tmp_path / "x.feat")
    assert (tmp_path / "x.feat").read_text() == "10.25 20.5 2.0 0.5\n"
    data = (tmp_path / "x.desc").read_bytes()
    assert struct.unpack("<Q", data[:8]) == (1,)
    assert list(data[8:16]) == [0, 7, 6, 5, 4, 3, 2, 1]
    assert len(data) == 8 + 128


def test_hpatches_is_read_by_numpy(tmp_path, real):
    save(real, tmp_path / "a.png.siftcli")
    with np.load(tmp_path / "a.png.siftcli", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["keypoints"], real.xy)
        np.testing.assert_array_equal(arrays["scores"], real.response)
        assert arrays["descriptors"].dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(arrays["descriptors"], axis=1), 1, atol=1e-6)


def test_responses_that_are_not_known_are_no_scores(tmp_path, real):
    unknown = replace(real, response=np.zeros(len(real), np.float32))
    for features, has_scores in ((real, True), (unknown, False)):
        path = tmp_path / f"{has_scores}.png.siftcli"
        save(features, path)
        with np.load(path) as arrays:
            assert ("scores" in arrays) == has_scores
        path = tmp_path / f"{has_scores}.h5"
        with open_writer(path, "hloc", WriteOptions()) as writer:
            writer.write("a.png", features)
        with h5py.File(path) as file:
            assert ("scores" in file["a.png"]) == has_scores
    assert (load(tmp_path / "False.png.siftcli").response == 0).all()


@pytest.mark.parametrize("n", [0, 1, 400])
def test_opencv_reads_its_file(tmp_path, real, n):
    f = real.select(slice(n))
    save(f, tmp_path / "x.yml")
    storage = cv2.FileStorage(str(tmp_path / "x.yml"), cv2.FILE_STORAGE_READ)
    node = storage.getNode("keypoints")
    assert node.size() == n
    rows = [[node.at(i).at(j).real() for j in range(7)] for i in range(n)]
    matrix = storage.getNode("descriptors").mat()
    storage.release()
    if not n:
        assert matrix is None or matrix.size == 0
        return
    values = np.array(rows)
    np.testing.assert_allclose(values[:, :2], f.xy, rtol=1e-6)
    np.testing.assert_allclose(values[:, 2], 2 * f.scale, rtol=1e-6)
    np.testing.assert_allclose(np.deg2rad(values[:, 3]), f.orientation, rtol=1e-6)
    np.testing.assert_allclose(values[:, 4], f.response, rtol=1e-6)
    assert ((values[:, 5].astype(int) & 255).astype(np.uint8).view(np.int8) == f.octave).all()
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, f.descriptors)
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path / "x.yml")


def test_vlfeats_descriptor_order(tmp_path):
    """vlsift's own descriptors at the same frames are the reference: only order V agrees."""
    sift = pytest.importorskip("vlsift.sift.sift").sift

    path = next(p for p in SAMPLES if p.name == "camera.png")
    grey = np.array(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.float32)
    frames, theirs = sift(grey, compute_descriptor=True)
    n = len(frames)
    f = Features(
        xy=frames[:, 1::-1],  # vlsift gives (y, x, σ, θ)
        scale=frames[:, 2],
        orientation=frames[:, 3] % (2 * np.pi),
        response=np.zeros(n),
        sign=np.ones(n),
        octave=np.maximum(octave_of(frames[:, 2]), 0),
        descriptors=np.zeros((n, 128)),
        image_size=grey.shape[::-1],
    )
    save(siftcli.describe(path, f, SiftParams.classic()), tmp_path / "x.sift")
    ours = np.loadtxt(tmp_path / "x.sift")[:, 4:]
    assert median_cosine(ours, theirs) >= 0.95
    cells = ours.reshape(-1, 4, 4, 8)
    wrong = {
        "order U": reversed_bins(ours),
        "rows reversed": cells[:, ::-1],
        "columns reversed": cells[:, :, ::-1],
        "rows and columns exchanged": cells.swapaxes(1, 2),
        "bins reversed without 0 in its place": cells[..., ::-1],
    }
    for name, order in wrong.items():
        assert median_cosine(order.reshape(-1, 128), theirs) < 0.8, name


def median_cosine(a, b):
    a, b = a.astype(float), b.astype(float)
    return np.median(np.sum(a * b, axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))


# --- the stored frame ----------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", range(1, 9))
def test_features_in_the_stored_frame_are_those_of_the_stored_pixels(tmp_path, tag):
    from PIL import Image

    stored = np.array(Image.open(next(p for p in SAMPLES if p.name == "camera.png")).convert("L"))[:200, :260]
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    f = siftcli.detect(tmp_path / "a.png")
    assert f.exif_orientation == tag
    there = in_stored_frame(f)
    truth = siftcli.detect(tmp_path / "a.png", exif_orientation="ignore")
    assert there.image_size == truth.image_size == (260, 200)
    cost = np.abs(there.xy[:, None] - truth.xy[None]).max(-1) + angle_between(
        there.orientation[:, None], truth.orientation[None]
    ) + np.abs(there.scale[:, None] - truth.scale[None])  # fmt: skip
    nearest = cost.argmin(1)
    # the pipeline commutes with turns up to rounding; a few weak keypoints fall either way
    same = cost[np.arange(len(f)), nearest] < 0.01
    assert np.mean(same) > 0.95
    assert median_cosine(there.descriptors[same], truth.descriptors[nearest[same]]) > 0.999


# --- what is refused ---------------------------------------------------------------------------------------


def assert_refused(path, format):
    with pytest.raises(InputError) as caught:
        load(path, format)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def damages(data, is_text):
    yield from (data[:40], data[: len(data) // 2], data + b"1 2 3\n")
    if is_text:
        first, *rest = data.split(b"\n")
        last = rest[-2] if len(rest) > 1 else first
        for word in (b"nan", b"text", b"1e999", b"0x10", b"9" * 4000):
            yield data.replace(last.split()[0], word, 1)
        yield b"\n".join([b"-3 128", *rest])
        yield b"\n".join([b"1e18 128", *rest])
        yield b"\n".join([b"128\n4000000000", *rest])


@pytest.mark.parametrize("case", FILES)
def test_damaged_files(tmp_path, case, real):
    save(real.select(slice(3)), tmp_path / FILES[case], name_of(case))
    path = tmp_path / FILES[case]
    good = path.read_bytes()
    for content in (*damages(good, is_text=case != "hpatches"), b"hello\n", b"\0" * 64):
        path.write_bytes(content)
        if content != good:
            assert_refused_or_same(path, name_of(case), 3)


def assert_refused_or_same(path, format, n):
    """One line; a number that happens to be read is a valid one (text formats have no checksum)."""
    try:
        read = load(path, format)
    except InputError as error:
        assert "\n" not in str(error)
        assert path.name in str(error)
    else:
        assert len(read) == n
        assert np.isfinite(read.xy).all()


@pytest.mark.parametrize(
    ("case", "row", "said"),
    [
        ("lowe", "1 128\n1 2 -3 0" + " 1" * 128, "scale positive"),
        ("lowe", "1 128\n1 nan 3 0" + " 1" * 128, "finite"),
        ("lowe", "1 128\n1 2 3 0" + " 300" * 128, "from 0 to 255"),
        ("lowe", "4000000000 128\n1 2 3 0", "4000000000 rows"),
        ("lowe", "-1 128\n", "header"),
        ("lowe", "1 64\n", "header"),
        ("lowe", "one 128\n", "'one'"),
        ("colmap-text", "1 128\n1 2 0 0" + " 1" * 128, "scale positive"),
        ("colmap-text", "2 128\n1 2 1 0" + " 1" * 128, "2 rows"),
        ("vlfeat", "1 2 3", "132 numbers a line"),
        ("vlfeat", "1 2 inf 0" + " 1" * 128, "finite"),
        ("oxford", "1.0\n1\n1 2 1 5 1\n", "ellipses"),
        ("oxford", "1.0\n1\n1 2 nan 0 1\n", "ellipses"),
        ("oxford", "1.0\n-1\n", "count"),
        ("oxford", "64\n1\n", "descriptor length"),
        ("oxford", "128\n99999999999\n", "rows"),
        ("openmvg", "1 2 3", "4 numbers"),
        ("openmvg", "", "as many descriptors"),
        ("openmvg", "1 2 -3 0", "positive"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tmp_path, case, row, said):
    path = tmp_path / FILES[case]
    path.write_text(row)
    (tmp_path / "x.desc").write_bytes(struct.pack("<Q", 1) + bytes(128))
    with pytest.raises(InputError, match=said):
        load(path, name_of(case))


def test_a_claim_of_4_gigabytes_allocates_nothing(tmp_path):
    (tmp_path / "x.feat").write_text("1 2 3 0\n")
    (tmp_path / "x.desc").write_bytes(struct.pack("<Q", 2**25) + bytes(1000))
    (tmp_path / "x.key").write_text("33554432 128\n" + "1 " * 500)
    code = (
        "import resource, sys, siftcli\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (2**30, 2**30))\n"
        "try: siftcli.load(sys.argv[1])\n"
        "except siftcli.SiftcliError as error: print(error)\n"
    )
    for name in ("x.feat", "x.key"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / name)], capture_output=True, text=True, check=True
        )
        assert done.stdout.count("\n") == 1
        assert "expected" in done.stdout


def test_a_missing_second_file(tmp_path):
    for first, second in (("x.feat", "x.desc"), ("x.frame", "x.descr")):
        save(one(), tmp_path / first)
        (tmp_path / second).unlink()
        with pytest.raises(InputError, match=second):
            load(tmp_path / first)


def test_an_existing_second_file_is_not_replaced(tmp_path):
    (tmp_path / "x.desc").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"x\.desc exists"):
        save(one(), tmp_path / "x.feat")
    assert not (tmp_path / "x.feat").exists()


def test_hpatches_of_other_arrays(tmp_path):
    path = tmp_path / "a.siftcli"
    good = {"keypoints": np.ones((2, 2)), "scores": np.ones(2), "descriptors": np.eye(2, 128)}
    bad = [
        {"keypoints": np.ones(2)},
        {"keypoints": np.full((2, 2), np.nan)},
        {"descriptors": np.ones((2, 64))},
        {"descriptors": np.full((2, 128), 255.0)},
        {"descriptors": -np.eye(2, 128)},
        {"scores": np.array(["a", "b"])},
        {"image_size": np.array([-1, 5])},
        {"scales": np.array([-1.0, 1.0])},
    ]
    for change in bad:
        with path.open("wb") as stream:
            np.savez(stream, **{**good, **change})
        assert_refused(path, None)
    with path.open("wb") as stream:
        np.savez(stream, **good)
    assert len(load(path)) == 2


def test_pairs_and_collections_are_not_streamed():
    for name in ("openmvg", "hloc", "colmap-db", "parquet"):
        with pytest.raises(OutputError, match=name):
            encode(one(), name)


def test_rootsift_is_remembered_where_it_can_be(tmp_path):
    f = replace(one(), descriptor_kind="rootsift")
    for name in ("x.h5", "x.db", "x.siftcli", "x.parquet"):
        save(f, tmp_path / name)
        assert load(tmp_path / name).descriptor_kind == "rootsift"
