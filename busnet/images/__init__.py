"""Images in, planes out: reading, checking, and the way to the network and back.

:func:`read` turns everything that a caller may hand over into :class:`Picture` objects;
a :class:`Preprocessing` places one in the network's square, by a :class:`Letterbox` or
a :class:`CentreCrop`, which bring maps back to the picture's own geometry.
"""

from busnet.images.centre_crop import CentreCrop
from busnet.images.files import SUFFIXES, FileLike, read_frames, read_image
from busnet.images.inputs import is_single, read
from busnet.images.letterbox import Letterbox
from busnet.images.masks import read_mask
from busnet.images.picture import Picture, Region
from busnet.images.preprocessing import Placement, Preprocessing, Resize
from busnet.images.recognise import is_dicom, is_dicom_image
from busnet.images.resampling import Interpolation
from busnet.images.types import ImageArray, ImageLike, ImageSequence, OneImage

__all__ = [
    "SUFFIXES",
    "CentreCrop",
    "FileLike",
    "ImageArray",
    "ImageLike",
    "ImageSequence",
    "Interpolation",
    "Letterbox",
    "OneImage",
    "Picture",
    "Placement",
    "Preprocessing",
    "Region",
    "Resize",
    "is_dicom",
    "is_dicom_image",
    "is_single",
    "read",
    "read_frames",
    "read_image",
    "read_mask",
]
