"""Batches on a Dask cluster of processes: the same features, and nothing lost when workers die."""

import os
import signal
from contextlib import contextmanager

import dask
import pytest
from batches import ARGUMENTS, content, make_images
from distributed import Client, LocalCluster

from siftcli.__main__ import run
from siftcli.errors import InputError, ParameterError
from siftcli.parallel import cluster
from siftcli.params import SiftParams
from siftcli.versions import versions
from siftcli.workflows import detect as batch
from siftcli.workflows import detect_image as detection
from siftcli.workflows.detect_plan import make_plan

pytestmark = pytest.mark.slow

PARAMS = SiftParams(max_features=60, first_octave=0)


@contextmanager
def local_cluster(**options):
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1, **options}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as here,
    ):
        yield here


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make_images(tmp_path_factory.mktemp("images"), 40)


def test_a_cluster_gives_the_same(images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(images)
    assert run(["detect", ".", "-o", str(tmp_path / "a"), *ARGUMENTS, "--jobs", "1"]) == 0
    assert run(["detect", ".", "-o", str(tmp_path / "b"), *ARGUMENTS, "--dask", "local", "--jobs", "2"]) == 0
    assert content(tmp_path / "a") == content(tmp_path / "b")
    capsys.readouterr()
    assert run(["detect", ".", "-o", str(tmp_path / "a"), *ARGUMENTS, "--dask", "local"]) == 0
    assert "40 kept as they were" in capsys.readouterr().err


def test_a_worker_killed_in_the_middle_loses_nothing(images, tmp_path):
    plan = make_plan([str(images)], output=str(tmp_path / "a"))
    assert len([o for o in batch.run(plan, PARAMS, jobs=1) if o.error is None]) == 40
    with local_cluster() as here, Client(here) as client:
        pids = list(client.run(os.getpid).values())
        plan = make_plan([str(images)], output=str(tmp_path / "b"))
        outcomes = []
        for outcome in batch.run(plan, PARAMS, dask=here.scheduler_address):
            outcomes.append(outcome)
            if len(outcomes) == 5:
                os.kill(pids[0], signal.SIGKILL)
    assert [outcome.error for outcome in outcomes] == [None] * 40
    assert content(tmp_path / "a") == content(tmp_path / "b")


def double(task):
    if task == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return task * 2


def test_a_task_that_kills_workers_is_given_up():
    with local_cluster() as here, Client(here) as client:
        pool = cluster.DaskPool(double, lambda task: f"{task} lost", client)
        found = dict(pool.run([1, 2, "deadly", 3, 4], lambda: False))
    assert found["deadly"] == "deadly lost"
    assert {task: result for task, result in found.items() if task != "deadly"} == {1: 2, 2: 4, 3: 6, 4: 8}


def test_other_versions_are_refused(images, tmp_path):
    here = versions()
    cluster.check_versions({"tcp://a": here}, here)
    for name in ("siftcli", "Numba", "NumPy"):
        with pytest.raises(InputError, match=rf"tcp://b: expected {name} .* got 0\.0\.1"):
            cluster.check_versions({"tcp://a": here, "tcp://b": {**here, name: "0.0.1"}}, here)
    with pytest.raises(InputError, match="cannot be imported"):
        cluster.check_versions({"tcp://b": ImportError("none")}, here)
    job = make_plan([str(images)]).jobs[0]
    found = detection.process_remotely(
        detection.DetectionOptions(PARAMS), "/", {**here, "Numba": "0.0.1"}, job
    )
    assert "expected Numba 0.0.1" in found.error


def test_wrong_use_of_a_cluster(images, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    plan = make_plan([str(images)], output=str(tmp_path / "a"))
    with pytest.raises(ParameterError, match="--jobs"):
        batch.run(plan, PARAMS, dask="tcp://127.0.0.1:1", jobs=2)
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        assert run(["detect", str(images), "-o", str(tmp_path / "a"), "-q", "--dask", address]) == 1
        assert "expected a Dask scheduler" in capsys.readouterr().err
