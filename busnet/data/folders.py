"""The user's own folders: images by class, by patient, with masks beside or apart.

These layouts are read:

- a folder for each class, in any case, with further folders below or above it
  (``malignant/patient 7/a.png``, ``patient 7/malignant/a.png``): the first of them that
  is no part of the layout is the patient, whose images are never divided. Folders above
  that hold all images are no patient;
- masks beside the images (``a_mask.png``, ``a_mask_1.png``, ``a-seg.png``; next to
  ``a.png`` also ``a_label.png``, ``mask_a.png``, ``aMask.png``; next to a single image
  also ``mask.png``) or in a folder of their own (``images`` and ``masks``, as U-Net
  repositories have them);
- nnU-Net's ``imagesTr`` and ``labelsTr``, images with the ending ``_0000``;
- a table ``groups.csv`` with the columns ``image`` and ``group``, as ``busnet audit
  --groups`` writes it: images of one group are never divided, nor are patients.

What ``busnet predict`` wrote is left out.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from busnet.data.cases import CLASSES, Case
from busnet.data.findings import Finding, Listing, plural
from busnet.data.folder_files import (
    HIDDEN,
    NNUNET_TEST,
    FolderFile,
    drop_wrapper,
    is_part,
    walk,
    wrapper_of,
)
from busnet.data.group_table import GROUPS_FILE, join_groups
from busnet.data.mask_matching import match_masks
from busnet.errors import DataError
from busnet.images import SUFFIXES, is_dicom_image
from busnet.images.names import image_stems, is_mask_folder, is_mask_name

__all__ = ["list_folder"]

_CLASS_WORD = re.compile(rf"(?<![a-z])({'|'.join(CLASSES)})s?(?![a-z])", re.IGNORECASE)

_CHANNEL = re.compile(r"_(\d{4})$")


def list_folder(root: Path, source: str) -> Listing:
    """List the cases of a folder, and say what in it is not used.

    Raises
    ------
    DataError
        If there are no images of a class and none with a mask, a path names two
        classes, masks can be those of several images, the folder is divided into parts
        (``train``, ``test``) or is one of outputs, or ``groups.csv`` cannot be used.
    """
    ignored: dict[str, list[str]] = collections.defaultdict(list)
    files = list(walk(root, ignored))
    _refuse_parts(root, files)
    images, masks = _sort(root, files, ignored)
    _strip_channels(images)
    wrapper = wrapper_of([i for i in images if i.label is not None] or images)
    images = [drop_wrapper(image, wrapper) for image in images]
    masks = [drop_wrapper(mask, wrapper) for mask in masks]
    matched = match_masks(images, masks)
    ignored["masks without an image"] += [mask.relative for mask in matched.orphans]
    cases = []
    for image in images:
        masks_of_image = matched.of_images[image.relative]
        if image.label is None and not masks_of_image:
            reason = f"images in no folder of a class ({', '.join(CLASSES)}) or mask"
            ignored[reason].append(image.relative)
            continue
        cases.append(_case(image, masks_of_image, source))
    cases.sort(key=lambda case: (_rank(case), case.name))
    tables = _tables(root, files, wrapper, ignored)
    cases, ungrouped = join_groups(tables, cases)
    findings = [
        *_findings(root, cases, ignored, ungrouped),
        *_numbered_masks(matched.numbered),
        *_class_words(images),
        *_patients(images, cases),
    ]
    return Listing(tuple(cases), tuple(findings))


def _numbered_masks(masks: Sequence[FolderFile]) -> list[Finding]:
    """Warn of masks that are an image's by all of their name but a number."""
    if not masks:
        return []
    message = (
        f"{plural(len(masks), 'mask')} with a number behind an image's name, taken for "
        f"the image's; NAME_mask_1.png would be clear"
    )
    names = tuple(mask.relative for mask in masks)
    return [Finding("numbered-mask", "warning", message, names)]


def _patients(images: Iterable[FolderFile], cases: Iterable[Case]) -> list[Finding]:
    """Say which folders are taken for patients: they may be hospitals, or years."""
    used = {case.image for case in cases}
    counts = collections.Counter(
        image.folders[0] for image in images if image.folders and image.path in used
    )
    if not counts:
        return []
    message = f"{plural(len(counts), 'folder')} taken for a patient each"
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    largest = (f"{name} ({plural(count, 'image')})" for name, count in ordered)
    return [Finding("patients", "note", message, tuple(largest))]


