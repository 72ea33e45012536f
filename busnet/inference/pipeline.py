"""The way of pictures through the network: batches, overlap, order."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from busnet._parallel import ordered_map
from busnet.engine.session import BATCH_SIZE, Session
from busnet.engine.threads import get_threads
from busnet.images import Picture, Placement, Preprocessing

__all__ = [
    "Computed",
    "Outputs",
    "groups",
    "joint_pipeline",
    "pipeline",
    "place_all",
]

#: Arrays by the name of an output.
Outputs: TypeAlias = dict[str, npt.NDArray[np.float32]]


class Computed(NamedTuple):
    """A picture with the network's outputs.

    Attributes
    ----------
    picture
        The picture.
    placement
        Where it and the square that the network saw meet.
    outputs
        Outputs by name, without the axis of the batch.
    """

    picture: Picture
    placement: Placement
    outputs: Outputs


def pipeline(
    session: Session, pictures: Iterable[Picture], outputs: Sequence[str]
) -> Iterator[Computed]:
    """Yield each picture with the network's outputs, in their order.

    One batch has all threads to itself. Of several batches each thread computes some,
    from preprocessing to outputs: none waits for another at the end of a layer, and the
    caller's thread, which draws the pictures, takes its share of the cores.

    Parameters
    ----------
    session
        What computes.
    pictures
        Drawn in the caller's thread, as many early as keep the threads busy.
    outputs
        Names of the outputs; see :meth:`busnet.engine.session.Session.run`.
    """
    for (computed,) in joint_pipeline([session], pictures, outputs):
        yield computed


def joint_pipeline(
    sessions: Sequence[Session], pictures: Iterable[Picture], outputs: Sequence[str]
) -> Iterator[tuple[Computed, ...]]:
    """Yield what each of several networks makes of each picture; see :func:`pipeline`.

    A thread computes its batch by one network after the other, so that no more threads
    compute at a time than by one network.

    Parameters
    ----------
    sessions
        What computes; all have the same precision.
    pictures, outputs
        See :func:`pipeline`.
    """
    batches = groups(pictures, BATCH_SIZE[sessions[0].precision])
    first = list(itertools.islice(batches, 2))
    batches = itertools.chain(first, batches)
    threads = get_threads()
    if len(first) < 2 or threads < 2:
        for group in batches:
            yield from _compute_all(sessions, outputs, False, group)
        return
    compute = functools.partial(_compute_all, sessions, outputs, True)
    for _, computed in ordered_map(
        compute, batches, threads=threads, prefetch=2 * threads
    ):
        yield from computed


def _compute_all(
    sessions: Sequence[Session],
    outputs: Sequence[str],
    alone: bool,
    pictures: Sequence[Picture],
) -> list[tuple[Computed, ...]]:
    """Return for each picture what each session makes of it."""
    by_session = [_compute(s, outputs, alone, pictures) for s in sessions]
    return list(zip(*by_session, strict=True))


def _compute(
    session: Session, outputs: Sequence[str], alone: bool, pictures: Sequence[Picture]
) -> list[Computed]:
    size, channels = session.info.image_size, session.info.network.channels
    with session.buffers.zeros((len(pictures), size, size, channels)) as batch:
        placements = place_all(pictures, batch, session.info.preprocessing)
        computed = session.run(batch, outputs, alone=alone)
    return [
        Computed(picture, place, {name: array[i] for name, array in computed.items()})
        for i, (picture, place) in enumerate(zip(pictures, placements, strict=True))
    ]


def groups(pictures: Iterable[Picture], size: int) -> Iterator[list[Picture]]:
    """Yield the pictures in lists of ``size``; the last may be shorter."""
    remaining = iter(pictures)
    while group := list(itertools.islice(remaining, size)):
        yield group


def place_all(
    pictures: Sequence[Picture],
    batch: npt.NDArray[np.float32],
    preprocessing: Preprocessing,
) -> list[Placement]:
    """Draw pictures into a batch (N, size, size, C) of zeros, each as a model sees it.

    Grey goes to all channels; of colours, a network of one channel sees the luma.
    """
    channels = batch.shape[3]
    placements = [preprocessing.place(*picture.shape) for picture in pictures]
    for square, place, picture in zip(batch, placements, pictures, strict=True):
        pixels = picture.channels(1) if channels == 1 else picture.pixels
        place.apply(pixels, square)
    return placements
