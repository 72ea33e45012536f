"""The cheap part of the check: what can be known without reading the images."""

from __future__ import annotations

import collections
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from busnet.data.cases import CLASSES, Case
from busnet.data.findings import Finding, Severity, collect_findings, raise_errors
from busnet.data.masks import MOST_OF_IMAGE, mask_contradiction
from busnet.errors import BusnetError
from busnet.images.files import named_errors
from busnet.images.pil import has_two_values

__all__ = [
    "describe",
    "masks_among",
    "screen",
    "screen_files",
    "screen_groups",
    "screen_images",
    "screen_labels",
    "screen_masks",
]

#: Bytes a pixel from which a compressed file has more than two values, and formats that
#: are often not compressed.
_BYTES_A_PIXEL = 0.1
_UNCOMPRESSED = frozenset(("BMP", "DIB", "PPM", "TIFF"))


#: The findings of images that are masks: kind, severity and message.
_TWO_VALUES: tuple[tuple[str, Severity, str], ...] = (
    (
        "mask-as-image",
        "error",
        "{} of two grey values that have another image's name, as its masks have; call "
        "them NAME_mask.png, or leave them out",
    ),
    ("two-values", "warning", "{} of two grey values, as masks have"),
)


def describe(case: Case) -> str:
    """Return the name of a case with its source."""
    return f"{case.source}: {case.name}"


def screen(cases: Sequence[Case]) -> list[Finding]:
    """Look for what would make results of these cases wrong, without much work.

    Masks are read; of images at most the headers, except of DICOM and of files that may
    be masks, as they are small or not compressed. Training calls this on the cases that
    it uses; the split itself checks whether it divides a group.

    Returns
    -------
    list of Finding
        Warnings and notes.

    Raises
    ------
    DataError
        If a result would be wrong: a mask that cannot be read, is of another size than
        its image, inverted or an outline; a normal image with a lesion; a file that
        stands for two images.
    """
    findings = [
        *screen_files(cases),
        *screen_labels(cases),
        *screen_images(cases),
        *screen_masks(cases),
    ]
    raise_errors(findings)
    return findings


def screen_files(cases: Sequence[Case]) -> list[Finding]:
    """Look for files that are named twice."""
    subjects = {
        "same-file": _shared(cases, lambda case: [case.image]),
        "same-mask": _shared(cases, lambda case: case.masks),
        "mask-is-image": [describe(case) for case in cases if case.image in case.masks],
    }
    return collect_findings(
        subjects,
        (
            ("same-file", "error", "{} of a file that is another's, too"),
            ("same-mask", "error", "{} with a mask that is another's, too"),
            ("mask-is-image", "error", "{} named as its own mask"),
        ),
        "image",
    )


def screen_groups(cases: Sequence[Case]) -> list[Finding]:
    """Look at the groups: their folds and, of copies of one scene, their classes."""
    subjects = {
        "group-folds": _divided_groups(cases),
        "contradictory-group": _contradictory_groups(cases),
        "similar-groups": _similar_groups(cases),
    }
    return collect_findings(
        subjects,
        (
            ("group-folds", "error", "{} in several folds"),
            ("contradictory-group", "warning", "{} of copies of several classes"),
            (
                "similar-groups",
                "warning",
                "{} of similar names, perhaps of one patient",
            ),
        ),
        "group",
    )


def screen_labels(cases: Sequence[Case]) -> list[Finding]:
    """Look for what is not known of the cases: classes and masks."""
    images = {
        "class-only": [describe(case) for case in cases if not case.has_mask],
        "mask-only": [describe(case) for case in cases if case.label is None],
    }
    return [
        *collect_findings(
            images,
            (
                ("class-only", "note", "{} of lesions without a mask"),
                ("mask-only", "note", "{} of unknown class"),
            ),
            "image",
        ),
        *_missing_classes(cases),
        *_one_group(cases),
    ]


def screen_images(cases: Sequence[Case]) -> list[Finding]:
    """Look for masks among the images whose size and format do not rule it out."""
    return masks_among(cases, [case for case in cases if _is_mask(case.image)])


def masks_among(cases: Iterable[Case], two_values: Sequence[Case]) -> list[Finding]:
    """Say which images are masks, given those of ``cases`` that have two values."""
    masks = {describe(case) for case in two_values}
    names = {
        (case.source, case.label, case.image.stem.casefold())
        for case in cases
        if describe(case) not in masks
    }
    subjects: dict[str, list[str]] = {"mask-as-image": [], "two-values": []}
    for case in two_values:
        has_name = any(
            (case.source, case.label, stem) in names
            for stem in _parts(case.image.stem.casefold())
        )
        kind = "mask-as-image" if has_name else "two-values"
        subjects[kind].append(describe(case))
    return collect_findings(subjects, _TWO_VALUES, "image")


def _parts(name: str) -> list[str]:
    """Return a name, and what it begins and ends with, divided between words."""
    cuts = [
        match.span()
        for match in re.finditer(r"[ _.-]+|(?<=\))(?=\w)|(?<=\w)(?=\()", name)
    ]
    return [
        name,
        *(name[:start] for start, _ in cuts),
        *(name[end:] for _, end in cuts),
    ]


