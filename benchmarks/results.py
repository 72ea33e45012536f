"""Draw RESULTS.md from the evaluations under results/.

    python benchmarks/results.py
    python benchmarks/results.py --add JSON --weights SAFETENSORS --code COMMIT
                                 [--precision int8]

The second form takes in what `busnet evaluate --json` wrote of a model that the code of
a commit trained, with the commands that make it again, and draws nothing.

Each file there is the JSON of one `busnet evaluate` on one held-out fold, named
NETWORK[-VARIANT]-foldK-seedS.json, or of one `busnet robustness`, named
robustness-NETWORK-foldK.json. Folds of the same network are pooled: every image is
counted once, under the model that never saw its group. Models that a GPU trained are
the variant "gpu": they are compared among themselves, and with their like that a CPU
trained.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from busnet._io import atomic_write
from busnet.evaluation.evaluation import Evaluation, read_evaluation
from busnet.evaluation.intervals import Interval, compare, intervals
from busnet.evaluation.scores import Scores
from busnet.networks import NETWORKS, Network
from busnet.weights import read_info

HERE = Path(__file__).resolve().parent
NAME = re.compile(r"(?P<row>.+)-fold(?P<fold>\d)-seed(?P<seed>\d+)\.json")
FIGURES = ("accuracy", "macro F1", "malignant AUC", "calibration error", "Dice")
DRAWS = 1000

#: What the others are compared with.
REFERENCE = "mod_resnet101"

#: What is added to the name of a row that a GPU trained.
ON_GPU = "-gpu"

#: Row, seed and fold of every evaluation.
Table = dict[tuple[str, int], dict[int, Evaluation]]

#: Row, and what each figure is more than the reference's, paired.
Differences = dict[str, dict[str, Interval]]


def read_all(folder: Path) -> Table:
    """Read the evaluations, refusing what leaks."""
    table: Table = defaultdict(dict)
    for path in sorted(folder.glob("*.json")):
        match = NAME.fullmatch(path.name)
        if match is None:
            continue
        evaluation = read_evaluation(path)
        if evaluation.leak or evaluation.fold != int(match["fold"]):
            raise SystemExit(f"{path}: {evaluation.leak or 'another fold'}")
        table[match["row"], int(match["seed"])][evaluation.fold] = evaluation
    return table


def switched_off(network: Network) -> list[tuple[str, str]]:
    """Return what a network lacks of its row, each as a name and as an option."""
    found = []
    if NETWORKS[network.name].stage_shortcuts and not network.stage_shortcuts:
        found.append(("plain", "--no-stage-shortcuts"))
    if len(network.heads) == 1:
        found.append((network.heads[0], f"--heads {network.heads[0]}"))
    return found


def training_command(network: Network, provenance: dict[str, Any]) -> str:
    """Return what is typed to train a model again, as README names its data."""
    words = ["busnet train", f"--network {network.name}"]
    words += ["--data Dataset_BUSI_with_GT", f"--protocol {provenance['protocol']}"]
    words += [f"--fold {provenance['fold']}", f"--seed {provenance['recipe']['seed']}"]
    words += ["--start weights", "--pretrain BUSBRA"]
    words += [option for _, option in switched_off(network)]
    words += [f"--device {'cuda' if on_gpu(provenance) else 'cpu'}"]
    return " ".join(words)


def on_gpu(provenance: dict[str, Any]) -> bool:
    """Tell whether a model was trained on a GPU."""
    device: str = provenance.get("device", "cpu")
    return device != "cpu"


def add(path: Path, weights: Path, code: str, precision: str) -> None:
    """Take an evaluation in, with the commands and the code that made its model."""
    network = read_info(weights).network
    document = json.loads(path.read_text(encoding="utf-8"))
    provenance = document["provenance"]
    seed = provenance["recipe"]["seed"]
    document["made"] = {
        "command": training_command(network, provenance),
        "seed": seed,
        "code": code,
    }
    row = "-".join([network.name, *(name for name, _ in switched_off(network))])
    if on_gpu(provenance):
        row += ON_GPU
    if precision != "f32":
        row += f"-{precision}"
        document["made"]["precision"] = precision
    if "calibration" in provenance:
        document["made"]["calibration"] = (
            f"busnet quantize Dataset_BUSI_with_GT --protocol {provenance['protocol']}"
        )
    target = f"{row}-fold{document['fold']}-seed{seed}.json"
    with atomic_write(HERE / "results" / target) as part:
        part.write_text(compact_json(document), encoding="utf-8")


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


def is_clear(interval: Interval) -> bool:
    """Tell whether a difference's interval leaves out zero."""
    return not interval.low <= 0 <= interval.high


