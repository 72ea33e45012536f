"""A run into a folder: what is done is not done again, what is old does not stay."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from busnet._io import (
    atomic_write,
    check_target,
    file_sha256,
    locked,
    output_errors,
    remove_partial_files,
    write_text,
)
from busnet.batch.documents import ERROR, KINDS, Document, files_of
from busnet.batch.gallery import write_gallery
from busnet.batch.journal import Journal
from busnet.batch.outputs import Outputs
from busnet.batch.sources import Source
from busnet.batch.table import FORMATS, Table
from busnet.errors import OutputError
from busnet.images.names import OUTPUT_FOLDERS, RECORD
from busnet.inference.predictor import Predictor
from busnet.results import NOTICE
from busnet.version import __version__

__all__ = ["Settings", "predict_into", "settings_of"]

#: What outputs depend on, by name.
Settings = Mapping[str, Any]

#: A source with the documents of its frames.
Recorded = tuple[Source, list[Document]]

#: Computes and records sources, in order: this process does, or a cluster.
Work = Callable[[Iterable[Source]], Iterable[Recorded]]

#: Passes recorded sources on, given their number, and shows progress.
Track = Callable[[Iterable[Recorded], int], Iterable[Recorded]]

#: The files of a run beside its masks and pictures.
GALLERY = "gallery.html"
TABLES = tuple(f"predictions.{form}" for form in FORMATS)

#: What the name of a frame adds to that of its clip.
_FRAME = re.compile(r"_frame\d{4,}$")


def settings_of(model: Predictor, **options: Any) -> Settings:
    """Return what outputs depend on: the model, busnet's version, and options."""
    digests = [file_sha256(session.path) for session in model.sessions]
    return {
        "busnet": __version__,
        "model": model.name,
        "weights_sha256": " ".join(digests),
        "precision": model.precision,
        **options,
    }


def predict_into(
    folder: Path,
    sources: Sequence[Source],
    work: Work,
    outputs: Outputs,
    settings: Settings,
    *,
    form: str = "csv",
    gallery: bool = False,
    say: Callable[[str], None] = lambda message: None,
    track: Track = lambda items, total: items,
) -> Table:
    """Predict files and write table, masks and pictures into a folder.

    A run that was stopped goes on where it was when it is started again with the same
    settings. When a run ends, the folder holds what it wrote, and no longer what an
    earlier run wrote there. Files that no run of busnet wrote are never replaced.

    Parameters
    ----------
    folder
        The output folder; created where it is missing.
    sources
        The files.
    work
        Predicts sources and records them in ``outputs``.
    outputs
        What is written of a prediction.
    settings
        What outputs depend on; see :func:`settings_of`.
    form
        Form of the table, a key of :data:`busnet.batch.table.FORMATS`.
    gallery
        Whether to write a page of the overlays.
    say
        Called with each line for the user.
    track
        Passes items on, given their number, and shows progress.

    Returns
    -------
    Table
        What was written.

    Raises
    ------
    OutputError
        If another run is writing there, a file would be replaced that no run wrote, or
        the folder cannot be written to.
    OSError
        If the disk fails.
    """
    check_target(folder / RECORD)
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, f"{folder}: another run is writing there"):
        remove_partial_files(folder)
        record = _Record.read(folder)
        if not (folder / Journal.NAME).exists():
            tables = [f"predictions.{form}", *([GALLERY] if gallery else [])]
            _check_nothing_in_the_way(folder, record, sources, tables)
        journal = Journal(folder, settings)
        finished = False
        try:
            begun = {f for f in _present(folder) if _base_name(f) in journal.begun}
            record = record.with_files(journal.discarded | begun)
            record.announce(folder, settings, say)
            documents = _predict_all(sources, work, journal, say, track)
            table = Table(
                outputs.info, (d for source in sources for d in documents[source])
            )
            written = _write_tables(folder, table, form, gallery=gallery)
            written |= {file for d in table.documents for file in files_of(d)}
            record.replace(folder, settings, written, say)
            finished = True
        finally:
            journal.close(finished=finished)
    return table


def _predict_all(
    sources: Sequence[Source],
    work: Work,
    journal: Journal,
    say: Callable[[str], None],
    track: Track,
) -> dict[Source, list[Document]]:
    """Predict what the journal lacks, and return the documents of all sources."""
    documents = {s: done for s in sources if (done := journal.find(s))}
    if documents:
        say(f"{len(documents)} files were done before")
    rest = [source for source in sources if source not in documents]

    def begun() -> Iterator[Source]:
        for source in rest:
            journal.begin(source)
            yield source

    for source, described in track(work(begun()), len(rest)):
        documents[source] = described
        if not any(ERROR in d or "unwritten" in d for d in described):
            journal.add(source, described)
    return documents


