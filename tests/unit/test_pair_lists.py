"""Lists of pairs: each once, with its reasons, as a stream; neighbours by position and by verified pairs."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftcli.errors import ParameterError
from siftcli.pairs import listing
from siftcli.pairs.listing import PairList, Within, listed
from siftcli.pairs.positions import earth_positions, neighbours
from siftcli.pairs.request import Wanted, parse_pairs
from siftcli.pairs.transitive import second_neighbours

NONE = np.empty(0, np.int64)


def pairs_of(kind, n):
    return [divmod(key, n) for key in kind.keys(0, n).tolist()]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("exhaustive", [Wanted("exhaustive")]),
        ("gps:2+similar:20+sequential:5", [Wanted("gps", 2), Wanted("similar", 20), Wanted("sequential", 5)]),
        ("gps:3,150.5", [Wanted("gps", 3, 150.5)]),
        ("transitive+a+b.txt", [Wanted("transitive"), Wanted("file", path="a+b.txt")]),
        ("a+b.txt+similar:1", [Wanted("file", path="a+b.txt"), Wanted("similar", 1)]),
        ("file", [Wanted("file", path="file")]),
        ("./gps:1", [Wanted("file", path="./gps:1")]),
    ],
)  # fmt: skip
def test_kinds_add_up(text, wanted):
    assert parse_pairs(text) == tuple(wanted)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("similar", "similar:K expects a whole K"),
        ("similar:0", "similar:K expects a whole K"),
        ("similar:٣", "similar:K expects a whole K"),
        ("gps:1,0", "distance above 0"),
        ("gps:1,inf", "distance above 0"),
        ("gps:1,", "distance above 0"),
        ("exhaustive:2", "takes no number"),
        ("transitive:1", "takes no number"),
        ("similar:1+similar:2", "similar twice"),
        ("a.txt+similar:1+b.txt", "file twice"),
    ],
)
def test_wrong_kinds(text, message):
    with pytest.raises(ParameterError, match=message):
        parse_pairs(text)


@given(st.integers(0, 9), st.integers(1, 12), st.integers(0, 9), st.integers(0, 9))
def test_rows_of_a_band(n, reach, start, stop):
    kind, rows = Within(n, reach), range(min(start, n), min(stop, n))
    expected = [(i, j) for i in rows for j in range(i + 1, min(n, i + reach + 1))]
    assert kind.keys(rows.start, max(rows.start, rows.stop)).tolist() == [i * n + j for i, j in expected]
    every = np.array([i * n + j for i, j in itertools.combinations(range(n), 2)], np.int64)
    assert every[kind.holds(every)].tolist() == kind.keys(0, n).tolist()


@given(
    st.integers(2, 8),
    st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7))),
    st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7))),
    st.integers(1, 20),
)
def test_each_pair_once_with_its_reasons(n, some, others, block):
    some, others = ([(a % n, b % n) for a, b in pairs] for pairs in (some, others))
    names = [f"{i}.jpg" for i in range(n)]
    kinds = {"similar": some, "gps": others}
    pairs = PairList(
        names,
        {kind: listed(n, *np.array(rows, np.int64).reshape(-1, 2).T) for kind, rows in kinds.items()},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "BLOCK_PAIRS", block)
        found = list(pairs.without(NONE))
        assert len(pairs) == len(found)
    sets = {
        kind: {tuple(sorted((names[a], names[b]))) for a, b in rows if a != b} for kind, rows in kinds.items()
    }
    assert found == sorted(set().union(*sets.values()))
    for pair in found:
        assert pairs.reason(pair) == "+".join(kind for kind in kinds if pair in sets[kind])
        assert pairs.reason(pair[::-1]) == pairs.reason(pair)
    assert list(pairs.without(np.array([pairs.key(pair) for pair in found[1:]], np.int64))) == found[:1]


def test_exhaustive_is_counted_without_listing(monkeypatch):
    monkeypatch.setattr(PairList, "blocks", lambda _self: pytest.fail("listed"))
    pairs = PairList([""] * 100_000, {"exhaustive": Within(100_000, 100_000), "gps": Within(100_000, 3)})
    assert len(pairs) == 100_000 * 99_999 // 2


def test_all_pairs_of_a_hundred_thousand_names_in_a_fixed_memory():
    # 5·10⁹ pairs; the memory above that of the imports is bounded far below the gigabyte that was asked for.
    program = """
import itertools, resource
from siftcli.workflows.pair_selection import select_pairs
names = [f"flight/{i:06}.jpg" for i in range(100_000)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pairs = select_pairs(names, "exhaustive+sequential:2")
keys = sum(len(block) for block in itertools.islice(pairs.blocks(), 400))
last = sum(1 for pair in itertools.islice(pairs.named(next(pairs.blocks())), 300_000))
print(len(pairs), keys, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    n_pairs, n_keys, megabytes = map(int, result.stdout.split())
    assert n_pairs == 100_000 * 99_999 // 2
    assert n_keys > 190_000_000
    assert megabytes < 200


# --- positions --------------------------------------------------------------------------------------------


def test_positions_on_the_ellipsoid():
    # One degree of latitude at the equator is 110.574 km on WGS 84, one of longitude 111.320 km.
    origin, north, east = earth_positions(np.array([[0.0, 0], [1, 0], [0, 1]]))
    assert np.linalg.norm(north - origin) == pytest.approx(110_574, abs=5)
    assert np.linalg.norm(east - origin) == pytest.approx(111_320, abs=8)
    assert origin == pytest.approx([6_378_137, 0, 0])


@given(st.integers(2, 12), st.integers(1, 4), st.floats(0.05, 2), st.integers(0, 99))
def test_nearest_positions(n, k, within, seed):
    rng = np.random.default_rng(seed)
    places = rng.random((n, 3))
    places[rng.permutation(n)[: n // 4]] = np.nan
    expected = set()
    for i in range(n):
        near = sorted(
            (math.dist(places[i], places[j]), j)
            for j in range(n)
            if j != i and np.isfinite(places[[i, j]]).all()
        )
        expected |= {tuple(sorted((i, j))) for distance, j in near[:k] if distance <= within}
    assert set(pairs_of(neighbours(places, k, within), n)) == expected


def test_images_at_one_place_are_neighbours():
    # With more of them than neighbours are asked for, the image itself may not be among those found.
    found = pairs_of(neighbours(np.ones((6, 3)), 2, math.inf), 6)
    assert all(sum(i in pair for pair in found) >= 2 for i in range(6))


# --- transitive -------------------------------------------------------------------------------------------


@given(st.integers(2, 7), st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6))))
def test_second_neighbours(n, rows):
    verified = listed(n, *np.array([(a % n, b % n) for a, b in rows], np.int64).reshape(-1, 2).T)
    linked = set(pairs_of(verified, n))
    near = {i: {j for pair in linked if i in pair for j in pair} - {i} for i in range(n)}
    expected = {(a, b) for a, b in itertools.combinations(range(n), 2) if near[a] & near[b]} - linked
    assert set(pairs_of(second_neighbours(n, verified.sorted_keys), n)) == expected
