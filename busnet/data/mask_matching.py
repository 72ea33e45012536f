"""Which mask belongs to which image of a user's folder."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from busnet.data.findings import summarise
from busnet.data.folder_files import FolderFile
from busnet.errors import DataError
from busnet.images.names import image_stems, is_numbered_mask, without_number

__all__ = ["MatchedMasks", "match_masks"]


@dataclasses.dataclass(frozen=True)
class MatchedMasks:
    """Which mask is whose.

    Attributes
    ----------
    of_images
        The masks of each image, by its path below the folder that was named.
    numbered
        Those of them that have an image's name and a number behind it.
    orphans
        Masks of no image.
    """

    of_images: dict[str, list[Path]]
    numbered: list[FolderFile]
    orphans: list[FolderFile]


def match_masks(
    images: Sequence[FolderFile], masks: Iterable[FolderFile]
) -> MatchedMasks:
    """Return the masks of each image, and those that are of none.

    A mask is of the image of its class and folders whose name it has. If there is none,
    it is of the only image there, if it is called ``mask`` alone; or of the only image
    of its name whose class and folders do not contradict its own. Such an image has no
    mask by the first rule. What is left is of the image whose name it has but for a
    number behind it, as ``7_1`` has that of ``7``: if no image has such a number, and
    the image's other masks lie beside it.

    Raises
    ------
    DataError
        If a mask can be that of two images, or an image can have one of two masks.
    """
    matcher = _Matcher(images)
    matched: dict[str, list[FolderFile]] = {image.relative: [] for image in images}
    rest = []
    for mask in masks:
        image = matcher.named(mask)
        if image is None:
            rest.append(mask)
        else:
            matched[image.relative].append(mask)
    orphans = []
    loose: dict[str, list[FolderFile]] = collections.defaultdict(list)
    for mask in rest:
        image = matcher.alone(mask) or matcher.elsewhere(mask)
        if image is None or matched[image.relative]:
            orphans.append(mask)
        else:
            loose[image.relative].append(mask)
    for name, others in loose.items():
        if len({(mask.label, mask.folders) for mask in others}) > 1:
            raise DataError(
                f"{matcher.paths[name]}: it can have one of the masks "
                f"{summarise([mask.relative for mask in others])}; leave those of one "
                f"folder"
            )
        matched[name] += others
    numbered, orphans = _match_numbered(matcher, matched, orphans)
    return MatchedMasks(
        {n: [mask.path for mask in own] for n, own in matched.items()},
        numbered,
        orphans,
    )


def _match_numbered(
    matcher: _Matcher,
    matched: dict[str, list[FolderFile]],
    masks: Iterable[FolderFile],
) -> tuple[list[FolderFile], list[FolderFile]]:
    """Match masks with a number behind an image's name; return them and the rest."""
    numbered, orphans = [], []
    for mask in masks:
        image = matcher.without_number(mask)
        others = [] if image is None else matched[image.relative]
        if image is None or {other.path.parent for other in others} - {
            mask.path.parent
        }:
            orphans.append(mask)
        else:
            matched[image.relative].append(mask)
            numbered.append(mask)
    return numbered, orphans


class _Matcher:
    """Finds the image of a mask among images."""

    def __init__(self, images: Sequence[FolderFile]) -> None:
        self.paths = {image.relative: image.path for image in images}
        self._exact: dict[object, list[FolderFile]] = collections.defaultdict(list)
        self._named: dict[str, list[FolderFile]] = collections.defaultdict(list)
        self._inside: dict[object, list[FolderFile]] = collections.defaultdict(list)
        for image in images:
            place, name = (image.label, image.folders), image.stem.casefold()
            self._exact[place, name].append(image)
            self._named[name].append(image)
            self._inside[place].append(image)
        bases = (without_number(name) for name in self._named)
        self._series = {base for base in bases if base is not None}

    def named(self, mask: FolderFile) -> FolderFile | None:
        """Return the image of the mask's own class and folders whose name it has."""
        place = mask.label, mask.folders
        for stem in image_stems(mask.stem):
            owners = self._exact.get((place, stem.casefold()), [])
            owners = [owner for owner in owners if owner.stem == stem] or owners
            if len(owners) > 1:
                raise DataError(
                    f"{mask.path}: it can be the mask of "
                    f"{summarise([owner.relative for owner in owners])}"
                )
            if owners:
                return owners[0]
        return None

    def alone(self, mask: FolderFile) -> FolderFile | None:
        """Return the only image there, for a mask that is called ``mask`` alone."""
        images = self._inside.get((mask.label, mask.folders), [])
        return images[0] if len(images) == 1 and is_numbered_mask(mask.stem) else None

    def without_number(self, mask: FolderFile) -> FolderFile | None:
        """Return the image whose name the mask has but for a number behind it.

        Where images have such numbers, too, the mask may be that of one that is not
        there.
        """
        for stem in image_stems(mask.stem):
            base = without_number(stem)
            if base is not None and base.casefold() not in self._series:
                bare = dataclasses.replace(mask, stem=base)
                if image := self.named(bare) or self.elsewhere(bare):
                    return image
        return None

    def elsewhere(self, mask: FolderFile) -> FolderFile | None:
        """Return the only image of the mask's name that can be of its folders."""
        for stem in image_stems(mask.stem):
            owners = [
                image
                for image in self._named.get(stem.casefold(), ())
                if _agree(image, mask)
            ]
            if owners:
                return owners[0] if len(owners) == 1 else None
        return None


def _agree(image: FolderFile, mask: FolderFile) -> bool:
    """Tell whether classes and folders do not contradict each other.

    One's folders must be among the other's, in their order.
    """
    if None not in (image.label, mask.label) and image.label != mask.label:
        return False
    fewer, more = sorted((image.folders, mask.folders), key=len)
    remaining = iter(more)
    return all(folder in remaining for folder in fewer)
