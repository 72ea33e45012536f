"""Write RESULTS.md from the evaluations under results/.

    python benchmarks/results.py
    python benchmarks/results.py --add JSON --weights SAFETENSORS --code COMMIT
                                 [--precision int8]

The second form adds the JSON of `busnet evaluate --json`, for a model that the code of
COMMIT trained, together with the command that trains it again; it does not write
RESULTS.md.

Each file there is the JSON of one `busnet evaluate` on one held-out fold, named
NETWORK[-VARIANT]-foldK-seedS.json, or of one `busnet robustness`, named
robustness-NETWORK-foldK.json. Folds of the same network are pooled: every image is
counted once, with the model whose training had no image of its group. Models that were
trained on a GPU are the variant "gpu": they are compared with each other, and with the
same networks trained on a CPU.
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
from busnet.evaluation.documents import read_evaluation
from busnet.evaluation.evaluation import Evaluation
from busnet.evaluation.intervals import Interval, compare, intervals
from busnet.evaluation.scores import Scores
from busnet.networks import NETWORKS, Network
from busnet.weights import read_info

HERE = Path(__file__).resolve().parent
NAME = re.compile(r"(?P<row>.+)-fold(?P<fold>\d)-seed(?P<seed>\d+)\.json")
FIGURES = ("accuracy", "macro F1", "malignant AUC", "calibration error", "Dice")
DRAWS = 1000

#: The network that the others are compared with.
REFERENCE = "mod_resnet101"

#: Suffix of the name of a row that was trained on a GPU.
ON_GPU = "-gpu"

#: Row, seed and fold of every evaluation.
Table = dict[tuple[str, int], dict[int, Evaluation]]

#: For each row, the paired differences of its figures from the reference's.
Differences = dict[str, dict[str, Interval]]


def read_all(folder: Path) -> Table:
    """Read the evaluations; refuse one that leaks or has the wrong fold."""
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
    """Return the parts that a network switches off, as names and as options."""
    names_and_options = []
    if NETWORKS[network.name].stage_shortcuts and not network.stage_shortcuts:
        names_and_options.append(("plain", "--no-stage-shortcuts"))
    if len(network.heads) == 1:
        names_and_options.append((network.heads[0], f"--heads {network.heads[0]}"))
    return names_and_options


def training_command(network: Network, provenance: dict[str, Any]) -> str:
    """Return the command that trains a model again."""
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
    """Add an evaluation, with the command and the commit that made its model."""
    network = read_info(weights).network
    document = json.loads(path.read_text(encoding="utf-8"))
    provenance = document["provenance"]
    seed = provenance["recipe"]["seed"]
    document["training"] = {
        "command": training_command(network, provenance),
        "seed": seed,
        "code": code,
    }
    row = "-".join([network.name, *(name for name, _ in switched_off(network))])
    if on_gpu(provenance):
        row += ON_GPU
    if precision != "f32":
        row += f"-{precision}"
        document["training"]["precision"] = precision
    if "calibration" in provenance:
        document["training"]["calibration"] = (
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
    """Tell whether the interval of a difference excludes zero."""
    return not interval.low <= 0 <= interval.high


def differing_figures(differences: Differences, reference: str) -> list[str]:
    """Return a sentence for each row: which figures differ from the reference's."""
    lines = []
    for name, intervals_by_figure in differences.items():
        kinds: dict[str, list[str]] = {"better": [], "worse": [], "alike": []}
        for figure in FIGURES:
            if (interval := intervals_by_figure.get(figure)) is None:
                continue
            sign = -1 if figure == "calibration error" else 1
            better = sign * interval.value > 0
            kind = ("better" if better else "worse") if is_clear(interval) else "alike"
            kinds[kind].append(figure)
        phrases = [
            f"{word} in {', '.join(kinds[kind])}"
            for kind, word in (
                ("better", "better"),
                ("worse", "worse"),
                ("alike", "no clear difference"),
            )
            if kinds[kind]
        ]
        lines.append(f"- `{name}` compared with `{reference}`: {'; '.join(phrases)}.")
    return lines


