"""What names say: which files are masks, which folders hold masks or outputs."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

__all__ = [
    "JOURNAL",
    "OUTPUT_FOLDERS",
    "RECORD",
    "can_be_initials",
    "image_stems",
    "is_image_folder",
    "is_mask_folder",
    "is_mask_name",
    "is_numbered_mask",
    "is_output",
    "is_output_folder",
    "is_wrapper",
    "lies_in_outputs",
    "without_number",
]

#: "Mask" in English, German, French, Spanish, Italian and Polish.
_MASK = "mask|maske|masken|masque|m[aá]scara|maschera|maska"

#: What a folder that holds images is called: images, Original Images, imagesTr.
_IMAGE_FOLDER = re.compile(
    r"((original|raw|us|ultrasound|bus)[ _-])?(images?|imgs?)|imagestr|originals?|raw",
    re.IGNORECASE,
)

#: What a folder that holds masks is called: masks, Ground Truth, lesion-masks.
_MASK_FOLDER = re.compile(
    rf"((binary|lesion|tumou?r|seg|segmentation)[ _-])?({_MASK})s?"
    r"([ _-](images?|imgs?|pngs?))?"
    r"|labels?|labelstr|annotations?|segs?|segmentations?|ground[ _-]?truths?|gts?",
    re.IGNORECASE,
)

#: Folders that a run of ``busnet predict`` makes below its output folder; the file that
#: describes a finished run, and the one that a stopped run leaves.
OUTPUT_FOLDERS = frozenset(("masks", "overlays", "segmentations"))
RECORD = "busnet-run.json"
JOURNAL = ".predictions.journal"

_WORDS = rf"{_MASK}|seg|segmentation|gt|ground[ _-]?truth"
_NUMBER = r"[ _-]*\(?\d+\)?"

#: What follows an image's name in that of its mask: a_mask, a-seg_1, a_mask (1).
_AFTER = re.compile(rf"[ _.-]({_WORDS})s?({_NUMBER})?$", re.IGNORECASE)

#: The same with a word behind it, which only these words allow: a_mask_left.
_AFTER_WITH_WORD = re.compile(
    rf"[ _.-](({_MASK})s?|segmentations?|ground[ _-]?truth)({_NUMBER})?"
    r"[ _.-]+\(?\w+\)?$",
    re.IGNORECASE,
)

#: A name that says mask and nothing of an image: mask.png, gt_1.png.
_ALONE = re.compile(rf"({_WORDS}|label|annotation)s?({_NUMBER})?", re.IGNORECASE)

#: What may follow or precede an image's name where the image is there: a_label,
#: a_seg_x, mask_a, aMask. Names of images have such words, too.
_MAY_FOLLOW = re.compile(
    rf"[ _.-]({_WORDS}|label|lesion|tumou?r|roi|annotation)s?({_NUMBER})?$",
    re.IGNORECASE,
)
_MAY_FOLLOW_WITH_MORE = re.compile(
    rf"[ _.-]({_WORDS})s?({_NUMBER})?([ _.-].*)?$", re.IGNORECASE
)
_MAY_PRECEDE = re.compile(rf"^({_MASK}|seg|label|gt)s?[ _.-]", re.IGNORECASE)
_CAPITAL = re.compile(rf"(?<=[a-z\d])(Mask|Seg|GT|Label)s?({_NUMBER})?$")

#: A number behind a name that may end in one itself.
_BEHIND = re.compile(r"([ _.-]+\(?\d{1,3}\)?|\(\d{1,3}\))$")

#: A word that an image has another word for: image_1 and mask_1, a_img and a_mask.
_WORD = re.compile(rf"(?<![^\W\d_])({_WORDS}|label)s?(?![^\W\d_])", re.IGNORECASE)
_IMAGE_WORDS = ("image", "img", "original", "orig", "us", "bus")

#: A word of masks that can be a person's initials, too: scan_GT_1.
_INITIALS = re.compile(rf"[ _.-]gt({_NUMBER})?$", re.IGNORECASE)


def is_image_folder(name: str) -> bool:
    """Tell whether a folder is called as folders of images are."""
    return _IMAGE_FOLDER.fullmatch(name.strip()) is not None


def is_mask_folder(name: str) -> bool:
    """Tell whether a folder is called as folders of masks are."""
    return _MASK_FOLDER.fullmatch(name.strip()) is not None


def is_mask_name(stem: str) -> bool:
    """Tell whether a name without ending is that of a mask, whatever lies beside it."""
    return bool(
        _AFTER.search(stem) or _AFTER_WITH_WORD.search(stem) or is_numbered_mask(stem)
    )


def is_numbered_mask(stem: str) -> bool:
    """Tell whether a name says mask, perhaps a number, and nothing of an image."""
    return _ALONE.fullmatch(stem) is not None


def can_be_initials(stem: str) -> bool:
    """Tell whether what says mask in a name can be a person's initials instead."""
    return _INITIALS.search(stem) is not None


def is_wrapper(names: Collection[str]) -> bool:
    """Tell by the names in a folder whether it holds images and masks, each apart.

    Then it holds no masks itself, even if it is called ``segmentation``.
    """
    return any(map(is_image_folder, names)) and any(map(is_mask_folder, names))


def image_stems(stem: str) -> list[str]:
    """Return what the image of a mask can be called, the likely names first.

    Parameters
    ----------
    stem
        The mask's name without ending. It is the first of the names: in a folder of
        masks the name can be the image's own.
    """
    patterns = (_MAY_FOLLOW, _MAY_FOLLOW_WITH_MORE, _MAY_PRECEDE, _CAPITAL)
    parts = [pattern.sub("", stem) for pattern in patterns]
    parts += [_WORD.sub(word, stem) for word in _IMAGE_WORDS]
    return list(dict.fromkeys([stem, *filter(None, parts)]))


def without_number(stem: str) -> str | None:
    """Return a name without the number behind it, None if there is none: 7_1 is 7."""
    bare = _BEHIND.sub("", stem)
    return bare if bare not in ("", stem) else None


def is_output_folder(names: Collection[str]) -> bool:
    """Tell by the names in a folder whether it is the output folder of a run."""
    return RECORD in names or JOURNAL in names


def is_output(name: str) -> bool:
    """Tell whether a name in an output folder is one that a run gives."""
    return name in OUTPUT_FOLDERS or name.startswith(
        (RECORD, JOURNAL, "predictions.", "gallery.html")
    )


def lies_in_outputs(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is, or lies in, a folder that a run made for its outputs.

    Links are resolved.
    """
    if "\0" in os.fspath(path):
        return False
    real = Path(os.path.realpath(path))
    return any(
        folder.name in OUTPUT_FOLDERS
        and any(os.path.lexists(folder.parent / mark) for mark in (RECORD, JOURNAL))
        for folder in (real, *real.parents)
    )
