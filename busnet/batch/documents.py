"""Outcomes as documents: what JSON holds of a file."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from busnet._parallel import ordered_map
from busnet.batch.outcomes import PREFETCH, Outcome
from busnet.batch.sources import Source
from busnet.batch.text import encodable
from busnet.results import BENIGN, MALIGNANT

__all__ = ["KINDS", "Document", "describe", "files_of", "record_all", "summarise"]

#: What is known of a file or a frame, its pixels left out.
Document = dict[str, Any]

#: Keys of a document that holds no prediction.
ERROR, SKIPPED = "error", "skipped"

#: The kinds of files that are written of a prediction, by the key of a document, with
#: the folder and the ending of each.
KINDS = {
    "mask": ("masks", "_mask.png"),
    "nifti": ("masks", "_mask.nii.gz"),
    "overlay": ("overlays", "_overlay.png"),
    "dicom_seg": ("segmentations", "_seg.dcm"),
}


def files_of(document: Document) -> list[str]:
    """Return the files that a document names, relative to the output folder."""
    return [document[kind] for kind in KINDS if kind in document]


def describe(outcome: Outcome) -> Document:
    r"""Return what became of a file as JSON holds it; its pixels are not in it.

    Bytes of its name that are not UTF-8 are escaped, as in ``caf\xe9.png``.
    """
    file = encodable(outcome.source.path)
    if outcome.result is None:
        key = SKIPPED if outcome.is_skipped else ERROR
        document: Document = {"file": file, key: encodable(str(outcome.error))}
    else:
        document = {
            **outcome.result.as_dict(),
            "file": file,
        }
        if outcome.prediction is not None:
            document["consistent"] = outcome.prediction.consistent
    if outcome.frame is not None:
        document["frame"] = outcome.frame
    return document


def record_all(
    outcomes: Iterable[Outcome],
    record: Callable[[Outcome], Document],
    finish: Callable[[Source, list[Document]], None] | None = None,
    *,
    jobs: int = 1,
) -> Iterator[tuple[Source, list[Document]]]:
    """Yield each file with the documents of its frames, in order.

    A clip's summary stands behind its frames. What ``record`` raises is raised when
    the file's turn comes.

    Parameters
    ----------
    outcomes
        Of :func:`predict_files`.
    record
        Writes the outputs of an outcome and returns its document.
    finish
        Writes the outputs that belong to a whole file, given its documents, and may add
        to the last of them.
    jobs
        Threads that record while the next outcomes are computed.
    """
    recorded = ordered_map(record, outcomes, threads=jobs, prefetch=PREFETCH + jobs)
    for source, group in itertools.groupby(recorded, key=lambda item: item[0].source):
        documents = [document for _, document in group]
        if summary := summarise(documents):
            documents.append(summary)
        if finish is not None:
            finish(source, documents)
        yield source, documents


def summarise(documents: Sequence[Mapping[str, Any]]) -> Document | None:
    """Return the summary of a clip's frames, or None if they are of no clip.

    Its probabilities, and the uncertainty of an ensemble, are the frames' means; it
    names the frame whose malignancy is the highest. Lesions are in the documents of the
    frames. Where frames failed, a note says so.
    """
    frames = [d for d in documents if "frame" in d and "probabilities" in d]
    if not frames:
        return None
    names = list(frames[0]["probabilities"])
    means = {
        name: sum(d["probabilities"][name] for d in frames) / len(frames)
        for name in names
    }
    summary: Document = {
        "file": frames[0]["file"],
        "frame": "clip",
        "frames": len(frames),
        "label": max(means, key=lambda name: means[name]),
        "probabilities": means,
    }
    lesion = means.get(BENIGN, 0.0) + means.get(MALIGNANT, 0.0)
    if {BENIGN, MALIGNANT} <= means.keys() and lesion > 0:
        summary["malignancy_given_lesion"] = means[MALIGNANT] / lesion
    if MALIGNANT in means:
        worst = max(frames, key=lambda d: d["probabilities"][MALIGNANT])
        summary["most_malignant_frame"] = worst["frame"]
        summary["highest_malignancy"] = worst["probabilities"][MALIGNANT]
    if "uncertainty" in frames[0]:
        summary["uncertainty"] = sum(d["uncertainty"] for d in frames) / len(frames)
    if any(ERROR in document for document in documents):
        summary["notes"] = ["some frames failed; this is of the others"]
    return summary
