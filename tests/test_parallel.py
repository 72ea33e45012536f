"""The ordered map: order, how far it reads ahead, errors, and stopping early."""

import threading

import pytest

from busnet._parallel import ordered_map


def test_results_come_in_the_order_of_the_items():
    second_ran = threading.Event()

    def square(number):
        if number == 0:  # ends after the call for the next item
            assert second_ran.wait(30)
        if number == 1:
            second_ran.set()
        return number**2

    results = list(ordered_map(square, range(6), threads=2, prefetch=3))
    assert results == [(0, 0), (1, 1), (2, 4), (3, 9), (4, 16), (5, 25)]


def test_no_items_give_no_results():
    assert list(ordered_map(abs, [], threads=2, prefetch=3)) == []


@pytest.mark.parametrize("prefetch", [0, 1, 4])
def test_items_are_drawn_as_they_are_needed(prefetch):
    drawn = []

    def items():
        for number in range(100):
            assert threading.current_thread() is caller
            drawn.append(number)
            yield number

    caller = threading.current_thread()
    results = ordered_map(abs, items(), threads=3, prefetch=prefetch)
    assert drawn == []
    for number in range(5):
        assert next(results) == (number, number)
        assert len(drawn) == number + prefetch + 1
    results.close()


def test_as_many_calls_run_together_as_there_are_threads():
    barrier = threading.Barrier(3, timeout=30)
    results = ordered_map(lambda _: barrier.wait(), range(3), threads=3, prefetch=3)
    assert sorted(place for _, place in results) == [0, 1, 2]


def test_an_error_is_raised_at_its_turn():
    def inverse(number):
        return 1 / number

    results = ordered_map(inverse, [1, 2, 0, 4], threads=2, prefetch=4)
    assert next(results) == (1, 1.0)
    assert next(results) == (2, 0.5)
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_calls_that_have_not_begun_are_cancelled_on_stopping():
    begun, release = [], threading.Event()

    def work(number):
        begun.append(number)
        if number > 0:
            assert release.wait(30)

    results = ordered_map(work, range(50), threads=1, prefetch=10)
    assert next(results) == (0, None)
    timer = threading.Timer(0.2, release.set)
    timer.start()
    results.close()
    timer.join()
    assert len(begun) <= 2
    assert not any("busnet-map" in t.name for t in threading.enumerate())
