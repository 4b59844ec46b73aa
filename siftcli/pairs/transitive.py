"""Pairs of images that share a partner, as COLMAP's transitive matcher lists them."""

from __future__ import annotations

import numpy as np

from .listing import Keys, Listed


def second_neighbours(n: int, verified: Keys) -> Listed:
    """List the pairs of images that are each paired with a third image, without those that are paired.

    COLMAP's transitive matcher does the same, and repeats it with what was verified.

    Parameters
    ----------
    n
        Number of images.
    verified
        (P,) sorted keys of the verified pairs.
    """
    from scipy.sparse import csr_array, triu

    first, second = np.divmod(verified, max(n, 1))
    rows, columns = np.concatenate([first, second]), np.concatenate([second, first])
    linked = csr_array((np.ones(len(rows), bool), (rows, columns)), shape=(n, n))
    shared = triu(linked @ linked, k=1).tocoo()
    keys = np.unique(shared.row.astype(np.int64) * n + shared.col)
    return Listed(n, keys[~np.isin(keys, verified)])
