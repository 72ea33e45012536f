"""Masks as DICOM segmentations (the extra ``busnet[dicom]``).

Of the source only what ties the segmentation to it is taken over: its UIDs and its
size. Names, dates and numbers of the patient are left empty.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from busnet._io import atomic_write
from busnet.errors import ImageFileError, requires_extra
from busnet.results import NOTICE
from busnet.version import __version__

with requires_extra("dicom"):
    import highdicom
    import pydicom
    from pydicom.sr.codedict import codes
    from pydicom.uid import UltrasoundImageStorage

__all__ = ["save_segmentation"]

#: What a segmentation needs to know of its source.
_REQUIRED = (
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

#: The dimension along which frames of a clip follow each other: the tag of
#: TemporalPositionIndex, and of the functional group that has it.
_TIME = (0x0020_9128, 0x0020_9111)


def save_segmentation(
    masks: npt.NDArray[np.bool_],
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    network: str,
) -> None:
    """Write masks as a DICOM segmentation of the image that they were computed from.

    Of any SOP class, retired and private ones included. A frame of a source that may
    have several is referred to by its number.

    Parameters
    ----------
    masks
        The lesions of each frame of the source, (N, H, W), of the source's size.
    source
        The DICOM file.
    path
        Where to.
    network
        Name of the network, which the file says.

    Raises
    ------
    ImageFileError
        If the source cannot be read, has not the UIDs that a reference needs, or has
        another size or number of frames.
    """
    name = os.fspath(source)
    origin = _read_origin(name)
    _check_shape(name, origin, masks.shape)
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=f"busnet {network}",
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
    segmentation = highdicom.seg.Segmentation(
        source_images=[_single_frame(origin)],
        pixel_array=masks[:1],
        segmentation_type="BINARY",
        segment_descriptions=[segment],
        series_instance_uid=highdicom.UID(),
        series_number=1,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="busnet",
        manufacturer_model_name=network,
        software_versions=__version__,
        device_serial_number="none",
        content_description=_DESCRIPTION,
        omit_empty_frames=False,
    )
    _refer_to(segmentation, origin)
    if "NumberOfFrames" in origin or len(masks) > 1:
        _set_frames(segmentation, masks)
    with atomic_write(path) as part:
        segmentation.save_as(part)


def _read_origin(name: str) -> Any:
    """Return what may be known of the source: a data set of the allowed tags alone."""
    try:
        full = pydicom.dcmread(name, stop_before_pixels=True, force=True)
    except Exception as error:
        raise ImageFileError(f"{name}: cannot be read as DICOM: {error}") from error
    origin = pydicom.Dataset()
    origin.file_meta = pydicom.dataset.FileMetaDataset()
    origin.file_meta.TransferSyntaxUID = full.file_meta.get("TransferSyntaxUID")
    for keyword in _REQUIRED:
        if full.get(keyword) in (None, ""):
            raise ImageFileError(f"{name}: it has no {keyword} to refer to")
        setattr(origin, keyword, full.get(keyword))
    if full.get("NumberOfFrames"):
        origin.NumberOfFrames = full.NumberOfFrames
    for keyword in _EMPTY:
        setattr(origin, keyword, "")
    origin.Modality = "US"
    return origin


def _check_shape(name: str, origin: Any, shape: tuple[int, ...]) -> None:
    count, *size = shape
    if [origin.Rows, origin.Columns] != size:
        raise ImageFileError(
            f"{name}: it is {origin.Rows} x {origin.Columns}, but the mask is "
            f"{size[0]} x {size[1]}"
        )
    if origin.get("NumberOfFrames", count) != count:
        raise ImageFileError(
            f"{name}: it has {origin.NumberOfFrames} frames, not the {count} of the "
            f"masks"
        )


def _single_frame(origin: Any) -> Any:
    """Return the source as an ultrasound image of one frame.

    highdicom knows no retired and no private SOP classes, and of clips without a frame
    of reference, as ultrasound is, it takes one frame.
    """
    single = copy.deepcopy(origin)
    single.SOPClassUID = UltrasoundImageStorage
    if "NumberOfFrames" in single:
        del single.NumberOfFrames
    return single


def _refer_to(segmentation: Any, origin: Any) -> None:
    """Let all references to the source name its own SOP class."""
    for item in _items(segmentation):
        if item.get("ReferencedSOPInstanceUID") == origin.SOPInstanceUID:
            item.ReferencedSOPClassUID = origin.SOPClassUID


def _items(dataset: Any) -> Iterator[Any]:
    """Yield every item of every sequence, to any depth."""
    for element in dataset:
        for item in element.value if element.VR == "SQ" else ():
            yield item
            yield from _items(item)


def _set_frames(segmentation: Any, masks: npt.NDArray[np.bool_]) -> None:
    """Give a segmentation of one frame a frame for each mask, in the source's order."""
    (first,) = segmentation.PerFrameFunctionalGroupsSequence
    frames = []
    for number in range(1, len(masks) + 1):
        frame = copy.deepcopy(first)
        (content,) = frame.FrameContentSequence
        content.DimensionIndexValues = [1, number]
        content.TemporalPositionIndex = number
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        source.ReferencedFrameNumber = number
        frames.append(frame)
    segmentation.PerFrameFunctionalGroupsSequence = frames
    dimension = copy.deepcopy(segmentation.DimensionIndexSequence[0])
    dimension.DimensionIndexPointer, dimension.FunctionalGroupPointer = _TIME
    dimension.DimensionDescriptionLabel = "Temporal Position Index"
    segmentation.DimensionIndexSequence.append(dimension)
    segmentation.NumberOfFrames = len(masks)
    # Bits of frames follow each other without gaps (PS3.5, 8.1.1), in even bytes.
    packed = np.packbits(masks, axis=None, bitorder="little").tobytes()
    segmentation.PixelData = packed + b"\0" * (len(packed) % 2)