def _write_tables(folder: Path, table: Table, form: str, *, gallery: bool) -> set[str]:
    """Write table and gallery, and return their names."""
    name = f"predictions.{form}"
    with (
        atomic_write(folder / name) as part,
        part.open("w", newline="", encoding="utf-8") as file,
    ):
        table.write(file, form)
    if not gallery:
        return {name}
    write_gallery(folder / GALLERY, table)
    return {name, GALLERY}


@dataclasses.dataclass(frozen=True)
class _Record:
    """What the folder holds of an earlier run, or of several.

    Attributes
    ----------
    settings
        Those of the last run that ended; empty if there was none.
    files
        Files that runs wrote, relative to the folder.
    """

    settings: Settings = dataclasses.field(default_factory=dict)
    files: frozenset[str] = frozenset()

    @classmethod
    def read(cls, folder: Path) -> _Record:
        """Return the record of a folder; an empty one where there is none."""
        try:
            document = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            files = frozenset(filter(_is_output, document["files"]))
            return cls(dict(document["settings"]), files)
        except FileNotFoundError:
            return cls()
        except (ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f"{folder / RECORD}: it is damaged ({error}); choose another folder, "
                f"or empty this one"
            ) from None

    def with_files(self, files: Iterable[str]) -> _Record:
        """Return the record with more files."""
        return dataclasses.replace(
            self, files=self.files.union(filter(_is_output, files))
        )

    def announce(
        self, folder: Path, settings: Settings, say: Callable[[str], None]
    ) -> None:
        """Say what is replaced; tables of other settings go before masks change."""
        if not self.files:
            return
        present = [f for f in sorted(self.files) if (folder / f).exists()]
        tables = [f for f in present if f in (*TABLES, GALLERY)]
        changes = _changes(self.settings, settings)
        reason = f" with {changes}" if changes else ""
        named = ", ".join([*tables, f"{len(present) - len(tables)} other files"])
        say(f"{folder}: an earlier run{reason} is replaced: {named}")
        if changes:
            self._write(folder)  # what it wrote is known whatever becomes of this run
            for name in tables:
                (folder / name).unlink(missing_ok=True)

    def replace(
        self,
        folder: Path,
        settings: Settings,
        written: set[str],
        say: Callable[[str], None],
    ) -> None:
        """Remove what earlier runs wrote and this one did not, and take its place."""
        old = [f for f in sorted(self.files - written) if (folder / f).is_file()]
        for name in old:
            (folder / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                for parent in PurePosixPath(name).parents[:-1]:
                    (folder / parent).rmdir()  # as far as they are empty
        if old:
            say(f"removed {len(old)} files of an earlier run that this one has not")
        _Record(settings, frozenset(written))._write(folder)

    def _write(self, folder: Path) -> None:
        document = {
            "notice": NOTICE,
            "settings": self.settings,
            "files": sorted(self.files),
        }
        write_text(folder / RECORD, json.dumps(document, indent=1) + "\n")


def _is_output(name: Any) -> bool:
    """Tell whether a name is one that runs give, and not one outside the folder."""
    if not isinstance(name, str) or "\0" in name:
        return False
    path = PurePosixPath(name)
    inside = path.parts[:1] and path.parts[0] in OUTPUT_FOLDERS
    return name in (*TABLES, GALLERY) or (bool(inside) and ".." not in path.parts)


def _changes(old: Settings, new: Settings) -> str:
    """Return how the settings of an earlier run differ, as text."""
    names = [n for n in {**old, **new} if old.get(n) != new.get(n)]
    if "model" in names and "weights_sha256" in names:
        names.remove("weights_sha256")
    return ", ".join(f"{name} {_text(old.get(name))}" for name in names)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _check_nothing_in_the_way(
    folder: Path, record: _Record, sources: Sequence[Source], tables: Sequence[str]
) -> None:
    """Refuse to replace files that no run of busnet wrote."""
    names = {source.name for source in sources}
    foreign = [
        file
        for file in _present(folder)
        if file not in record.files and _base_name(file) in names
    ]
    foreign += [
        name
        for name in tables
        if name not in record.files and os.path.lexists(folder / name)
    ]
    if foreign:
        raise OutputError(
            f"{folder / foreign[0]}: it is in the way, and no run of busnet into "
            f"{folder} wrote it ({len(foreign)} such files); choose another folder"
        )


def _present(folder: Path) -> Iterator[str]:
    """Yield what is in the folders of masks and pictures, relative to the folder."""
    for name in sorted(OUTPUT_FOLDERS):
        for path, _, files in os.walk(folder / name):
            for file in files:
                yield (Path(path) / file).relative_to(folder).as_posix()


def _base_name(file: str) -> str:
    """Return the name of the source that an output may be of."""
    for folder, ending in KINDS.values():
        if file.startswith(f"{folder}/") and file.endswith(ending):
            name = file.removeprefix(f"{folder}/").removesuffix(ending)
            return _FRAME.sub("", name)
    return ""