def told_apart(differences: Differences, reference: str) -> list[str]:
    """Return a sentence for each row on what differs by more than its interval."""
    lines = []
    for name, found in differences.items():
        kinds: dict[str, list[str]] = {"better": [], "worse": [], "alike": []}
        for figure in FIGURES:
            if (interval := found.get(figure)) is None:
                continue
            sign = -1 if figure == "calibration error" else 1
            better = sign * interval.value > 0
            kind = ("better" if better else "worse") if is_clear(interval) else "alike"
            kinds[kind].append(figure)
        told = [
            f"{word} in {', '.join(kinds[kind])}"
            for kind, word in (
                ("better", "better"),
                ("worse", "worse"),
                ("alike", "not to be told apart"),
            )
            if kinds[kind]
        ]
        lines.append(f"- `{name}` beside `{reference}`: {'; '.join(told)}.")
    return lines


def pooled(folds: dict[int, Evaluation], which: Iterable[int]) -> Scores:
    """Return the cases of some folds together."""
    return Scores(case for fold in sorted(which) for case in folds[fold].scores)


def line(cells: Iterable[object]) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def figure_table(rows: dict[str, Scores]) -> list[str]:
    """Return a Markdown table of figures with intervals."""
    lines = [line(["network", "images", *FIGURES]), line(["---"] * (len(FIGURES) + 2))]
    for name, scores in rows.items():
        found = intervals(scores, count=DRAWS)
        cells = [found.get(figure, "") for figure in FIGURES]
        lines.append(line([name, len(scores), *cells]))
    return lines


def comparison_table(differences: Differences) -> list[str]:
    """Return a Markdown table of paired differences from the reference."""
    lines = [line(["network", *FIGURES]), line(["---"] * (len(FIGURES) + 1))]
    for name, found in differences.items():
        cells = []
        for figure in FIGURES:
            interval = found.get(figure)
            clear = interval is not None and is_clear(interval)
            text = "" if interval is None else str(interval)
            cells.append(f"**{text}**" if clear else text)
        lines.append(line([name, *cells]))
    return lines


def spread(table: Table, row: str, fold: int) -> list[str]:
    """Return lines on how much seeds differ."""
    seeds = {
        s: folds[fold] for (r, s), folds in table.items() if r == row and fold in folds
    }
    if len(seeds) < 2:
        return []
    lines = ["", f"## Seeds: {row}, fold {fold}", ""]
    lines += [line(["seed", *FIGURES]), line(["---"] * (len(FIGURES) + 1))]
    values = []
    for seed, evaluation in sorted(seeds.items()):
        numbers = [evaluation.figures[figure].value for figure in FIGURES]
        values.append(numbers)
        lines.append(line([seed, *(f"{n:.3f}" for n in numbers)]))
    deviation = np.std(values, axis=0, ddof=1)
    lines.append(line(["standard deviation", *(f"{d:.3f}" for d in deviation)]))
    return lines


def robustness_table(path: Path) -> list[str]:
    """Return lines on how a model's figures change when the images do."""
    document = json.loads(path.read_text(encoding="utf-8"))
    figures = list(document["rows"][0]["changes"])
    lines = [
        "",
        f"## Robustness: {document['model']}, fold {document['fold']}",
        "",
        f"Changes on {document['images']} images, paired; the last column counts",
        "normal images that were called normal and no longer are.",
        "",
        line(["perturbation", *figures, "normals lost"]),
        line(["---"] * (len(figures) + 2)),
    ]
    for row in document["rows"]:
        changes = [Interval(*row["changes"][figure]) for figure in figures]
        lost = f"{row['lost']} of {row['normals']}" if "lost" in row else ""
        name = f"{row['perturbation']}: {row['description']}"
        lines.append(line([name, *changes, lost]))
    return lines


