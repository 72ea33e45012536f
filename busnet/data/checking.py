"""The check of a data set: all that would make a result wrong, before it is used."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from busnet.data import duplicates
from busnet.data.cases import CLASSES, Case
from busnet.data.custom import list_custom
from busnet.data.findings import Finding, Listing, collect_findings
from busnet.data.protocols import get_protocol
from busnet.data.screening import (
    describe,
    masks_among,
    screen_groups,
    screen_images,
    screen_labels,
    screen_masks,
)
from busnet.data.sources import list_source, merge_listings, parse_sources
from busnet.errors import BusnetError, DataError
from busnet.images.pil import has_two_values

__all__ = ["CheckReport", "SourceCounts", "check"]

#: Shows progress over items: called with them, their number and what is done.
Track = Callable[[Iterable[Case], int, str], Iterable[Case]]

#: Millimetres a pixel between which breast ultrasound lies.
_PLAUSIBLE_SPACING = (0.01, 0.5)

#: Standard deviation of intensities below which an image shows nothing.
_FLAT = 1e-3

#: Shorter side, in pixels, below which an image is hardly one.
_SMALL = 64


@dataclasses.dataclass(frozen=True)
class SourceCounts:
    """What a source holds.

    Attributes
    ----------
    images, groups
        Number of images, and of groups (patients or scenes).
    classes
        Number of images of each class, ``"unknown"`` among them.
    masks
        Number of images with a mask that is a file.
    spacing
        Number of images whose spacing is known; None where images were not read.
    attributes
        Number of images by the values of attributes that are not free text:
        ``{"scanner": {"X": 12}, "birads": {"4": 3}}``.
    folds
        Number of images in each fold.
    """

    images: int
    groups: int
    classes: Mapping[str, int]
    masks: int
    spacing: int | None
    attributes: Mapping[str, Mapping[str, int]]
    folds: Mapping[int, int]


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes
    ----------
    counts
        By source.
    findings
        Errors first, then warnings, then notes.
    thorough
        Whether images were read and compared, too.
    """

    counts: Mapping[str, SourceCounts]
    findings: tuple[Finding, ...]
    thorough: bool

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong: no finding is more than a note."""
        return all(finding.severity == "note" for finding in self.findings)

    def as_dict(self) -> dict[str, object]:
        """Return all of it as JSON holds it."""
        return {"ok": self.ok, **dataclasses.asdict(self)}

    def to_json(self) -> str:
        """Return the JSON text."""
        return json.dumps(self.as_dict(), indent=1) + "\n"


def check(
    data: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]],
    *,
    protocol: str | None = None,
    thorough: bool = True,
    track: Track = lambda items, total, what: items,
) -> CheckReport:
    """Look through a data set for what would make a result wrong.

    Parameters
    ----------
    data
        A folder or a table, or several by the names of their sources: see
        :func:`busnet.data.sources.read_sources`.
    protocol
        Look only at the cases that a protocol uses, with its folds.
    thorough
        Whether to read all images and compare each with every other. That takes time
        that grows with the square of their number: see
        :mod:`busnet.data.duplicates`.
    track
        Shows progress.

    Returns
    -------
    CheckReport
        What was found. Faults of files and tables are findings, not exceptions.

    Raises
    ------
    DataError
        If there is no such folder or table, or the protocol is unknown or does not fit.
    """
    cases, findings = _list(
        data if isinstance(data, Mapping) else parse_sources([os.fspath(data)])
    )
    if protocol is not None and cases:
        cases = get_protocol(protocol).use(cases)
    findings += [*screen_groups(cases), *screen_labels(cases)]
    findings += screen_masks(track(cases, len(cases), "reading masks"))
    spacings: dict[str, int] = {}
    if not thorough:
        findings += screen_images(cases)
    elif cases:
        images = _Images(cases)
        pairs = images.compare(track)
        findings += images.findings()
        findings += _pair_findings(images.readable, pairs)
        spacings = images.spacings
    order = ("error", "warning", "note")
    findings.sort(key=lambda finding: order.index(finding.severity))
    return CheckReport(
        counts={
            source: _counts(
                [case for case in cases if case.source == source],
                spacings.get(source, 0) if thorough else None,
            )
            for source in dict.fromkeys(case.source for case in cases)
        },
        findings=tuple(findings),
        thorough=thorough,
    )


def _list(
    sources: Mapping[str, str | os.PathLike[str]],
) -> tuple[list[Case], list[Finding]]:
    """Return the cases of sources; one that its reader refuses is read as a folder."""
    listings: list[tuple[Path, Listing]] = []
    faults: list[Finding] = []
    for name, location in sources.items():
        path = Path(location)
        if not path.exists():
            raise DataError(f"source {name}: {path}: no such file or folder")
        try:
            listings.append((path, list_source(name, path)))
        except DataError as error:
            faults.append(Finding("source", "error", f"{name} cannot be used: {error}"))
            with contextlib.suppress(DataError):
                listings.append((path, list_custom(path, source=name)))
    merged = merge_listings(listings)
    return list(merged.cases), [*faults, *merged.findings]


def _counts(cases: Sequence[Case], spacing: int | None) -> SourceCounts:
    classes = collections.Counter(case.label or "unknown" for case in cases)
    attributes: dict[str, dict[str, int]] = {}
    for name in ("scanner", "birads"):
        values = collections.Counter(
            case.attributes[name] for case in cases if name in case.attributes
        )
        if values:
            attributes[name] = dict(sorted(values.items()))
    return SourceCounts(
        images=len(cases),
        groups=len({case.key for case in cases}),
        classes={n: classes[n] for n in (*CLASSES, "unknown") if classes[n]},
        masks=sum(bool(case.masks) for case in cases),
        spacing=spacing,
        attributes=attributes,
        folds=dict(sorted(collections.Counter(c.fold for c in cases).items())),
    )


class _Images:
    """The images of cases, read once, and what is wrong with them."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = cases
        self._faults: dict[str, list[str]] = collections.defaultdict(list)
        self._two_values: list[Case] = []
        self.readable: list[Case] = []
        self.spacings: collections.Counter[str] = collections.Counter()

    def compare(self, track: Track) -> list[duplicates.Pair]:
        """Read the images and return pairs of near-duplicates among the readable."""
        return duplicates.near_duplicates(
            self._read(track(self._cases, len(self._cases), "reading images"))
        )

    def _read(self, cases: Iterable[Case]) -> Iterator[npt.NDArray[np.float32]]:
        for case in cases:
            try:
                picture = case.read_image()
            except BusnetError as error:
                self._faults["unreadable"].append(f"{describe(case)} ({error})")
                continue
            grey = picture.channels(1)
            if min(grey.shape) < _SMALL:
                self._faults["small"].append(f"{describe(case)} {grey.shape}")
            if grey.std() < _FLAT:
                self._faults["flat"].append(describe(case))
            elif has_two_values(grey):
                self._two_values.append(case)
            if picture.spacing is not None:
                self.spacings[case.source] += 1
                low, high = _PLAUSIBLE_SPACING
                if not all(low <= value <= high for value in picture.spacing):
                    values = " x ".join(f"{value:g}" for value in picture.spacing)
                    self._faults["spacing"].append(f"{describe(case)} ({values} mm)")
            self.readable.append(case)
            yield grey

    def findings(self) -> list[Finding]:
        """Return what reading the images brought to light."""
        low, high = _PLAUSIBLE_SPACING
        span = f"{low} to {high} mm"
        faults = collect_findings(
            self._faults,
            (
                ("unreadable", "error", "{} that cannot be read"),
                ("flat", "warning", "{} of one grey value"),
                ("small", "warning", f"{{}} with a side below {_SMALL} pixels"),
                ("spacing", "warning", f"{{}} with a spacing that is not {span}"),
            ),
            "image",
        )
        return [*faults, *masks_among(self._cases, self._two_values)]


def _pair_findings(
    cases: Sequence[Case], pairs: Iterable[duplicates.Pair]
) -> list[Finding]:
    """Sort pairs of near-duplicates by what they mean."""
    kinds: dict[str, list[str]] = collections.defaultdict(list)
    for pair in pairs:
        first, second = cases[pair.first], cases[pair.second]
        labels = {first.label, second.label} - {None}
        if len(labels) > 1:
            kind = "two-classes"
        elif first.key == second.key:
            kind = "copies"
        elif first.fold != second.fold and min(first.fold, second.fold) >= 0:
            kind = "copies-in-folds"
        else:
            kind = "copies-in-groups"
        facts = f"{describe(first)} and {describe(second)}"
        kinds[kind].append(f"{facts} ({pair.correlation:.3f})")
    return collect_findings(
        kinds,
        (
            ("two-classes", "error", "{} of near-duplicates with different classes"),
            ("copies-in-folds", "warning", "{} of near-duplicates in different folds"),
            (
                "copies-in-groups",
                "warning",
                "{} of near-duplicates in different groups",
            ),
            ("copies", "note", "{} of near-duplicates in the same group"),
        ),
        "pair",
    )
