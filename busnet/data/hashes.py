"""Content hashes: which images a training saw, without keeping any of them.

A hash is 256 bits: the signs of the 16 x 16 lowest frequencies of the image's cosine
transform, the image stretched to a square of 64 pixels (a perceptual hash; Zauner,
Implementation and benchmarking of perceptual image hash functions, 2010). Rescaling,
another file format, JPEG and changes of brightness or contrast change few of the bits,
and two different images differ in about half of them. A hash tells the sign of
each of 16 x 16 coarse waves and no more: no image can be rebuilt from it.

The figures behind :data:`MATCH_DISTANCE` are in docs/pages/data.md.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from busnet.data.cases import Case
from busnet.errors import DataError

__all__ = ["BITS", "MATCH_DISTANCE", "ContentHashes", "content_hash", "hash_distances"]

#: Bits of a hash.
BITS = 256

#: Number of differing bits up to which two images count as the same.
MATCH_DISTANCE = 52

#: Bytes of a group's digest.
_GROUP_BYTES = 8

#: The digest of an image that is a group of its own.
_NO_GROUP = bytes(_GROUP_BYTES)

_SIDE, _FREQUENCIES = 64, 16

#: Amplitudes up to this are rounding errors.
_ROUNDING = 1e-3

#: The lowest frequencies of the cosine transform, (frequencies, pixels).
_BASIS = np.cos(
    np.pi
    * np.arange(_FREQUENCIES)[:, None]
    * (2 * np.arange(_SIDE)[None, :] + 1)
    / (2 * _SIDE)
)

#: Number of ones in each byte.
_ONES = np.array([bin(i).count("1") for i in range(256)], np.uint16)

#: Hashes that are compared with all known ones at a time.
_BLOCK = 256

HashArray = npt.NDArray[np.uint8]


def content_hash(image: npt.NDArray[np.float32]) -> HashArray:
    """Return the hash of a grey image (H, W), 32 bytes."""
    square = Image.fromarray(np.ascontiguousarray(image, np.float32)).resize(
        (_SIDE, _SIDE), Image.Resampling.BOX
    )
    pixels = np.asarray(square, np.float64)
    waves = _BASIS @ pixels @ _BASIS.T
    bits = waves.ravel() > _ROUNDING
    bits[0] = False  # the mean, which is always above zero
    return np.packbits(bits)


def hash_distances(first: HashArray, second: HashArray) -> npt.NDArray[np.uint16]:
    """Return the numbers of bits in which hashes (N, 32) and (M, 32) differ, (N, M)."""
    distances = np.zeros((len(first), len(second)), np.uint16)
    for byte in range(first.shape[1]):
        distances += _ONES[first[:, byte, None] ^ second[None, :, byte]]
    return distances


@dataclasses.dataclass(frozen=True, eq=False)
class ContentHashes:
    """What is stored of the images that a training saw.

    Attributes
    ----------
    images
        Hashes of the images, (N, 32).
    groups
        Digests of their groups, (N, 8): beginnings of SHA-256 of :attr:`Case.key`, so
        that no patient's name is stored; zeros where an image is a group of its own.
    """

    images: HashArray
    groups: HashArray

    @classmethod
    def of(
        cls,
        cases: Sequence[Case],
        images: Iterable[npt.NDArray[np.float32]] | None = None,
    ) -> ContentHashes:
        """Hash cases.

        Parameters
        ----------
        cases
            The cases.
        images
            Their grey images (H, W) in the same order, of any size, where they have
            been read already; black margins must have been cut off.

        Raises
        ------
        ImageError
            If an image cannot be read.
        """
        if images is None:
            images = (case.read_image().channels(1) for case in cases)
        hashes = [content_hash(image) for image in images]
        groups = [_group_digest(case) for case in cases]
        return cls(
            np.array(hashes, np.uint8).reshape(len(cases), BITS // 8),
            np.array(groups, np.uint8).reshape(len(cases), _GROUP_BYTES),
        )

    @classmethod
    def join(cls, parts: Sequence[ContentHashes]) -> ContentHashes:
        """Put the hashes of several trainings together."""
        return cls(
            np.concatenate([part.images for part in parts]),
            np.concatenate([part.groups for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.images)

    def same_images(self, others: ContentHashes) -> npt.NDArray[np.bool_]:
        """Tell for each of other images whether it is one of these, (M,).

        Two images are the same whose hashes differ in :data:`MATCH_DISTANCE` bits or
        fewer.
        """
        same = np.zeros(len(others), np.bool_)
        if not len(self):
            return same
        for start in range(0, len(others), _BLOCK):
            block = slice(start, start + _BLOCK)
            distances = hash_distances(others.images[block], self.images)
            same[block] = distances.min(axis=1) <= MATCH_DISTANCE
        return same

    def same_groups(self, others: ContentHashes) -> npt.NDArray[np.bool_]:
        """Tell for each of other images whether its group is one of these, (M,).

        Groups are compared by source and name. Where two data sets have the same name
        and number their patients alike, their groups look the same.
        """
        known = {digest.tobytes() for digest in self.groups} - {_NO_GROUP}
        return np.array([g.tobytes() in known for g in others.groups], np.bool_)

    def encode(self) -> dict[str, str]:
        """Return the hashes as text that a JSON document can hold."""
        return {
            "images": base64.b64encode(self.images.tobytes()).decode("ascii"),
            "groups": base64.b64encode(self.groups.tobytes()).decode("ascii"),
        }

    @classmethod
    def decode(cls, document: Mapping[str, object]) -> ContentHashes:
        """Return the hashes that :meth:`encode` wrote as text.

        Raises
        ------
        DataError
            If the text is not of that form.
        """
        images = _decode(document.get("images"), BITS // 8)
        groups = _decode(document.get("groups"), _GROUP_BYTES)
        if len(images) != len(groups):
            raise DataError(
                f"the content hashes are of {len(images)} images and {len(groups)} "
                f"groups"
            )
        return cls(images, groups)


def _group_digest(case: Case) -> list[int]:
    if case.group in ("", case.name):
        return list(_NO_GROUP)
    return list(hashlib.sha256(case.key.encode()).digest()[:_GROUP_BYTES])


def _decode(text: object, width: int) -> HashArray:
    if not isinstance(text, str):
        raise DataError("the content hashes are no text")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"the content hashes cannot be read: {error}") from None
    if len(data) % width:
        raise DataError(f"the content hashes are no multiple of {width} bytes")
    return np.frombuffer(data, np.uint8).reshape(-1, width)