def sections(first: dict[str, dict[int, Evaluation]], title: str) -> list[str]:
    """Return lines on rows by the folds that they share, the most folds first."""
    reference = next(
        (row for row in first if row.removesuffix(ON_GPU) == REFERENCE), ""
    )
    by_folds: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for row, folds in first.items():
        for size in range(1, len(folds) + 1):
            key = tuple(sorted(folds))[:size]
            by_folds[key].append(row)
    lines = []
    shown: set[tuple[str, ...]] = set()
    for key in sorted(by_folds, key=len, reverse=True):
        names = tuple(sorted(by_folds[key]))
        if names in shown:
            continue
        shown.add(names)
        rows = {name: pooled(first[name], key) for name in names}
        held = ", ".join(map(str, key))
        lines += ["", f"## {title}, held-out folds {held}", "", *figure_table(rows)]
        if reference in rows and len(rows) > 1:
            differences = {
                name: compare(rows[reference], scores, count=DRAWS)
                for name, scores in rows.items()
                if name != reference
            }
            lines += [
                "",
                f"Less `{reference}`, paired on the same images; bold where the",
                "interval leaves out zero:",
                "",
                *comparison_table(differences),
                "",
                *told_apart(differences, reference),
            ]
    return lines


def repeats(first: dict[str, dict[int, Evaluation]]) -> list[str]:
    """Return lines on rows that were trained twice, on a GPU and on a CPU."""
    differences = {}
    for row, folds in first.items():
        name = row.removesuffix(ON_GPU)
        if name == row or name not in first:
            continue
        other = first[name]
        common = set(folds) & set(other)
        held = ", ".join(map(str, sorted(common)))
        differences[f"{name}, folds {held}"] = compare(
            pooled(other, common), pooled(folds, common), count=DRAWS
        )
    if not differences:
        return []
    return [
        "",
        "## The same training twice",
        "",
        "Network, recipe, seed and images are the same; the device is another, and",
        "with it the rounding of every step. GPU less CPU, paired. By so much two",
        "trainings of one network differ: a smaller difference of two networks says",
        "little, whatever its interval.",
        "",
        *comparison_table(differences),
    ]


def main() -> None:
    """Take in what is to be added, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--add", type=Path, help="JSON of an evaluation to take in")
    parser.add_argument("--weights", type=Path, help="the weights file that it is of")
    parser.add_argument("--code", help="commit of the code that trained the model")
    parser.add_argument("--precision", default="f32", help="what it was evaluated in")
    options = parser.parse_args()
    if options.add is not None:
        if options.weights is None or options.code is None:
            parser.error("--add needs --weights and --code")
        add(options.add, options.weights, options.code, options.precision)
        return
    table = read_all(HERE / "results")
    first = {row: folds for (row, seed), folds in table.items() if seed == 0}
    if REFERENCE not in first:
        raise SystemExit(f"results/ has no evaluation of {REFERENCE}")
    text = [
        "# Results",
        "",
        "Drawn by `python benchmarks/results.py` from the evaluations under",
        "`results/`; each of them holds the protocol, the weights' provenance, the",
        "command that trains the model again, and every image's scores. Protocol:",
        "`busi-group5`. Values with 95 % intervals by bootstrap over duplicate groups.",
        "Fold 0 of the rows `mod_resnet101` and `resnet18` is that of the shipped",
        "files, whose masks have a lesion peak; the others' masks are without one.",
        "For research use only.",
    ]
    gpu = {row: folds for row, folds in first.items() if row.endswith(ON_GPU)}
    devices = {e.provenance["device"] for folds in gpu.values() for e in folds.values()}
    text += sections(gpu, f"Trained on a GPU ({', '.join(sorted(devices))})")
    text += repeats(first)
    cpu = {row: folds for row, folds in first.items() if row not in gpu}
    text += sections(cpu, "Trained on a CPU")
    for row, folds in first.items():
        for fold in folds:
            text += spread(table, row, fold)
    for path in sorted((HERE / "results").glob("robustness-*.json")):
        text += robustness_table(path)
    (HERE / "RESULTS.md").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
