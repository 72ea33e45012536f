"""Images that a training saw are recognised, whatever their file is called."""

import dataclasses
import json
import os
import shutil

import pytest
from helpers import call
from PIL import Image
from random_weights import random_info, save_random

from busnet.data import Case, ContentHashes, read_custom
from busnet.data.phantom import phantom
from busnet.errors import LeakError, MissingExtraError, WeightsError
from busnet.evaluation.content import compare_content, has_all_hashes
from busnet.evaluation.evaluation import evaluate
from busnet.evaluation.selection import select_cases
from busnet.inference import EnsembleInfo
from busnet.networks import get_network

ROW = get_network("resnet18", channels=1)
HELD_OUT = {"protocol": "custom", "fold": 0, "hashed_images": 8,
            "sources": {"custom": {"folds": "custom", "fold": 0}}}  # fmt: skip


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Write a table of 12 images of 6 patients in two folds."""
    root = tmp_path_factory.mktemp("own")
    lines = ["image,label,mask,group,fold"]
    for i in range(12):
        image, mask = phantom(120, 150, seed=100 + i)
        label = ("normal", "benign", "malignant")[i % 3]
        Image.fromarray(image).save(root / f"{i}.png")
        Image.fromarray(mask & (label != "normal")).save(root / f"{i}_mask.png")
        lines.append(f"{i}.png,{label},{i}_mask.png,p{i // 2},{i // 2 % 2}")
    (root / "own.csv").write_text("\n".join(lines) + "\n")
    return root / "own.csv"


def trained_on(cases, **provenance):
    return random_info(
        ROW,
        provenance={**HELD_OUT, **provenance},
        content_hashes=ContentHashes.of(cases).encode(),
    )


def in_fold(cases, fold):
    return [case for case in cases if case.fold == fold]


def test_the_held_out_fold_is_the_default_and_clean(own):
    cases = read_custom(own)
    model = trained_on(in_fold(cases, 1))
    chosen = select_cases(model, cases)
    assert (chosen.protocol, chosen.fold, chosen.leak, chosen.notes) == (
        "custom",
        0,
        "",
        (),
    )
    assert list(chosen.cases) == in_fold(cases, 0)


def test_the_other_fold_is_refused_or_marked(own):
    cases = read_custom(own)
    model = trained_on(in_fold(cases, 1))
    fact = r"trained on 6 of the images, such as 2\.png"
    with pytest.raises(LeakError, match=fact + ".*too good to be true"):
        select_cases(model, cases, fold=1)
    allowed = select_cases(model, cases, fold=1, allow_leak=True)
    assert "trained on 6 of the images" in allowed.leak


def test_a_training_without_a_fold_saw_all(own):
    cases = read_custom(own)
    model = trained_on(
        cases, fold=None, sources={"custom": {"folds": None, "fold": None}}
    )
    for fold in (None, 0, 1):
        with pytest.raises(LeakError, match="of the images, such as"):
            select_cases(model, cases, fold=fold)


def test_copies_under_other_names_are_recognised(own, tmp_path):
    """Another size, another format and other names hide nothing."""
    cases = read_custom(own)
    model = trained_on(in_fold(cases, 1))
    for case in in_fold(cases, 1):
        (tmp_path / case.label).mkdir(exist_ok=True)
        with Image.open(case.image) as image:
            copy = image.resize((101, 87)).convert("RGB")
        copy.save(tmp_path / case.label / f"copy of {case.image.stem}.jpg", quality=80)
    copies = read_custom(tmp_path, source="elsewhere")
    assert len(compare_content(model, copies).images) == len(copies) == 6
    with pytest.raises(LeakError, match="trained on 6 of the images"):
        select_cases(model, copies)


def test_another_table_is_evaluated_as_a_whole(own, phantom_data):
    """Fold 0 is that of the training's own table."""
    model = trained_on(in_fold(read_custom(own), 1))
    others = [
        dataclasses.replace(case, fold=i % 3, group=case.name)
        for i, case in enumerate(read_custom(phantom_data))
    ]
    chosen = select_cases(model, others)
    assert (chosen.fold, chosen.leak, len(chosen.cases)) == (None, "", 9)


def test_other_images_of_the_same_patients_are_refused(own, phantom_data):
    model = trained_on(in_fold(read_custom(own), 1))
    others = [
        dataclasses.replace(case, group=f"p{i}")
        for i, case in enumerate(read_custom(phantom_data))
    ]
    # Patients p1, p3 and p5 were trained on.
    with pytest.raises(LeakError, match=r"other images of the patients.*3 of the"):
        select_cases(model, others)
    elsewhere = [dataclasses.replace(case, source="elsewhere") for case in others]
    assert select_cases(model, elsewhere).leak == ""


def test_images_of_any_member_are_recognised(own):
    cases = read_custom(own)
    first = trained_on(in_fold(cases, 1))
    second = trained_on(
        in_fold(cases, 0), sources={"custom": {"folds": "custom", "fold": 1}}
    )
    same = EnsembleInfo({"a": first, "b": random_info(ROW, provenance={})})
    chosen = select_cases(same, cases)
    assert (chosen.fold, chosen.leak) == (0, "")
    assert "lacks hashes" in chosen.notes[0]
    both = EnsembleInfo({"a": first, "b": second})
    assert has_all_hashes(both)
    assert not has_all_hashes(same)
    seen = compare_content(both, cases)
    assert len(seen.images) == 12
    assert seen.reasons[0].startswith("the member a or the member b was trained on 12")
    with pytest.raises(LeakError, match=r"the member b was trained on 6 of the images"):
        select_cases(both, cases, fold=0)


