"""The features of the sample images are those that were remembered, within stated tolerances."""

import copy
import json

import pytest
from golden import FOLDER, N_STRONGEST, differences, golden_file, sample_images
from golden import describe as features_of

REMEMBERED = {path: json.loads(golden_file(path).read_text()) for path in sample_images()}


@pytest.mark.parametrize("image", sample_images(), ids=lambda path: path.name)
def test_features_are_those_that_were_remembered(image):
    said = differences(features_of(image), REMEMBERED[image])
    assert said == [], "renew the files with python tests/golden.py if that is meant"


def test_every_file_belongs_to_an_image():
    assert {path.name for path in FOLDER.iterdir()} == {golden_file(path).name for path in sample_images()}


@pytest.mark.parametrize(
    ("name", "by"),
    [("x", 0.02), ("scale", 0.02), ("orientation", 0.02), ("response", 2e-4), ("descriptor", 40)],
)
def test_a_change_beyond_the_tolerance_is_noticed(name, by):
    golden = REMEMBERED[sample_images()[0]]
    changed = copy.deepcopy(golden)
    column = changed["classic"]["strongest"][name]
    assert len(column) == N_STRONGEST
    for i in range(0, N_STRONGEST, 2):
        column[i] += by
    assert differences(golden, golden) == []
    assert len(differences(changed, golden)) == 1


def test_a_change_of_counts_and_sums_is_noticed():
    golden = REMEMBERED[sample_images()[0]]
    changed = copy.deepcopy(golden)
    changed["default"]["n"] *= 1.01
    changed["default"]["sums"]["y"] *= 0.99
    assert len(differences(changed, golden)) == 2
