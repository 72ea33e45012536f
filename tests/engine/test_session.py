"""Sessions: what they compute, the plans that they keep, slots and buffers."""

import itertools
import os
import re
import shutil
import threading
import time

import numpy as np
import pytest
from random_weights import random_images, save_random

import busnet
from busnet.engine import session as session_module
from busnet.engine.buffers import MAX_SPARE, Buffers
from busnet.engine.description import describe_engine
from busnet.engine.session import BATCH_SIZE, MAX_PLANS, PRECISIONS, Session
from busnet.engine.slots import Slots
from busnet.networks import get_network
from busnet.quantization import quantize


@pytest.fixture(scope="module")
def session(weights_file):
    return Session(weights_file)


@pytest.fixture
def two_threads():
    before = busnet.get_threads()
    busnet.set_threads(2)
    yield
    busnet.set_threads(before)


def test_run_gives_the_outputs_that_are_asked_for(session):
    batch = random_images((3, 70, 90))
    outputs = session.run(batch, ("class", "mask", "layer2"))
    assert {name: array.shape for name, array in outputs.items()} == {
        "class": (3, 3),
        "mask": (3, 70, 90),
        "layer2": (3, 9, 12, 128),
    }
    (alone,) = session.run(batch[:1], ("class",)).items()
    np.testing.assert_allclose(alone[1], outputs["class"][:1], atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 4, 5, 9, 11])
def test_batches_of_any_size_are_computed_in_parts(session, count):
    batch = random_images((11, 64, 64))
    whole = session.run(batch, ("class", "mask"))
    part = session.run(batch[:count], ("class", "mask"))
    for name, array in part.items():
        assert len(array) == count
        np.testing.assert_allclose(array, whole[name][:count], atol=1e-5)


def test_alone_is_the_same_as_together(session, two_threads):
    batch = random_images((4, 64, 64))
    alone = session.run(batch, ("class", "mask"), alone=True)
    for name, array in session.run(batch, ("class", "mask")).items():
        np.testing.assert_array_equal(alone[name], array)


def test_the_latest_plans_are_kept(session):
    def plan(side):
        return session.plan(1, (side, side), ("class",))

    first = plan(33)
    for side in range(34, 33 + MAX_PLANS):
        plan(side)
    assert plan(33) is first  # and is now the latest
    for side in range(50, 49 + MAX_PLANS):
        plan(side)
    assert plan(33) is first
    for side in range(60, 60 + MAX_PLANS):
        plan(side)
    assert plan(33) is not first


def test_a_plan_is_of_one_slot_and_one_number_of_threads(session, two_threads):
    def plan(**options):
        return session.plan(1, (64, 64), ("class",), **options)

    plans = [plan(), plan(slot=0), plan(slot=1)]
    assert len(set(map(id, plans))) == 3
    assert plan(slot=1) is plans[2]
    busnet.set_threads(1)
    assert plan() is not plans[0]


def test_what_is_no_batch_is_refused(session):
    with pytest.raises(busnet.ImageValueError, match=r"\(64, 64\).*\(N, H, W, C\)"):
        session.run(random_images((64, 64)), ("class",))
    with pytest.raises(ValueError, match="nothing"):
        session.run(random_images((1, 64, 64)), ("nothing",))
    with pytest.raises(TypeError, match="float32"):
        session.run(np.zeros((1, 64, 64)), ("class",))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("index", [(0, 0, 0), (2, 7, 63), (8, 63, 1), (8, 63, 63)])
def test_numbers_that_are_not_finite_are_refused(session, two_threads, value, index):
    """Without the check, the outputs would be finite: ReLUs make 0 of NaN."""
    batch = random_images((9, 64, 64))
    batch[index] = value
    match = re.escape(f"batch{list(index)} is {value}; numbers in 0..1")
    for alone in (False, True):
        with pytest.raises(busnet.ImageValueError, match=match):
            session.run(batch, ("class",), alone=alone)
    batch[index] = 0.5
    assert np.isfinite(session.run(batch, ("class",))["class"]).all()


@pytest.mark.parametrize("precision", ["exact", "bf16", "int8"])
def test_every_precision_refuses_what_is_not_finite(weights_file, tmp_path, precision):
    if precision == "bf16" and not describe_engine().bf16:
        pytest.skip("the CPU has no bfloat16")
    batch = random_images((1, 64, 64, 1))
    path = tmp_path / "calibrated.safetensors"
    quantize(weights_file, [batch[0, ..., 0]], path)
    session = Session(path, precision=precision)
    assert np.isfinite(session.run(batch, ("class",))["class"]).all()
    batch[0, 5, 7, 0] = np.nan
    with pytest.raises(busnet.ImageValueError, match=r"batch\[0, 5, 7, 0\] is nan"):
        session.run(batch, ("class",))
    plan = session.plan(1, (64, 64), ("class",))
    for compute in (plan.run, plan.time):
        with pytest.raises(ValueError, match=r"images\[0, 5, 7, 0\] is nan"):
            compute(batch)


