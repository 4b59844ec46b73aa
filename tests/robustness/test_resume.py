"""Batches: taken up again, killed, refused, failing; the same features however many work on them."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from batches import ARGUMENTS, OUTPUTS, command, content, detect, failures, make_images
from killing import forked, run_and_kill, seconds, whole_command

from siftcli import load
from siftcli.__main__ import run
from siftcli.errors import OutputError
from siftcli.io.locks import locked
from siftcli.parallel import sharing
from siftcli.parallel.processes import LocalPool
from siftcli.params import SiftParams
from siftcli.workflows import detect as batch
from siftcli.workflows.detect_plan import make_plan

pytestmark = pytest.mark.slow

N_IMAGES = 24


@pytest.fixture(params=OUTPUTS)
def output(request):
    return OUTPUTS[request.param]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make_images(tmp_path_factory.mktemp("images"), N_IMAGES)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with a folder of five images, which is the current one."""
    make_images(tmp_path / "in", 5)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def go(*args):
    return run(["detect", *args, *ARGUMENTS])


# --- the same however many work ------------------------------------------------------------------------


def test_one_and_two_processes_give_the_same(images, tmp_path, output):
    for jobs in ("1", "2"):
        (tmp_path / jobs).mkdir()
        assert go(str(images), "-o", str(tmp_path / jobs / output), "--jobs", jobs, "-q") == 0
    assert content(tmp_path / "1" / output) == content(tmp_path / "2" / output)
    assert len(content(tmp_path / "1" / output)) >= (1 if output.endswith(".db") else N_IMAGES)


def test_cores_are_shared(monkeypatch):
    monkeypatch.setattr(sharing, "usable_cores", lambda: 8)
    assert sharing.shared_cores(1, None, None) == (1, None)
    assert sharing.shared_cores(100, None, None) == (8, 1)
    assert sharing.shared_cores(100, None, 4) == (2, 4)
    assert sharing.shared_cores(100, 2, None) == (2, 4)
    assert sharing.shared_cores(100, 16, None) == (16, 1)
    assert sharing.shared_cores(100, 1000, None) == (16, 1)  # two for each core at most
    assert sharing.shared_cores(100, 3, 5) == (3, 5)


def double(task):
    if task == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return task * 2


def test_a_dead_worker_fails_its_own_task_only():
    tasks = [1, 2, "deadly", *range(3, 20)]
    pool = LocalPool(double, lambda task: f"{task} lost", 2)
    found = list(pool.run(tasks, lambda: False))
    assert found == [(t, "deadly lost" if t == "deadly" else t * 2) for t in tasks]


def test_no_more_tasks_are_taken_than_can_be_in_hand():
    taken = []

    def tasks():
        for i in range(100):
            taken.append(i)
            yield i

    results = LocalPool(double, double, 2).run(tasks(), lambda: len(taken) >= 10)
    assert next(results) == (0, 0)
    assert len(taken) == 8
    assert len(list(results)) == 9  # what was handed out is finished


# --- taken up again ------------------------------------------------------------------------------------


def test_only_what_is_missing_or_changed_is_done(here, capsys, output):
    assert go("in/000/00000.jpg", "in/000/00001.jpg", "-o", output) == 0
    first = sorted(Path("in").rglob("*.jpg"))
    os.utime(first[0], (1, 1))  # another time, the same content
    capsys.readouterr()
    assert go("in/000", "-o", output) == 0
    assert "5 images, 0 failed, 2 kept as they were" in capsys.readouterr().err
    first[0].write_bytes(first[1].read_bytes())
    assert go("in/000", "-o", output) == 0
    assert "4 kept as they were" in capsys.readouterr().err
    assert go("in/000", "-o", "fresh" + Path(output).suffix) == 0
    name = {"out": "00000.jpg.npz"}.get(output)
    made, fresh = ((Path(o, name) if name else Path(o)) for o in (output, "fresh" + Path(output).suffix))
    image = None if name else "00000.jpg"
    assert (load(made, image=image).xy == load(fresh, image=image).xy).all()


def test_check_looks_at_the_content(here, capsys, output):
    assert go("in", "-o", output) == 0
    path = next(Path("in").rglob("*.jpg"))
    stat, data = path.stat(), bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    for options, kept in (([], 5), (["--check"], 4), (["--check"], 5)):
        capsys.readouterr()
        assert go("in", "-o", output, *options) == 0
        assert f"{kept} kept as they were" in capsys.readouterr().err


