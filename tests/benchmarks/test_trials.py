"""The trials script: its rows, its tables and equal counts."""

import pytest
import trials

from siftcli.detectors.base import Detector
from siftcli.views.rendering import grey_of

pytestmark = pytest.mark.slow


def test_equal_counts_bring_every_setting_to_the_smallest(unchanged):
    settings = trials.Trials(["opencv-precise", "scikit-image", "default"])
    at_defaults, at_equal = (settings.rows(unchanged, equal=equal) for equal in (False, True))
    assert [row["setting"] for row in at_equal] == ["opencv-precise", "scikit-image", "default"]
    # Several orientations at one position count once, and a threshold gives only about the number.
    smallest = min(row["n_reference"] for row in at_defaults)
    assert all(0.7 * smallest < row["n_reference"] <= 1.1 * smallest for row in at_equal)
    assert all(row["repeatability_05px"] == 1 for row in at_defaults + at_equal)


def test_the_table_has_a_row_for_each_setting(unchanged):
    rows = [{"sweep": sweep, **row} for sweep in trials.SWEEPS for row in default_rows(unchanged)]
    lines = trials.table(rows).splitlines()
    assert len(lines) == 2 + 1
    assert lines[0].count("|") == lines[2].count("|")
    assert lines[2].startswith("| default |")


def default_rows(pair):
    return trials.Trials(["default"]).rows(pair, equal=False)


def test_the_table_of_a_sweep_has_a_column_for_each_value(unchanged):
    rows = [
        {"sweep": "zoom", "value": transform.value, **row}
        for transform in trials.SWEEPS["zoom"]
        for row in default_rows(unchanged)
    ]
    head, _, line = trials.table_by_value(rows, "zoom").splitlines()
    assert head == "| setting | zoom 0.5 | zoom 0.7 | zoom 1.4 | zoom 2 | zoom 3 | zoom 4 |"
    assert line.startswith("| default | 1.000 / ")


def test_settings_are_detectors_or_valid_parameters():
    for setting in trials.SETTINGS.values():
        assert isinstance(setting, str) or isinstance(trials.detector_of(setting), Detector)


def test_a_raised_threshold_leaves_about_the_requested_number(unchanged):
    setting = trials.SETTINGS["default, limited by threshold"]
    whole = trials.detector_of(setting)
    n = len(whole.detect(grey_of(unchanged.reference)))
    cut = whole.limited(n // 2, grey_of(unchanged.reference))
    assert 0.9 * (n // 2) < len(cut.detect(grey_of(unchanged.reference))) < 1.1 * (n // 2)


def test_a_threshold_for_each_image_leaves_the_same_number_in_each(unchanged):
    whole = trials.detector_of(trials.SETTINGS["scikit-image, limited in each image"])
    reference = grey_of(unchanged.reference)
    faint = reference * 0.5 + 0.25
    n = len(whole.detect(faint))
    assert n < 0.9 * len(whole.detect(reference))
    cut = whole.limited(n, faint)
    assert [0.9 * n < len(cut.detect(grey)) < 1.1 * n for grey in (reference, faint)] == [True, True]
