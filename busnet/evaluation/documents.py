"""Evaluations as files: JSON, a table of cases, a table of figures."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import TypeVar

from busnet.data import PROTOCOLS, get_protocol
from busnet.errors import DataError
from busnet.evaluation.comparison import Comparison
from busnet.evaluation.evaluation import Evaluation
from busnet.evaluation.intervals import Interval
from busnet.evaluation.leakage import is_leaky
from busnet.evaluation.metrics import confusion
from busnet.evaluation.scores import CaseScore, Scores
from busnet.evaluation.scoring import CaseFailure
from busnet.evaluation.strata import Stratum
from busnet.results import NOTICE
from busnet.version import __version__

__all__ = [
    "cases_to_csv",
    "comparison_to_json",
    "evaluation_to_json",
    "figures_to_csv",
    "read_evaluation",
]

#: Stratum of the figures of all cases.
ALL = "all"

Rounded = list[float | None]

T = TypeVar("T")


def evaluation_to_json(evaluation: Evaluation) -> str:
    """Return the JSON text of an evaluation, one line a figure, stratum or case.

    A figure is its value and the ends of its interval; what is not defined is null, as
    is whether it leaks where it is unknown what the model was trained on.
    """
    head: dict[str, object] = {
        "notice": NOTICE,
        "busnet": __version__,
        "model": evaluation.model,
        "network": evaluation.network,
        "provenance": dict(evaluation.provenance),
        "protocol": evaluation.protocol,
        "description": get_protocol(evaluation.protocol).description,
        "fold": evaluation.fold,
        "sources": list(evaluation.sources),
        "average": "macro over sources" if evaluation.macro else "over cases",
        "prior": None if evaluation.prior is None else dict(evaluation.prior),
        "leaky": is_leaky(evaluation.leak, evaluation.provenance),
        "leak": evaluation.leak,
        "notes": list(evaluation.notes),
        "counts": evaluation.counts,
    }
    if evaluation.scores.classifies:
        head["classes"] = list(evaluation.scores.classes)
        head["confusion"] = confusion(evaluation.scores).tolist()
    blocks = {
        "figures": _block(_round(evaluation.figures)),
        "strata": _block(_stratum_document(stratum) for stratum in evaluation.strata),
        "failures": _block(map(dataclasses.asdict, evaluation.failures)),
        "cases": _block(map(_case_document, evaluation.scores)),
    }
    return _document(head, blocks)


def comparison_to_json(comparison: Comparison) -> str:
    """Return the JSON text of a comparison, one line a figure."""
    head: dict[str, object] = {
        "notice": NOTICE,
        "busnet": __version__,
        "first": comparison.first,
        "second": comparison.second,
        "prior": None if comparison.prior is None else dict(comparison.prior),
        "leaky": comparison.leaky,
        "leak": comparison.leak,
        "notes": list(comparison.notes),
    }
    return _document(head, {"differences": _block(_round(comparison.differences))})


def cases_to_csv(evaluation: Evaluation) -> str:
    """Return a CSV table with a line for each case."""
    fields = [field.name for field in dataclasses.fields(CaseScore)]
    left_out = ["probabilities", "attributes"]
    if all(case.uncertainty is None for case in evaluation.scores):
        left_out.append("uncertainty")
    for name in left_out:
        fields.remove(name)
    shares = [
        f"p_{name}"
        for name in evaluation.scores.classes
        if evaluation.scores[0].probabilities
    ]
    attributes = sorted(
        {name for case in evaluation.scores for name in case.attributes}
    )
    rows: list[list[object]] = [[*fields, *shares, *attributes, "prior", "leak"]]
    for case in evaluation.scores:
        rows.append(
            [
                *(getattr(case, field) for field in fields),
                *case.probabilities,
                *(case.attributes.get(name, "") for name in attributes),
                evaluation.prior_text,
                evaluation.leak,
            ]
        )
    return _csv(rows)


def figures_to_csv(evaluation: Evaluation) -> str:
    """Return a CSV table with a line for each figure of all cases and each stratum."""
    rows: list[list[object]] = [
        [
            "kind",
            "stratum",
            "images",
            "groups",
            "small",
            "figure",
            "value",
            "low",
            "high",
            "prior",
            "leak",
        ]
    ]
    counts = evaluation.counts
    whole = Stratum(ALL, ALL, counts["images"], counts["groups"], evaluation.figures)
    for stratum in (whole, *evaluation.strata):
        for name, interval in stratum.figures.items():
            numbers = ["" if x is None else x for x in interval.rounded]
            rows.append(
                [
                    stratum.kind,
                    stratum.name,
                    stratum.images,
                    stratum.groups,
                    stratum.is_small,
                    name,
                    *numbers,
                    evaluation.prior_text,
                    evaluation.leak,
                ]
            )
    return _csv(rows)


def read_evaluation(path: str | os.PathLike[str]) -> Evaluation:
    """Read the JSON of an evaluation.

    Raises
    ------
    DataError
        If it cannot be read, or is not an evaluation.
    """
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        prior = document.get("prior")
        return Evaluation(
            model=_field(document, "model", str),
            network=_field(document, "network", str),
            provenance=_field(document, "provenance", dict),
            protocol=_field(document, "protocol", str),
            fold=document["fold"],
            leak=_field(document, "leak", str),
            scores=_scores(document["cases"], document["protocol"]),
            figures=_figures(document["figures"]),
            strata=tuple(
                Stratum(
                    stratum["kind"],
                    stratum["name"],
                    stratum["images"],
                    stratum["groups"],
                    _figures(stratum["figures"]),
                )
                for stratum in document.get("strata", [])
            ),
            failures=tuple(CaseFailure(**f) for f in document.get("failures", [])),
            notes=tuple(document.get("notes", [])),
            prior=prior and {name: float(share) for name, share in prior.items()},
            macro=document.get("average", "").startswith("macro"),
        )
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: it is not an evaluation by busnet: {error}") from None


def _field(document: Mapping[str, object], name: str, kind: type[T]) -> T:
    """Return an entry of a document.

    Raises
    ------
    KeyError
        If there is none.
    TypeError
        If it is of another type.
    """
    value = document[name]
    if not isinstance(value, kind):
        raise TypeError(f"{name} cannot be {value!r}")
    return value


def _scores(cases: Iterable[object], protocol: str) -> Scores:
    """Read cases; those of earlier files are of their protocol's only source."""
    sources = PROTOCOLS[protocol].sources if protocol in PROTOCOLS else ()
    only = sources[0] if len(sources) == 1 else ""
    scores = [CaseScore.from_json(case) for case in cases]
    return Scores(
        score if score.source else dataclasses.replace(score, source=only)
        for score in scores
    )


