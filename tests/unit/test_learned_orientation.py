"""The orientation network: its gradients, its symmetry, its kernels, its weights file, and its use."""

import io
import json
import math
import pickle
import subprocess
import sys

import naive_learned as naive
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import SAMPLES, grey, octave_of, texture
from PIL import Image

from siftcli import SiftParams, __main__, detection
from siftcli.cli import siftcli
from siftcli.errors import InputError
from siftcli.evaluation.options import with_orientation
from siftcli.kernels.threads import Threads
from siftcli.learned import judging, network, orientation, patches, weights
from siftcli.sift.keypoints import Keypoints

LEARNED = SiftParams(orientation="learned")
CAMERA = next(p for p in SAMPLES if p.name == "camera.png")


def random_parameters(seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.4, shape).astype(dtype) for name, shape in network.SHAPES.items()}


def random_patches(n, seed=1, dtype=np.float64):
    shape = (n, patches.N_PARTS, patches.N_RINGS, patches.N_ANGLES)
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.fixture(scope="module")
def octave():
    levels = np.stack([texture((60, 70), seed=s, smoothness=2.0) for s in range(6)])
    return octave_of(levels, sigma=1.7)


@pytest.fixture(scope="module")
def keypoints():
    """Some in the middle, some whose patch reaches far over the edge."""
    xy = np.array([[30.2, 28.7], [41.5, 30.0], [1.0, 1.3], [68.9, 40.1], [35.0, 58.8], [20.25, 33.3]])
    sigma = np.array([1.9, 2.4, 2.0, 3.1, 2.6, 2.2])
    return Keypoints(np.zeros(6, np.int16), xy, sigma, np.ones(6), np.ones(6, np.float32))


# --- the network ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", network.SHAPES)
def test_gradients_of_the_whole_network_against_central_differences(name):
    parameters, batch = random_parameters(), random_patches(3)
    factors = np.random.default_rng(2).standard_normal((3, network.N_CLASSES))
    scores, trace = network.forward(parameters, batch)
    gradient = network.backward(parameters, trace, factors * np.cos(scores))[name]
    assert gradient.shape == network.SHAPES[name]
    some = np.random.default_rng(3).permutation(gradient.size)[:40]
    numeric = np.empty(len(some))
    flat = parameters[name].reshape(-1)
    for n, i in enumerate(some):
        values = []
        for step in (1e-6, -1e-6):
            kept, flat[i] = flat[i], flat[i] + step
            values.append(np.sum(factors * np.sin(network.forward(parameters, batch)[0])))
            flat[i] = kept
        numeric[n] = (values[0] - values[1]) / 2e-6
    analytic = gradient.reshape(-1)[some]
    # Rounding of sums of some hundred terms of order 1, over a step of 1e-6.
    assert np.linalg.norm(analytic - numeric) < 1e-6 * max(np.linalg.norm(numeric), 1)


def test_ten_degrees_move_the_scores_by_one_class():
    parameters, batch = random_parameters(), random_patches(4)
    scores, _ = network.forward(parameters, batch)
    turned, _ = network.forward(parameters, np.roll(batch, network.STRIDE, axis=3))
    np.testing.assert_allclose(turned, np.roll(scores, 1, axis=1), atol=1e-10)
    other, _ = network.forward(parameters, np.roll(batch, 1, axis=3))  # 5°: no symmetry of the network
    assert np.abs(other - scores).max() > 0.1


def test_no_patches_have_no_scores():
    scores, _ = network.forward(random_parameters(), random_patches(0))
    assert scores.shape == (0, network.N_CLASSES)


def test_samples_of_a_ring_are_separated_and_repeated():
    patch = np.arange(2 * 3 * 72, dtype=np.float32).reshape(2, 3, 72)
    rows = np.full((4, 76), np.nan, np.float32)
    orientation._separate.__wrapped__(patch, 1, rows)  # in Python, which checks every index
    places = 2 * (np.arange(76) % 36)
    for part in range(2):
        np.testing.assert_array_equal(rows[2 * part], patch[part, 1, places])
        np.testing.assert_array_equal(rows[2 * part + 1], patch[part, 1, places + 1])


def test_a_closed_ring_gives_back_what_its_copies_got():
    rng = np.random.default_rng(0)
    x, dx = rng.standard_normal((2, 3, 7)), rng.standard_normal((2, 3, 11))
    # The two are adjoint: <close(x), dx> = <x, close_backward(dx)>.
    there = np.sum(network.close_ring(x, 4) * dx)
    assert there == pytest.approx(np.sum(x * network.close_ring_backward(dx, 7)))


# --- the patches and the stage -------------------------------------------------------------------


def test_a_quarter_turn_permutes_the_directions_to_the_last_bit():
    x, y = patches.directions()
    np.testing.assert_array_equal(np.roll(x, -patches.QUARTER), -y)
    np.testing.assert_array_equal(np.roll(y, -patches.QUARTER), x)
    np.testing.assert_allclose(np.arctan2(y, x) % (2 * math.pi), np.arange(72) * math.pi / 36, atol=1e-12)


