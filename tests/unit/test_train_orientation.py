"""Training: the answers it learns from, that it learns, and that a stop changes nothing."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES, grey
from PIL import Image

from siftcli import __main__
from siftcli.learned import checkpoint, judging, samples, training, weights
from siftcli.learned.curves import HEIGHT, WIDTH, draw_curves
from siftcli.learned.session import Session
from siftcli.learned.training import Epoch
from siftcli.params import SiftParams
from siftcli.views.metrics import angle_difference
from siftcli.views.planar import map_points

pytestmark = pytest.mark.slow

EPOCHS = 3

COARSER = {"sigma": 2.0, "stability_power": 1.2}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of three small pictures: parts of photographs, which have clear orientations."""
    folder = tmp_path_factory.mktemp("images")
    for path in SAMPLES:
        if path.name in {"astronaut.png", "camera.png", "brick.png"}:
            part = np.rint(255 * grey(path)[100:300, 100:300]).astype(np.uint8)
            Image.fromarray(part).save(folder / path.name)
    return folder


def run(images: Path, output: Path, *options: str) -> int:
    return __main__.run(["train-orientation", str(images), "-o", str(output), "-q", *options])


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    output = tmp_path_factory.mktemp("trained") / "w.npz"
    assert run(images, output, "--epochs", str(EPOCHS), "--jobs", "1") == 0
    return output


# --- answers -------------------------------------------------------------------------------------


def test_a_scene_groups_the_orientations_of_a_place():
    scene = samples.scene_of("camera", grey(next(p for p in SAMPLES if p.name == "camera.png")))
    places = np.column_stack([scene.xy, scene.sigma])
    assert len(np.unique(places, axis=0)) == len(places) > 300
    assert np.all(np.isfinite(scene.angles[:, 0]))
    n = np.isfinite(scene.angles).sum(axis=1)
    assert 1.05 < n.mean() < 1.6
    # Once there is none there are no more.
    assert np.all(np.diff(np.isfinite(scene.angles).astype(int), axis=1) <= 0)


def test_answers_turn_with_the_camera(monkeypatch):
    # With no perturbation but the turn, the histogram itself finds the answers in the view.
    for name in ("MAX_TILT_DEG", "SHIFT_SIGMAS", "SCALE_ERROR", "BLUR_SHARE", "MAX_OFFSET"):
        monkeypatch.setattr(samples, name, 0.0)
    for name in ("MAX_ZOOM", "MAX_GAIN"):
        monkeypatch.setattr(samples, name, 1.0)
    # Without the finest scales, where resampling changes the histogram most.
    monkeypatch.setattr(samples, "SiftParams", partial(SiftParams, **COARSER))
    scene = samples.scene_of("camera", grey(next(p for p in SAMPLES if p.name == "camera.png")))
    for seed in range(3):
        examples = samples.photograph(scene, np.random.default_rng(seed), with_histogram=True)
        error = np.rad2deg(angle_difference(examples.histogram, examples.angles[:, 0]))
        assert len(error) > 150
        assert np.median(error) < 2
        assert np.mean(error < 10) > 0.85


def test_the_camera_looks_at_a_point_of_a_larger_image():
    shape, view = (700, 900), (512, 512)
    for seed in range(20):
        matrix = samples.camera(shape, view, np.random.default_rng(seed))
        ((x, y),) = map_points(np.linalg.inv(matrix), np.array([[255.5, 255.5]]))
        assert 255 <= x <= 644
        assert 255 <= y <= 444


@pytest.mark.parametrize("angle", [0.0, 0.05, 1.234, math.pi, 6.25])
def test_an_answer_between_classes_is_found_again(angle):
    target = samples.targets(np.array([[angle, math.nan]]))
    assert target.sum() == pytest.approx(1, abs=1e-6)
    found = judging.strongest(np.log(np.maximum(target, 1e-30)))
    assert float(angle_difference(found, np.array([angle]))[0]) < 1e-3


def test_a_second_orientation_counts_a_little_less():
    target = samples.targets(np.radians([[40.0, 200.0]]))[0]
    assert target[20] / target[4] == pytest.approx(samples.FURTHER_WEIGHT, rel=1e-3)


# --- training ------------------------------------------------------------------------------------


