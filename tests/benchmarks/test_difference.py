"""The script that draws how siftcli differs from other detectors."""

import json

import difference
import numpy as np
import pytest
from PIL import Image

from siftcli import detect

pytestmark = pytest.mark.slow


def test_a_keypoint_is_repeated_where_the_view_has_it_and_not_elsewhere(unchanged):
    features = detect(unchanged.reference)
    rest = features.select(features.xy[:, 0] < 100)
    one = difference.repeated(unchanged, features, rest)
    assert 0 < one.is_repeated.sum() < len(one.is_repeated)
    assert np.array_equal(one.is_repeated, one.keypoints.xy[:, 0] < 100)


def test_the_typical_image_has_the_median_gain():
    assert difference.typical([0.3, 0.1, 0.2]) == 2
    assert difference.typical([0.3, 0.1, 0.2, 0.4]) == 2


def test_a_picture_shows_repeated_and_lost_keypoints(unchanged):
    features = detect(unchanged.reference)
    all_of_it, half = (
        difference.repeated(unchanged, features, features.select(slice(n)))
        for n in (None, len(features) // 2)
    )
    picture = np.asarray(difference.draw_turn(unchanged, [all_of_it, half]).convert("RGB"), np.int64)
    left, right = np.split(picture[100:], [picture.shape[1] // 2], axis=1)  # below the captions
    redness = [panel[..., 0] - panel[..., 2] for panel in (left, right)]  # the photograph is grey
    blue, orange = [(r < -60).sum() for r in redness], [(r > 60).sum() for r in redness]
    assert blue[0] > blue[1] > 0
    assert orange[1] > orange[0] == 0


def test_bars_are_as_high_as_the_mean(tmp_path):
    rows = [
        {
            "image": "a",
            "setting": "default",
            "sweep": sweep,
            "repeatability_05px": value,
            "budget": difference.AT_EQUAL_COUNTS,
        }
        for sweep in difference.SWEEPS
        for value in (0.4, 0.6)
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    difference.main(["bars", str(tmp_path / "rows.json"), "-o", str(tmp_path / "bars.png")])
    picture = np.asarray(Image.open(tmp_path / "bars.png"))
    area = difference.BARS_HEIGHT - difference.BARS_BOTTOM - difference.BARS_TOP
    bar = (picture == difference.BARS["default"][1]).all(axis=2)[difference.BARS_TOP :].sum(axis=0)
    assert bar.max() == pytest.approx(0.5 * area, abs=2)