def test_patches_are_those_of_the_twin(octave, keypoints):
    with Threads(1) as threads:
        found = patches.sample_patches(octave, keypoints, threads)
    level = octave.nearest_level(keypoints.sigma)
    for n, patch in enumerate(found):
        expected = naive.patch(
            octave.unpadded[level[n]].astype(float), *keypoints.xy[n], keypoints.sigma[n],
            patches.N_RINGS, patches.N_ANGLES, patches.RING_SPACING,
        )  # fmt: skip
        # Differences of single-precision grey values near 0.5, over neighbours as near as 0.06 samples.
        np.testing.assert_allclose(patch, expected, atol=2e-4)
        assert np.mean(patch**2) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("max_orientations", [1, 36])
def test_the_stage_is_its_twin(octave, keypoints, max_orientations, monkeypatch):
    parameters = {name: p / 4 for name, p in random_parameters(seed=5, dtype=np.float32).items()}
    monkeypatch.setattr(orientation, "shipped_or", lambda path: weights.Weights(parameters))
    params = LEARNED.override(max_orientations=max_orientations, peak_ratio=0.1)
    with Threads(1) as threads:
        rows, angles = orientation.assign_orientations(octave, keypoints, params, threads)
        scores, _ = network.forward(parameters, patches.sample_patches(octave, keypoints, threads))
    expected = [naive.peaks(s.astype(float), 0.1, max_orientations) for s in scores]
    np.testing.assert_array_equal(rows, np.repeat(np.arange(6), [len(e) for e in expected]))
    assert max_orientations == 1 or len(rows) > 6
    np.testing.assert_allclose(angles, np.concatenate(expected), atol=1e-3)
    assert np.all((angles >= 0) & (angles < 2 * math.pi))


def test_a_keypoint_does_not_depend_on_its_company_or_on_threads(octave, keypoints):
    many = Keypoints(*(np.tile(a, (50,) + (1,) * (a.ndim - 1)) for a in vars(keypoints).values()))
    with Threads(1) as one, Threads(3) as three:
        _, angles = orientation.assign_orientations(octave, keypoints, LEARNED, one)
        _, of_many = orientation.assign_orientations(octave, many, LEARNED, three)
        alone = [
            orientation.assign_orientations(octave, keypoints.select(np.array([n])), LEARNED, one)[1]
            for n in range(len(keypoints))
        ]
    np.testing.assert_array_equal(np.tile(angles, 50), of_many)
    np.testing.assert_array_equal(np.concatenate(alone), angles)


def test_a_flat_patch_keeps_its_keypoint(keypoints):
    flat = octave_of(np.full((6, 60, 70), 0.5), sigma=1.7)
    with Threads(1) as threads:
        rows, angles = orientation.assign_orientations(flat, keypoints, LEARNED, threads)
        upright = orientation.assign_orientations(flat, keypoints, LEARNED.override(upright=True), threads)
    np.testing.assert_array_equal(np.unique(rows), np.arange(6))
    assert np.all(np.isfinite(angles))
    np.testing.assert_array_equal(upright[1], np.zeros(6))


def test_learned_orientations_are_mostly_those_of_the_histogram():
    # They were the answers in training; this photograph was not trained on.
    image = grey(next(p for p in SAMPLES if p.name == "chelsea.png"))
    one = {"max_orientations": 1}
    histogram = detection.detect(image, SiftParams(**one))
    learned = detection.detect(image, LEARNED.override(**one))
    np.testing.assert_array_equal(histogram.xy, learned.xy)
    away = (learned.orientation - histogram.orientation + math.pi) % (2 * math.pi) - math.pi
    assert np.mean(np.abs(away) < math.radians(10)) > 0.85


