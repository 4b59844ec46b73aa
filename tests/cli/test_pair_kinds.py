"""``siftcli match --pairs`` of similar images, of neighbours by position and by verified pairs."""

import contextlib
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from batches import ARGUMENTS, content, make_images
from photographs import SYDNEY, angle, ratio, write_photograph

from siftcli.__main__ import run
from siftcli.errors import SiftcliError
from siftcli.io.locks import locked
from siftcli.parallel import cluster
from siftcli.retrieval import vocabulary
from siftcli.workflows import retrieval
from siftcli.workflows.retrieval import collection_names, index_images

INDEX = Path("x.db.retrieval")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make_images(tmp_path_factory.mktemp("images") / "in", 24)


@pytest.fixture(scope="module")
def features(images):
    database = images.parent / "x.db"
    assert run(["detect", str(images), "-o", str(database), "-q", *ARGUMENTS]) == 0
    return database.read_bytes()


@pytest.fixture
def here(tmp_path, monkeypatch, features):
    monkeypatch.chdir(tmp_path)
    Path("x.db").write_bytes(features)
    return tmp_path


def match(pairs, *args, source="x.db"):
    return run(["match", "--pairs", pairs, source, "--min-inliers", "8", *args])


def fresh(features):
    """The collection without matches and without index."""
    Path("x.db").write_bytes(features)
    INDEX.unlink(missing_ok=True)


def results(engine):
    assert match("similar:3+sequential:1", "-q", *engine) == 0
    return content(Path("x.db")), INDEX.read_bytes()


def test_every_engine_gives_the_same(here, features):
    alone = results(["--jobs", "1"])
    fresh(features)
    assert results(["--jobs", "2"]) == alone


@pytest.mark.slow
def test_a_cluster_gives_the_same(here, features):
    alone = results(["--jobs", "1"])
    fresh(features)
    rows, _ = results(["--dask", "local", "--jobs", "2"])
    assert rows == alone[0]
    assert vectors() == vectors(alone[1])


def vectors(data=None):
    """Rows of an index; on a cluster they are written in another order."""
    path = INDEX
    if data is not None:
        path = Path("other.retrieval")
        path.write_bytes(data)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return sorted(connection.execute("SELECT name, digest, data FROM vectors"))


def test_reasons_are_reported_and_stored_beside_colmaps_tables(here, features, capsys):
    assert match("similar:3+sequential:1", "-q", "--json") == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    reasons = {(pair["image_a"], pair["image_b"]): pair["reason"] for pair in printed}
    assert set(reasons.values()) == {"similar", "sequential", "sequential+similar"}
    with contextlib.closing(sqlite3.connect("x.db")) as connection:
        names = dict(connection.execute("SELECT image_id, name FROM images"))
        stored = {
            tuple(sorted(names[number] for number in divmod(pair_id, 2147483647))): reason
            for pair_id, reason in connection.execute("SELECT * FROM siftcli_pairs")
        }
    assert stored == reasons
    tables = content(Path("x.db"))
    fresh(features)
    Path("pairs.txt").write_text("".join(f"{a} {b}\n" for a, b in reasons))
    assert match("pairs.txt", "-q") == 0
    again = content(Path("x.db"))
    assert all(tables[name] == again[name] for name in tables if name != "siftcli_pairs")
    assert {reason for _, reason in again["siftcli_pairs"]} == {"file"}


def test_reasons_in_an_hloc_file(here):
    assert match("sequential:1", "-q", "-o", "m.h5") == 0
    with h5py.File("m.h5") as file:
        groups = [file[a][b] for a in file for b in file[a]]
    assert len(groups) == 23
    with h5py.File("m.h5") as file:
        assert {bytes(file[a][b].attrs["siftcli_reason"]) for a in file for b in file[a]} == {b"sequential"}


# --- adding images ----------------------------------------------------------------------------------------