def test_numbers_that_float32_cannot_normalise_are_refused(session):
    batch = random_images((1, 64, 64))
    batch[0, 63, 62] = 3e38
    with pytest.raises(ValueError, match=r"images\[0, 63, 62, 0\] is 3e\+38"):
        session.run(batch, ("class",))


def test_arrays_of_a_file_that_changed_are_refused(weights_file, tmp_path):
    path = tmp_path / "w.safetensors"
    shutil.copyfile(weights_file, path)
    session = Session(path)
    assert session.read_arrays(["fc.bias"]).keys() == {"fc.bias"}
    before = path.stat()
    shutil.copyfile(weights_file, path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(busnet.WeightsError, match=r"w\.safetensors.*changed meanwhile"):
        session.read_arrays()
    path.unlink()
    with pytest.raises(busnet.MissingWeightsError, match=r"w\.safetensors: no such"):
        session.read_arrays()


def test_a_file_that_changes_while_it_is_loaded_is_refused(
    weights_file, tmp_path, monkeypatch
):
    path = tmp_path / "w.safetensors"
    shutil.copyfile(weights_file, path)
    read = session_module.read_stored

    def replace(*arguments, **options):
        for i, row in enumerate(read(*arguments, **options)):
            if i == 5:
                save_random(path, get_network("resnet18", channels=1), seed=5)
            yield row

    monkeypatch.setattr(session_module, "read_stored", replace)
    with pytest.raises(busnet.WeightsError, match="changed meanwhile"):
        Session(path)


def test_precisions_are_checked(weights_file):
    assert PRECISIONS == ("f32", "exact", "bf16", "int8")
    assert all(size >= 1 for size in BATCH_SIZE.values())
    with pytest.raises(busnet.ModelError, match=r"'f16'.*f32, exact, bf16, int8"):
        Session(weights_file, precision="f16")
    with pytest.raises(busnet.WeightsError, match="not calibrated"):
        Session(weights_file, precision="int8")
    with pytest.raises(busnet.MissingWeightsError, match="nowhere"):
        Session(weights_file.with_name("nowhere.safetensors"))


def test_a_cache_miss_packs_the_weights_anew(tmp_path, monkeypatch):
    path = save_random(tmp_path / "w.safetensors", get_network("resnet18", channels=1))
    batch = random_images((1, 64, 64))
    expected = Session(path).run(batch, ("class", "mask"))
    monkeypatch.setenv("BUSNET_CACHE", str(tmp_path / "cache"))
    Session(path).run(batch, ("class", "mask"))
    cached = Session(path)
    blocks = [
        file for file in tmp_path.glob("cache/busnet/*/*") if file.name != "vectors"
    ]
    assert len(blocks) > 10
    for block in blocks:
        block.unlink()
    for name, array in cached.run(batch, ("class", "mask")).items():
        np.testing.assert_array_equal(array, expected[name])


def test_the_engine_says_what_it_is():
    description = describe_engine()
    assert description.version[0].isdigit()
    assert description.isa
    assert description.bf16 in (True, False)
    assert description._asdict().keys() == {"version", "isa", "bf16", "int8"}


def test_slots_are_of_one_caller_each(two_threads):
    slots, lent, highest = Slots(), [], []
    lock = threading.Lock()

    def work():
        for _ in range(20):
            with slots.take() as slot:
                with lock:
                    lent.append(slot)
                    assert len(set(lent)) == len(lent)
                    highest.append(slot)
                time.sleep(0.0005)
                with lock:
                    lent.remove(slot)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert len(highest) == 100
    assert set(highest) == {0, 1}


def test_a_slot_is_free_again_after_an_error(two_threads):
    slots = Slots()

    def fail():
        with slots.take() as slot:
            assert slot == 0
            raise ZeroDivisionError

    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            fail()


def test_buffers_are_zero_whatever_was_in_them():
    buffers = Buffers()
    with buffers.zeros((2, 3)) as first, buffers.zeros((2, 3)) as second:
        assert not np.shares_memory(first, second)
        first[:] = 7
    for _ in range(3):
        with buffers.zeros((2, 3)) as again:
            assert np.shares_memory(again, first) or np.shares_memory(again, second)
            assert not again.any()
            again[:] = 5
    with buffers.zeros((4,)) as other:
        assert other.shape == (4,)
        assert other.dtype == np.float32


def test_few_buffers_are_kept():
    buffers = Buffers()
    for side in range(1, 3 * MAX_SPARE):
        with buffers.zeros((side,)):
            pass
    assert len(buffers) == MAX_SPARE


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_many_threads_get_what_one_gets(session, threads):
    before = busnet.get_threads()
    busnet.set_threads(threads)
    batches = [random_images((2, 40 + i, 64), seed=i) for i in range(6)]
    expected = [session.run(batch, ("class",))["class"] for batch in batches]
    got = [[] for _ in range(4)]

    def work(results, alone):
        for batch in batches:
            results.append(session.run(batch, ("class",), alone=alone)["class"])

    workers = [
        threading.Thread(target=work, args=(results, alone))
        for results, alone in zip(got, itertools.cycle((True, False)), strict=False)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    busnet.set_threads(before)
    for results in got:
        for array, e in zip(results, expected, strict=True):
            np.testing.assert_array_equal(array, e)
