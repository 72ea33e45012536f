"""The number of threads: its default, its limits, and forked processes."""

import subprocess
import sys

import pytest

import busnet
from busnet.engine.threads import MAX_THREADS, claim_threads

PRINT = "import busnet; print(busnet.get_threads())"

FORKED = """
import os, sys, warnings
import busnet
from busnet.engine.threads import claim_threads

busnet.set_threads(3)
claim_threads()
child = os.fork()
if child == 0:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = busnet.get_threads()
        claimed = [claim_threads(), claim_threads()]
    busnet.set_threads(4)
    good = before == 1 and claimed == [1, 1] and busnet.get_threads() == 1
    warned = len(caught) == 1 and "spawn" in str(caught[0].message)
    os._exit(0 if good and warned else 1)
status = os.waitpid(child, 0)[1]
assert busnet.get_threads() == 3
sys.exit(os.waitstatus_to_exitcode(status))
"""

UNUSED = """
import os, sys, busnet
busnet.set_threads(3)
child = os.fork()
if child == 0:
    os._exit(0 if busnet.get_threads() == 3 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(autouse=True)
def _as_before():
    before = busnet.get_threads()
    yield
    busnet.set_threads(before)


def test_the_number_that_is_set_is_claimed():
    busnet.set_threads(3)
    assert busnet.get_threads() == claim_threads() == 3


@pytest.mark.parametrize("count", [0, -1, MAX_THREADS + 1])
def test_numbers_out_of_range_are_refused(count):
    with pytest.raises(ValueError, match=rf"{count} threads.*1\.\.{MAX_THREADS}"):
        busnet.set_threads(count)


@pytest.mark.parametrize("count", [2.0, "2", None, True])
def test_what_is_no_integer_is_refused(count):
    with pytest.raises(TypeError, match="int"):
        busnet.set_threads(count)


@pytest.mark.parametrize(
    ("limit", "expected"), [("1", 1), ("1,4", 1), ("0", None), ("many", None)]
)
def test_the_default_heeds_omp_num_threads(monkeypatch, limit, expected):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    printed = []
    for value in (None, limit):
        if value is not None:
            monkeypatch.setenv("OMP_NUM_THREADS", value)
        done = subprocess.run(
            [sys.executable, "-c", PRINT], capture_output=True, text=True, check=True
        )
        printed.append(int(done.stdout))
    assert printed[1] == (expected or printed[0])


@pytest.mark.parametrize("script", [FORKED, UNUSED], ids=["used", "unused"])
def test_a_forked_child_has_one_thread_if_several_were_used(script):
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    subprocess.run(command, check=True, timeout=60)
