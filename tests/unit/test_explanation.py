"""``siftcli.explain``: the trace is the pipeline's own, and every rejection says its number and its limit."""

import json
import math

import numpy as np
import pytest

import siftcli
from siftcli.errors import InputError, ParameterError
from siftcli.explanation import Explanation

IMAGE = "sample_images/chelsea.png"
SETTINGS = ({}, {"preset": "classic"}, {"dsp": True}, {"upright": True}, {"max_features": 200})


def explain(place, settings, **options) -> Explanation:
    settings = dict(settings)
    params = siftcli.SiftParams.preset(settings.pop("preset", "default"), **settings)
    return siftcli.explain(IMAGE, params, threads=1, **place, **options)


def detect(settings):
    settings = dict(settings)
    params = siftcli.SiftParams.preset(settings.pop("preset", "default"), **settings)
    return siftcli.detect(IMAGE, params, threads=1)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_numbers_are_those_of_detect_to_the_bit(settings):
    features = detect(settings)
    for row in (0, len(features) // 3, len(features) - 1):
        view = explain({"keypoint": row}, settings).view
        shown = view.description
        assert shown.row == row and view.rejection is None
        assert (np.float32(view.place.xy) == features.xy[row]).all()
        assert np.float32(view.place.sigma) == features.scale[row]
        assert np.float32(shown.orientation) == features.orientation[row]
        assert (shown.stored == features.descriptors[row]).all()
        assert view.candidate.octave == features.octave[row]


def test_the_trace_ends_where_the_keypoint_is():
    views = (explain({"keypoint": row}, {}).view for row in range(3, 20))
    view = next(view for view in views if view.n_merged == 1)
    *_, last = view.steps
    assert last[:3] + last[5:8] == pytest.approx(view.place.samples, abs=1e-9)
    assert (last[3], last[4]) == (view.place.value, view.place.roundness)
    assert [step[8] for step in view.steps] == [3.0] * (len(view.steps) - 1) + [5.0]


def test_the_histogram_is_the_sum_of_its_field():
    histogram = explain({"keypoint": 0}, {}).view.histogram
    share, position = histogram.field.astype(float).reshape(-1, 2).T
    n = len(histogram.raw)
    bins = np.zeros(n)
    np.add.at(bins, np.floor(position).astype(int) % n, share * (1 - position % 1))
    np.add.at(bins, (np.floor(position).astype(int) + 1) % n, share * (position % 1))
    assert bins == pytest.approx(histogram.raw, abs=1e-4 * histogram.raw.max())
    assert histogram.smoothed.sum() == pytest.approx(histogram.raw.sum(), rel=1e-5)


def test_the_vectors_follow_from_each_other():
    shown = explain({"keypoint": 0}, {}).view.description
    assert np.linalg.norm(shown.unit) == pytest.approx(1, abs=1e-6)
    assert (shown.clipped == np.minimum(shown.unit, np.float32(0.2))).all()
    assert (shown.stored == np.minimum(np.rint(shown.scaled), 255)).all()
    assert shown.scaled == pytest.approx(512 * np.sqrt(shown.clipped / shown.clipped.sum()), rel=1e-5)


@pytest.mark.parametrize(("preset", "common"), [("default", "edge"), ("classic", "contrast")])
def test_every_rejection_misses_its_limit(preset, common):
    reasons, n_explained = set(), 0
    for x in range(15, 440, 85):
        for y in range(15, 290, 65):
            try:
                view = explain({"at": (x, y)}, {"preset": preset}).view
            except InputError:  # nothing is near
                continue
            n_explained += 1
            for verdict in view.verdicts:
                if verdict.limit is not None:
                    compare = {">=": float.__ge__, "<=": float.__le__, ">": float.__gt__}[verdict.relation]
                    assert compare(float(verdict.measured), float(verdict.limit)) == verdict.passed, verdict
            if view.rejection is not None:
                reasons.add(view.rejection.filter)
                assert view.rejection == view.verdicts[-1] and not [
                    d for d in view.descriptions if d.row is not None
                ]
            else:
                assert view.description.row is not None
    assert common in reasons and "unstable" in reasons
    assert n_explained >= 15


def test_a_masked_keypoint_and_one_beyond_the_budget_are_explained():
    features = detect({})
    x, y = features.xy[0].tolist()
    mask = np.ones((300, 451), np.uint8)
    mask[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3] = 0
    assert explain({"at": (x, y)}, {}, mask=mask).view.rejection.filter == "mask"
    x, y = features.xy[-1].tolist()
    rejection = explain({"at": (x, y)}, {"max_features": 50}).view.rejection
    assert (rejection.filter, rejection.limit) == ("budget", 50)
    assert rejection.measured > 50


def test_a_quarter_turn_differs_nowhere_before_the_descriptor_and_30_degrees_do():
    same = explain({"keypoint": 0}, {}, rotate=0)
    assert same.first_difference is None
    quarter = explain({"keypoint": 0}, {}, rotate=90)
    by_name = {d.what: d.difference for d in quarter.differences}
    assert abs(by_name["position"]) < 1e-3 and abs(by_name["angle"]) < 0.01
    oblique = explain({"keypoint": 0}, {}, rotate=30)
    by_name = {d.what: d.difference for d in oblique.differences}
    assert oblique.first_difference.stage == "noise"
    assert by_name["position"] < 0.2 and abs(by_name["angle"]) < 3 and by_name["the 128 bytes"] < 150


def test_the_record_is_plain_json():
    record = json.loads(json.dumps(explain({"keypoint": 0}, {}, rotate=30).to_dict(), allow_nan=False))
    assert record["is_kept"] and record["reason"] == ""
    assert len(record["descriptions"][0]["stored"]) == 128


def test_what_cannot_be_explained_is_refused():
    with pytest.raises(ParameterError, match="place in the image"):
        explain({"at": (451, 10)}, {})
    with pytest.raises(ParameterError, match=r"place in the image"):
        explain({"at": (math.nan, 10)}, {})
    with pytest.raises(ParameterError, match="from 0 to 49; got 50"):
        explain({"keypoint": 50}, {"max_features": 50})
    with pytest.raises(ParameterError, match="drop one"):
        explain({"keypoint": 0, "at": (1, 1)}, {})
    with pytest.raises(ParameterError, match="views"):
        explain({"keypoint": 0}, {"views": 1})
    with pytest.raises(InputError, match="no keypoint was found"):
        siftcli.explain(np.full((60, 60), 128, np.uint8))
    with pytest.raises(InputError, match=r"no candidate within 20 px of \(30, 30\)"):
        siftcli.explain(np.full((60, 60), 128, np.uint8), at=(30, 30))
