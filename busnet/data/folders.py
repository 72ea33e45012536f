"""The user's own folders: images by class, by patient, with masks beside or apart.

These layouts are read:

- a folder for each class, in any case, with further folders below or above it
  (``malignant/patient 7/a.png``, ``patient 7/malignant/a.png``): the first of them that
  is no part of the layout is the patient, whose images are never divided;
- masks beside the images (``a_mask.png``, ``a_mask_1.png``, ``a-seg.png``; next to
  ``a.png`` also ``a_label.png``, ``mask_a.png``, ``aMask.png``) or in a folder of their
  own (``images`` and ``masks``, as U-Net repositories have them);
- nnU-Net's ``imagesTr`` and ``labelsTr``, images with the ending ``_0000``;
- a table ``groups.csv`` with the columns ``image`` and ``group``, as ``busnet audit
  --groups`` writes it: images of one group are never divided, nor are patients.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from busnet.data import duplicates
from busnet.data.cases import CLASSES, Case
from busnet.data.findings import Finding, Listing, plural, summarise
from busnet.data.tables import read_table
from busnet.errors import DataError
from busnet.images import SUFFIXES

__all__ = ["GROUPS_FILE", "list_folder"]

#: Names of folders that hold images, and of those that hold masks.
_IMAGE_FOLDERS = frozenset(
    ("images", "image", "imgs", "img", "imagestr", "original", "originals", "raw")
)
_MASK_FOLDERS = frozenset(
    (
        "masks",
        "mask",
        "labels",
        "label",
        "labelstr",
        "annotations",
        "segmentation",
        "segmentations",
        "ground_truth",
        "groundtruth",
        "gt",
    )
)

#: Table of groups that a folder may hold.
GROUPS_FILE = "groups.csv"

#: Names of folders that divide a data set: which part is meant must be said.
_PARTS = frozenset(
    ("train", "training", "val", "valid", "validation", "test", "testing")
)

#: nnU-Net's folders of test images, which have no labels.
_NNUNET_TEST = frozenset(("imagests", "labelsts"))

_SYSTEM = frozenset(("__macosx", "thumbs.db", "desktop.ini"))

#: What follows an image's name in that of its mask, in the same folder.
_BESIDE = re.compile(
    r"[ _.-](mask|seg|segmentation|gt|ground_?truth)s?([ _-]?\d+)?$", re.IGNORECASE
)

#: The same in a folder of masks, where the name can also be the image's, and wherever
#: what is left is the name of an image beside it.
_APART = re.compile(
    r"[ _.-](mask|seg|segmentation|gt|ground_?truth|label|lesion|tumou?r|roi"
    r"|annotation)s?([ _-]?\d+)?$",
    re.IGNORECASE,
)

_BEFORE = re.compile(r"^(mask|seg|label|gt)s?[ _.-]", re.IGNORECASE)

_CAPITAL = re.compile(r"(?<=[a-z\d])(Mask|Seg|GT|Label)s?\d*$")

_CHANNEL = re.compile(r"_(\d{4})$")


@dataclasses.dataclass(frozen=True)
class _File:
    """An image or a mask: its path, and the folders that are no part of the layout."""

    path: Path
    relative: str
    label: str | None
    folders: tuple[str, ...]
    stem: str


def list_folder(root: Path, source: str) -> Listing:
    """List the cases of a folder, and say what in it is not used.

    Raises
    ------
    DataError
        If there are no images of a class and none with a mask, a path names two
        classes, or the folder is divided into parts (``train``, ``test``).
    """
    root = _descend(root)
    ignored: dict[str, list[str]] = collections.defaultdict(list)
    files = list(_walk(root, ignored))
    _refuse_parts(root, files)
    images, masks = _sort(root, files, ignored)
    _strip_channels(root, images)
    matched, orphans = _match(images, masks)
    ignored["masks without an image"] += [mask.relative for mask in orphans]
    cases = []
    for image in images:
        masks_of_image = matched[image.relative]
        if image.label is None and not masks_of_image:
            reason = f"images in no folder of a class ({', '.join(CLASSES)}) or mask"
            ignored[reason].append(image.relative)
            continue
        cases.append(_case(image, masks_of_image, source))
    cases.sort(key=lambda case: (_rank(case), case.name))
    cases, ungrouped = _grouped(root, cases)
    findings = [
        Finding(
            "ignored",
            "note" if reason == "hidden and system files" else "warning",
            f"{plural(len(names), 'file')} not used ({reason})",
            tuple(sorted(names)),
        )
        for reason, names in ignored.items()
        if names
    ]
    if not cases:
        facts = "; ".join(str(finding) for finding in findings)
        raise DataError(
            f"{root}: there are no images of {', '.join(CLASSES)}"
            + (f" ({facts})" if facts else "")
        )
    if ungrouped:
        findings.append(
            Finding(
                "no-group",
                "warning",
                f"{plural(len(ungrouped), 'image')} not in {GROUPS_FILE}",
                ungrouped,
            )
        )
    unknown = [case.name for case in cases if case.label is None]
    if unknown and len(unknown) < len(cases):
        findings.append(
            Finding(
                "no-class",
                "warning",
                f"{plural(len(unknown), 'image')} with a mask in no folder of a class",
                tuple(unknown),
            )
        )
    return Listing(tuple(cases), tuple(findings))


def _grouped(root: Path, cases: list[Case]) -> tuple[list[Case], tuple[str, ...]]:
    """Join groups as ``groups.csv`` says; return also the images that it lacks."""
    table = root / GROUPS_FILE
    if not table.is_file():
        return cases, ()
    joined: dict[Path, str] = {}
    for row in read_table(table, required=("image", "group")).rows:
        joined[(root / row["image"].replace("\\", "/")).resolve()] = row["group"]
    members: dict[tuple[str, str], list[int]] = collections.defaultdict(list)
    ungrouped = []
    for i, case in enumerate(cases):
        members["patient", case.group].append(i)
        group = joined.get(case.image.resolve(), "")
        if group:
            members["copies", group].append(i)
        else:
            ungrouped.append(case.name)
    pairs = [
        duplicates.Pair(first, second, 1.0)
        for indices in members.values()
        for first, second in itertools.pairwise(indices)
    ]
    numbers = duplicates.groups(pairs, len(cases))
    names: dict[int, str] = {}
    for number, case in zip(numbers, cases, strict=True):
        names.setdefault(number, case.group)
    return [
        dataclasses.replace(case, group=names[number])
        for number, case in zip(numbers, cases, strict=True)
    ], tuple(ungrouped)


def _descend(root: Path) -> Path:
    """Return the first folder that holds more than one folder alone.

    A folder that merely wraps the data set is no patient.
    """
    layout = {*CLASSES, *_IMAGE_FOLDERS, *_MASK_FOLDERS, *_PARTS}
    while True:
        try:
            entries = [e for e in root.iterdir() if not _is_system(e.name)]
        except OSError as error:
            raise DataError(f"{root}: cannot be read: {error.strerror}") from None
        if len(entries) != 1 or not entries[0].is_dir():
            return root
        if entries[0].name.strip().lower() in layout:
            return root
        root = entries[0]


def _is_system(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM


def _rank(case: Case) -> int:
    return len(CLASSES) if case.label is None else CLASSES.index(case.label)


def _walk(root: Path, ignored: dict[str, list[str]]) -> Iterator[str]:
    """Yield the paths of all files below a folder, relative to it, links followed."""
    visited: set[tuple[int, int]] = set()

    def unreadable(error: OSError) -> None:
        ignored["folders that cannot be read"].append(
            os.path.relpath(error.filename, root)
        )

    for folder, folders, names in os.walk(root, onerror=unreadable, followlinks=True):
        try:
            state = os.stat(folder)
        except OSError as error:
            unreadable(error)
            continue
        if (state.st_dev, state.st_ino) in visited:
            folders.clear()  # a link back to a folder that was read
            continue
        visited.add((state.st_dev, state.st_ino))
        folders[:] = sorted(name for name in folders if not _is_system(name))
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), root)
            if _is_system(name):
                ignored["hidden and system files"].append(path)
            else:
                yield path


def _refuse_parts(root: Path, files: Sequence[str]) -> None:
    parts = {
        component
        for path in files
        for component in Path(path).parts[:-1]
        if component.lower() in _PARTS
    }
    if len(parts) > 1:
        raise DataError(
            f"{root}: it is divided into the folders {', '.join(sorted(parts))}; name "
            f"one of them, or a table with a column 'fold'"
        )


def _sort(
    root: Path, files: Sequence[str], ignored: dict[str, list[str]]
) -> tuple[list[_File], list[_File]]:
    """Return the images and the masks among files."""
    images: list[_File] = []
    masks: list[_File] = []
    candidates = []
    for relative in files:
        path = Path(relative)
        components = {c.strip().lower() for c in path.parts[:-1]}
        if relative == GROUPS_FILE:
            continue
        if path.suffix.lower() not in SUFFIXES:
            ignored[f"no image by the name's ending {path.suffix or '(none)'}"].append(
                relative
            )
        elif components & _NNUNET_TEST:
            ignored["test images of nnU-Net, which have no labels"].append(relative)
        elif not (root / path).is_file():
            ignored["no regular file, or a link to nothing"].append(relative)
        elif components & _MASK_FOLDERS:
            masks.append(_file(root, relative))
        else:
            candidates.append(_file(root, relative))
    present = {(file.path.parent, file.stem.casefold()) for file in candidates}
    for file in candidates:
        named_after = any(
            (file.path.parent, stem.casefold()) in present
            for stem in _image_stems(file)[1:]
        )
        is_mask = named_after or _BESIDE.search(file.stem)
        (masks if is_mask else images).append(file)
    return images, masks


def _image_stems(mask: _File) -> list[str]:
    """Return what the image of a mask can be called: its own name, and parts of it."""
    stem = mask.stem
    parts = (pattern.sub("", stem) for pattern in (_APART, _BEFORE, _CAPITAL))
    return list(dict.fromkeys([stem, *parts]))


def _file(root: Path, relative: str) -> _File:
    path = Path(relative)
    labels: set[str] = set()
    folders = []
    for component in path.parts[:-1]:
        name = component.strip().lower()
        if name in CLASSES:
            labels.add(name)
        elif name not in _IMAGE_FOLDERS | _MASK_FOLDERS | _PARTS:
            folders.append(component)
    if len(labels) > 1:
        both = " and ".join(sorted(labels))
        raise DataError(f"{root / path}: its folders name the classes {both}")
    label = labels.pop() if labels else None
    return _File(root / path, path.as_posix(), label, tuple(folders), path.stem)


def _strip_channels(root: Path, images: list[_File]) -> None:
    """Take nnU-Net's number of the channel from the names of ``imagesTr``."""
    for i, image in enumerate(images):
        if "imagestr" not in {c.lower() for c in Path(image.relative).parts[:-1]}:
            continue
        match = _CHANNEL.search(image.stem)
        if match is None or match[1] != "0000":
            raise DataError(
                f"{image.path}: nnU-Net's images of one channel end in _0000"
            )
        images[i] = dataclasses.replace(image, stem=image.stem[: match.start()])