def test_other_settings_are_refused(here, capsys, output):
    assert go("in", "-o", output) == 0
    before = content(Path(output))
    assert go("in", "-o", output, "--sigma", "1.9") == 2
    err = capsys.readouterr().err
    assert "other settings (--sigma was 1.4, is now 1.9)" in err
    assert "--overwrite to redo all" in err
    assert content(Path(output)) == before
    assert go("in", "-o", output, "--sigma", "1.9", "--overwrite") == 0
    assert content(Path(output)) != before
    if output != "out":
        assert go("in", "-o", output, "--append") == 2
        assert "other settings" in capsys.readouterr().err


def test_masks_and_drawings_are_part_of_it(here, capsys):
    options = ["in", "-o", "out", "--mask", "masks", "--mask-optional", "--draw", "drawn"]
    Path("masks/000").mkdir(parents=True)
    assert go(*options[:3]) == 0
    assert go(*options) == 0  # drawings are missing
    assert "kept" not in capsys.readouterr().err
    assert go(*options) == 0
    assert "5 kept" in capsys.readouterr().err
    path = next(Path("in").rglob("*.jpg"))
    Path("masks", "000", f"{path.name}.png").write_bytes(path.read_bytes())
    assert go(*options) == 0
    assert "4 kept" in capsys.readouterr().err


def test_failed_inputs_are_tried_again(here, capsys, output):
    bad = Path("in/000/00001.jpg")
    good = bad.read_bytes()
    bad.write_bytes(b"no image")
    for _ in range(2):
        assert go("in", "-o", output) == 1
        listed = Path("out/failures.csv" if output == "out" else "failures.csv")
        ((name, reason),) = failures(listed)
        assert name == str(bad)
        assert "expected a PNG" in reason
    bad.write_bytes(good)
    capsys.readouterr()
    assert go("in", "-o", output) == 0
    assert "4 kept" in capsys.readouterr().err
    assert not listed.exists()


def test_a_second_run_is_refused(here, capsys, output):
    if output == "out":
        Path(output).mkdir()
    with locked(Path(output), is_folder=output == "out"):
        assert go("in", "-o", output) == 2
    assert "being written by another siftcli" in capsys.readouterr().err
    assert go("in", "-o", output, "-q") == 0
    assert not list(Path().rglob(".*.lock"))


def test_shards_come_together_in_one_collection(here, capsys):
    paths = sorted(map(str, Path("in").rglob("*.jpg")))
    for part in range(2):
        Path(f"part-{part}.txt").write_text("\n".join(paths[part::2]))
        assert go(f"part-{part}.txt", "-o", f"{part}.h5", "-q") == 0
        assert run(["convert", f"{part}.h5", "all.db", "-q", *(["--append"] if part else [])]) == 0
    assert go("in/000", "-o", "whole.h5", "-q") == 0
    for path in paths:
        made, whole = (load(Path(name), image=Path(path).name) for name in ("all.db", "whole.h5"))
        assert (made.descriptors == whole.descriptors).all()


# --- killed and interrupted ----------------------------------------------------------------------------


def killed_and_whole(start, images, tmp_path, output, n_kills, startup_s=0.0):
    whole, killed = tmp_path / "whole" / output, tmp_path / "killed" / output
    for path in (whole, killed):
        path.parent.mkdir()
    within_s = startup_s + seconds(start, images, whole) / n_kills
    struck = run_and_kill(start, images, killed, n_kills=n_kills, within_s=within_s, seed=len(output))
    assert content(whole) == content(killed)
    return struck


def test_ten_kills_of_200_images(tmp_path, output):
    images = make_images(tmp_path / "in", 200, side=64)
    assert killed_and_whole(forked, images, tmp_path, output, n_kills=10) >= 5