def pooled(folds: dict[int, Evaluation], which: Iterable[int]) -> Scores:
    """Return the cases of some folds in one list."""
    return Scores(case for fold in sorted(which) for case in folds[fold].scores)


def line(cells: Iterable[object]) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def figure_table(rows: dict[str, Scores]) -> list[str]:
    """Return a Markdown table of figures with intervals."""
    lines = [line(["network", "images", *FIGURES]), line(["---"] * (len(FIGURES) + 2))]
    for name, scores in rows.items():
        figures = intervals(scores, count=DRAWS)
        cells = [figures.get(figure, "") for figure in FIGURES]
        lines.append(line([name, len(scores), *cells]))
    return lines


def comparison_table(differences: Differences) -> list[str]:
    """Return a Markdown table of paired differences from the reference."""
    lines = [line(["network", *FIGURES]), line(["---"] * (len(FIGURES) + 1))]
    for name, difference in differences.items():
        cells = []
        for figure in FIGURES:
            interval = difference.get(figure)
            clear = interval is not None and is_clear(interval)
            text = "" if interval is None else str(interval)
            cells.append(f"**{text}**" if clear else text)
        lines.append(line([name, *cells]))
    return lines


def spread(table: Table, row: str, fold: int) -> list[str]:
    """Return lines on the differences between seeds."""
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
    """Return lines on how a model's figures change when the images are changed."""
    document = json.loads(path.read_text(encoding="utf-8"))
    figures = list(document["rows"][0]["changes"])
    lines = [
        "",
        f"## Robustness: {document['model']}, fold {document['fold']}",
        "",
        f"Paired changes on {document['images']} images; the last column counts the",
        "normal images that were classified as normal before the change and not after.",
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
    """Return lines on the rows, grouped by shared folds, largest groups first."""
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
        fold_names = ", ".join(map(str, key))
        lines += [
            "",
            f"## {title}, held-out folds {fold_names}",
            "",
            *figure_table(rows),
        ]
        if reference in rows and len(rows) > 1:
            differences = {
                name: compare(rows[reference], scores, count=DRAWS)
                for name, scores in rows.items()
                if name != reference
            }
            lines += [
                "",
                f"Differences from `{reference}`, paired on the same images; bold",
                "where the interval excludes zero:",
                "",
                *comparison_table(differences),
                "",
                *differing_figures(differences, reference),
            ]
    return lines


def repeats(first: dict[str, dict[int, Evaluation]]) -> list[str]:
    """Return lines on the networks that were trained on a GPU and on a CPU."""
    differences = {}
    for row, folds in first.items():
        name = row.removesuffix(ON_GPU)
        if name == row or name not in first:
            continue
        other = first[name]
        common = set(folds) & set(other)
        fold_names = ", ".join(map(str, sorted(common)))
        differences[f"{name}, folds {fold_names}"] = compare(
            pooled(other, common), pooled(folds, common), count=DRAWS
        )
    if not differences:
        return []
    return [
        "",
        "## The same training twice",
        "",
        "Network, recipe, seed and images are the same; the device differs, and with",
        "it the rounding of every step. Paired differences, GPU minus CPU. This is how",
        "much two trainings of one network differ: a smaller difference between two",
        "networks says little, whatever its interval.",
        "",
        *comparison_table(differences),
    ]


def main() -> None:
    """Add an evaluation, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--add", type=Path, help="JSON of an evaluation to add")
    parser.add_argument(
        "--weights", type=Path, help="weights file of the evaluated model"
    )
    parser.add_argument("--code", help="commit whose code trained the model")
    parser.add_argument(
        "--precision", default="f32", help="precision of the evaluation"
    )
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
        "Written by `python benchmarks/results.py` from the evaluations under",
        "`results/`; each of them contains the protocol, the weights' provenance, the",
        "command that trains the model again, and the scores of every image. Protocol:",
        "`busi-group5`. Values with 95 % intervals by bootstrap over duplicate groups.",
        "Fold 0 of the rows `mod_resnet101` and `resnet18` was computed with the",
        "shipped files, whose masks have a lesion peak; the masks of the others have",
        "none.",
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
