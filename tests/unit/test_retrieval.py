"""Similar images: vectors and vocabulary against slow twins, exactness, which pairs are taken."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siftcli.errors import InputError, OutputError
from siftcli.retrieval import index_file, nearest, vocabulary
from siftcli.retrieval.index_file import Entry, RetrievalIndex
from siftcli.retrieval.nearest import similar_images
from siftcli.retrieval.vlad import LENGTH, image_vector
from siftcli.retrieval.vocabulary import Vocabulary, rootsift, train


def features(n, seed=0, kind="rootsift"):
    """Descriptors in a few clumps, as those of a repeated texture."""
    rng = np.random.default_rng(seed)
    clumps = rng.integers(0, 120, (8, 128))
    descriptors = clumps[rng.integers(0, 8, n)] + rng.integers(0, 60, (n, 128))
    return SimpleNamespace(descriptors=descriptors.astype(np.uint8), descriptor_kind=kind)


@pytest.fixture(scope="module")
def trained():
    return train(rootsift(features(3000)))


def test_a_vector_is_the_residuals_of_each_word(trained):
    one = features(200, seed=1)
    values = np.floor((one.descriptors.astype(float) @ trained.weights - trained.offset) / trained.shift)
    values = np.clip(values, -255, 255)
    sums = np.zeros(trained.words.shape)
    for value in values:
        word = np.argmin(((trained.words - value) ** 2).sum(axis=1))
        sums[word] += value - trained.words[word]
    rows = [row / np.linalg.norm(row) for row in sums if row.any()]
    expected = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1)
    expected *= LENGTH / np.sqrt(len(rows))
    assert np.array_equal(image_vector(one, trained), np.clip(np.rint(expected), -127, 127).ravel())


def test_an_image_without_features_has_no_direction(trained):
    assert not image_vector(features(0), trained).any()


def test_products_are_exact_in_float32(trained):
    # Whole numbers below 2²⁴ have one sum, whatever its order.
    one = features(500, seed=2)
    one.descriptors[:250] = 255
    values = trained.project(rootsift(one))
    assert np.array_equal(values, np.rint(values))
    weights = trained.weights.astype(np.int64)
    assert np.abs(weights).sum(axis=0).max() * 255 < 1 << 24
    largest = 3 * (np.abs(trained.words).max(initial=255) ** 2) * trained.words.shape[1]
    assert largest < 1 << 24
    vector = image_vector(one, trained).astype(np.int64)
    assert (vector**2).sum() < 1 << 24


def test_sift_descriptors_become_rootsift():
    one = features(20, kind="sift")
    exact = 512 * np.sqrt(one.descriptors / one.descriptors.sum(axis=1, keepdims=True))
    assert np.array_equal(rootsift(one), np.minimum(np.rint(exact), 255))


@pytest.mark.parametrize("n", [1, 7, 100])
def test_few_descriptors_have_few_words(n):
    assert 1 <= len(train(rootsift(features(n))).words) <= max(1, n // 8)


def test_no_descriptors_are_refused():
    with pytest.raises(InputError, match="found none"):
        train(np.empty((0, 128), np.float32))


def test_the_vocabulary_does_not_depend_on_threads():
    program = (
        "from test_retrieval import *; import hashlib\n"
        "print(hashlib.sha256(repr(train(rootsift(features(4000))).to_bytes()).encode()).hexdigest())"
    )
    found = set()
    for threads in ("1", "2", "3"):
        variables = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        path = os.pathsep.join(sys.path)
        found.add(
            subprocess.run(
                [sys.executable, "-c", program],
                env={**os.environ, "PYTHONPATH": path, **variables},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
    assert len(found) == 1


def test_a_vocabulary_is_stored_exactly(trained):
    again = Vocabulary.from_bytes(trained.to_bytes())
    assert again.to_bytes() == trained.to_bytes()


NONE = -(1 << 30)
"""The score of images that are no pair."""

# --- which pairs are taken --------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 14), st.integers(1, 5), st.integers(0, 99), st.sampled_from([40, 400, 1 << 29]))
def test_pairs_of_similar_images(n, k, seed, block):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-20, 60, (n, 10)).astype(np.int8)
    vectors[rng.random(n) < 0.1] = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest, "BLOCK_BYTES", block)
        patch.setattr(nearest, "QUERY_BYTES", block)
        found = [divmod(key, n) for key in similar_images(vectors, k).sorted_keys.tolist()]
    scores = vectors.astype(int) @ vectors.T.astype(int)
    scores[:, ~vectors.any(axis=1)] = scores[~vectors.any(axis=1)] = NONE
    np.fill_diagonal(scores, NONE)
    for i in range(n):
        others = np.sort(scores[i])[::-1]
        for j in np.flatnonzero(scores[i] > others[k - 1 : k].max(initial=NONE)):
            assert (min(i, j), max(i, j)) in found  # the nearest of each, but for ties
    assert len(found) == len(set(found)) <= n * k
    assert all(a < b and vectors[a].any() and vectors[b].any() for a, b in found)


def test_pairs_that_others_bring_in_leave_room_for_more():
    # One pair for each of four images: the first is brought in by 0, so 1 may bring in another. The last
    # would be a second one of 2 and of 3.
    keys = np.array([0 * 4 + 1, 1 * 4 + 2, 0 * 4 + 2, 0 * 4 + 3, 2 * 4 + 3])
    assert nearest._shared_out(keys, 4, 1).tolist() == keys[:4].tolist()


# --- the file ---------------------------------------------------------------------------------------------


def test_an_index_is_read_as_it_was_written(tmp_path, trained):
    entries = [
        Entry(name, f"digest {i}", image_vector(features(50, i), trained))
        for i, name in enumerate("ab\udcff")
    ]
    with RetrievalIndex(tmp_path / "x") as index:
        assert index.vocabulary is None
        index.begin("here", trained)
        index.put(entries)
        index.put([], ["b"])
    with RetrievalIndex(tmp_path / "x") as index:
        assert index.source == "here"
        assert index.digests() == {entry.name: entry.digest for entry in (entries[0], entries[2])}
        found = index.vectors(["\udcff", "b", "a"])
    assert np.array_equal(found, [entries[2].vector, np.zeros_like(found[0]), entries[0].vector])


def test_other_settings_are_refused(tmp_path, monkeypatch):
    RetrievalIndex(tmp_path / "x").connection.close()
    monkeypatch.setattr(vocabulary, "N_WORDS", 7)
    with pytest.raises(OutputError, match=r"words was 128, is now 7.* remove it"):
        RetrievalIndex(tmp_path / "x")


@pytest.mark.parametrize("damage", ["text", "table", "vector", "vocabulary"])
def test_a_damaged_file_is_refused(tmp_path, trained, damage):
    path = tmp_path / "x"
    with RetrievalIndex(path) as index:
        index.begin("here", trained)
        index.put([Entry("a", "", image_vector(features(50), trained))])
        damages = {
            "table": "ALTER TABLE vectors RENAME COLUMN name TO other",
            "vector": "UPDATE vectors SET data = x'00'",
            "vocabulary": "UPDATE vocabulary SET rows = 3",
        }
        if damage in damages:
            index.connection.execute(damages[damage])
    if damage == "text":
        path.write_text("no database, but long enough to be taken for one " * 20)
    with pytest.raises((InputError, OutputError), match="x"), RetrievalIndex(path) as index:
        index.vectors(["a"])


def test_the_index_is_beside_the_collection(tmp_path):
    assert index_file.index_path(tmp_path / "features") == tmp_path / "features.retrieval"
    assert index_file.index_path(tmp_path / "x.db") == tmp_path / "x.db.retrieval"