def test_added_images_are_all_that_is_done(here, images, capsys):
    Path("x.db").unlink()
    root = ["--image-root", str(images), "-q", *ARGUMENTS]
    assert run(["detect", str(images / "000"), "-o", "x.db", *root]) == 0
    assert match("similar:3") == 0
    assert "20 images indexed, 0 kept" in capsys.readouterr().err
    before = vectors()
    assert run(["detect", str(images / "001"), "-o", "x.db", "--append", *root]) == 0
    assert match("similar:3", "--json") == 0
    out, err = capsys.readouterr()
    assert "24 images indexed, 20 kept as they were" in err
    assert set(before) <= set(vectors())
    new = [pair for pair in map(json.loads, out.splitlines()) if "was_there" not in pair]
    assert any("001/" in pair["image_b"] for pair in new)
    assert match("similar:3", "--json") == 0
    out, err = capsys.readouterr()
    assert "24 images indexed, 24 kept as they were" in err
    assert all(pair.get("was_there") for pair in map(json.loads, out.splitlines()))


def test_changed_features_are_indexed_again(here, images, capsys):
    assert match("similar:2", "-q") == 0
    other = [str(images / "001"), "--image-root", str(images), "--append", "--overwrite", "-q"]
    assert run(["detect", *other, "-o", "x.db", "--max-features", "5", "--first-octave", "0"]) == 0
    assert match("similar:2") == 0
    assert "24 images indexed, 20 kept as they were" in capsys.readouterr().err


def test_the_index_of_another_collection_is_refused(here, images, capsys):
    assert match("similar:2", "-q") == 0
    index = INDEX.read_bytes()
    Path("moved").mkdir()
    Path("moved/x.db").write_bytes(Path("x.db").read_bytes())
    Path("moved/x.db.retrieval").write_bytes(index)
    assert match("similar:2", source="moved/x.db") == 0  # the same features at another place
    assert "24 kept as they were" in capsys.readouterr().err
    for args in (["--max-features", "5"], ["--max-features", "6"]):
        Path("y.db").unlink(missing_ok=True)
        assert run(["detect", str(images), "-o", "y.db", "-q", "--first-octave", "0", *args]) == 0
        Path("y.db.retrieval").write_bytes(index)
        assert match("similar:2", source="y.db") == 2
        assert "is the index of other features" in capsys.readouterr().err
        assert Path("y.db.retrieval").read_bytes() == index
    assert run(["detect", str(images / "000"), "-o", "z.db", "-q", *ARGUMENTS]) == 0
    Path("z.db.retrieval").write_bytes(index)
    assert match("similar:2", source="z.db") == 2
    assert "is the index of other features" in capsys.readouterr().err


def test_a_collection_in_a_folder(here, capsys):
    assert run(["convert", "x.db", "f", "-q"]) == 0
    (damaged,) = sorted(Path("f").rglob("*.npz"))[:1]
    damaged.write_bytes(damaged.read_bytes()[:500])
    assert match("similar:2", "-o", "m.h5", source="f") == 1
    err = capsys.readouterr().err
    assert "24 images indexed" in err
    assert str(damaged.name) in Path("match-failures.csv").read_text()
    assert Path("f.retrieval").exists()
    assert "1 failed" in err  # the image, and no pair of it


# --- by position ------------------------------------------------------------------------------------------


@pytest.fixture
def flight(tmp_path, monkeypatch):
    """Six photographs 0.75" of latitude (23.1 m) apart, and one without a position."""
    monkeypatch.chdir(tmp_path)
    for i in range(6):
        gps = {**SYDNEY, "latitude": angle(33, 51, 200 + 3 * i), "altitude": ratio(100 * i)}
        write_photograph(Path("photos", f"{5 - i}.jpg"), gps=gps)
    write_photograph(Path("photos/z.jpg"))
    return tmp_path


def listed(capsys):
    lines = capsys.readouterr().out.splitlines()
    return [(pair["image_a"][0], pair["image_b"][0], pair["reason"]) for pair in map(json.loads, lines)]


