"""Intervals against slow twins, and marks that few images or many differences do not earn by chance."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from siftcli.evaluation import intervals
from siftcli.evaluation.intervals import Interval, marks, over_images, over_pairs


def naive_jackknife(values, pairs):
    """The standard error by leaving out each image in turn."""
    names = sorted({name for pair in pairs for name in pair})
    means = [
        np.mean([v for v, pair in zip(values, pairs, strict=True) if name not in pair]) for name in names
    ]
    return math.sqrt((len(names) - 1) / len(names) * sum((m - np.mean(means)) ** 2 for m in means))


def test_fewer_than_six_images_have_values_and_no_interval():
    for n in range(1, 6):
        found = over_images({"x": np.arange(n)})["x"]
        assert (found.method, found.n_images, found.values) == ("values", n, tuple(range(n)))
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert math.isnan(found.p)
        assert not found.excludes_zero
    assert over_images({"x": [], "y": [1.0]}).keys() == {"y"}


@pytest.mark.parametrize("n", [6, 15])
def test_some_images_have_the_t_interval(n):
    values = np.random.default_rng(n).exponential(size=n) - 0.3
    found = over_images({"x": values})["x"]
    expected = stats.ttest_1samp(values, 0)
    assert (found.method, found.values) == ("t", ())
    assert (found.low, found.high) == pytest.approx(expected.confidence_interval(0.95))
    assert found.p == pytest.approx(expected.pvalue)


def test_many_images_have_the_percentile_bootstrap():
    values = np.random.default_rng(1).exponential(size=16)
    found = over_images({"x": values, "few": values[:15]}, seed=3)
    assert [found[name].method for name in ("x", "few")] == ["bootstrap", "t"]
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=100_000, rng=1
    ).confidence_interval
    # Ends of an interval of 10,000 samples vary by 0.7 % of its width.
    width = expected.high - expected.low
    assert (found["x"].low, found["x"].high) == pytest.approx(tuple(expected), abs=0.03 * width)
    assert found["x"].p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_intervals_do_not_depend_on_the_other_columns():
    values = np.random.default_rng(1).normal(size=(20, 2))
    alone = over_images({"a": values[:, 0]}, seed=5)["a"]
    beside = over_images({"b": values[:, 1], "a": values[:, 0]}, seed=5)["a"]
    assert alone == beside
    assert over_images({"a": values[:, 0]}, seed=6)["a"].low != alone.low


def test_pairs_are_left_out_by_image():
    rng = np.random.default_rng(4)
    pairs = list(itertools.combinations("abcdefgh", 2))[:-5]
    values = rng.normal(size=len(pairs))
    found = over_pairs(values, pairs)
    reach = stats.t.ppf(0.975, 7) * naive_jackknife(values, pairs)
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - reach, values.mean() + reach))
    assert (found.method, found.n_images) == ("jackknife", 8)


def test_an_effect_of_images_widens_the_interval_over_pairs():
    rng = np.random.default_rng(0)
    effect = dict(zip("abcdefghij", rng.normal(size=10), strict=True))
    pairs = list(itertools.combinations(effect, 2))
    found = over_pairs([effect[a] + effect[b] for a, b in pairs], pairs)
    # The mean is twice that of ten effects, however many pairs they make.
    assert found.high - found.mean == pytest.approx(
        2 * stats.t.ppf(0.975, 9) * np.std(list(effect.values()), ddof=1) / math.sqrt(10), rel=1e-9
    )


def test_pairs_without_enough_images_have_no_interval():
    few = list(itertools.combinations("abcde", 2))
    star = [("a", name) for name in "bcdefghij"]
    for pairs in (few, star):
        found = over_pairs(np.arange(len(pairs)), pairs)
        assert (found.method, len(found.values)) == ("values", len(pairs))
        assert math.isnan(found.low)


def interval(p: float, mean: float = 1.0) -> Interval:
    low, high = (mean - 0.5, mean + 0.5) if p < 0.05 else (mean - 2, mean + 2)
    return Interval(mean, low, high, p, intervals.T, 10)


def test_marks_are_corrected_for_the_number_of_differences():
    alone = marks([(interval(0.04), True)])
    assert [mark.text for mark in alone] == ["better"]
    among = marks([(interval(0.04), True), *[(interval(0.9), True)] * 9])
    assert [mark.text for mark in among] == [""] * 10
    assert among[0].p_adjusted == pytest.approx(0.4)
    both = marks([(interval(1e-6, -1.0), True), (interval(1e-6, -1.0), False), (interval(0.5), True)])
    assert [mark.text for mark in both] == ["worse", "better", ""]


def test_nothing_is_marked_without_an_interval_or_a_direction():
    found = marks([(over_images({"x": [1.0, 1.0]})["x"], True), (interval(1e-9), None)])
    assert [mark.text for mark in found] == ["", ""]
    assert all(math.isnan(mark.p_adjusted) for mark in found)


def test_a_mark_needs_an_interval_without_zero_too():
    touching = Interval(1.0, 0.0, 2.0, 1e-9, intervals.BOOTSTRAP, 20)
    assert marks([(touching, True)])[0].text == ""


def test_differences_by_chance_are_seldom_marked():
    rng = np.random.default_rng(0)
    n_marked = 0
    for _ in range(200):
        columns = {str(k): rng.normal(size=8) for k in range(20)}
        found = marks([(interval, True) for interval in over_images(columns).values()])
        n_marked += any(mark.text for mark in found)
    # In 5 % of evaluations without any difference one may be marked: 10, with a standard deviation of 3.
    # Uncorrected, two of three would be.
    assert n_marked <= 10 + 3 * 3