def _is_mask(path: Path) -> bool:
    """Tell whether a small file has two grey values; not if it cannot be read."""
    try:
        with named_errors(str(path)), Image.open(path) as image:
            size = path.stat().st_size
            is_small = size < _BYTES_A_PIXEL * image.width * image.height
            if not (is_small or image.format in _UNCOMPRESSED):
                return False
            return has_two_values(np.asarray(image.convert("F")))
    except OSError:  # also what is no image, which is said where the image is used
        return False


def screen_masks(cases: Iterable[Case]) -> list[Finding]:
    """Read the masks, and compare them with the classes and the images' sizes."""
    faults: dict[str, list[str]] = collections.defaultdict(list)
    for case in cases:
        if case.masks:
            fault = _mask_fault(case)
            if fault is not None:
                kind, fact = fault
                faults[kind].append(f"{describe(case)}{fact}")
    return collect_findings(
        faults,
        (
            ("unreadable-mask", "error", "{} with a mask that cannot be used"),
            ("mask-size", "error", "{} with a mask of another size"),
            ("mask-shape", "error", "{} with a mask that cannot be a lesion's"),
            ("normal-mask", "error", "{} that is normal with a lesion in the mask"),
            ("empty-mask", "warning", "{} of lesions with an empty mask"),
            ("no-lesion", "note", "{} of unknown class with an empty mask"),
            ("full-mask", "warning", "{} with a mask that covers nearly all of it"),
        ),
        "image",
    )


def _mask_fault(case: Case) -> tuple[str, str] | None:
    """Return the kind of a fault of the mask and its details, or None."""
    try:
        mask = case.read_mask()
    except BusnetError as error:
        return "unreadable-mask", f" ({error})"
    size = _image_size(case) or (mask.shape[0], mask.shape[1])
    if contradiction := mask_contradiction(mask, size, case.label):
        kind, details = contradiction
        return kind, details and f" ({details})"
    if case.label != "normal" and not mask.any():
        return "empty-mask" if case.label else "no-lesion", ""
    share = float(mask.mean())
    return ("full-mask", f" ({share:.0%})") if share > MOST_OF_IMAGE else None


def _image_size(case: Case) -> tuple[int, int] | None:
    """Return height and width of an image, None if it cannot be read.

    Pillow reads them from the header alone; DICOM is read as a whole. What cannot be
    read is found when the image is used.
    """
    try:
        with Image.open(case.image) as image:
            return image.height, image.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        pass
    try:
        return case.read_image().shape
    except BusnetError:
        return None


def _shared(
    cases: Sequence[Case], files: Callable[[Case], Iterable[Path]]
) -> list[str]:
    """Return the names of cases that share a file with a case of another name."""
    users: dict[Path, list[str]] = collections.defaultdict(list)
    for case in cases:
        for path in {file.resolve() for file in files(case)}:
            users[path].append(describe(case))
    shared = (names for names in users.values() if len(set(names)) > 1)
    return list(dict.fromkeys(name for names in shared for name in names))


def _divided_groups(cases: Iterable[Case]) -> list[str]:
    folds: dict[str, set[int]] = collections.defaultdict(set)
    for case in cases:
        if case.fold >= 0:
            folds[case.key].add(case.fold)
    return [
        f"{key} (folds {', '.join(map(str, sorted(numbers)))})"
        for key, numbers in folds.items()
        if len(numbers) > 1
    ]


def _contradictory_groups(cases: Iterable[Case]) -> list[str]:
    """Return the groups of copies of a scene, as BUSI's are, with several classes."""
    labels: dict[str, set[str]] = collections.defaultdict(set)
    for case in cases:
        if case.source == "busi" and case.label is not None:
            labels[case.key].add(case.label)
    return [
        f"{key} ({' and '.join(sorted(names, key=CLASSES.index))})"
        for key, names in labels.items()
        if len(names) > 1
    ]


def _similar_groups(cases: Iterable[Case]) -> list[str]:
    """Return groups of which one patient may have two: P1 and p1, 007 and 7."""
    spellings: dict[str, dict[str, None]] = collections.defaultdict(dict)
    for case in cases:
        if case.group != case.name:
            plain = re.sub(r"[\s_.-]+", "-", case.key.casefold())
            spellings[re.sub(r"(?<!\d)0+(?=\d)", "", plain)][case.key] = None
    return [" and ".join(keys) for keys in spellings.values() if len(keys) > 1]


def _one_group(cases: Sequence[Case]) -> list[Finding]:
    """Warn where no case can be set aside without dividing the only group."""
    keys = {case.key for case in cases}
    if len(cases) < 2 or len(keys) > 1:
        return []
    message = f"all {len(cases)} images are in one group"
    return [Finding("one-group", "warning", message, tuple(keys))]


def _missing_classes(cases: Sequence[Case]) -> list[Finding]:
    present = {case.label for case in cases}
    missing = [label for label in CLASSES if label not in present]
    if not missing or present == {None}:
        return []
    return [
        Finding("missing-class", "note", "no images of " + " and ".join(missing), ())
    ]