def test_neighbours_by_position(flight, capsys):
    detect = ["detect", "photos", "--max-features", "50", "-q"]
    assert run([*detect, "-o", "x.db"]) == 0
    assert match("gps:1,25", "--json", "-q") == 0
    chain = [(str(i), str(i + 1), "gps") for i in range(5)]
    found = listed(capsys)
    assert set(found) <= set(chain)
    assert len(found) >= 3
    assert match("gps:2,25", "--json", "--overwrite") == 0
    out, err = capsys.readouterr()
    assert "1 of 7 images without a position" in err
    assert [
        (p["image_a"][0], p["image_b"][0], p["reason"]) for p in map(json.loads, out.splitlines())
    ] == chain
    assert match("gps:5,23", "-q") == 0  # metres, not quite enough
    assert listed(capsys) == []


def test_positions_of_the_images_themselves(flight, capsys):
    detect = ["detect", "photos", "--max-features", "50", "-q", "-o"]
    assert run([*detect, "x.h5"]) == 0
    assert match("gps:1", "-o", "m.h5", source="x.h5") == 1
    assert "expected images with a GPS position, found none; pass --images FOLDER" in capsys.readouterr().err
    assert match("gps:1", "-o", "m.h5", "--images", "nowhere", source="x.h5") == 2
    assert "--images must be a folder; got nowhere" in capsys.readouterr().err
    assert match("gps:5", "-o", "m.h5", "--images", "photos", "--json", "-q", source="x.h5") == 0
    assert len(listed(capsys)) == 15
    assert match("sequential:1", "-o", "m.h5", "--images", "photos", source="x.h5") == 2
    assert "--images has no effect without --report" in capsys.readouterr().err


def test_cartesian_priors_are_compared_among_themselves(flight, capsys):
    assert run(["detect", "photos", "--max-features", "50", "-q", "-o", "x.db"]) == 0
    with contextlib.closing(sqlite3.connect("x.db")) as connection:
        ids = dict(connection.execute("SELECT name, image_id FROM images"))
        for name, x in (("0.jpg", 0.0), ("1.jpg", 7.0)):
            connection.execute(
                "UPDATE pose_priors SET coordinate_system = 1, position = ? WHERE corr_data_id = ?",
                (np.array([x, 0, 0]).tobytes(), ids[name]),
            )
        connection.execute(
            "UPDATE pose_priors SET position = ? WHERE corr_data_id = ?",
            (np.array([np.nan, 0, 0]).tobytes(), ids["5.jpg"]),
        )
        connection.commit()
    assert match("gps:9", "--json", "-q") == 0
    pairs = {(a, b) for a, b, _ in listed(capsys)}
    assert pairs == {("0", "1"), ("2", "3"), ("2", "4"), ("3", "4")}


# --- by verified pairs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["x.db", "m.h5"])
def test_neighbours_of_verified_neighbours(tmp_path, monkeypatch, capsys, target):
    monkeypatch.chdir(tmp_path)
    for i in range(4):
        write_photograph(Path("photos", f"{i}.jpg"), size=(300, 300), corner=(20 * i, 10 * i))
    assert run(["detect", "photos", "-o", "x.db", "--max-features", "400", "-q"]) == 0
    assert match("transitive", "-o", target, "-q") == 0
    assert listed(capsys) == []
    assert match("sequential:1", "-o", target, "-q", "--json") == 0
    assert len(listed(capsys)) == 3
    assert match("transitive", "-o", target, "-q", "--json") == 0
    assert listed(capsys) == [("0", "2", "transitive"), ("1", "3", "transitive")]
    assert match("transitive", "-o", target, "-q", "--json") == 0
    assert listed(capsys) == [("0", "3", "transitive")]
    assert match("transitive", "-o", target, "--overwrite") == 2
    assert "needs the matches that --overwrite removes" in capsys.readouterr().err
    assert match("transitive", "-o", target, "-q", "--json") == 0
    assert listed(capsys) == []


# --- what goes wrong --------------------------------------------------------------------------------------


