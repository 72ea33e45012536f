"""An evaluation: scores, figures and everything that must be said beside them."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
from collections.abc import Mapping
from typing import Any

from busnet.data import CLASSES, get_protocol
from busnet.errors import DataError
from busnet.evaluation.intervals import Interval, intervals
from busnet.evaluation.metrics import confusion
from busnet.evaluation.scores import CaseScore, Scores
from busnet.results import NOTICE
from busnet.version import __version__
from busnet.model_info import ModelInfo

__all__ = ["Evaluation", "evaluate", "read_evaluation", "to_csv"]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What was evaluated on what, and how it came out.

    Attributes
    ----------
    model
        Name of the model, as it was given.
    network
        Name of its network's row.
    provenance
        Where its weights came from.
    protocol, fold
        What it was evaluated on; fold None is all of it.
    leak
        Why the figures are too good to be true, or "".
    scores
        Every case.
    figures
        Every figure with its interval.
    """

    model: str
    network: str
    provenance: Mapping[str, Any]
    protocol: str
    fold: int | None
    leak: str
    scores: Scores
    figures: Mapping[str, Interval]

    @property
    def title(self) -> str:
        """One line that says what this is."""
        part = f", fold {self.fold}" if self.fold is not None else ""
        return f"{self.network} on {self.protocol}{part}"

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON holds it; what is not defined is null."""
        document: dict[str, Any] = {
            "notice": NOTICE,
            "busnet": __version__,
            "model": self.model,
            "network": self.network,
            "provenance": dict(self.provenance),
            "protocol": self.protocol,
            "description": get_protocol(self.protocol).description,
            "fold": self.fold,
            "leaky": bool(self.leak),
            "leak": self.leak,
            "figures": {
                name: [_number(x) for x in (i.value, i.low, i.high)]
                for name, i in self.figures.items()
            },
        }
        if self.scores.classifies:
            document["classes"] = list(CLASSES)
            document["confusion"] = confusion(self.scores).astype(int).tolist()
        document["cases"] = [dataclasses.asdict(case) for case in self.scores]
        return document

    def to_json(self) -> str:
        """Return the JSON text, one line a case."""
        document = self.as_dict()
        cases = document.pop("cases")
        head = json.dumps(document, indent=1)[:-2]
        rows = ",\n  ".join(json.dumps(case) for case in cases)
        return f'{head},\n "cases": [\n  {rows}\n ]\n}}\n'


def to_csv(evaluation: Evaluation) -> str:
    """Return a CSV table with a line for each case."""
    buffer = io.StringIO()
    fields = [
        f.name for f in dataclasses.fields(CaseScore) if f.name != "probabilities"
    ]
    shares = [f"p_{name}" for name in CLASSES] if evaluation.scores.classifies else []
    writer = csv.writer(buffer)
    writer.writerow([*fields, *shares])
    for case in evaluation.scores:
        writer.writerow(
            [*(getattr(case, field) for field in fields), *case.probabilities]
        )
    return buffer.getvalue()


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def evaluate(
    info: ModelInfo,
    scores: Scores,
    *,
    model: str,
    name: str,
    fold: int | None,
    leak: str = "",
    bootstrap: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Compute the figures of scores.

    Parameters
    ----------
    info
        The model that they are of.
    scores
        From :func:`busnet.evaluation.scores.score_cases`.
    model
        Name to print.
    name, fold
        Protocol and fold of the cases.
    leak
        From :func:`busnet.evaluation.leakage.check_unseen`.
    bootstrap, seed
        Number of bootstrap draws and their seed.
    """
    return Evaluation(
        model=model,
        network=info.network.name,
        provenance=info.provenance,
        protocol=name,
        fold=fold,
        leak=leak,
        scores=scores,
        figures=intervals(scores, count=bootstrap, seed=seed),
    )


def read_evaluation(path: str | os.PathLike[str]) -> Evaluation:
    """Read the JSON of an evaluation.

    Raises
    ------
    DataError
        If it is none.
    """
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        return Evaluation(
            scores=Scores(CaseScore.from_json(case) for case in document["cases"]),
            figures={
                name: Interval(*(math.nan if x is None else float(x) for x in values))
                for name, values in document["figures"].items()
            },
            **{
                key: document[key]
                for key in (
                    "model",
                    "network",
                    "provenance",
                    "protocol",
                    "fold",
                    "leak",
                )
            },
        )
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: it is no evaluation of busnet's: {error}") from None
