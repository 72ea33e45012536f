"""What kind of object a DICOM file holds: ultrasound, or something else."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import UID

from busnet.errors import NotAnUltrasoundImageError

__all__ = ["check_object"]

_STORAGE = "1.2.840.10008.5.1.4.1.1."

#: Ultrasound, of one frame, of several, their retired predecessors, and volumes.
_ULTRASOUND = {_STORAGE + end for end in ("6.1", "3.1", "6", "3", "6.2")}

#: Secondary capture: screens, film scans, what software has written.
_SECONDARY = {_STORAGE + end for end in ("7", "7.1", "7.2", "7.3", "7.4")}

#: Modalities that do not contradict an ultrasound image: it, "other", none.
_OPEN = ("US", "OT", "")


def check_object(dataset: Dataset) -> tuple[str, ...]:
    """Check that a dataset is an ultrasound image, by its SOP class and modality.

    Returns
    -------
    tuple of str
        Notes, where it is not certain.

    Raises
    ------
    NotAnUltrasoundImageError
        If it is something else.
    """
    meta = getattr(dataset, "file_meta", None) or Dataset()
    uid = UID(
        str(dataset.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "")
    )
    modality = str(dataset.get("Modality") or "").strip().upper()
    known = uid.name != uid and not uid.is_private
    if uid in _ULTRASOUND:
        if modality not in _OPEN:
            raise NotAnUltrasoundImageError(
                f"it is {uid.name}, but its modality is {modality}, not US"
            )
        return ()
    if uid in _SECONDARY and modality in _OPEN:
        return (f"it is {uid.name}: what it shows may be more than one image",)
    if known and uid not in _SECONDARY:
        raise NotAnUltrasoundImageError(f"it is {uid.name}, no ultrasound image")
    if modality not in _OPEN:
        raise NotAnUltrasoundImageError(f"its modality is {modality}, not US")
    if modality == "US":
        return ()
    return ("neither its SOP class nor its modality says that it is ultrasound",)
