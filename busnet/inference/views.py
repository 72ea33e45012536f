"""Results of whole pictures, of which the network sees one part or several."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from busnet.engine.session import Session
from busnet.errors import ModelError
from busnet.images import Picture, Region
from busnet.inference.decode import Fields, combine
from busnet.inference.ensemble_info import EnsembleInfo, PredictorInfo
from busnet.inference.estimate import Estimate, estimate
from busnet.inference.options import Options
from busnet.inference.pipeline import Computed, joint_pipeline
from busnet.lesions import Spacing
from busnet.networks import Head
from busnet.results import NORMAL, Classification, Result, Segmentation

__all__ = ["check_prior", "heads_of", "results"]

R = TypeVar("R", bound=Result)
D = TypeVar("D", bound=np.generic)


def heads_of(kind: type[Result]) -> tuple[Head, ...]:
    """Return the heads that a kind of result needs."""
    heads: list[Head] = []
    if issubclass(kind, Classification):
        heads.append("class")
    if issubclass(kind, Segmentation):
        heads.append("mask")
    return tuple(heads)


def results(
    sessions: Sequence[Session],
    info: PredictorInfo,
    pictures: Iterable[Picture],
    kind: type[R],
    options: Options,
) -> Iterator[R]:
    """Yield the result of each picture, of the given kind, in their order.

    ``sessions`` are the model's one, or those of an ensemble's members.

    Of a frame with several tissue regions it is the result of the one with the largest
    lesion, or the one that is least like normal where no mask is computed.

    Raises
    ------
    ModelError
        If the prior names a class that the model lacks.
    """
    check_prior(info.classes, options.prior)
    wholes, seen = itertools.tee(pictures)
    parts = (
        picture.part(region) for picture in seen for region in options.views(picture)
    )
    computed = joint_pipeline(sessions, parts, heads_of(kind))
    prior = options.prior
    if prior is None and isinstance(info, EnsembleInfo):
        prior = info.class_shares
    for picture in wholes:
        regions = options.views(picture)
        candidates = [
            combine(info, _estimates(sessions, views, prior))
            for views in itertools.islice(computed, len(regions))
        ]
        yield _result(picture, regions, candidates, kind, options)


def _estimates(
    sessions: Sequence[Session],
    views: Sequence[Computed],
    prior: Mapping[str, float] | None,
) -> list[Estimate]:
    """Return what each session's outputs mean."""
    return [
        estimate(session.info, placement, outputs, prior=prior)
        for session, (_, placement, outputs) in zip(sessions, views, strict=True)
    ]


def check_prior(classes: Sequence[str], prior: Mapping[str, float] | None) -> None:
    """Refuse a prior that names a class which is not among the given ones.

    Raises
    ------
    ModelError
        If it does.
    """
    for name in prior or ():
        if name not in classes:
            raise ModelError(
                f"prior: the model has no class {name!r}; classes are "
                f"{', '.join(classes)}"
            )


def _result(
    picture: Picture,
    regions: Sequence[Region],
    candidates: Sequence[Fields],
    kind: type[R],
    options: Options,
) -> R:
    """Make a picture's result from the fields of its regions."""
    notes = [*picture.notes]
    if len(candidates) > 1:
        notes.append(
            f"{len(candidates)} tissue regions; the result is of the one with the "
            f"{'largest lesion' if 'mask' in candidates[0] else 'least normal look'}"
        )
    best = max(range(len(candidates)), key=lambda i: _evidence(candidates[i]))
    region = regions[best]
    fields: dict[str, Any] = {**candidates[best]}
    if region.box != picture.whole().box:
        fields["region"] = region.box
        for name in fields.keys() & {"mask", "lesion_probability"}:
            fields[name] = _in_place(fields[name], region, picture.shape)
    if "mask" in fields:
        if region.spacing is None and not options.crop and _scales(picture):
            notes.append("the file has no scale that holds for the whole frame")
        spacing = region.spacing or options.spacing
        fields["spacing"] = spacing
        if options.spacing not in (None, spacing):
            notes.append(
                f"the file's own spacing of {_millimetres(region.spacing)} is used, "
                f"not the {_millimetres(options.spacing)} that were given"
            )
    return kind(name=picture.name, image=picture.pixels, notes=tuple(notes), **fields)


def _scales(picture: Picture) -> bool:
    """Tell whether regions of a picture have a spacing."""
    return any(region.spacing is not None for region in picture.regions)


def _millimetres(spacing: Spacing | None) -> str:
    """Return a spacing as text."""
    return " x ".join(f"{side:g}" for side in spacing or ()) + " mm"


def _evidence(fields: Fields) -> float:
    """Return how much of a lesion a view shows: pixels, or what is not normal."""
    if "mask" in fields:
        return float(np.count_nonzero(fields["mask"]))
    return -float(fields["probabilities"].get(NORMAL, 0.0))


def _in_place(
    part: npt.NDArray[D], region: Region, shape: tuple[int, int]
) -> npt.NDArray[D]:
    """Return an array of a picture's shape that is the part in its region, else 0."""
    whole = np.zeros(shape, part.dtype)
    top, left, bottom, right = region.box
    whole[top:bottom, left:right] = part
    return whole