def _document(head: Mapping[str, object], blocks: Mapping[str, str]) -> str:
    """Return the JSON text of the head's entries and of blocks that are JSON text."""
    parts = [json.dumps(head, indent=1)[1:-2].strip("\n")]
    parts += [f' "{name}": {block}' for name, block in blocks.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _block(items: Mapping[str, object] | Iterable[object]) -> str:
    """Return the JSON text of an object or an array, one line an entry."""
    if isinstance(items, Mapping):
        lines = [f"{json.dumps(name)}: {json.dumps(x)}" for name, x in items.items()]
        start, end = "{", "}"
    else:
        lines = [json.dumps(item) for item in items]
        start, end = "[", "]"
    if not lines:
        return start + end
    return f"{start}\n  " + ",\n  ".join(lines) + f"\n {end}"


def _case_document(case: CaseScore) -> dict[str, object]:
    document = dataclasses.asdict(case)
    if case.uncertainty is None:
        del document["uncertainty"]
    return document


def _stratum_document(stratum: Stratum) -> dict[str, object]:
    return {
        "kind": stratum.kind,
        "name": stratum.name,
        "images": stratum.images,
        "groups": stratum.groups,
        "small": stratum.is_small,
        "figures": _round(stratum.figures),
    }


def _round(figures: Mapping[str, Interval]) -> dict[str, Rounded]:
    return {name: interval.rounded for name, interval in figures.items()}


def _figures(document: Mapping[str, Rounded]) -> dict[str, Interval]:
    return {
        name: Interval(*(math.nan if x is None else float(x) for x in numbers))
        for name, numbers in document.items()
    }


def _csv(rows: Iterable[Iterable[object]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
