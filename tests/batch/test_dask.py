"""Predictions on a cluster of processes, one of which is killed."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import call, rows, run
from PIL import Image
from random_weights import save_random

import busnet
from busnet.data.phantom import phantom
from busnet.networks import get_network

distributed = pytest.importorskip("distributed", reason="needs busnet[dask]")

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("in")
    for i in range(100):
        Image.fromarray(phantom(150, 120, seed=i)[0]).save(root / f"{i:03}.png")
    (root / "020.png").write_bytes(b"broken")
    return root


def test_results_are_those_of_one_process(client, folder, weights_file):
    here = list(busnet.predict_many([folder], model=weights_file))
    there = list(busnet.predict_many([folder], model=weights_file, client=client))
    assert [o.source for o in there] == [o.source for o in here]
    for a, b in zip(here, there, strict=True):
        assert (a.error is None) == (b.error is None)
        if a.error is not None:
            assert str(a.error) == str(b.error)
            assert "020.png" in str(b.error)
            continue
        assert b.prediction.probabilities == pytest.approx(
            a.prediction.probabilities, abs=1e-6
        )
        assert (a.prediction.mask != b.prediction.mask).mean() < 1e-3
        np.testing.assert_array_equal(b.prediction.image, a.prediction.image)


def test_an_ensemble_is_sent_whole(client, folder, weights_file, tmp_path):
    row = get_network("resnet18", channels=1)
    models = [weights_file, save_random(tmp_path / "b.safetensors", row, seed=4)]
    files = [folder / "003.png", folder / "004.png"]
    here = busnet.load(models).predict(files)
    there = busnet.predict_many(files, model=models, client=client)
    for result, outcome in zip(here, there, strict=True):
        assert outcome.prediction.uncertainty == pytest.approx(
            result.uncertainty, abs=1e-6
        )
        assert outcome.prediction.probabilities == pytest.approx(
            result.probabilities, abs=1e-6
        )


def test_a_killed_worker_loses_nothing(client, folder, weights_file):
    pids = list(client.run(os.getpid).values())
    outcomes = busnet.predict_many([folder], model=weights_file, client=client)
    names = [next(outcomes).name for _ in range(3)]
    os.kill(pids[0], signal.SIGKILL)
    names += [outcome.name for outcome in outcomes]
    assert names == [f"{i:03}" for i in range(100)]
    # The nanny starts another worker, which also gets the model.
    end = time.monotonic() + 60
    while len(client.ncores()) < 2 and time.monotonic() < end:
        time.sleep(0.1)
    assert set(client.run(os.getpid).values()) != set(pids)
    again = list(busnet.predict_many([folder], model=weights_file, client=client))
    assert sum(o.error is None for o in again) == 99


def test_a_file_that_kills_every_worker_is_one_failure(
    client, folder, weights_file, monkeypatch
):
    """The task ends its process in each of its four attempts."""
    from busnet.batch import dask as cluster

    def deadly(name, sources, *arguments):
        if any(source.name == "005" for source in sources):
            time.sleep(1)  # a nanny gives up a process that dies while it starts
            os._exit(1)
        return original(name, sources, *arguments)

    original = cluster._predict
    monkeypatch.setattr(cluster, "_predict", deadly)
    outcomes = list(busnet.predict_many([folder], model=weights_file, client=client))
    lost = [o for o in outcomes if isinstance(o.error, busnet.WorkerError)]
    assert "005" in [o.name for o in lost]
    assert len(outcomes) == 100
    assert sum(o.error is None for o in outcomes) == 99 - len(lost)


def test_the_command_writes_the_same_outputs(client, folder, tmp_path, weights_file):
    address = client.scheduler.address
    outs = [tmp_path / "here", tmp_path / "there"]
    for out, options in zip(outs, ([], ["--scheduler", address]), strict=True):
        run(
            "predict", folder, "--out", out, "--overlay", "--model", weights_file,
            *options, check=1,
        )  # fmt: skip
    tables = [rows((out / "predictions.csv").read_text()) for out in outs]
    for a, b in zip(*tables, strict=True):
        for column in ("file", "label", "mask", "error"):
            assert a[column] == b[column]
    files = [sorted(p.relative_to(out) for p in out.rglob("*")) for out in outs]
    assert files[0] == files[1]
    assert len(files[0]) == 2 + 2 + 2 * 99


def test_relative_paths_are_the_callers(client, tmp_path, weights_file, monkeypatch):
    """The workers run in another folder."""
    Image.fromarray(phantom(150, 120, seed=1)[0]).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    call(
        *("predict", "a.png", "--out", "results", "--model", weights_file),
        *("--scheduler", client.scheduler.address),
    )
    (row,) = rows((tmp_path / "results" / "predictions.csv").read_text())
    assert (row["file"], row["mask"]) == ("a.png", "masks/a_mask.png")
    assert (tmp_path / "results" / "masks" / "a_mask.png").is_file()
    (outcome,) = busnet.predict_many(["a.png"], model=weights_file, client=client)
    assert outcome.error is None
    assert str(outcome.source.path) == outcome.result.name == "a.png"
    # Dask removes what a killed worker leaves in its folder.
    copies = client.run(
        lambda dask_worker: [*Path(dask_worker.local_directory).glob("busnet-*/*")]
    )
    assert all(copies.values())


def test_no_scheduler_is_a_clear_error(folder, weights_file, monkeypatch):
    from busnet.batch import dask as cluster

    threads = threading.active_count()
    monkeypatch.setattr(cluster, "TIMEOUT", 1)
    with pytest.raises(busnet.WorkerError, match=r"tcp://127\.0\.0\.1:9"):
        cluster.connect("tcp://127.0.0.1:9")
    assert threading.active_count() <= threads + 2


def test_a_cluster_that_lost_its_workers_is_a_clear_error(
    folder, weights_file, monkeypatch
):
    from busnet.batch import dask as cluster

    monkeypatch.setattr(cluster, "WORKERLESS", 1)
    monkeypatch.setattr(cluster, "set_threads", lambda count: None)  # this process's
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0", processes=False
        ) as workers,
        distributed.Client(workers) as client,
    ):
        outcomes = busnet.predict_many([folder], model=weights_file, client=client)
        assert next(outcomes).prediction is not None
        workers.scale(0)
        with pytest.raises(busnet.WorkerError, match="no workers"):
            list(outcomes)
