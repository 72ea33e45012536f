"""Frames of DICOM files (the extra ``busnet[dicom]``): pixels and spacing, no tags.

Nothing that names a patient leaves this package: a frame is a picture, its spacing, and
the path that the caller gave.

Grey values take the way of the standard: stored bits, modality transform, VOI,
presentation (PS3.3 C.7.6.3, C.11.1, C.11.2, C.11.6).
"""

from busnet.errors import requires_extra

with requires_extra("dicom"):
    import pydicom  # noqa: F401

from busnet.images.dicom.frames import frames
from busnet.images.dicom.geometry import pixel_spacing, regions_of

__all__ = ["frames", "pixel_spacing", "regions_of"]