def _class_words(images: Iterable[FolderFile]) -> list[Finding]:
    """Warn of folders that name a class among other words, which is not read."""
    folders = {
        folder
        for image in images
        if image.label is None
        for folder in image.folders
        if _CLASS_WORD.search(folder)
    }
    if not folders:
        return []
    message = (
        f"{plural(len(folders), 'folder')} that are not called {', '.join(CLASSES)} "
        f"alone, so that the class of their images is not known"
    )
    return [Finding("class-word", "warning", message, tuple(sorted(folders)))]


def _findings(
    root: Path,
    cases: Sequence[Case],
    ignored: Mapping[str, Sequence[str]],
    ungrouped: Sequence[str],
) -> list[Finding]:
    """Return what is not used and not known; raise it where there are no cases."""
    findings = [
        Finding(
            "ignored",
            "note" if reason == HIDDEN else "warning",
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
        message = f"{plural(len(ungrouped), 'image')} not in {GROUPS_FILE}"
        findings.append(Finding("no-group", "warning", message, tuple(ungrouped)))
    apart = [case.name for case in cases if len({m.parent for m in case.masks}) > 1]
    if apart:
        message = f"{plural(len(apart), 'image')} with masks in several folders, united"
        findings.append(Finding("masks-apart", "warning", message, tuple(apart)))
    unknown = [case.name for case in cases if case.label is None]
    if unknown and len(unknown) < len(cases):
        message = f"{plural(len(unknown), 'image')} with a mask in no folder of a class"
        findings.append(Finding("no-class", "warning", message, tuple(unknown)))
    return findings


def _rank(case: Case) -> int:
    return len(CLASSES) if case.label is None else CLASSES.index(case.label)


def _refuse_parts(root: Path, files: Sequence[str]) -> None:
    parts = {
        component
        for path in files
        for component in Path(path).parts[:-1]
        if is_part(component)
    }
    if len(parts) > 1:
        raise DataError(
            f"{root}: it is divided into the folders {', '.join(sorted(parts))}; name "
            f"one of them, or a table with a column 'fold'"
        )


def _sort(
    root: Path, files: Sequence[str], ignored: Mapping[str, list[str]]
) -> tuple[list[FolderFile], list[FolderFile]]:
    """Return the images and the masks among files."""
    images: list[FolderFile] = []
    masks: list[FolderFile] = []
    candidates = []
    for relative in files:
        path = Path(relative)
        components = {c.strip().lower() for c in path.parts[:-1]}
        if path.name == GROUPS_FILE:
            continue
        if path.suffix.lower() not in SUFFIXES and not is_dicom_image(root / path):
            ignored[f"no image by the name's ending {path.suffix or '(none)'}"].append(
                relative
            )
        elif components & NNUNET_TEST:
            ignored["test images of nnU-Net, which have no labels"].append(relative)
        elif not (root / path).is_file():
            ignored["no regular file, or a link to nothing"].append(relative)
        elif any(map(is_mask_folder, components)):
            masks.append(FolderFile.read(root, relative))
        else:
            candidates.append(FolderFile.read(root, relative))
    present = {(file.path.parent, file.stem.casefold()) for file in candidates}
    for file in candidates:
        named_after = any(
            (file.path.parent, stem.casefold()) in present
            for stem in image_stems(file.stem)[1:]
        )
        is_mask = named_after or is_mask_name(file.stem)
        (masks if is_mask else images).append(file)
    return images, masks


def _tables(
    root: Path,
    files: Sequence[str],
    wrapper: tuple[str, ...],
    ignored: Mapping[str, list[str]],
) -> list[Path]:
    """Return the tables of groups that are beside or above the folders of images."""
    used = []
    for table in (Path(name) for name in files if Path(name).name == GROUPS_FILE):
        folder = table.parts[:-1]
        if wrapper[: len(folder)] == folder:
            used.append(root / table)
        else:
            ignored["tables of groups among the images"].append(table.as_posix())
    return used


def _strip_channels(images: list[FolderFile]) -> None:
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


def _case(image: FolderFile, masks: list[Path], source: str) -> Case:
    return Case(
        name=image.name,
        image=image.path,
        masks=tuple(sorted(masks)),
        label=image.label,
        group=image.folders[0] if image.folders else image.name,
        source=source,
    )
