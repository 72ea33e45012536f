"""Write the tables of RESULTS.md from the evaluations under results/.

    python benchmarks/results.py
    python benchmarks/results.py --add JSON --weights SAFETENSORS --code COMMIT
        --command "busnet train ..." [--variant NAME] [--precision int8]

The second form adds the JSON of `busnet evaluate --json`, for a model that COMMAND
trained with the code of COMMIT; it does not write RESULTS.md. The page's tables stand
between `<!-- NAME -->` and `<!-- end of NAME -->`; what is outside them stays.

Each file there is the JSON of one `busnet evaluate` on one held-out fold or source, or
of one `busnet robustness` (robustness-MODEL-foldK.json). A file's name has the row,
what was held out, and the seed: ROW-foldK-seedS.json by the protocol busi-group5,
ROW-PROTOCOL-foldK-seedS.json by another one, and ROW-without-SOURCE-seedS.json by the
protocol hospitals. ROW is the network and what distinguishes its training. Rows with
"-three-sources" (--variant three-sources) were trained like the shipped models, whose
evaluations are in shipped/. The table ablations.csv has a line for each training that
differs by a part of the recipe, precisions.csv one for each way in which a model was
computed.

Folds of the same row are pooled: every image is counted once, with the model whose
training had no image of its group. Models that were trained on a GPU have rows that end
with "-gpu": they are compared with each other, and with the same rows trained on a CPU.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from results_tables import (
    ON_GPU,
    Parts,
    Table,
    ablations,
    hospitals,
    precisions,
    repeats,
    robustness_table,
    row_title,
    sections,
    spread,
    three_sources,
)

from busnet._io import atomic_write
from busnet.evaluation.documents import read_evaluation
from busnet.evaluation.evaluation import Evaluation
from busnet.networks import NETWORKS, Network
from busnet.weights import read_info

HERE = Path(__file__).resolve().parent
PROTOCOL = "busi-group5"

#: Part of the name of a row that was trained like the shipped models.
THREE_SOURCES = "-three-sources"

NAME = re.compile(
    r"(?P<row>.+)-(fold(?P<fold>\d+)|without-(?P<source>.+))-seed(?P<seed>\d+)\.json"
)


def read_all(folder: Path) -> dict[str, dict[tuple[str, int], Parts]]:
    """Return the evaluations by protocol; refuse one that leaks or is misnamed."""
    tables: dict[str, dict[tuple[str, int], Parts]] = defaultdict(dict)
    for path in sorted(folder.glob("*.json")):
        match = NAME.fullmatch(path.name)
        if match is None:
            continue
        evaluation = read_evaluation(path)
        fold = match["source"] or int(match["fold"])
        if evaluation.leak or evaluation.fold != fold:
            raise SystemExit(f"{path}: {evaluation.leak or 'another fold'}")
        row = match["row"].removesuffix(f"-{evaluation.protocol}")
        key = row, int(match["seed"])
        tables[evaluation.protocol].setdefault(key, {})[fold] = evaluation
    return tables


def differences_from_table(network: Network) -> list[str]:
    """Return names for what a network has other than its row of the table."""
    row = NETWORKS[network.name]
    names = []
    if row.stage_shortcuts and not network.stage_shortcuts:
        names.append("plain")
    if len(network.heads) == 1:
        names.append(network.heads[0])
    elif network.pooling != row.pooling:
        names.append(f"{network.pooling}-pooling")
    return names


def add(options: argparse.Namespace) -> None:
    """Add an evaluation, with the command and the commit that made its model."""
    network = read_info(options.weights).network
    document = json.loads(options.add.read_text(encoding="utf-8"))
    provenance = document["provenance"]
    seed, fold = provenance["recipe"]["seed"], document["fold"]
    document["training"] = {
        "command": options.command,
        "code": options.code,
        "seed": seed,
        "precision": options.precision,
    }
    parts = [network.name, *differences_from_table(network)]
    if options.variant:
        parts.append(options.variant)
    if provenance.get("device", "cpu") != "cpu":
        parts.append(ON_GPU.removeprefix("-"))
    if options.precision != "f32":
        parts.append(options.precision)
    if isinstance(fold, str):
        parts.append(f"without-{fold}")
    else:
        if document["protocol"] != PROTOCOL:
            parts.append(document["protocol"])
        parts.append(f"fold{fold}")
    target = HERE / "results" / f"{'-'.join([*parts, f'seed{seed}'])}.json"
    with atomic_write(target) as part:
        part.write_text(compact_json(document), encoding="utf-8")
    print(target)


def compact_json(document: dict[str, Any]) -> str:
    """Return a document as JSON with a line for each case, row and figure."""
    fields = []
    for key, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            cases = ",\n  ".join(map(json.dumps, value))
            text = f"[\n  {cases}\n ]"
        elif key == "figures":
            figures = ",\n  ".join(
                f"{json.dumps(name)}: {json.dumps(interval)}"
                for name, interval in value.items()
            )
            text = f"{{\n  {figures}\n }}"
        else:
            text = json.dumps(value)
        fields.append(f"{json.dumps(key)}: {text}")
    inner = ",\n ".join(fields)
    return f"{{\n {inner}\n}}\n"


def like_the_shipped(table: Table) -> dict[str, Evaluation]:
    """Return the evaluations on BUSI's fold 0 of trainings on three sources."""
    rows = {
        f"{e.network}, shipped": e
        for e in map(read_evaluation, sorted((HERE / "shipped").glob("*.json")))
    }
    for (row, seed), folds in sorted(table.items()):
        if THREE_SOURCES in row:
            rows[row_title(row.replace(THREE_SOURCES, ""), seed)] = folds[0]
    return rows


