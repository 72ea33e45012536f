"""Masks as DICOM segmentations (the extra ``busnet[dicom]``).

Of the source only what ties the segmentation to it is taken over: its UIDs and its
size. Names, dates and numbers of the patient are left empty.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from busnet.errors import ImageFileError, MissingExtraError
from busnet._io import atomic_write
from busnet.results import NOTICE, Segmentation
from busnet.version import __version__
from busnet.model_info import ModelInfo

try:
    import highdicom
    import pydicom
    from pydicom.sr.codedict import codes
except ImportError as error:
    raise MissingExtraError(
        f"DICOM segmentations need the extra: pip install 'busnet[dicom]' ({error})"
    ) from None

__all__ = ["save_segmentation"]

#: What the segmentation takes over from its source.
_KEPT = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Rows",
    "Columns",
)

#: What every DICOM object has, and this one has empty.
_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)

_DESCRIPTION = "For research use only. Not for diagnosis."


def save_segmentation(
    result: Segmentation,
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    info: ModelInfo,
) -> None:
    """Write a mask as a DICOM segmentation of the image that it was computed from.

    Parameters
    ----------
    result
        The prediction; its mask (H, W) has the source's size.
    source
        The DICOM file of one frame.
    path
        Where to.
    info
        What the model is.

    Raises
    ------
    ImageFileError
        If the source has not the UIDs that a reference needs, or another size.
    """
    name = os.fspath(source)
    origin = _origin(name)
    if (origin.Rows, origin.Columns) != result.mask.shape:
        raise ImageFileError(
            f"{name}: it is {origin.Rows} x {origin.Columns}, but the mask is "
            f"{result.mask.shape[0]} x {result.mask.shape[1]}"
        )
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=f"busnet {info.network.name}",
        version=__version__,
        family=codes.DCM.ArtificialIntelligence,
    )
    segment = highdicom.seg.SegmentDescription(
        segment_number=1,
        segment_label="lesion",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        anatomic_regions=[codes.SCT.Breast],
    )
    segment.SegmentDescription = NOTICE
    made = highdicom.seg.Segmentation(
        source_images=[origin],
        pixel_array=result.mask[np.newaxis],
        segmentation_type="BINARY",
        segment_descriptions=[segment],
        series_instance_uid=highdicom.UID(),
        series_number=1,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="busnet",
        manufacturer_model_name=info.network.name,
        software_versions=__version__,
        device_serial_number="none",
        content_description=_DESCRIPTION,
        omit_empty_frames=False,
    )
    with atomic_write(path) as part:
        made.save_as(part)


def _origin(name: str) -> Any:
    """Return what may be known of the source: a data set of the allowed tags alone."""
    full = pydicom.dcmread(name, stop_before_pixels=True)
    origin = pydicom.Dataset()
    origin.file_meta = pydicom.dataset.FileMetaDataset()
    origin.file_meta.TransferSyntaxUID = full.file_meta.TransferSyntaxUID
    for keyword in _KEPT:
        if full.get(keyword) in (None, ""):
            raise ImageFileError(f"{name}: it has no {keyword} to refer to")
        setattr(origin, keyword, full.get(keyword))
    for keyword in _EMPTY:
        setattr(origin, keyword, "")
    origin.Modality = "US"
    return origin
