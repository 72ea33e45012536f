"""Content hashes: the same image is recognised, another one is not."""

import hashlib
import json
import os

import numpy as np
import pytest
from PIL import Image

from busnet import errors
from busnet.data import (
    Case,
    ContentHashes,
    read_busbra,
    read_busi,
    read_busuclm,
    read_custom,
)
from busnet.data.hashes import BITS, MATCH_DISTANCE, content_hash, hash_distances
from busnet.data.phantom import phantom


def image(seed):
    return phantom(160, 200, seed=seed)[0].astype(np.float32) / 255


def resized(pixels, height, width):
    return np.asarray(Image.fromarray(pixels).resize((width, height)))


def distance(first, second):
    hashes = content_hash(first)[None], content_hash(second)[None]
    return hash_distances(*hashes)[0, 0]


def case(name, group="", source="custom"):
    return Case(name, name, label="benign", group=group or name, source=source)


def test_distances_count_bits():
    first = np.array([[0, 0], [255, 1]], np.uint8)
    np.testing.assert_array_equal(hash_distances(first, first), [[0, 9], [9, 0]])
    assert hash_distances(first[:0], first).shape == (0, 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: resized(x, 80, 100),
        lambda x: resized(x, 256, 256),
        lambda x: resized(x, 400, 500),
        lambda x: np.clip(x * 1.2 + 0.05, 0, 1),
        lambda x: x**0.7,
        lambda x: x[2:-2, 2:-2],
        lambda x: np.rint(x * 32) / 32,
    ],
)
def test_copies_match(change):
    original = image(1)
    assert distance(original, change(original).astype(np.float32)) <= MATCH_DISTANCE


def test_a_hash_is_small_and_has_no_mean():
    assert content_hash(image(1)).nbytes * 8 == BITS == 256
    assert not content_hash(np.ones((9, 9), np.float32)).any()


def test_seen_images_and_groups_are_found():
    cases = [case("a", "p1"), case("b"), case("c", "p2", "busi")]
    known = ContentHashes.of(cases, [image(1), image(2), image(3)])
    others = ContentHashes.of(
        [case("x", "p1"), case("b"), case("y", "p2"), case("z", "p3")],
        [image(4), resized(image(2), 99, 99), image(5), image(3)],
    )
    assert known.same_images(others).tolist() == [False, True, False, True]
    # b is a group of its own, and p2 is a patient of another source.
    assert known.same_groups(others).tolist() == [True, False, False, False]
    again = ContentHashes.decode(json.loads(json.dumps(known.encode())))
    assert again.same_images(others).tolist() == [False, True, False, True]
    assert again.same_groups(others).tolist() == [True, False, False, False]
    assert "p1" not in json.dumps(known.encode())


def test_patients_whose_names_are_not_utf8(tmp_path):
    for folder in (b"caf\xe9", b"na\xefve"):
        path = os.path.join(os.fsencode(tmp_path), b"benign", folder)
        os.makedirs(path)
        pixels = phantom(160, 200, seed=len(folder))[0]
        Image.fromarray(pixels).save(os.path.join(os.fsdecode(path), "1.png"))
    cases = read_custom(tmp_path)
    assert [case.group for case in cases] == [r"caf\xe9", r"na\xefve"]
    assert cases[0].name == r"benign/caf\xe9/1.png"
    hashes = ContentHashes.of(cases)
    digest = hashlib.sha256(rb"custom/caf\xe9").digest()
    assert hashes.groups[0].tobytes() == digest[:8]
    np.testing.assert_array_equal(hashes.same_images(ContentHashes.of(cases)), True)
    apart = ContentHashes.of(cases[:1]).same_groups(hashes)
    np.testing.assert_array_equal(apart, [True, False])


def test_nothing_was_seen_by_nobody():
    nothing = ContentHashes.of([])
    others = ContentHashes.of([case("a", "p")], [image(1)])
    assert len(nothing) == 0
    assert nothing.same_images(others).tolist() == [False]
    assert nothing.same_groups(others).tolist() == [False]
    assert others.same_images(nothing).tolist() == []
    assert len(ContentHashes.decode(nothing.encode())) == 0


@pytest.mark.parametrize(
    ("document", "fact"),
    [
        ({}, "no text"),
        ({"images": 3, "groups": ""}, "no text"),
        ({"images": "!", "groups": ""}, "cannot be read"),
        ({"images": "AAAA", "groups": ""}, "multiple of 32"),
        ({"images": "", "groups": "AAAAAAAAAAA="}, "0 images and 1 group"),
    ],
)
def test_spoiled_hashes_are_refused(document, fact):
    with pytest.raises(errors.DataError, match=fact):
        ContentHashes.decode(document)


def test_different_images_do_not_match(busi, busbra, busuclm):
    """Nothing but copies is taken for the same, in 3,071 images of three hospitals."""
    cases = [*read_busi(busi), *read_busbra(busbra), *read_busuclm(busuclm)]
    hashes = ContentHashes.of(cases).images
    distances = hash_distances(hashes, hashes)
    keys = np.unique([case.key for case in cases], return_inverse=True)[1]
    different = keys[:, None] != keys[None]
    assert distances[different].min() > MATCH_DISTANCE + 10
    source = np.array([case.source for case in cases])
    copies = ~different & (source == "busi")
    np.fill_diagonal(copies, False)
    assert copies.sum() == 2 * 264
    assert (distances[copies] <= MATCH_DISTANCE).mean() == pytest.approx(0.80, abs=0.02)
