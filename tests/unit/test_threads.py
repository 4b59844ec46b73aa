"""Work shared out among threads: nothing is lost, done twice or out of order, and errors come out."""

import threading
from functools import partial

import numpy as np
import pytest

from siftcli.kernels.decorators import kernel
from siftcli.kernels.parallel_for import AT_ONCE, parallel_for
from siftcli.kernels.threads import SMALLEST_SHARE, Threads

MUCH = 100 * SMALLEST_SHARE


@pytest.mark.parametrize("n", [1, 2, 3, 8])
@pytest.mark.parametrize("n_rows", [0, 1, 7, 1000])
def test_every_row_is_worked_once_and_in_order(n, n_rows):
    with Threads(n) as threads:
        for n_samples in (0, SMALLEST_SHARE, MUCH):
            blocks = threads.over_rows(n_rows, n_samples, range)
            assert [row for block in blocks for row in block] == list(range(n_rows))


@kernel("void(int64[::1], int64[::1])")
def _count(n_taken, counts):
    for i in parallel_for(n_taken, len(counts)):
        counts[i] += 1


@pytest.mark.parametrize("n_threads", [1, 2, 8])
@pytest.mark.parametrize("n", [0, 1, AT_ONCE, AT_ONCE + 1, 100_000])
def test_every_keypoint_is_taken_once(n_threads, n):
    counts, all_here = np.zeros(n, np.int64), threading.Barrier(max(1, min(n_threads, n)))

    def count(n_taken):
        all_here.wait(timeout=20)  # a kernel that starts first would be done before the others begin
        _count(n_taken, counts)

    with Threads(n_threads) as threads:
        threads.over_keypoints(n, MUCH, count)
    assert np.all(counts == 1)


def test_small_work_stays_with_the_caller():
    with Threads(4) as threads:
        who = threads.over_rows(100, SMALLEST_SHARE, lambda *_: threading.get_ident())
    assert who == [threading.get_ident()]


def test_blocks_are_worked_at_the_same_time():
    # Each waits for the other: one thread alone would wait in vain.
    both = threading.Barrier(2)
    with Threads(2) as threads:
        assert sorted(threads.over_rows(2, MUCH, lambda *_: both.wait(timeout=20))) == [0, 1]
        threads.over_keypoints(2, MUCH, lambda _: both.wait(timeout=20))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_work_beside_may_share_out_and_go_on_beside(n):
    def chain(threads, depth):
        beside = threads.submit(partial(chain, threads, depth - 1)) if depth else list
        own = threads.over_rows(16, MUCH, lambda start, stop: (depth, start, stop))
        return own + beside()

    with Threads(n) as threads:
        found = chain(threads, 6)
    assert [depth for depth, start, _ in found if start == 0] == [6, 5, 4, 3, 2, 1, 0]
    for depth in range(7):
        rows = [row for d, start, stop in found if d == depth for row in range(start, stop)]
        assert rows == list(range(16))


def test_who_waits_for_what_is_beside_helps_with_it():
    both, begun = threading.Barrier(2), threading.Event()

    def beside(threads):
        begun.set()
        return threads.over_rows(2, MUCH, lambda *_: both.wait(timeout=20))

    with Threads(2) as threads:
        result = threads.submit(partial(beside, threads))
        assert begun.wait(timeout=20)
        assert sorted(result()) == [0, 1]


def _fail(*_):
    raise ZeroDivisionError("of the work")


@pytest.mark.parametrize("n", [1, 2, 3])
def test_errors_reach_the_caller(n):
    with pytest.raises(ZeroDivisionError, match="of the work"), Threads(n) as threads:
        threads.over_rows(100, MUCH, _fail)
    with pytest.raises(ZeroDivisionError, match="of the work"), Threads(n) as threads:
        threads.over_keypoints(100, MUCH, _fail)
    with pytest.raises(ZeroDivisionError, match="of the work"), Threads(n) as threads:
        threads.submit(_fail)()
    with pytest.raises(ZeroDivisionError, match="of the work"), Threads(n) as threads:
        threads.submit(lambda: threads.over_rows(100, MUCH, _fail))()


def test_an_interrupt_comes_out_of_what_the_caller_helps_with():
    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Threads(2) as threads:
        threads.submit(lambda: threads.over_rows(100, MUCH, interrupted))()


def test_no_thread_is_left():
    before = threading.active_count()
    with pytest.raises(KeyError), Threads(4) as threads:
        threads.submit(list)
        threads.over_rows(100, MUCH, lambda *_: None)
        raise KeyError
    assert threading.active_count() == before
