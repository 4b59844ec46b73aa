"""Models are told from chance: unrelated and degenerate matches have none, few right ones do."""

import json
import math
import re
import sqlite3
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_geometry import CENTRE, SIZE, features, mapped, random_points, row_by_row, similarity

from siftcli.__main__ import run
from siftcli.drawing.matches import OUTLIER_COLOUR
from siftcli.matching import chance
from siftcli.matching.chance import (
    MAX_LOG10_NFA,
    fewest_inliers,
    independent,
    log10_false_alarms,
    probability_of_area,
    probability_of_exchange,
)
from siftcli.matching.options import MODELS
from siftcli.matching.residuals import ERRORS
from siftcli.matching.verification import MODEL_NAMES, fit, verify
from siftcli.workflows import match_collection as collection

SAMPLES = Path(__file__).parents[2] / "sample_images"
UNRELATED = [("camera.png", "rocket.jpg"), ("gravel.png", "brick.png"), ("chelsea.png", "coffee16.png")]
NOT_VERIFIED = r"not verified: (\d+) of (\d+) matches agree, which chance explains"


def verified(first, second, model, **options):
    return verify(features(first), features(second), row_by_row(len(first)), model, **options)


def in_depth(n, seed=1):
    """(n, 2) positions twice: a scene in depth, seen from two places."""
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(-2, 2, (n, 2)), rng.uniform(4, 9, n)])
    moved = points + np.array([0.7, 0.1, 0.3])
    return [500 * p[:, :2] / p[:, 2:] + CENTRE for p in (points, moved)]


# --- the measure ----------------------------------------------------------------------------------------


@given(st.sampled_from(MODELS), st.integers(8, 60), st.data(), st.floats(1e-4, 1))
def test_the_number_of_false_alarms_is_that_of_the_formula(kind, n, data, probability):
    s, m = chance.SAMPLE_SIZES[kind], chance.MODELS_PER_SAMPLE[kind]
    k = data.draw(st.integers(s + 1, n))
    exact = m * math.comb(n, k) * math.comb(k, s) * probability ** (k - s)
    assert log10_false_alarms(kind, n, k, probability) == pytest.approx(math.log10(exact), abs=1e-6)


@given(st.sampled_from(list(chance.SAMPLE_SIZES)), st.integers(2, 80), st.floats(0.5, 20))
def test_the_fewest_inliers_just_beat_chance(kind, n, max_error):
    def beat_chance(k):
        return log10_false_alarms(kind, n, k, probability_of_area(kind, max_error, SIZE)) < MAX_LOG10_NFA

    fewest = fewest_inliers(kind, n, max_error, SIZE)
    assert [k for k in range(n + 1) if beat_chance(k)][:1] == ([] if fewest is None else [fewest])


def test_a_sample_alone_is_no_evidence():
    for kind, s in chance.SAMPLE_SIZES.items():
        assert log10_false_alarms(kind, s, s, 1e-6) >= 0


def test_probabilities_of_the_tolerance_are_areas():
    assert probability_of_area("homography", 3.0, (400, 300)) == pytest.approx(math.pi * 9 / 120_000)
    assert probability_of_area("similarity", 1e3, (400, 300)) == 1
    assert probability_of_area("fundamental", 3.0, (400, 300)) == pytest.approx(2 * 3 * 500 / 120_000)


def test_the_measured_probability_is_the_area_s_where_points_are_uniform_and_larger_where_they_crowd():
    errors = partial(ERRORS["homography"], model=np.eye(3))
    uniform = random_points(300)
    area = probability_of_area("homography", 10.0, SIZE)
    # 89,700 pairs of which 91 are expected; at the borders a disc is cut
    assert probability_of_exchange(errors, uniform, uniform, 10.0) == pytest.approx(area, rel=0.35)
    crowded = CENTRE + (uniform - CENTRE) / 10
    assert probability_of_exchange(errors, crowded, crowded, 10.0) > 30 * area


@given(st.integers(0, 80), st.floats(0.5, 60), st.integers(0, 2**31))
@settings(max_examples=60)
def test_counted_matches_are_apart_in_both_images(n, radius, seed):
    first, second = random_points(n, seed), np.rint(random_points(n, seed + 1) / 40)
    rows = independent(first, second, radius)
    assert (np.diff(rows) > 0).all()
    for xy in (first, second):
        distance = np.hypot(*(xy[rows][:, None] - xy[rows][None]).T)
        assert (distance[~np.eye(len(rows), dtype=bool)] > radius).all()
    assert len(rows) >= min(n, 1)


def test_orientations_and_neighbours_count_once():
    first = np.repeat(random_points(7), 4, axis=0)
    first[::2] += 0.8
    assert len(independent(first, first, 3.0)) == 7
    assert len(independent(random_points(28), first, 3.0)) == 7  # many to few are no better


