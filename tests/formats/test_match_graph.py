"""Reading stored matches: siftcli's own, COLMAP's and hloc's, and files that are damaged."""

import sqlite3

import h5py
import numpy as np
import pytest
from conftest import SAMPLES
from PIL import Image

import siftcli
from siftcli.__main__ import run
from siftcli.errors import InputError
from siftcli.formats import _colmap_schema as schema
from siftcli.formats._match_graph import NONE, match_reader, merged
from siftcli.workflows.stored_pairs import StoredPairs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three overlapping crops and another image, matched into both kinds of files, and without a model."""
    pytest.importorskip("poselib")
    folder = tmp_path_factory.mktemp("matches")
    (folder / "in" / "sub").mkdir(parents=True)
    whole = Image.open(next(path for path in SAMPLES if path.name == "camera.png"))
    for name, x in (("a.png", 0), ("b.png", 40), ("sub/c.png", 80)):
        whole.crop((x, 100, x + 300, 400)).save(folder / "in" / name)
    other = Image.open(next(path for path in SAMPLES if path.name == "gravel.png"))
    other.crop((0, 0, 200, 200)).save(folder / "in" / "z.png")
    images = [str(folder / "in"), "--max-features", "300", "-q"]
    assert run(["detect", *images, "-o", str(folder / "x.db")]) == 0
    assert run(["detect", *images, "-o", str(folder / "f.h5"), "--rootsift"]) == 0
    pairs = ["--pairs", "exhaustive", "-q"]
    plane = ["--model", "homography"]  # crops of a picture determine no fundamental matrix
    assert run(["match", str(folder / "x.db"), *pairs, *plane]) == 0
    assert run(["match", str(folder / "f.h5"), *pairs, *plane, "-o", str(folder / "m.h5")]) == 0
    assert (
        run(["match", str(folder / "f.h5"), *pairs, "-o", str(folder / "plain.h5"), "--model", "none"]) == 0
    )
    return folder


def by_names(graph):
    """(inliers, matches, is_verified) by the names of a pair."""
    names = [tuple(graph.images[i] for i in pair) for pair in graph.pairs]
    counts = zip(graph.n_inliers.tolist(), graph.n_matches.tolist(), graph.is_verified.tolist(), strict=True)
    return dict(zip(names, counts, strict=True))


def test_both_kinds_of_files_tell_the_same(folder):
    with match_reader(folder / "x.db") as database, match_reader(folder / "m.h5") as hloc:
        one, other = database.graph(), hloc.graph()
        assert one.images == other.images == ("a.png", "b.png", "sub/c.png", "z.png")
        ours, theirs = by_names(one), by_names(other)
        assert ours.keys() == theirs.keys()
        assert {pair: found[0] for pair, found in ours.items()} == {p: f[0] for p, f in theirs.items()}
        assert all(matches >= inliers for inliers, matches, _ in ours.values())
        assert all(matches == NONE for _, matches, _ in theirs.values())
        assert [pair for pair, found in ours.items() if found[2]] == [
            ("a.png", "b.png"), ("a.png", "sub/c.png"), ("b.png", "sub/c.png")
        ]  # fmt: skip
        for pair in ours:
            stored, inliers = database.read(*pair), hloc.read(*pair)
            np.testing.assert_array_equal(stored.pairs[stored.inliers], inliers.pairs)
            assert inliers.inliers.all()


@pytest.mark.parametrize("name", ["x.db", "m.h5", "plain.h5"])
def test_a_pair_is_read_in_either_order(folder, name):
    with match_reader(folder / name) as reader:
        one, other = reader.read("a.png", "sub/c.png"), reader.read("sub/c.png", "a.png")
    assert len(one.pairs) > 0
    np.testing.assert_array_equal(one.pairs, other.pairs[:, ::-1])
    assert (one.inliers is None) == (name == "plain.h5")


def test_inliers_are_where_the_images_overlap(folder):
    with StoredPairs(str(folder / "x.db")) as stored:
        found = stored.show("a.png", "sub/c.png")
    f, g = found.features
    rows = found.matches.pairs[found.matches.inliers]
    # c is cut 80 px to the right of a: COLMAP's half pixel is undone for both
    np.testing.assert_allclose(np.median(f.xy[rows[:, 0]] - g.xy[rows[:, 1]], axis=0), [80, 0], atol=0.05)


def test_matches_without_a_model_have_no_inliers(folder):
    with match_reader(folder / "plain.h5") as reader:
        graph = reader.graph()
    assert not graph.has_models
    assert (graph.n_inliers == NONE).all()
    np.testing.assert_array_equal(graph.is_edge, graph.n_matches > 0)
    np.testing.assert_array_equal(graph.strength, graph.n_matches)


def test_features_are_found_where_they_were(folder):
    with match_reader(folder / "m.h5") as reader:
        assert reader.found_in().source == str(folder / "f.h5")
        assert all(reader.found_in("b.png", "a.png").digests)
    with match_reader(folder / "x.db") as reader:
        assert reader.found_in().source == str(folder / "x.db")


def test_reasons_are_read_where_they_are_recorded(folder, tmp_path):
    with sqlite3.connect(folder / "x.db") as database:
        ids = dict(database.execute("SELECT name, image_id FROM images"))
    number = schema.pair_id(ids["a.png"], ids["sub/c.png"])
    path = changed(
        folder,
        tmp_path,
        "DROP TABLE IF EXISTS siftcli_pairs",
        "CREATE TABLE siftcli_pairs (pair_id INTEGER PRIMARY KEY NOT NULL, reason TEXT NOT NULL)",
        f"INSERT INTO siftcli_pairs VALUES ({number}, 'similar+gps'), (7, 'of no image')",
    )
    with StoredPairs(str(path)) as stored:
        assert (
            stored.reason("sub/c.png", "a.png") == stored.show("a.png", "sub/c.png").reason == "similar+gps"
        )
        assert stored.reason("a.png", "b.png") == ""
    (tmp_path / "m.h5").write_bytes((folder / "m.h5").read_bytes())
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file["a.png/sub-c.png"].attrs["siftcli_reason"] = np.bytes_(b"gps")
    with StoredPairs(str(tmp_path / "m.h5")) as stored:
        assert stored.reason("sub/c.png", "a.png") == "gps"


def test_a_file_without_reasons_has_none(folder, tmp_path):
    path = changed(folder, tmp_path, "DROP TABLE IF EXISTS siftcli_pairs")
    with match_reader(path) as reader:
        assert reader.reasons() == {}


def test_hlocs_own_matches(tmp_path):
    with h5py.File(tmp_path / "matches.h5", "w") as file:
        group = file.create_group("db-1.png/query-2.png")
        group["matches0"] = np.array([3, -1, 0], np.int16)
        group["matching_scores0"] = np.ones(3, np.float16)
    with match_reader(tmp_path / "matches.h5") as reader:
        graph = reader.graph()
        assert graph.images == ("db-1.png", "query-2.png")
        assert by_names(graph) == {("db-1.png", "query-2.png"): (NONE, 2, False)}
        np.testing.assert_array_equal(reader.read("db-1.png", "query-2.png").pairs, [[0, 3], [2, 0]])
        assert reader.found_in() is None
    with StoredPairs(str(tmp_path / "matches.h5")) as stored:
        assert len(stored.graph()) == 1
        with pytest.raises(InputError, match="not recorded which features"):
            stored.show("db-1.png", "query-2.png")


@pytest.mark.peers
def test_colmaps_own_database(tmp_path, folder):
    pycolmap = pytest.importorskip("pycolmap")

    path = tmp_path / "own.db"
    pycolmap.extract_features(path, folder / "in")
    pycolmap.match_exhaustive(path)
    with match_reader(path) as reader:
        found = by_names(reader.graph())
        assert {pair for pair, counts in found.items() if counts[2]} == {
            ("a.png", "b.png"), ("a.png", "sub/c.png"), ("b.png", "sub/c.png")
        }  # fmt: skip
        stored = reader.read("sub/c.png", "a.png")
        assert np.count_nonzero(stored.inliers) == found["a.png", "sub/c.png"][0] > 15


def test_inliers_that_guided_matching_found_are_joined():
    matches, inliers = np.array([[0, 1], [2, 3], [4, 5]], np.int32), np.array([[2, 3], [6, 7]], np.int32)
    found = merged(matches, inliers)
    assert found.pairs.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert found.inliers.tolist() == [False, True, False, True]
    assert merged(np.zeros((0, 2), np.int32), inliers).inliers.all()
    assert merged(matches, None).inliers is None


def changed(folder, tmp_path, *statements):
    path = tmp_path / "y.db"
    path.write_bytes((folder / "x.db").read_bytes())
    with sqlite3.connect(path) as database:
        for statement in statements:
            database.execute(statement)
    database.close()
    return path


def test_pairs_of_unknown_images_are_left_out(folder, tmp_path):
    path = changed(folder, tmp_path, "DELETE FROM images WHERE name = 'z.png'")
    with match_reader(path) as reader:
        graph = reader.graph()
    assert (len(graph), graph.n_left_out) == (3, 3)
    assert "z.png" not in graph.images


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE matches SET rows = 'many'", "whole numbers"),
        ("UPDATE two_view_geometries SET rows = -5", "whole numbers"),
        ("UPDATE matches SET data = x'0102'", "do not fit"),
        ("UPDATE matches SET cols = 1, rows = 2 * rows", "two rows of features"),
    ],
)
def test_damaged_databases(folder, tmp_path, statement, said):
    path = changed(folder, tmp_path, statement)
    with match_reader(path) as reader, pytest.raises(InputError, match=said) as refused:
        reader.graph()
        reader.read("a.png", "b.png")
    assert "\n" not in str(refused.value)
    assert "y.db" in str(refused.value)


def test_damaged_files_of_hloc(folder, tmp_path):
    path = tmp_path / "m.h5"
    path.write_bytes((folder / "m.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        del file["a.png/b.png/matches0"]
        file["a.png/b.png"]["matches0"] = np.array([0.5, 1.5])
    with match_reader(path) as reader, pytest.raises(InputError, match="as a list of rows"):
        reader.graph()
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    with pytest.raises(InputError, match=r"m\.h5: expected an HDF5 file"):
        match_reader(path)


def test_features_that_are_others_now(folder, tmp_path):
    """A file of matches names its features by path and digest; those there now may be others."""
    (tmp_path / "f.h5").write_bytes((folder / "f.h5").read_bytes())
    pairs = ["--pairs", "exhaustive", "-q"]
    assert run(["match", str(tmp_path / "f.h5"), *pairs, "-o", str(tmp_path / "m.h5")]) == 0
    fewer = ["--max-features", "40", "-q", "--overwrite"]
    assert run(["detect", str(folder / "in"), "-o", str(tmp_path / "f.h5"), *fewer]) == 0
    with StoredPairs(str(tmp_path / "m.h5")) as stored:
        with pytest.raises(InputError, match=r"the features of a\.png that were matched, .* has others now"):
            stored.show("a.png", "b.png")
        assert len(stored.graph()) == 6


def test_rows_beyond_the_features(folder, tmp_path):
    path = changed(folder, tmp_path, "UPDATE keypoints SET rows = 3, data = substr(data, 1, 72)",
                   "UPDATE descriptors SET rows = 3, data = substr(data, 1, 384)")  # fmt: skip
    with StoredPairs(str(path)) as stored, pytest.raises(InputError, match="as the matches have, got 3"):
        stored.show("a.png", "b.png")


def test_what_holds_no_matches(folder, tmp_path):
    for path, said in (
        (tmp_path / "none.db", "no such file"),
        (folder / "in" / "a.png", "expected a suffix"),
    ):
        with pytest.raises(InputError, match=said):
            match_reader(path)
    siftcli.save(siftcli.load(folder / "f.h5", image="a.png"), tmp_path / "a.npz")
    with pytest.raises(InputError, match=r"expected a file of matches .* got npz"):
        match_reader(tmp_path / "a.npz")
    with (
        match_reader(folder / "x.db") as reader,
        pytest.raises(InputError, match=r"its 4 images, got 'q\.png'"),
    ):
        reader.read("a.png", "q.png")
    schema.connect(folder / "x.db", write=False).close()
    assert (
        run(["detect", str(folder / "in"), "-o", str(tmp_path / "new.db"), "--max-features", "20", "-q"]) == 0
    )
    with match_reader(tmp_path / "new.db") as reader, pytest.raises(InputError, match="were not matched"):
        reader.read("a.png", "b.png")