@pytest.mark.parametrize("output", ["out", "out.h5"])
def test_the_command_with_workers_killed(images, tmp_path, output):
    assert killed_and_whole(whole_command, images, tmp_path, output, n_kills=2, startup_s=0.3) >= 1


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interruption_finishes_what_is_in_hand(tmp_path, jobs):
    images = make_images(tmp_path / "in", 200)
    args = command(str(images), "-o", str(tmp_path / "out"), *ARGUMENTS, "--jobs", jobs)
    process = subprocess.Popen(args, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not list(tmp_path.glob("out/*/*.npz")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # to all processes, as a terminal sends it
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "run the same command again to resume" in err
    n = len(list(tmp_path.glob("out/*/*.npz")))
    assert 1 <= n < 200
    assert f"{200 - n} not begun" in err
    done = detect(str(images), "-o", str(tmp_path / "out"), *ARGUMENTS)
    assert done.returncode == 0
    assert f"{n} kept as they were" in done.stderr


# --- what goes wrong -----------------------------------------------------------------------------------


def test_strict_stops_at_the_first_failure(here, capsys):
    Path("in/000/00001.jpg").write_bytes(b"no image")
    assert go("in", "-o", "out", "--strict", "--jobs", "1") == 1
    assert "5 images, 1 failed, 3 not begun" in capsys.readouterr().err
    assert len(list(Path("out").rglob("*.npz"))) == 1


def test_an_input_deleted_meanwhile_fails_alone(here):
    plan = make_plan(["in"], output="out")
    outcomes = batch.run(plan, SiftParams(max_features=9), jobs=1)
    next(outcomes)
    Path(plan.jobs[2].image.path).unlink()
    assert [outcome.error is not None for outcome in outcomes] == [False, True, False, False]


def test_names_that_are_not_utf_8(here, output):
    name = os.fsdecode(b"in/000/\xff.jpg")
    Path(name).write_bytes(Path("in/000/00000.jpg").read_bytes())
    fails = output == "out.h5"
    assert go("in", "-o", output, "-q") == (1 if fails else 0)
    if fails:
        ((failed, reason),) = failures(Path("failures.csv"))
        assert failed == name
        assert "rename the image" in reason


def limited(n_bytes):
    """Let files grow to so many bytes only, as a disk that is full."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


def test_a_full_disk_ends_the_run_and_keeps_what_is_finished(images, tmp_path, output):
    path = tmp_path / output
    n_bytes = {"out": 8_000, "out.parquet": 8_000}.get(output, 120_000)
    done = subprocess.run(
        command(str(images), "-o", str(path), *ARGUMENTS, "--jobs", "1"),
        preexec_fn=limited(n_bytes),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "cannot be written" in done.stderr or "full" in done.stderr
    done = detect(str(images), "-o", str(path), *ARGUMENTS)
    assert done.returncode == 0, done.stderr
    whole = tmp_path / "whole" / output
    whole.parent.mkdir()
    assert go(str(images), "-o", str(whole), "-q") == 0
    assert content(whole) == content(path)


def test_an_output_that_cannot_be_written_is_found_before_any_work(here, monkeypatch, capsys, output):
    monkeypatch.setattr(os, "access", lambda *_args: False)  # as for another user than root
    assert go("in", "-o", output) == 2
    assert "not writable" in capsys.readouterr().err
    assert sorted(path.name for path in here.iterdir()) == ["in"]


def test_an_unexpected_error_fails_one_image_of_a_batch(here, monkeypatch, capsys):
    def fail(*_args, **_kwargs):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("siftcli.api.detect_in_picture", fail)
    assert go("in", "-o", "out", "--jobs", "1") == 1
    assert "ZeroDivisionError in siftcli (a bug); please report it" in capsys.readouterr().err


def test_what_a_killed_run_left_is_removed(here):
    Path("out").mkdir()
    Path("out/.siftcli-0123.tmp").write_bytes(b"half")
    assert go("in", "-o", "out", "-q") == 0
    assert not list(Path("out").glob(".*"))


def test_what_another_run_is_writing_beside_a_collection_is_left_alone(here):
    new, old = Path(".siftcli-0123.tmp"), Path(".siftcli-4567.tmp")
    for path in (new, old):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert go("in", "-o", "x.h5", "-q") == 0
    assert new.exists()
    assert not old.exists()


def test_the_lock_is_told_where_it_cannot_be_made(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"), locked(tmp_path / "a/b.h5", is_folder=False):
        pass


# --- progress ------------------------------------------------------------------------------------------


def test_a_bar_on_a_terminal(here, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert go("in", "-o", "out") == 0
    assert "5 images" in capsys.readouterr().err
