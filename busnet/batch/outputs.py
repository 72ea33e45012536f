"""What is written of a prediction: masks and pictures, each whole or not at all."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from PIL import Image

from busnet.batch.outcomes import Outcome, describe
from busnet.errors import BusnetError
from busnet._io import atomic_write
from busnet.images import is_dicom
from busnet.model_info import ModelInfo

__all__ = ["Outputs"]


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The files that a run writes beside its table.

    Attributes
    ----------
    folder
        The run's output folder: ``masks/``, ``overlays/`` and ``segmentations/`` are
        made in it as they are needed. None writes nothing.
    info
        What the model is.
    overlay
        Whether to draw the image with outlines, as PNG.
    nifti
        Whether to write the mask as NIfTI too (extra ``nifti``).
    dicom_seg
        Whether to write a DICOM segmentation of DICOM files of one frame (extra
        ``dicom``).
    """

    folder: Path | None
    info: ModelInfo
    overlay: bool = False
    nifti: bool = False
    dicom_seg: bool = False

    def __post_init__(self) -> None:
        """Find out now whether the extras are there."""
        if self.nifti:
            import busnet.export.nifti
        if self.dicom_seg:
            import busnet.export.dicom_seg  # noqa: F401

    def kinds(self) -> dict[str, bool]:
        """Return what is written beside masks, by name."""
        return {
            "overlay": self.overlay,
            "nifti": self.nifti,
            "dicom_seg": self.dicom_seg,
        }

    def record(self, outcome: Outcome) -> dict[str, Any]:
        """Write an outcome's files; return its document, which names them.

        Paths in it are relative to the folder. A file that cannot be written for what
        is in it makes the document one of an error.
        """
        try:
            return self._record(outcome)
        except BusnetError as error:
            return describe(dataclasses.replace(outcome, prediction=None, error=error))

    def _record(self, outcome: Outcome) -> dict[str, Any]:
        document, prediction = describe(outcome), outcome.prediction
        if prediction is None or self.folder is None:
            return document
        names = self._names(outcome)
        paths = {kind: self.folder / name for kind, name in names.items()}
        if "dicom_seg" in paths:
            from busnet.export.dicom_seg import save_segmentation

            save_segmentation(
                prediction, outcome.source.path, paths["dicom_seg"], self.info
            )
        if "nifti" in paths:
            from busnet.export.nifti import save_mask

            save_mask(paths["nifti"], prediction.mask, prediction.spacing)
        if "overlay" in paths:
            _save(prediction.picture(), paths["overlay"])
        _save(Image.fromarray(prediction.mask).convert("L"), paths["mask"])
        return {**document, **names}

    def _names(self, outcome: Outcome) -> dict[str, str]:
        """Return the names of an outcome's files below the folder, by kind."""
        names = {"mask": f"masks/{outcome.name}_mask.png"}
        if self.overlay:
            names["overlay"] = f"overlays/{outcome.name}_overlay.png"
        if self.nifti:
            names["nifti"] = f"masks/{outcome.name}_mask.nii.gz"
        still = outcome.frame is None
        if self.dicom_seg and still and is_dicom(outcome.source.path):
            names["dicom_seg"] = f"segmentations/{outcome.name}_seg.dcm"
        return names


def _save(image: Image.Image, path: Path) -> None:
    with atomic_write(path) as part:
        image.save(part)