def test_killed_at_random_moments(here, features, monkeypatch):
    alone = results(["--jobs", "1"])
    fresh(features)
    program = (
        "from siftcli.workflows import retrieval; retrieval.WRITTEN_TOGETHER = 2\n"
        "from siftcli.__main__ import run; import sys; sys.exit(run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "match", "--pairs", "similar:3+sequential:1", "x.db"]
    struck = 0
    for k in range(8):
        process = subprocess.Popen([*command, "--min-inliers", "8", "-q", "--jobs", "1"])
        until = time.monotonic() + 20
        while not INDEX.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.05 * k)
        process.kill()
        struck += process.wait() == -signal.SIGKILL
    assert struck >= 1
    rows, _ = results(["--jobs", "1"])
    assert rows == alone[0]
    assert vectors() == vectors(alone[1])


class DeadlyIndexer(retrieval.Indexer):
    """Kills its process at one image, always."""

    def __call__(self, task, /):
        if task[0].endswith("00003.jpg"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(task)


def test_an_image_that_kills_its_worker_is_given_up(here, monkeypatch):
    monkeypatch.setattr(retrieval, "Indexer", DeadlyIndexer)
    found = {image.name: image.error for image in index_images("x.db", collection_names("x.db"), jobs=2)}
    failed = {name: error for name, error in found.items() if error}
    assert list(failed) == ["000/00003.jpg"]
    assert "the process that worked on it died" in failed["000/00003.jpg"]
    assert len(vectors()) == 23


def test_a_full_disk_ends_the_pass_and_loses_nothing(here, features):
    alone = results(["--jobs", "1"])
    fresh(features)
    n_bytes = len(alone[1]) // 2
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))  # noqa: E731
    signal_ignored = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    program = (
        signal_ignored + "from siftcli.workflows import retrieval; retrieval.WRITTEN_TOGETHER = 2\n"
        "from siftcli.__main__ import run; import sys; sys.exit(run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "match", "--pairs", "similar:3", "x.db", "-o", "m.h5", "-q"]
    result = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "x.db.retrieval cannot be written" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    rows, _ = results(["--jobs", "1"])
    assert rows == alone[0]
    assert vectors() == vectors(alone[1])


def test_a_second_run_is_refused(here, capsys):
    with locked(INDEX.absolute(), is_folder=False):
        assert match("similar:2") == 2
    assert "being written by another siftcli" in capsys.readouterr().err


def test_an_interruption_keeps_what_is_indexed(here):
    names = collection_names("x.db")
    done = []
    for image in index_images("x.db", names, jobs=1, stop=lambda: len(done) >= 5):
        done.append(image)
    assert len(done) == 5
    again = list(index_images("x.db", names, jobs=1))
    assert sum(image.skipped for image in again) == 5


def test_without_faiss(here, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert match("similar:2") == 1
    assert "pip install 'siftcli[retrieval]'" in capsys.readouterr().err
    assert not INDEX.exists()


def test_without_pyproj(flight, monkeypatch, capsys):
    assert run(["detect", "photos", "--max-features", "50", "-q", "-o", "x.db"]) == 0
    monkeypatch.setitem(sys.modules, "pyproj", None)
    assert match("gps:2") == 1
    assert "pip install 'siftcli[gps]'" in capsys.readouterr().err


def test_wrong_use_of_a_cluster(here, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    assert match("similar:2", "--dask", "tcp://127.0.0.1:1", "--jobs", "2") == 2
    assert "--jobs has no effect on a Dask cluster" in capsys.readouterr().err
    assert match("sequential:2", "--dask", "tcp://127.0.0.1:1", "-q") == 1
    assert "expected a Dask scheduler" in capsys.readouterr().err
    assert run(["match", "a.png", "b.png", "--dask", "local"]) == 2
    assert "--dask has no effect without --pairs" in capsys.readouterr().err


def test_errors_have_a_class(here):
    Path("x.db.retrieval").write_text("text " * 500)
    with pytest.raises(SiftcliError, match="remove it to make it anew"):
        list(index_images("x.db", collection_names("x.db")))
    assert vocabulary.settings()["seed"] == 0