def test_without_it_nothing_of_it_is_imported():
    code = (
        "import sys, numpy as np, siftcli\n"
        "siftcli.detect(np.random.default_rng(0).random((40, 40)).astype('f4'))\n"
        "print([m for m in sys.modules if 'learned' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- the weights file ----------------------------------------------------------------------------


def npz(**arrays):
    data = io.BytesIO()
    np.savez(data, **arrays)
    return data.getvalue()


GOOD = weights.encode(weights.Weights(random_parameters(dtype=np.float32), {"command": "none"}))


def changed(**arrays):
    with np.load(io.BytesIO(GOOD), allow_pickle=False) as file:
        return npz(**{**file, **arrays})


BAD = {
    "empty": (b"", "damaged"),
    "text": (b"not an archive at all", "damaged"),
    "cut": (GOOD[: len(GOOD) // 2], "damaged"),
    "pickled": (pickle.dumps({"kind": weights.KIND}), "damaged"),
    "pickle inside": (npz(kind=np.array([{"a": 1}], dtype=object)), "damaged"),
    "foreign": (npz(kernel=np.zeros((3, 3))), "something else"),
    "version": (changed(version=np.array(99)), "version 1 of the weights, found 99"),
    "shape": (changed(weights2=np.zeros((2, 2), np.float32)), "expected weights2"),
    "integers": (changed(bias1=np.zeros(24, np.int64)), "expected bias1"),
    "not finite": (changed(bias3=np.array([np.nan], np.float32)), "expected bias3"),
    "no origin": (changed(about=np.array("[]")), "how it was made"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_weights_file_is_an_error_of_one_line(kind, tmp_path, capsys):
    data, reason = BAD[kind]
    path = tmp_path / "w.npz"
    path.write_bytes(data)
    with pytest.raises(InputError, match=reason):
        weights.load(path)
    detect = ["detect", str(CAMERA), "--orientation", "learned", "--orientation-weights", str(path), "-q"]
    assert __main__.run(detect) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert reason in said
    assert "siftcli train-orientation" in said


def test_a_missing_weights_file_says_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"found no file; make one with: siftcli train-orientation"):
        weights.shipped_or(str(tmp_path / "none.npz"))
    with pytest.raises(InputError, match="cannot be read"):
        weights.load(tmp_path)
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "weights.npz")
    with pytest.raises(InputError, match="found no file; install siftcli again"):
        weights.shipped_or("")


def test_good_weights_come_back(tmp_path):
    path = tmp_path / "w.npz"
    path.write_bytes(GOOD)
    found = weights.load(path)
    assert found.about == {"command": "none"}
    for name, expected in random_parameters(dtype=np.float32).items():
        np.testing.assert_array_equal(found.parameters[name], expected)


def test_the_weights_that_ship_say_where_they_come_from():
    about = weights.load(weights.SHIPPED).about
    assert weights.SHIPPED.stat().st_size < 1_000_000
    assert about["command"].startswith("siftcli train-orientation ")
    assert "/" not in about["command"]
    assert {"astronaut.png", "brick.png"} <= set(about["train"]) | set(about["held_out"])
    assert not set(about["train"]) & set(about["held_out"])
    assert set(about["blake2b"]) == {*about["train"], *about["held_out"]}
    # Those that the comparison in docs/benchmarks is made on.
    assert not {"chelsea.png", "coffee16.png", "rocket.jpg"} & set(about["blake2b"])


# --- the command line ----------------------------------------------------------------------------


def test_detect_and_match_take_the_orientation():
    detect = CliRunner().invoke(siftcli, ["detect", str(CAMERA), "--orientation", "learned", "--json"])
    assert json.loads(detect.stdout)["params"]["orientation"] == "learned"
    arguments = ["match", str(CAMERA), "--rotate", "40", "--orientation", "learned", "--json"]
    arguments += ["--model", "similarity"]  # without PoseLib too
    match = json.loads(CliRunner().invoke(siftcli, arguments).stdout)
    assert abs(match["rotation_recovered_deg"] - 40) < 0.05
    assert match["precision"] > 0.95
    wrong = CliRunner().invoke(siftcli, ["detect", str(CAMERA), "--orientation", "guessed"])
    assert wrong.exit_code == 2


def test_evaluate_takes_the_orientation(tmp_path):
    arguments = ["evaluate", str(CAMERA), "-o", str(tmp_path / "r"), "--sweep", "lossless", "--json", "-q"]
    arguments += ["--detectors", "siftcli,siftcli-classic", "--orientation", "learned", "--jobs", "1"]
    result = CliRunner().invoke(siftcli, arguments)
    found = {row["detector"]: row["means"] for row in json.loads(result.stdout)["summary"]}
    assert set(found) == {"siftcli-learned", "siftcli-classic-learned"}
    assert all(means["repeatability_05px"] > 0.99 for means in found.values())
    assert with_orientation(["siftcli", "opencv"], "histogram") == ("siftcli", "opencv")
    parameters = json.loads((tmp_path / "r" / "results.json").read_text())["settings"]["detectors"]
    assert len(parameters["siftcli-learned"]["parameters"]["orientation_weights_sha256"]) == 64


def test_a_batch_is_resumed_with_the_same_weights_wherever_they_are(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    Image.fromarray(np.rint(255 * texture((80, 90))).astype(np.uint8)).save(tmp_path / "in" / "a.png")
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    first.write_bytes(GOOD)
    batch = ["detect", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-q", "--orientation", "learned"]
    batch += ["--orientation-weights"]
    assert __main__.run([*batch, str(first)]) == 0
    first.rename(second)
    assert __main__.run([*batch, str(second)]) == 0
    # Other weights at the same path give other orientations.
    second.write_bytes(weights.encode(weights.Weights(random_parameters(seed=9, dtype=np.float32))))
    capsys.readouterr()
    assert __main__.run([*batch, str(second)]) == 2
    assert "orientation_weights_digest" in capsys.readouterr().err
    assert __main__.run([*batch, str(second), "--overwrite"]) == 0


# --- what training judges by ---------------------------------------------------------------------


def test_the_strongest_angle_lies_between_the_classes():
    truth = np.array([0.02, 1.0, 3.14, 6.2])
    classes = 2 * math.pi / network.N_CLASSES * np.arange(network.N_CLASSES)
    away = (truth[:, None] - classes + math.pi) % (2 * math.pi) - math.pi
    np.testing.assert_allclose(judging.strongest(-((away / 0.15) ** 2)), truth, atol=1e-9)
