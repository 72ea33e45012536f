"""The folder of a comparison: what it compares, and where its files lie."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from busnet._io import PARTIAL, encodable, output_errors, write_text
from busnet.data import Case, Fold
from busnet.errors import DataError, OutputError

__all__ = ["CONVERTED", "Folder", "Task", "file_name", "name_part", "shorten"]

SETTINGS = "settings.json"

#: Bytes of a part of a file's name; a file system takes 255 for the whole.
_MAX_BYTES = 80

#: What ends the names of models that were converted for the comparison.
CONVERTED = "-converted"

#: Paths in the folder of a comparison of which nothing is finished, and the folder's.
_UNUSED = re.compile(
    rf"\.|settings\.json|folds\.csv|\.lock|speed\.json|comparison\.(html|md|json)"
    rf"|evaluations|models|models/[^/]+({CONVERTED}\.safetensors|\.lock)"
    rf"|(.+/)?{PARTIAL.pattern}"
)


@dataclasses.dataclass(frozen=True)
class Task:
    """A training and its evaluation on what it held out.

    Attributes
    ----------
    row
        Name of the row of the table that it is a part of.
    network
        Name of the network.
    fold
        What is held out.
    seed
        Seed of the training.
    weights, checkpoint, evaluation
        Its files; a file that exists is whole.
    """

    row: str
    network: str
    fold: Fold
    seed: int
    weights: Path
    checkpoint: Path
    evaluation: Path

    @property
    def name(self) -> str:
        """What messages call it."""
        part = "fold" if isinstance(self.fold, int) else "without"
        return f"{self.row}, {part} {self.fold}"

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.evaluation.exists() and self.weights.exists()


class Folder:
    """The folder of a comparison.

    Parameters
    ----------
    path
        The folder; it is made where it does not exist.
    settings
        What every training of the comparison depends on. A folder that was made with
        others is refused, and stays as it is.
    cases
        The cases with their folds, which ``folds.csv`` lists.

    Raises
    ------
    DataError
        If the folder holds a comparison with other settings.
    OutputError
        If it is a file, a folder with other files, or cannot be written.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, object], cases: Sequence[Case]
    ) -> None:
        self.path = path
        document = json.loads(json.dumps(settings))
        folds = encodable(_folds_csv(cases))
        self._check(document, folds)
        self._is_new = not (path / SETTINGS).exists()
        self._before = set(_contents(path)) if path.exists() else set()
        with output_errors(path):
            for name in ("models", "evaluations"):
                (path / name).mkdir(parents=True, exist_ok=True)
            # The settings are last: without them the folder holds no comparison.
            write_text(path / "folds.csv", folds)
            write_text(path / SETTINGS, json.dumps(document, indent=1) + "\n")

    def _check(self, settings: Mapping[str, object], folds: str) -> None:
        file = self.path / SETTINGS
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"{self.path}: it is a file, not a folder")
        if not file.exists():
            others = {"models", "evaluations", "folds.csv"}
            if self.path.is_dir() and {p.name for p in self.path.iterdir()} - others:
                raise OutputError(
                    f"{self.path}: the folder is not empty, and holds no comparison"
                )
            _check_folds(self.path / "folds.csv", folds)
            return
        try:
            before = dict(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{file}: cannot be read: {error}") from None
        for name, value in settings.items():
            if before.get(name) != value:
                raise DataError(
                    f"{self.path}: the folder holds a comparison with another {name} "
                    f"({shorten(before.get(name))}, not {shorten(value)}); give the "
                    f"same options again, or name another folder"
                )

    @contextlib.contextmanager
    def discarded_if_unused(self) -> Iterator[None]:
        """Remove a new comparison if the block fails before anything is finished.

        Then other settings can be given for the same folder. What was in it before
        stays, and so does what the comparison did not write.
        """
        try:
            yield
        except BaseException:
            if self._is_new and not any(map(_is_result, self._added())):
                for path in filter(self._is_own, self._added()):
                    with contextlib.suppress(OSError):  # a folder with other files
                        if path.is_dir():
                            path.rmdir()
                        else:
                            path.unlink()
            raise

    def _is_own(self, path: Path) -> bool:
        """Tell whether an unused comparison has such a file or folder."""
        name = path.relative_to(self.path).as_posix()
        return _UNUSED.fullmatch(name) is not None

    def _added(self) -> list[Path]:
        """Return what was not in the folder before, the deepest first."""
        return sorted(set(_contents(self.path)) - self._before, reverse=True)

    def task(self, row: str, network: str, fold: int | str, seed: int) -> Task:
        """Return a training of a row."""
        name = f"{file_name(network)}-{name_part(fold)}-seed{seed}"
        return Task(
            row=row,
            network=network,
            fold=fold,
            seed=seed,
            weights=self.path / "models" / f"{name}.safetensors",
            checkpoint=self.path / "models" / f"{name}.ckpt",
            evaluation=self.path / "evaluations" / f"{name}.json",
        )


def _contents(folder: Path) -> list[Path]:
    return [folder, *folder.rglob("*")]


def _is_result(path: Path) -> bool:
    """Tell whether a file in a comparison's folder took work: a training, say."""
    if PARTIAL.fullmatch(path.name):
        return False
    if path.parent.name == "models":
        is_converted = path.stem.endswith(CONVERTED)
        return path.suffix == ".ckpt" or (
            path.suffix == ".safetensors" and not is_converted
        )
    return path.parent.name == "evaluations" and path.suffix == ".json"


def file_name(name: str) -> str:
    """Return a name as a part of a file's name, of at most 80 bytes.

    A name that holds something else than letters, digits, dots, dashes and underscores,
    or is longer, gets a digest, so that different names stay different.
    """
    plain = re.sub(r"[^\w.-]+", "_", name)
    if plain == name and len(name.encode()) <= _MAX_BYTES:
        return name
    mark = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    cut = plain.encode()[: _MAX_BYTES - len(mark) - 1].decode(errors="ignore")
    return f"{cut}-{mark}"


def name_part(fold: int | str) -> str:
    """Return what is held out, a fold or a source, as a part of a file's name."""
    return f"fold{fold}" if isinstance(fold, int) else f"without-{file_name(fold)}"


def _check_folds(file: Path, folds: str) -> None:
    """Refuse to replace a table of folds that this comparison would not write."""
    if not os.path.lexists(file):
        return
    try:
        is_same = file.read_bytes() == folds.encode()
    except OSError:
        is_same = False
    if not is_same:
        raise OutputError(
            f"{file}: it would be replaced, and no comparison in this folder wrote it; "
            f"name another folder"
        )


def _folds_csv(cases: Sequence[Case]) -> str:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(("source", "image", "label", "group", "fold"))
    for case in cases:
        row = (case.source, case.name, case.label or "", case.group, case.fold)
        table.writerow(row)
    return text.getvalue()


def shorten(value: object) -> str:
    """Return a value as a message shows it."""
    if isinstance(value, Mapping):
        value = {k: v for k, v in value.items() if not isinstance(v, Mapping)}
    text = json.dumps(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