def test_names_that_are_not_utf8_hide_nothing(own, tmp_path):
    cases = in_fold(read_custom(own), 1)
    model = trained_on(cases)
    for case in cases:
        folder = os.path.join(os.fsencode(tmp_path), case.label.encode(), b"caf\xe9")
        os.makedirs(folder, exist_ok=True)
        copy = os.path.join(folder, case.image.name.encode())
        shutil.copy(os.fsencode(case.image), copy)
    copies = read_custom(tmp_path, source="elsewhere")
    seen = compare_content(model, copies)
    assert (len(seen.images), seen.unreadable, seen.notes) == (6, 0, [])
    assert seen.images[0] == r"normal/caf\xe9/3.png"
    with pytest.raises(LeakError, match="trained on 6 of the images"):
        select_cases(model, copies)


def test_unreadable_images_are_not_compared(own, tmp_path):
    cases = read_custom(own)
    model = trained_on(cases)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    seen = compare_content(model, [dataclasses.replace(cases[0], image=bad), cases[1]])
    assert (seen.images, seen.unreadable) == ((cases[1].name,), 1)
    others = trained_on(in_fold(cases, 1))
    table = [dataclasses.replace(case) for case in in_fold(cases, 0)]
    table[0] = dataclasses.replace(table[0], image=bad)
    assert select_cases(others, table).notes == (
        "1 image could not be read, and so not be compared with those that the model "
        "was trained on",
    )
    assert compare_content(model, []).images == ()


def test_an_image_that_needs_an_extra_does_not_stop_the_others(own, monkeypatch):
    cases = read_custom(own)
    read = Case.read_image

    def fail(case):
        if case.name == cases[0].name:
            raise MissingExtraError("DICOM files need the extra")
        return read(case)

    monkeypatch.setattr(Case, "read_image", fail)
    seen = compare_content(trained_on(cases[1:]), cases)
    assert (len(seen.images), seen.unreadable) == (11, 1)


def test_files_without_hashes_say_that_nothing_could_be_checked(own, busi):
    cases = read_custom(own)
    earlier = random_info(ROW, provenance={"protocol": "own", "fold": 0})
    chosen = select_cases(earlier, cases, fold=1)
    assert "could not be checked" in " ".join(chosen.notes)
    # A training that started from a file without hashes knows its own images only.
    continued = trained_on(cases[:4], start={"protocol": "own", "fold": None})
    assert not has_all_hashes(continued)
    assert "could not be checked" in " ".join(select_cases(continued, cases[6:]).notes)
    started = trained_on(cases[:4], start="ImageNet")
    assert has_all_hashes(started)
    # Of a published data set the protocol tells.
    from busnet.data import read_busi

    released = random_info(ROW, provenance={"protocol": "busi-group5", "fold": 0})
    assert select_cases(released, read_busi(busi)).notes == ()


def test_hashes_that_cannot_be_decoded_are_refused(own):
    cases = read_custom(own)
    broken = random_info(ROW, content_hashes={"images": "x", "groups": ""})
    with pytest.raises(WeightsError, match="hashes cannot be read"):
        select_cases(broken, cases)


def test_every_output_of_an_allowed_leak_says_so(own, tmp_path):
    cases = read_custom(own)
    path = save_random(
        tmp_path / "w.safetensors",
        ROW,
        provenance=HELD_OUT,
        content_hashes=ContentHashes.of(in_fold(cases, 1)).encode(),
    )
    assert evaluate(path, own, bootstrap=10).leak == ""
    common = ("--data", own, "--model", path, "--bootstrap", "10", "--fold", "1")
    refused = call("evaluate", *common, check=1)
    assert "too good to be true" in " ".join(refused.stderr.split())
    out = {name: tmp_path / name for name in ("r.html", "e.json", "c.csv", "f.csv")}
    allowed = call(
        "evaluate", *common, "--allow-leak", "--report", out["r.html"], "--json",
        out["e.json"], "--csv", out["c.csv"], "--figures", out["f.csv"],
    )  # fmt: skip
    assert "LEAKY" in allowed.stdout
    for path in out.values():
        assert "trained on 6 of the images" in path.read_text(), path.name
    document = json.loads(out["e.json"].read_text())
    assert document["leaky"] is True
    # The hashes themselves are no part of an output.
    assert "content_hashes" not in out["e.json"].read_text()


def test_hashes_survive_calibration_and_copies(own, tmp_path):
    from busnet.weights import read_info

    hashes = ContentHashes.of(read_custom(own)).encode()
    path = save_random(tmp_path / "w.safetensors", ROW, content_hashes=hashes)
    copy = tmp_path / "copy.safetensors"
    shutil.copy(path, copy)
    assert read_info(copy).content_hashes == hashes
