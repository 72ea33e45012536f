"""Folds of one's own images: they divide no group, and each has all classes."""

from __future__ import annotations

import collections
import dataclasses
import random
from collections.abc import Iterable, Mapping, Sequence

from busnet.data.cases import CLASSES, Case
from busnet.data.findings import plural
from busnet.data.numbers import whole_number
from busnet.errors import DataError

__all__ = ["make_folds"]

#: What is spread alike over the folds: the images of one source and one class.
Stratum = tuple[str, str]


def make_folds(cases: Iterable[Case], count: int, *, seed: int = 0) -> list[Case]:
    """Return the cases with folds that divide no group.

    Images of each source and class are spread as evenly as the groups allow: groups
    are taken one after the other, those with the largest share of a stratum first, and
    each joins the fold whose shares it makes least uneven.

    Parameters
    ----------
    cases
        All cases of the data sets.
    count
        Number of folds, at least 2.
    seed
        Seed of the order of groups that are alike. The same cases in any order and the
        same seed give the same folds.

    Returns
    -------
    list of Case
        In the order of ``cases``, with ``fold`` from 0 to ``count`` - 1.

    Raises
    ------
    DataError
        If there are fewer than two folds, or a class has fewer groups than folds.
    """
    listed = list(cases)
    count = whole_number(count, "the number of folds")
    seed = whole_number(seed, "the seed")
    if count < 2:
        raise DataError(f"cross-validation needs at least 2 folds, not {count}")
    groups: dict[str, list[Case]] = collections.defaultdict(list)
    for case in listed:
        groups[case.key].append(case)
    _check_groups(groups, count)
    totals = collections.Counter(map(_stratum, listed))
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    contents = {key: collections.Counter(map(_stratum, groups[key])) for key in order}
    order.sort(key=lambda key: -max(n / totals[s] for s, n in contents[key].items()))
    filled: list[collections.Counter[Stratum]] = [
        collections.Counter() for _ in range(count)
    ]
    folds: dict[str, int] = {}
    for key in order:
        fold = min(
            range(count),
            key=lambda i: (
                _unevenness(filled[i], contents[key], totals),
                filled[i].total(),
                i,
            ),
        )
        filled[fold].update(contents[key])
        folds[key] = fold
    return [dataclasses.replace(case, fold=folds[case.key]) for case in listed]


def _stratum(case: Case) -> Stratum:
    return case.source, case.label or ""


def _unevenness(
    filled: Mapping[Stratum, int],
    group: Mapping[Stratum, int],
    totals: Mapping[Stratum, int],
) -> float:
    """Return by how much a group adds to a fold's sum of squared shares."""
    return sum(
        (2 * filled.get(stratum, 0) + n) * n / totals[stratum] ** 2
        for stratum, n in group.items()
    )


def _check_groups(groups: Mapping[str, Sequence[Case]], count: int) -> None:
    """Refuse data of which a fold would lack a class."""
    if len(groups) < count:
        raise DataError(
            f"{plural(len(groups), 'group')} cannot be spread over {count} folds "
            f"without being divided; a group is a patient, or copies of a scene"
        )
    for label in CLASSES:
        having = sum(any(c.label == label for c in group) for group in groups.values())
        if 0 < having < count:
            raise DataError(
                f"the class {label} is in {plural(having, 'group')}, fewer than the "
                f"{count} folds"
            )
