"""Hundreds of pictures whose grey is known: nearly all are read, none wrongly, and the rest is named."""

from collections import Counter

import known_truth
import numpy as np
import pytest
from known_truth import OUTCOMES, outcome

from siftcli.image import read_image

CASES = list(known_truth.all_pictures())
READABLE = [case for case in CASES if not case.said]


def test_there_are_as_many_pictures_as_were_promised():
    assert len(CASES) >= 800
    assert len(READABLE) >= 500
    assert len({(case.kind, case.name) for case in CASES}) == len(CASES)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", sorted({case.kind for case in CASES}))
def test_each_picture_is_read_right_or_refused_with_its_kind(tmp_path, kind):
    counts = Counter({(case.name, outcome(case, tmp_path)): 1 for case in CASES if case.kind == kind})
    wrong = [name for name, found in counts if found not in OUTCOMES[:2]]
    assert wrong == []
    refused = {name for name, found in counts if found == "refused"}
    assert refused <= {case.name for case in CASES if case.kind == kind and case.said}


def test_at_least_95_of_100_valid_pictures_are_read_right(tmp_path):
    counts = Counter(outcome(case, tmp_path) for case in READABLE)
    assert counts == {"right": len(READABLE)}


def test_the_number_of_pages_is_told(tmp_path):
    several = [case for case in READABLE if case.n_pages > 1]
    assert len(several) > 20
    for case in [*several, *READABLE[::20]]:
        path = tmp_path / case.name
        path.write_bytes(case.data)
        assert read_image(path, page=case.page).n_pages == case.n_pages, case.name


def test_a_wrong_picture_would_be_noticed(tmp_path):
    case = READABLE[0]
    wrong = np.where(np.arange(case.grey.size).reshape(case.grey.shape) == 7, 0.5, case.grey)
    for grey, found in ((case.grey, "right"), (wrong, "wrong"), (case.grey[1:], "wrong")):
        assert outcome(known_truth.Known(case.kind, case.name, case.data, grey), tmp_path) == found