def folds_of(protocol: str, table: Table) -> list[str]:
    """Return lines on the evaluations by one protocol with folds.

    Trainings on three sources are left out; they have a table of their own.
    """
    first = {
        row: folds
        for (row, seed), folds in table.items()
        if seed == 0 and THREE_SOURCES not in row
    }
    gpu = {row: folds for row, folds in first.items() if row.endswith(ON_GPU)}
    cpu = {row: folds for row, folds in first.items() if row not in gpu}
    devices = {
        str(e.provenance["device"]) for folds in gpu.values() for e in folds.values()
    }
    text = []
    if gpu:
        title = f"{protocol}, trained on a GPU ({', '.join(sorted(devices))})"
        text += sections(gpu, title)
    text += repeats(first)
    text += sections(cpu, f"{protocol}, trained on a CPU" if gpu else protocol)
    for row, folds in first.items():
        for fold in folds:
            text += spread(table, row, fold)
    return text


def replace_block(text: str, name: str, lines: list[str]) -> str:
    """Return a page with other lines between the two marks of a name."""
    first, last = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    if text.count(first) != 1 or text.count(last) != 1:
        raise SystemExit(f"RESULTS.md must have the marks of {name} once")
    before, rest = text.split(first)
    after = rest.split(last)[1]
    return "".join((before, first, "\n".join(lines).strip("\n"), "\n", last, after))


def main() -> None:
    """Add an evaluation, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--add", type=Path, help="JSON of an evaluation to add")
    parser.add_argument("--weights", type=Path, help="weights file of the model")
    parser.add_argument("--code", help="commit whose code trained the model")
    parser.add_argument("--command", help="command that trained the model")
    parser.add_argument("--variant", help="what else distinguishes the training")
    parser.add_argument("--precision", default="f32", help="of the evaluation")
    options = parser.parse_args()
    if options.add is not None:
        if None in (options.weights, options.code, options.command):
            parser.error("--add needs --weights, --code and --command")
        add(options)
        return
    folder = HERE / "results"
    tables = read_all(folder)
    blocks = {
        "hospitals": hospitals(tables.pop("hospitals")),
        "precisions": precisions(folder / "precisions.csv"),
        "ablations": ablations(folder / "ablations.csv"),
        "three sources": three_sources(like_the_shipped(tables[PROTOCOL])),
        "folds": [
            line
            for protocol, table in tables.items()
            for line in folds_of(protocol, table)
        ],
        "robustness": [
            line
            for path in sorted(folder.glob("robustness-*.json"))
            for line in robustness_table(path)
        ],
    }
    page = HERE / "RESULTS.md"
    text = page.read_text(encoding="utf-8")
    for name, lines in blocks.items():
        text = replace_block(text, name, lines)
    with atomic_write(page) as part:
        part.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