def test_what_crowds_at_one_place_is_counted_without_comparing_all_with_all():
    first = CENTRE + np.random.default_rng(0).normal(0, 2, (100_000, 2))
    assert 1 < len(independent(first, first, 3.0)) < 100


# --- chance ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_random_matches_have_no_model(model):
    # Of 150 trials less than 0.15 accepted ones are expected, whatever the number of matches.
    n_fitted = 0
    for seed in range(50):
        for n in (9, 30, 90):
            first, second = random_points(n, 2 * seed), random_points(n, 2 * seed + 1)
            found = verified(first, second, model)
            assert found.model is None
            assert not found.inliers.any()
            assert (found.rotation_deg, found.scale, found.shift) == (None, None, None)
            assert found.guide() is None
            if found.log10_nfa is not None:
                n_fitted += 1
                assert found.log10_nfa >= MAX_LOG10_NFA
                assert found.reason == (
                    f"not verified: {found.n_inliers} of {n} matches agree, which chance explains"
                )
                assert found.n_inliers > 1
    assert n_fitted > 75


@pytest.mark.parametrize(("model", "n_right"), [("similarity", 6), ("homography", 9), ("fundamental", 24)])
def test_few_right_matches_among_wrong_ones_have(model, n_right):
    for seed in range(10):
        n = 40
        if model == "fundamental":
            first, second = in_depth(n, seed)
        else:
            first = random_points(n, seed)
            second = mapped(first, similarity(25, 0.8))
        second[n_right:] = random_points(n - n_right, 100 + seed)
        found = verified(first, second, model)
        assert found.reason == ""
        assert found.inliers[:n_right].all()
        assert found.log10_nfa < MAX_LOG10_NFA
        assert found.n_inliers == found.inliers.sum()


@pytest.mark.parametrize("model", ["similarity", "homography"])
def test_repetitions_of_a_sample_are_no_evidence(model):
    n = chance.SAMPLE_SIZES[model]
    corners = np.array([(80, 80), (560, 390), (560, 70), (90, 400)], float)[:n]
    moved = corners + np.random.default_rng(0).uniform(-50, 50, corners.shape)
    first, second = np.repeat(corners, 8, axis=0), np.repeat(moved, 8, axis=0)
    found = verified(first, second, model)
    assert found.model is None
    assert found.reason == f"not verified: {8 * n} of {8 * n} matches agree, which chance explains"
    assert found.n_inliers == 8 * n


def test_windows_in_rows_matched_at_random_have_no_epipolar_geometry():
    # All lie on few lines, so that many agree with these; measured by the band's area it would do.
    by_area = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        windows = np.array([(60 + 55 * i, 100 + 130 * j) for i in range(10) for j in range(3)], float)
        first = windows + rng.uniform(-1, 1, windows.shape)
        second = rng.permutation(windows) + rng.uniform(-1, 1, windows.shape)
        found = verified(first, second, "fundamental")
        assert found.model is None
        probability = probability_of_area("fundamental", 3.0, SIZE)
        by_area += log10_false_alarms("fundamental", 30, found.n_inliers, probability) < MAX_LOG10_NFA
    assert by_area > 10


@pytest.mark.parametrize(
    ("model", "points", "where"),
    [
        ("similarity", CENTRE + (random_points(60) - CENTRE) / 40, "at one place"),
        ("homography", CENTRE + (random_points(60) - CENTRE) / 40, "at one place or on one line"),
        ("homography", np.column_stack([np.linspace(9, 600, 60), np.linspace(20, 400, 60)]), "on one line"),
    ],
)
def test_inliers_at_one_place_or_on_one_line_determine_no_model(model, points, where):
    noise = np.random.default_rng(3).normal(0, 0.7, points.shape)
    f, g = features(points), features(points + noise)
    found = verify(f, g, row_by_row(60), model)
    assert fit(f, g, row_by_row(60), model, 3.0)[0] is not None
    assert found.model is None
    assert found.reason.startswith("not verified:")
    assert where in found.reason
    assert found.n_inliers > 50


def test_a_line_determines_no_fundamental_matrix_but_a_similarity():
    line = np.column_stack([np.linspace(9, 600, 60), np.linspace(20, 400, 60)])
    assert verified(line, line + 5, "similarity").model is not None
    assert verified(line, line + 5, "fundamental").model is None


# --- the command ----------------------------------------------------------------------------------------


def printed_json(capfd, *args):
    assert run(["match", *args, "--json"]) == 0
    return json.loads(capfd.readouterr().out)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("names", [*UNRELATED, *(pair[::-1] for pair in UNRELATED)], ids=" ".join)
