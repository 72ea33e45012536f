"""Threads, forks, memory: long and rough use."""

import concurrent.futures
import gc
import os
import resource
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest
from helpers import PHANTOM
from random_weights import random_images, save_random

import busnet
from busnet.networks import get_network


def resident_kib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


def test_memory_is_flat_over_two_thousand_runs(tmp_path):
    """No run may leave an object behind (16 bytes or more), nor 400 bytes elsewhere."""
    row = get_network("resnet18", channels=1)
    model = busnet.load(save_random(tmp_path / "w.safetensors", row, image_size=32))
    image = random_images((70, 90))
    for _ in range(50):
        model.predict(image)
    gc.collect()
    tracemalloc.start()
    traced, resident = tracemalloc.get_traced_memory()[0], resident_kib()
    for _ in range(2_000):
        model.predict(image)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - traced
    tracemalloc.stop()
    assert grown < 16 * 2_000
    assert resident_kib() - resident < 0.4 * 2_000


def test_refusals_do_not_leak(model, tmp_path):
    bad = np.full((50, 50), np.nan)
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 100)

    def refuse():
        for image in (bad, torn, None, np.zeros((1, 1, 1, 1, 1))):
            with pytest.raises(busnet.BusnetError):
                model.predict(image)

    for _ in range(20):
        refuse()
    gc.collect()
    before = resident_kib()
    for _ in range(300):
        refuse()
    gc.collect()
    assert resident_kib() - before < 4_000


def test_loading_again_and_again_gives_memory_back(weights_file):
    for _ in range(3):
        busnet.load(weights_file).predict(random_images((64, 64)))
    gc.collect()
    before = resident_kib()
    for _ in range(10):
        busnet.load(weights_file).predict(random_images((64, 64)))
    gc.collect()
    assert resident_kib() - before < 16_000


def test_many_threads_get_the_same_bits(model):
    images = [random_images((60 + i, 80), seed=i) for i in range(4)]
    expected = [model.predict(image) for image in images]

    def work(i):
        result = model.predict(images[i % 4])
        return (
            result.probabilities == expected[i % 4].probabilities
            and (result.mask == expected[i % 4].mask).all()
        )

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(80)))


def test_sixteen_threads_load_and_predict_at_once(model, weights_file):
    """Run for a few seconds, or for BUSNET_SOAK_SECONDS."""
    end = time.monotonic() + float(os.environ.get("BUSNET_SOAK_SECONDS", "3"))
    images = [random_images((50 + 7 * i, 80), seed=i) for i in range(4)]
    expected = [model.predict(image) for image in images]
    features = [model.features(image) for image in images]

    def work(number):
        rounds = 0
        while time.monotonic() < end or rounds < 2:
            i = (number + rounds) % 4
            own = busnet.load(weights_file) if (number + rounds) % 5 == 0 else model
            result = own.predict(images[i])
            assert result.probabilities == expected[i].probabilities
            assert (result.mask == expected[i].mask).all()
            assert (own.features(images[i]) == features[i]).all()
            rounds += 1
        return rounds

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert min(pool.map(work, range(16))) >= 2


def test_other_threads_run_while_the_engine_does(weights_file):
    model = busnet.load(weights_file)
    images = random_images((8, 512, 512))
    model.run(images)
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    start = time.perf_counter()
    model.run(images)
    end = time.perf_counter()
    done.set()
    ticker.join()
    # If the engine held the GIL, the ticker could not move between start and end.
    assert sum(start < t < end for t in ticks) >= 3


@pytest.fixture
def threads():
    before = busnet.get_threads()
    yield
    busnet.set_threads(before)


@pytest.mark.usefixtures("threads")
def test_threads_can_be_set(model):
    image = random_images((64, 64))
    results = []
    for count in (1, 2, 3):
        busnet.set_threads(count)
        assert busnet.get_threads() == count
        results.append(model.predict(image).probabilities)
    for result in results[1:]:
        assert result == pytest.approx(results[0], abs=1e-6)
    for wrong in (0, -1, 1025):
        with pytest.raises(ValueError, match=str(wrong)):
            busnet.set_threads(wrong)
    for wrong in (1.5, "2", None, True):
        with pytest.raises(TypeError):
            busnet.set_threads(wrong)
    assert busnet.get_threads() == 3