def _match(
    images: Sequence[_File], masks: Sequence[_File]
) -> tuple[dict[str, list[Path]], list[_File]]:
    """Return the masks of each image by its path, and those that are of none."""
    exact: dict[object, list[_File]] = collections.defaultdict(list)
    anywhere: dict[str, list[_File]] = collections.defaultdict(list)
    for image in images:
        exact[image.label, image.folders, image.stem.casefold()].append(image)
        anywhere[image.stem.casefold()].append(image)
    matched: dict[str, list[Path]] = {image.relative: [] for image in images}
    orphans = []
    for mask in masks:
        owners: list[_File] = []
        for stem in _image_stems(mask):
            folded = stem.casefold()
            owners = exact.get((mask.label, mask.folders, folded), [])
            if not owners and len(anywhere.get(folded, ())) == 1:
                owners = anywhere[folded]
            owners = [o for o in owners if o.stem == stem] or owners
            if owners:
                break
        if not owners:
            orphans.append(mask)
        elif len(owners) > 1:
            raise DataError(
                f"{mask.path}: it can be the mask of "
                f"{summarise([owner.relative for owner in owners])}"
            )
        else:
            matched[owners[0].relative].append(mask.path)
    return matched, orphans


def _case(image: _File, masks: list[Path], source: str) -> Case:
    return Case(
        name=image.relative,
        image=image.path,
        masks=tuple(sorted(masks)),
        label=image.label,
        group=image.folders[0] if image.folders else image.relative,
        source=source,
    )
