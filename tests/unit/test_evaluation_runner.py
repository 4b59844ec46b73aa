"""The runner: the same rows however the work is done, and nothing lost when it is cut short."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siftcli.errors import InputError, MissingDependencyError, OutputError, ParameterError
from siftcli.evaluation import datasets, pool, runner, summary
from siftcli.evaluation.recovery import corner_error, rotation_and_scale
from siftcli.evaluation.settings import Settings
from siftcli.evaluation.store import FINISHED_FILE
from siftcli.evaluation.work import Task, TaskRunner
from siftcli.io.work_list import find_images
from siftcli.views.planar import similarity
from siftcli.views.transforms import Lossless

SAMPLES = Path(__file__).parents[2] / "sample_images"
DETECTORS = ("opencv-precise", "opencv")
SETTINGS = Settings(sweeps={"rotation": [0, 30], "lossless": [180]}, detectors=DETECTORS)


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    whole = Image.open(SAMPLES / "camera.png")
    whole.crop((100, 60, 260, 220)).save(images / "a.png")
    whole.crop((200, 150, 351, 310)).save(images / "b.png")
    return images


def planned(folder, settings=SETTINGS):
    return runner.plan_sweeps(find_images([folder]), settings)


def without_times(rows):
    return [{key: value for key, value in row.items() if key != "time_s"} for row in rows]


@pytest.mark.slow
def test_rows_do_not_depend_on_jobs(folder, tmp_path):
    one = runner.evaluate(planned(folder), SETTINGS, tmp_path / "one", jobs=1)
    two = runner.evaluate(planned(folder), SETTINGS, tmp_path / "two", jobs=2)
    assert without_times(one["rows"]) == without_times(two["rows"])
    # Two images: two turns at two budgets, a lossless turn at one, two detectors.
    assert len(one["rows"]) == 2 * (2 * 2 + 1) * 2
    on_disk = json.loads((tmp_path / "two" / "results.json").read_text(), parse_constant=pytest.fail)
    assert on_disk["rows"] == two["rows"]
    assert on_disk["failures"] == []
    assert on_disk["settings"]["detectors"]["opencv"]["version"]
    lines = (tmp_path / "one" / "summary.csv").read_text().splitlines()
    assert len(lines) == 1 + 3 * 2
    assert lines[0].startswith("sweep,budget,detector,n_images,n_rows,repeatability_025px")


def test_an_interrupted_run_goes_on(folder, tmp_path):
    out = tmp_path / "out"
    whole = runner.evaluate(planned(folder), SETTINGS, out)
    lines = (out / FINISHED_FILE).read_bytes().splitlines(keepends=True)
    assert len(lines) == 6
    (out / FINISHED_FILE).write_bytes(b"".join(lines[:3]) + lines[3][:40])  # as a kill leaves it
    seen = []
    again = runner.evaluate(
        planned(folder), SETTINGS, out, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(3, 6), (4, 6), (5, 6), (6, 6)]
    assert without_times(again["rows"]) == without_times(whole["rows"])
    seen.clear()
    runner.evaluate(planned(folder), SETTINGS, out, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(6, 6)]


def test_another_run_s_folder_is_refused(folder, tmp_path):
    out = tmp_path / "out"
    short = Settings(sweeps={"lossless": [180]}, detectors=["opencv"])
    runner.evaluate(planned(folder, short), short, out)
    other = Settings(sweeps={"lossless": [180]}, detectors=["opencv"], seed=1)
    with pytest.raises(OutputError, match=r"other settings \(settings: seed\).*--overwrite"):
        runner.evaluate(planned(folder, other), other, out)
    Image.open(folder / "a.png").rotate(90).save(folder / "a.png")
    with pytest.raises(OutputError, match=r"images: a\.png"):
        runner.evaluate(planned(folder, short), short, out)
    runner.evaluate(planned(folder, other), other, out, overwrite=True)


def test_a_folder_of_other_files_is_refused(folder, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="other files"):
        runner.evaluate(planned(folder), SETTINGS, tmp_path)


def test_a_corrupt_image_is_recorded_and_tried_again(folder, tmp_path):
    (folder / "c.png").write_bytes((folder / "a.png").read_bytes()[:200])
    out = tmp_path / "out"
    settings = Settings(sweeps={"rotation": [0, 30]}, detectors=["opencv"])
    results = runner.evaluate(planned(folder, settings), settings, out)
    assert {row["image"] for row in results["rows"]} == {"a.png", "b.png"}
    (failure,) = results["failures"]
    assert (failure["image"], failure["n_jobs"]) == ("c.png", 2)
    assert "c.png" in failure["error"]
    seen = []
    runner.evaluate(planned(folder, settings), settings, out, progress=lambda done, _: seen.append(done))
    assert seen[0] == 4


class Failing:
    """A detector that fails."""

    ranked = True

    def detect(self, grey):
        raise ValueError("no luck")


def test_a_failing_detector_leaves_the_others_rows(folder):
    worker = TaskRunner(SETTINGS)
    worker._made["opencv"] = Failing()
    rows = worker.run(planned(folder)[0])
    good = [row for row in rows if "error" not in row]
    assert [(row["detector"], row["budget"]) for row in good] == [
        ("opencv-precise", "default"),
        ("opencv-precise", "equal"),
    ]
    assert [row["error"] for row in rows if "error" in row] == ["no luck"]


class Deadly(Lossless):
    """A transform that takes its process with it."""

    sweep = "deadly"

    def pair(self, source, seed=0):
        os._exit(1)


@pytest.mark.slow
def test_a_dead_worker_is_one_job_s_failure(folder):
    settings = Settings(sweeps={"lossless": [90, 180, 270]}, detectors=["opencv"])
    jobs = planned(folder, settings)
    jobs.insert(2, Task(jobs[0].image, Deadly(90)))
    found = {job.key: records for job, records in pool.run_tasks(jobs, settings, 2)}
    assert set(found) == {job.key for job in jobs}
    errors = {key: records[0]["error"] for key, records in found.items() if "error" in records[0]}
    assert list(errors) == [("a.png", "deadly", 90)]
    assert "died" in errors["a.png", "deadly", 90]


def test_equal_counts_are_equal(folder):
    settings = Settings(sweeps={"rotation": [30]}, detectors=["opencv", "scikit-image"], max_features=25)
    rows = TaskRunner(settings).run(planned(folder, settings)[0])
    for row in rows:
        if row["budget"] == "equal":
            assert row["max_features"] == 25
            assert row["n_reference"] <= 27


def test_opencv_at_a_lossless_half_turn():
    job = Task(find_images([SAMPLES / "camera.png"])[0], Settings(sweeps={"lossless": [180]}).transforms()[0])
    rows = {row["detector"]: row for row in TaskRunner(SETTINGS).run(job)}
    assert rows["opencv"]["repeatability_05px"] < 0.02
    assert 0.93 < rows["opencv-precise"]["repeatability_05px"] < 0.99


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sweeps": {"spin": [1]}}, ParameterError, "unknown sweep 'spin'.*rotation"),
        ({"sweeps": {"rotation": []}}, ParameterError, "at least one"),
        ({"detectors": ()}, ParameterError, "none"),
        ({"detectors": ("opencv", "opencv")}, ParameterError, "each once"),
        ({"detectors": ("surf",)}, ParameterError, "unknown detector"),
    ],
)
def test_settings_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        Settings(**options)


def test_settings_name_a_missing_package(monkeypatch):
    monkeypatch.setattr("siftcli.detectors.colmap.Colmap.module", "no_such_module")
    with pytest.raises(MissingDependencyError, match="peers"):
        Settings(detectors=["colmap"])


def test_every_image_counts_alike():
    rows = [{"image": "a", "precision": v} for v in (0.0, 0.5, None)] + [{"image": "b", "precision": 1.0}]
    rows = [{**row, "sweep": "rotation", "budget": "default", "detector": "opencv"} for row in rows]
    assert summary.per_image(rows, "precision") == {"a": 0.25, "b": 1.0}
    (found,) = summary.summarise_rows(rows)
    assert found.means["precision"] == 0.625
    assert (found.n_images, found.n_rows) == (2, 4)


def test_differences_are_paired_over_images():
    rows = [
        {
            "image": str(i),
            "sweep": "rotation",
            "budget": "default",
            "detector": d,
            "precision": i / 10 + shift,
        }
        for i in range(8)
        for d, shift in (("ours", 0.05), ("theirs", 0.0))
    ]
    (found,) = [d for d in summary.differences(rows, [("ours", "theirs")]) if d.metric == "precision"]
    # Images differ widely, the two detectors always by as much: the interval has no width.
    assert (found.mean, found.low, found.high) == pytest.approx((0.05, 0.05, 0.05))
    assert (found.method, found.n_images, found.mark) == ("t", 8, "better")


def test_best_is_what_is_printed_as_best():
    metric = summary.Metric("x", "x", "", higher_is_better=False, decimals=1)
    rows = [
        summary.Summary("s", "b", name, 1, 1, {"x": v}) for name, v in (("a", 0.52), ("b", 0.48), ("c", 0.7))
    ]
    assert summary.best(rows, metric) == {"a", "b"}


def test_turn_and_corners_of_a_known_map():
    turn = similarity(2.0, 40.0, (10, 20), (5, 6))
    assert rotation_and_scale(turn, (3, 3)) == pytest.approx((40.0, 2.0))
    shifted = similarity(2.0, 40.0, (10, 20), (8, 10))
    assert corner_error(shifted, turn, (50, 60)) == pytest.approx(5.0)


def write_sequence(folder: Path, image: str, homography: str) -> None:
    folder.mkdir(parents=True)
    whole = Image.open(SAMPLES / "camera.png").crop((100, 60, 260, 220))
    whole.save(folder / image.format(1))
    for k, deg in ((2, 90), (3, 180)):
        whole.rotate(deg, expand=True).save(folder / image.format(k))
        matrix = similarity(1.0, deg, (79.5, 79.5), (79.5, 79.5))
        np.savetxt(folder / homography.format(k), matrix)


def test_oxford_and_hpatches_folders(tmp_path):
    write_sequence(tmp_path / "oxford" / "graf", "img{}.ppm", "H1to{}p")
    write_sequence(tmp_path / "hpatches" / "v_wall", "{}.ppm", "H_1_{}")
    jobs = [*datasets.oxford(tmp_path / "oxford"), *datasets.hpatches(tmp_path / "hpatches")]
    assert [job.key for job in jobs] == [
        ("graf/img1.ppm", "oxford", 2),
        ("graf/img1.ppm", "oxford", 3),
        ("v_wall/1.ppm", "hpatches-viewpoint", 2),
        ("v_wall/1.ppm", "hpatches-viewpoint", 3),
    ]
    assert datasets.oxford(tmp_path / "oxford" / "graf")[0].key == ("img1.ppm", "oxford", 2)
    results = runner.evaluate(jobs, SETTINGS, tmp_path / "out")
    precise = [row for row in results["rows"] if row["detector"] == "opencv-precise"]
    assert all(row["mma_1px"] > 0.9 and row["corners_within_1px"] == 1.0 for row in precise)
    assert all(row["rotation_error_deg"] < 0.05 for row in precise)


def test_a_list_of_pairs(tmp_path):
    write_sequence(tmp_path / "pictures", "{}.png", "H{}.txt")
    listed = tmp_path / "pairs.csv"
    listed.write_text("image_a,image_b,homography\npictures/1.png,pictures/2.png,pictures/H2.txt\n")
    (job,) = datasets.csv_list(listed)
    rows = TaskRunner(SETTINGS).run(job)
    assert {row["sweep"] for row in rows} == {"csv"}
    assert rows[0]["matching_score"] > 0.9
    listed.write_text("first,second\n")
    with pytest.raises(InputError, match="image_a,image_b,homography"):
        datasets.csv_list(listed)


def test_bad_datasets_are_explained(tmp_path):
    with pytest.raises(InputError, match="no sequence"):
        datasets.oxford(tmp_path)
    with pytest.raises(InputError, match="expected the folder"):
        datasets.hpatches(tmp_path / "nowhere")
    (tmp_path / "H").write_text("1 2 3")
    with pytest.raises(InputError, match="nine numbers"):
        datasets.read_homography(tmp_path / "H")