FORK = """
import os, signal, sys, warnings
import numpy as np, busnet
busnet.set_threads(2)
model = busnet.load(sys.argv[1])
image = np.random.RandomState(0).uniform(0, 1, (64, 64))
shapes = [np.full((n, 192, 192, 1), 0.5, np.float32) for n in (1, 4)]
parent = model.predict(image)
logits = [busnet.load(sys.argv[1]).run(images)["class"] for images in shapes]
child = os.fork()
if child == 0:
    signal.alarm(100)  # which ends it where it waits forever
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        same = model.predict(image).probabilities
        again = busnet.load(sys.argv[1]).predict(image).probabilities
        # Other shapes need weights in other layouts, which the child packs.
        others = [model.run(images)["class"] for images in shapes]
    close = all(abs(same[k] - parent.probabilities[k]) < 1e-6 for k in same)
    close = close and all(abs(a - b).max() < 1e-4 for a, b in zip(others, logits))
    told = [w for w in caught if "spawn" in str(w.message)]
    os._exit(0 if close and same == again and len(told) == 1
             and busnet.get_threads() == 1 else 1)
_, status = os.waitpid(child, 0)
assert busnet.get_threads() == 2
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_child_works_on_one_thread(weights_file):
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, weights_file],
        timeout=120,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_omp_num_threads_is_respected():
    code = "import busnet; print(busnet.get_threads())"
    for value, expected in (("1", 1), ("junk", None), ("", None)):
        got = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OMP_NUM_THREADS": value},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert int(got) == (expected or len(os.sched_getaffinity(0)))


def test_torch_is_not_imported(weights_file):
    code = (
        "import sys, numpy as np, busnet\n"
        "busnet.load(sys.argv[1]).predict(np.zeros((64, 64)))\n"
        "heavy = {'torch', 'scipy', 'sklearn', 'matplotlib', 'typer', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, weights_file], check=True)


def core_weights():
    """Return weights of a small graph in the engine."""
    from busnet import _core

    graph = _core.Graph()
    image = graph.input(1, [0.5], [0.5])
    graph.output(graph.conv(image, "conv", 8, 3, padding=1), "y")
    weights = _core.Weights(graph)
    weights.set("conv.weight", random_images((8, 1, 3, 3)))
    weights.finish()
    return weights


def test_objects_of_the_core_are_freed_in_any_order():
    from busnet import _core

    weights = core_weights()
    plan = _core.Plan(weights, 1, 64, 64)
    del weights
    gc.collect()
    assert plan.run(random_images((1, 64, 64)))["y"].shape == (1, 64, 64, 8)
    assert plan.arena_size > 0


def test_the_core_refuses_what_does_not_fit():
    from busnet import _core

    graph = _core.Graph()
    with pytest.raises(ValueError, match="first"):
        graph.conv(0, "conv", 8, 3)
    image = graph.input(1, [0.5], [0.5])
    for wrong in (
        lambda: graph.input(1, [0.5], [0.5]),
        lambda: graph.conv(5, "conv", 8, 3),
        lambda: graph.conv(-1, "conv", 8, 3),
        lambda: graph.conv(image, "", 8, 3),
        lambda: graph.conv(image, "conv", 2**40, 3),
        lambda: graph.conv(image, "conv", 8, 3, add=2**40),
        lambda: graph.resize(image, image, mode="cubic"),
        lambda: graph.output(9, "y"),
        lambda: _core.Weights(graph, threads=0),
    ):
        with pytest.raises((ValueError, OverflowError)):
            wrong()
    for wrong in (
        lambda: graph.conv("a", "conv", 8, 3),
        lambda: graph.input(1),
        lambda: _core.Weights(7),
        lambda: _core.Plan(graph, 1, 5, 5),
        lambda: _core.Graph(1),
    ):
        with pytest.raises(TypeError):
            wrong()
    weights = _core.Weights(graph)
    with pytest.raises(ValueError, match="cannot change"):
        graph.conv(image, "conv", 8, 3)
    with pytest.raises(ValueError, match="not finished"):
        _core.Plan(weights, 1, 5, 5)
    weights.finish()
    with pytest.raises(ValueError, match="no output"):
        _core.Plan(weights, 1, 5, 5)


def test_a_plan_beyond_memory_is_a_memory_error():
    from busnet import _core

    weights = core_weights()
    with pytest.raises(MemoryError):
        _core.Plan(weights, 65536, 16384, 16384)
    assert _core.Plan(weights, 1, 64, 64).run(random_images((1, 64, 64)))


INTERPRETERS = """
import sys, warnings
import busnet
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
model = busnet.load(sys.argv[1])
before = model.predict(sys.argv[2]).probabilities
second = interpreters.create()
code = "import warnings\\nwarnings.simplefilter('ignore')\\n"
code += "try:\\n    import busnet._core\\nexcept ImportError:\\n    pass"
if hasattr(interpreters, "run_string"):
    interpreters.run_string(second, code)
else:
    interpreters.exec(second, code)
interpreters.destroy(second)
assert model.predict(sys.argv[2]).probabilities == before
assert busnet.load(sys.argv[1]).predict(sys.argv[2]).probabilities == before
"""


def test_a_second_interpreter_does_no_harm(weights_file):
    """NumPy may fail in the second one; the first one must work as before."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", INTERPRETERS, weights_file, PHANTOM],
        timeout=120,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