def test_the_loss_falls_and_the_held_out_image_is_understood_better(images):
    split = training.split_of([(p.name, grey(p)) for p in sorted(images.iterdir())], seed=0)
    assert len(split.held_out) == 1
    test = training.held_out_examples(split, seed=0)
    state = training.State.first(seed=0)
    before, guessed = judging.judge(state.parameters, test)
    for _ in training.train(split, test, state, epochs=12, seed=0):
        pass
    first, last = state.history[0], state.history[-1]
    assert last.loss < 0.75 * first.loss
    assert last.held_out_loss < 0.75 * before
    # Of 36 classes a guess is within 10° of the answer in 6 % of the cases.
    assert guessed < 0.2
    assert last.held_out_accuracy > 0.3
    assert 0.5 < judging.histogram_accuracy(test) <= 1


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads(images, trained, tmp_path):
    assert run(images, tmp_path / "w.npz", "--epochs", str(EPOCHS), "--jobs", "3") == 0
    for name, expected in weights.load(trained).parameters.items():
        np.testing.assert_array_equal(weights.load(tmp_path / "w.npz").parameters[name], expected)
    assert run(images, tmp_path / "v.npz", "--epochs", str(EPOCHS), "--seed", "1") == 0
    first = weights.load(tmp_path / "v.npz").parameters["weights1"]
    assert np.any(first != weights.load(trained).parameters["weights1"])


def test_a_stopped_training_goes_on_to_the_same_weights(images, trained, tmp_path, capsys):
    output = tmp_path / "w.npz"
    epochs = Session([str(images)], str(output), epochs=EPOCHS).run(jobs=1)
    assert [next(epochs).number for _ in range(2)] == [1, 2]
    epochs.close()
    assert not output.exists()
    unfinished = checkpoint.checkpoint_path(output)
    assert unfinished.exists()
    assert run(images, output, "--epochs", "4") == 2
    assert "was begun with other epochs; give the same again, or pass --overwrite" in capsys.readouterr().err
    assert [epoch.number for epoch in Session([str(images)], str(output), epochs=EPOCHS).run(jobs=1)] == [
        1,
        2,
        3,
    ]
    assert not unfinished.exists()
    for name, expected in weights.load(trained).parameters.items():
        np.testing.assert_array_equal(weights.load(output).parameters[name], expected)


def test_the_file_says_how_it_was_made_and_can_be_used(images, trained, capsys):
    about = weights.load(trained).about
    assert sorted(about["train"] + about["held_out"]) == ["astronaut.png", "brick.png", "camera.png"]
    assert (about["epochs"], about["seed"]) == (EPOCHS, 0)
    assert 0 < about["held_out_accuracy"] < 1
    assert "/" not in about["command"]
    picture = str(images / "camera.png")
    arguments = ["detect", picture, "--orientation", "learned", "--orientation-weights", str(trained)]
    assert __main__.run(arguments) == 0
    assert "keypoints" in capsys.readouterr().out


def test_wrong_use_is_found_before_any_work(images, trained, tmp_path, capsys):
    assert run(images, trained) == 2
    assert "exists; pass --overwrite" in capsys.readouterr().err
    assert run(images, tmp_path / "w.txt") == 2
    assert "expected the name of a weights file, NAME.npz" in capsys.readouterr().err
    assert run(images, tmp_path / "no" / "w.npz") == 2
    assert "does not exist; make it first" in capsys.readouterr().err
    assert run(images / "camera.png", tmp_path / "w.npz") == 1
    assert "at least 2 images" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_an_error_and_overwrite_begins_anew(images, tmp_path, capsys):
    output = tmp_path / "w.npz"
    checkpoint.checkpoint_path(output).write_bytes(b"PK\x03\x04 no more of it")
    assert run(images, output, "--epochs", "1") == 1
    assert "damaged" in capsys.readouterr().err
    assert run(images, output, "--epochs", "1", "--overwrite") == 0
    assert output.exists()


def test_calibration_finds_as_many_orientations_as_the_histogram(images):
    split = training.split_of([(p.name, grey(p)) for p in sorted(images.iterdir())], seed=0)
    state = training.State.first(seed=0)
    for _ in training.train(split, training.held_out_examples(split, 0), state, epochs=4, seed=0):
        pass
    parameters = training.calibrated(state.parameters, split, seed=0)
    for name in ("weights1", "bias1", "weights2", "bias2"):
        np.testing.assert_array_equal(parameters[name], state.parameters[name])
    ratio = parameters["weights3"] / state.parameters["weights3"]
    assert ratio.min() == pytest.approx(ratio.max(), rel=1e-5)
    assert 0.05 < ratio.mean() < 20


def test_curves_are_drawn(tmp_path):
    history = [Epoch(i + 1, 3 / (i + 1), 3.2 / (i + 1), 1 - 0.9 / (i + 1)) for i in range(9)]
    draw_curves(history, 0.8, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (WIDTH, HEIGHT)
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert {(0x0B, 0x63, 0xB5), (0xC2, 0x57, 0x0C), (0x57, 0x60, 0x6A)} <= colours
    draw_curves(history[:1], 0.8, tmp_path / "one.png")
    assert (tmp_path / "one.png").stat().st_size > 1000


def test_images_without_structure_are_left_out(images):
    named = [(p.name, grey(p)) for p in sorted(images.iterdir())]
    split = training.split_of([*named, ("flat.png", np.full((80, 80), 0.5, np.float32))], seed=0)
    assert "flat.png" not in split.names["train"] + split.names["held_out"]