def test_unrelated_photographs_have_no_model(capfd, names, model):
    result = printed_json(
        capfd, *(str(SAMPLES / name) for name in names), "--model", model, "--ratio", "0.95", "--guided"
    )
    for key in ("model_matrix", "rotation_recovered_deg", "scale_recovered", "shift"):
        assert result[key] is None
    told = re.fullmatch(NOT_VERIFIED, result["reason"])
    if told is None:
        assert result["reason"] == f"no {MODEL_NAMES[model]} fits the {result['n_matches']} matches"
    else:
        assert (int(told[1]), int(told[2])) == (result["n_inliers"], result["n_matches"])
        assert result["n_inliers"] >= chance.SAMPLE_SIZES[model]


def test_people_are_told(tmp_path, capfd):
    pair = [str(SAMPLES / name) for name in UNRELATED[0]]
    picture, table = tmp_path / "x.png", tmp_path / "x.csv"
    assert run(["match", *pair, "--ratio", "0.9", "--draw", str(picture), "-o", str(table)]) == 0
    out = capfd.readouterr().out
    assert re.search(rf"(?m)^{NOT_VERIFIED}", out)
    assert "rotation recovered" not in out
    column = table.read_text().splitlines()[0].split(",").index("inlier")
    assert {row.split(",")[column] for row in table.read_text().splitlines()[1:]} == {"0"}
    with Image.open(picture) as drawn:
        assert not (np.asarray(drawn) == OUTLIER_COLOUR).all(axis=2).any()


@pytest.mark.parametrize("model", ["similarity", "homography"])
def test_a_mirrored_photograph_has_no_turn(tmp_path, capfd, model):
    for name in ("chelsea.png", "astronaut.png", "rocket.jpg"):
        with Image.open(SAMPLES / name) as image:
            grey = np.asarray(image.convert("L"))
        Image.fromarray(grey).save(tmp_path / "a.png")
        Image.fromarray(grey[:, ::-1]).save(tmp_path / "b.png")
        result = printed_json(capfd, *(str(tmp_path / x) for x in ("a.png", "b.png")), "--model", model)
        assert result["rotation_recovered_deg"] is None


def test_a_few_matches_of_a_mirror_image_that_agree_with_a_turn_are_told_from_one():
    # On one line a turn explains what a mirror image does; off it, only the mirror image.
    line = np.column_stack([np.linspace(9, 600, 20), np.full(20, 100.0)])
    first = np.concatenate([line, random_points(60)])
    second = first * [-1, 1] + [SIZE[0] - 1, 0]
    found = verified(first, second, "similarity")
    assert found.model is None
    assert found.log10_nfa < MAX_LOG10_NFA
    assert re.fullmatch(r"not verified: 2\d of 80 matches agree, but 80 with a mirror image", found.reason)
    assert verified(first, second, "homography").model is None
    assert verified(line, line * [-1, 1] + [SIZE[0] - 1, 0], "similarity").model is not None


# --- many pairs -----------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path):
    """Features of a picture, of a part of it, and of two that are unrelated."""
    folder = tmp_path / "images"
    folder.mkdir()
    Image.open(SAMPLES / "camera.png").save(folder / "a.png")
    Image.open(SAMPLES / "camera.png").crop((60, 40, 420, 400)).save(folder / "b.png")
    for name in ("chelsea.png", "rocket.jpg"):
        Image.open(SAMPLES / name).save(folder / name)
    assert run(["detect", str(folder), "-o", str(tmp_path / "x.db"), "-q"]) == 0
    return tmp_path / "x.db"


def geometries(database):
    with sqlite3.connect(database) as connection:
        return connection.execute("SELECT rows, config, F, H FROM two_view_geometries").fetchall()


@pytest.mark.parametrize("model", MODELS)
def test_a_database_has_no_geometry_of_unrelated_pairs(database, capfd, model):
    args = ["match", str(database), "--pairs", "exhaustive", "--model", model, "--ratio", "0.9"]
    assert run([*args, "--min-inliers", "1", "--json"]) == 0
    outcomes = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [x["is_verified"] for x in outcomes] == [
        {x["image_a"], x["image_b"]} == {"a.png", "b.png"} for x in outcomes
    ]
    assert sum(x["n_inliers"] > 0 and not x["is_verified"] for x in outcomes) >= 3
    found = geometries(database)
    assert len(found) == 6
    assert [row for row in found if row[1] == 1] == [(0, 1, None, None)] * 5


def test_pairs_accepted_by_another_rule_are_not_taken_for_these(database, monkeypatch, capfd):
    args = ["match", str(database), "--pairs", "exhaustive", "-q"]
    monkeypatch.setattr(collection, "MAX_LOG10_NFA", 0.0)
    assert run(args) == 0
    monkeypatch.undo()
    assert run(args) == 2
    assert "other options" in capfd.readouterr().err
