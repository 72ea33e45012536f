"""The way of pictures through the network: order, batches, overlap, errors."""

import threading

import numpy as np
import pytest
from random_weights import random_images

import busnet
from busnet.engine.session import BATCH_SIZE, Session
from busnet.images import Letterbox, Picture, Preprocessing
from busnet.inference import pipeline
from busnet.inference.pipeline import groups, place_all


@pytest.fixture(scope="module")
def session(weights_file):
    return Session(weights_file)


@pytest.fixture(params=[1, 2, 4])
def threads(request):
    before = busnet.get_threads()
    busnet.set_threads(request.param)
    yield request.param
    busnet.set_threads(before)


def pictures(count):
    return [
        Picture(random_images((40 + 7 * i % 60, 50), seed=i), str(i))
        for i in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 9, 26])
def test_each_picture_comes_back_in_order_with_its_own_outputs(session, threads, count):
    given = pictures(count)
    computed = list(pipeline(session, iter(given), ("class", "mask")))
    assert [c.picture for c in computed] == given
    for picture, (_, letterbox, outputs) in zip(given, computed, strict=True):
        assert letterbox == Letterbox(*picture.shape, 64)
        square = letterbox.apply(picture.pixels)
        expected = session.run(square[None], ("class", "mask"))
        assert outputs.keys() == expected.keys()
        for name, array in outputs.items():
            np.testing.assert_allclose(array, expected[name][0], atol=1e-5)


def test_pictures_are_drawn_in_the_callers_thread_and_not_all_at_once(session, threads):
    drawn = []

    def source():
        for picture in pictures(80):
            drawn.append(threading.get_ident())
            yield picture

    computed = pipeline(session, source(), ("class",))
    next(computed)
    # Two batches are in sight, and as many as keep the threads busy.
    assert len(drawn) <= (2 + 2 * threads) * BATCH_SIZE["f32"]
    assert set(drawn) == {threading.get_ident()}
    computed.close()


def test_an_error_of_the_source_comes_out(session, threads):
    def source():
        yield from pictures(30)
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        list(pipeline(session, source(), ("class",)))


def test_an_error_of_the_engine_comes_out(session, threads):
    with pytest.raises(ValueError, match="nothing"):
        list(pipeline(session, pictures(30), ("nothing",)))
    assert len(list(pipeline(session, pictures(30), ("class",)))) == 30


def test_groups_hold_all_in_order():
    assert list(groups([], 3)) == []
    assert list(groups("abcdefg", 3)) == [["a", "b", "c"], ["d", "e", "f"], ["g"]]


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_colour_are_letterboxed_to_what_the_network_takes(channels):
    grey, colour = random_images((30, 60)), random_images((80, 40, 3))
    batch = np.zeros((2, 64, 64, channels), np.float32)
    boxes = place_all([Picture(grey), Picture(colour)], batch, Preprocessing(64))
    assert boxes == [Letterbox(30, 60, 64), Letterbox(80, 40, 64)]
    for square, picture in zip(batch, (Picture(grey), Picture(colour)), strict=True):
        pixels = picture.channels(channels).reshape(*picture.shape, channels)
        expected = Letterbox(*picture.shape, 64).apply(pixels)
        np.testing.assert_allclose(square, expected, atol=1e-6)
