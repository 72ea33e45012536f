"""The journal of a run, by which the next one knows what is done."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from busnet.batch.sources import Source
from busnet._io import atomic_write

__all__ = ["Journal"]


class Journal:
    """What a run has finished, so that the next one need not do it again.

    A line is added when a file's outputs are whole. A line counts as long as the file
    has the same size and time, and the run the same settings. It is removed when the
    run ends.

    Parameters
    ----------
    folder
        The run's output folder.
    settings
        What outputs depend on; a journal of other settings is thrown away.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._path = folder / ".predictions.journal"
        self._done: dict[str, dict[str, Any]] = {}
        header = json.dumps(settings, sort_keys=True)
        lines = self._read()
        if lines and lines[0] == header:
            for line in lines[1:]:
                try:
                    entry = json.loads(line)
                except ValueError:
                    break  # torn by the end of the run that wrote it
                self._done[entry["file"]] = entry
        folder.mkdir(parents=True, exist_ok=True)
        # Written anew, so that nothing is appended to a torn line.
        with atomic_write(self._path) as part, part.open("w", encoding="utf-8") as file:
            file.write(header + "\n")
            for entry in self._done.values():
                file.write(json.dumps(entry) + "\n")
        self._file = self._path.open("a", encoding="utf-8")

    def _read(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def find(self, source: Source) -> list[dict[str, Any]]:
        """Return the documents of a file that is done and has not changed, or none."""
        entry = self._done.get(os.fspath(source.path))
        if entry is None or not entry["stamp"] or entry["stamp"] != _stamp(source):
            return []
        documents: list[dict[str, Any]] = entry["documents"]
        return documents

    def add(self, source: Source, documents: Sequence[dict[str, Any]]) -> None:
        """Note that a file's outputs are whole."""
        entry = {
            "file": os.fspath(source.path),
            "stamp": _stamp(source),
            "documents": documents,
        }
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def close(self, *, finished: bool) -> None:
        """Close the journal, and remove it if the run came to its end."""
        self._file.close()
        if finished:
            self._path.unlink(missing_ok=True)


def _stamp(source: Source) -> list[int]:
    """Return size and time of a file; a file that has vanished has none."""
    try:
        status = source.path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
