"""How often intervals of a mean hold the true one: ``python tests/benchmarks/interval_coverage.py``.

Values of images are drawn from a symmetric and from a skew distribution; values of pairs are the sum of an
effect of each image and one of the pair. What should be 95 % is printed for several
intervals.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, t

from siftcli.evaluation.intervals import over_pairs, resampled_means

TRIALS = 1000
SEED = 0

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]
DISTRIBUTIONS: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "skew": lambda rng, n: rng.exponential(size=n) - 1,
}


def percentile(values: Floats, seed: int) -> tuple[float, float]:
    """The percentile bootstrap, whatever the number."""
    low, high = np.quantile(resampled_means(values[:, None], seed)[:, 0], [0.025, 0.975])
    return float(low), float(high)


def bca(values: Floats, seed: int) -> tuple[float, float]:
    """The bias-corrected and accelerated bootstrap."""
    found = bootstrap((values,), np.mean, n_resamples=2000, method="BCa", rng=seed).confidence_interval
    return float(found.low), float(found.high)


def student(values: Floats, _seed: int) -> tuple[float, float]:
    """The t interval."""
    reach = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - reach), float(values.mean() + reach)


def share_over_images(interval: Callable[[Floats, int], tuple[float, float]], draw: Draw, n: int) -> float:
    """The share of trials whose interval holds 0."""
    rng = np.random.default_rng(SEED)
    ends = [interval(draw(rng, n), k) for k in range(TRIALS)]
    return float(np.mean([low <= 0 <= high for low, high in ends]))


def shares_over_pairs(draw: Draw, n: int, of_image: float) -> tuple[float, float]:
    """The share for all pairs of n images: by a bootstrap over pairs, and over images as in the report."""
    rng = np.random.default_rng(SEED)
    pairs = list(itertools.combinations(range(n), 2))
    first, second = np.transpose(pairs)
    names = [(str(a), str(b)) for a, b in pairs]
    held = []
    for k in range(TRIALS):
        effect = of_image * draw(rng, n)
        values = effect[first] + effect[second] + draw(rng, len(pairs))
        low, high = percentile(values, k)
        found = over_pairs(values, names)
        held.append((low <= 0 <= high, found.low <= 0 <= found.high))
    by_pairs, by_images = np.mean(held, axis=0)
    return float(by_pairs), float(by_images)


def main() -> None:
    """Print both tables."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("| images | values | percentile | BCa | t |\n|---|---|---|---|---|")
    for (name, draw), n in itertools.product(DISTRIBUTIONS.items(), (3, 6, 8, 10, 15, 16, 30)):
        shares = [f"{100 * share_over_images(method, draw, n):.1f}" for method in (percentile, bca, student)]
        print(f"| {n} | {name} | " + " | ".join(shares) + " |", flush=True)
    print(
        "\n| images | values | effect of an image | bootstrap over pairs | jackknife over images |"
        "\n|---|---|---|---|---|"
    )
    for (name, draw), n, of_image in itertools.product(DISTRIBUTIONS.items(), (6, 10, 20), (0.0, 0.5)):
        shares = [f"{100 * share:.1f}" for share in shares_over_pairs(draw, n, of_image)]
        print(f"| {n} | {name} | {of_image:g} | " + " | ".join(shares) + " |", flush=True)


if __name__ == "__main__":
    main()
