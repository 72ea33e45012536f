"""The journal of a run, by which the next one knows what is done."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from busnet._io import atomic_write, encodable
from busnet.batch.documents import Document, files_of
from busnet.batch.sources import Source
from busnet.images.names import JOURNAL

__all__ = ["Journal"]

#: What tells one state of a file from another: size and times.
Stamp = list[int]


class Journal:
    """What a run has finished, so that the next one need not do it again.

    A line is added when a file's outputs are whole. A line counts as long as the file
    has the same size and times and the same name for its outputs, the outputs exist,
    and the run has the same settings. The journal is removed when the run ends.

    Parameters
    ----------
    folder
        The run's output folder.
    settings
        What outputs depend on; lines of other settings do not count.

    Attributes
    ----------
    discarded
        Files that a run with other settings wrote.
    begun
        Names of outputs that the run before may have begun to write.
    """

    NAME = JOURNAL

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._folder = folder
        self._path = folder / self.NAME
        self._stamps: dict[Source, Stamp] = {}
        header = json.dumps(settings, sort_keys=True)
        lines = self._read_lines()
        entries = list(_entries(lines[1:]))
        done = {e["file"]: e for e in entries if "documents" in e}
        resumes = bool(lines) and lines[0] == header
        self._done = done if resumes else {}
        self.discarded = {
            file
            for entry in ({} if resumes else done).values()
            for document in entry["documents"]
            for file in files_of(document)
        }
        self.begun = {e["begun"] for e in entries if "begun" in e}
        # Written anew, so that nothing is appended to a torn line.
        with atomic_write(self._path) as part, part.open("w", encoding="utf-8") as file:
            file.write(header + "\n")
            for name in self.begun if resumes else ():
                file.write(json.dumps({"begun": name}) + "\n")
            for entry in self._done.values():
                file.write(json.dumps(entry) + "\n")
        self._file = self._path.open("a", encoding="utf-8")

    def _read_lines(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8", errors="replace").split("\n")
        except FileNotFoundError:
            return []

    def find(self, source: Source) -> list[Document]:
        """Return the documents of a file that is done and has not changed, or none.

        They call it as it is called now, which may be from another folder.
        """
        entry = self._done.get(_key(source))
        if entry is None or entry["name"] != source.name or not entry["stamp"]:
            return []
        documents: list[Document] = entry["documents"]
        outputs = [self._folder / file for d in documents for file in files_of(d)]
        if entry["stamp"] != _stamp(source) or not all(map(os.path.exists, outputs)):
            return []
        return [{**d, "file": encodable(source.path)} for d in documents]

    def begin(self, source: Source) -> None:
        """Note a file, and the state that it is in, before it is read."""
        self._stamps[source] = _stamp(source)
        self._write({"begun": source.name})

    def add(self, source: Source, documents: Sequence[Document]) -> None:
        """Note that a file's outputs are whole."""
        entry = {
            "file": _key(source),
            "name": source.name,
            "stamp": self._stamps.pop(source, []),
            "documents": documents,
        }
        self._write(entry)

    def _write(self, entry: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def close(self, *, finished: bool) -> None:
        """Close the journal, and remove it if the run came to its end."""
        self._file.close()
        if finished:
            self._path.unlink(missing_ok=True)


def _entries(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the entries of whole lines; the end of a run may have torn the last."""
    for line in lines:
        entry = None
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
        if not isinstance(entry, dict) or not entry.keys() & {"documents", "begun"}:
            return
        yield entry


def _key(source: Source) -> str:
    return os.path.abspath(source.path)


def _stamp(source: Source) -> Stamp:
    """Return size and times of a file; a file that has vanished has none."""
    try:
        status = source.path.stat()
    except (OSError, ValueError):
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
