"""What is written of a prediction: masks and pictures, each whole or not at all."""

from __future__ import annotations

import dataclasses
import errno
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from busnet._io import atomic_write
from busnet.batch.documents import KINDS, Document, describe
from busnet.batch.outcomes import Outcome
from busnet.batch.png import save_png
from busnet.batch.sources import Source
from busnet.batch.text import encodable
from busnet.errors import ModelError
from busnet.images import is_dicom
from busnet.inference import PredictorInfo
from busnet.rendering import draw_compact
from busnet.results import Prediction, Segmentation

__all__ = ["Outputs"]

#: Errors that are about one file: of the system about its name, and busnet's own,
#: which have no number. Others are about the disk.
_FILE_ERRORS = (
    None,
    errno.ENAMETOOLONG,
    errno.EINVAL,
    errno.EILSEQ,
    errno.EISDIR,
)


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The files that a run writes beside its table.

    Attributes
    ----------
    folder
        The run's output folder: ``masks/``, ``overlays/`` and ``segmentations/`` are
        made in it as they are needed. None writes nothing.
    info
        What the model or the ensemble is.
    overlay
        Whether to draw the image with outlines, as PNG.
    nifti
        Whether to write the mask as NIfTI too (extra ``nifti``).
    dicom_seg
        Whether to write a DICOM segmentation of DICOM files (extra ``dicom``).
    """

    folder: Path | None
    info: PredictorInfo
    overlay: bool = False
    nifti: bool = False
    dicom_seg: bool = False

    def __post_init__(self) -> None:
        """Find out now whether there are masks, and the extras."""
        if (self.nifti or self.dicom_seg) and "mask" not in self.info.heads:
            kind = "NIfTI" if self.nifti else "DICOM segmentations"
            raise ModelError(f"the model has no mask head, so there is no {kind}")
        if self.nifti:
            import busnet.export.nifti
        if self.dicom_seg:
            import busnet.export.dicom_seg  # noqa: F401

    def kinds(self) -> list[str]:
        """Return the kinds of files that are written."""
        mask = ["mask"] if "mask" in self.info.heads else []
        return [*mask, *(kind for kind in KINDS if getattr(self, kind, False))]

    def record(self, outcome: Outcome) -> Document:
        """Write an outcome's files; return its document, which names them.

        Paths in it are relative to the folder. A file that cannot be written for what
        is in it, or for its name, is listed under ``"unwritten"`` with the reason; an
        error of the disk is raised.
        """
        document, result = describe(outcome), outcome.result
        if result is None or self.folder is None:
            return document
        writers: dict[str, Callable[[Path], None]] = {}
        if (prediction := outcome.prediction) is not None:
            writers |= self._mask_writers(outcome, prediction)
        if self.overlay:
            mask = result.mask if isinstance(result, Segmentation) else None
            drawn = functools.partial(draw_compact, result.image, mask)
            writers["overlay"] = lambda path: save_png(path, drawn())
        for kind, write in writers.items():
            self._write(document, kind, outcome.name, write)
        return document

    def _mask_writers(
        self, outcome: Outcome, prediction: Prediction
    ) -> dict[str, Callable[[Path], None]]:
        """Return what writes the files of a mask, by their kind."""
        writers: dict[str, Callable[[Path], None]] = {
            "mask": lambda path: _save_mask(prediction, path)
        }
        if self.nifti:
            writers["nifti"] = lambda path: _save_nifti(prediction, path)
        still = outcome.frame is None
        if self.dicom_seg and still and is_dicom(outcome.source.path):
            writers["dicom_seg"] = lambda path: self._save_segmentation(
                outcome.source, prediction.mask[np.newaxis], path
            )
        return writers

    def finish(self, source: Source, documents: list[Document]) -> None:
        """Write what belongs to a clip as a whole: its DICOM segmentation.

        The last document, the clip's summary, gets its name or why there is none.
        """
        clip = documents[-1]
        if not (self.dicom_seg and self.folder and clip.get("frame") == "clip"):
            return
        if not is_dicom(source.path):
            return
        folder, frames = self.folder, documents[:-1]

        def write(path: Path) -> None:
            missing = [d for d in frames if "mask" not in d]
            if missing:
                raise ValueError(f"{len(missing)} frames have no mask")
            masks = [np.asarray(Image.open(folder / d["mask"])) != 0 for d in frames]
            self._save_segmentation(source, np.stack(masks), path)

        self._write(clip, "dicom_seg", source.name, write)

    def checked(self, document: Document) -> Document:
        """Return a document of another machine with the files that are here alone.

        The others are listed under ``"unwritten"``.
        """
        if self.folder is None:
            return document
        missing = {
            kind: document[kind]
            for kind in KINDS
            if kind in document and not (self.folder / document[kind]).is_file()
        }
        if not missing:
            return document
        reasons = [
            f"no {kind}: {file} is not in {encodable(self.folder)}: the worker that "
            f"wrote it has another folder of this name"
            for kind, file in missing.items()
        ]
        present = {key: x for key, x in document.items() if key not in missing}
        return {**present, "unwritten": [*document.get("unwritten", []), *reasons]}

    def _write(
        self, document: Document, kind: str, name: str, write: Callable[[Path], None]
    ) -> None:
        """Write one file, and note in the document what became of it."""
        assert self.folder is not None
        folder, ending = KINDS[kind]
        relative = f"{folder}/{name}{ending}"
        try:
            write(self.folder / relative)
        except Exception as error:
            if isinstance(error, OSError) and error.errno not in _FILE_ERRORS:
                raise
            reason = encodable(str(error)) or type(error).__name__
            document.setdefault("unwritten", []).append(f"no {kind}: {reason}")
        else:
            document[kind] = relative

    def _save_segmentation(self, source: Source, masks: Any, path: Path) -> None:
        from busnet.export.dicom_seg import save_segmentation

        save_segmentation(masks, source.path, path, self.info.network_name)


def _save_mask(prediction: Prediction, path: Path) -> None:
    with atomic_write(path) as part:
        Image.fromarray(prediction.mask).convert("L").save(part)


def _save_nifti(prediction: Prediction, path: Path) -> None:
    from busnet.export.nifti import save_mask

    save_mask(path, prediction.mask, prediction.spacing)
