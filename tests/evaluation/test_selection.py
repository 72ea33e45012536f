"""Protocol and fold follow from the data and the model, or are refused with a fact."""

import dataclasses

import pytest
from PIL import Image
from random_weights import random_info

from busnet.data import Case, read_data
from busnet.data.busbra import FIVE_FOLDS, TEN_FOLDS
from busnet.errors import DataError, LeakError
from busnet.evaluation.selection import select_cases
from busnet.networks import get_network

ROW = get_network("resnet18", channels=1)


def info(**provenance):
    return random_info(ROW, provenance=provenance)


def make_cases(tmp_path, source, folds, divisions=None):
    return [
        Case(
            f"{source} {i}",
            tmp_path / f"{source} {i}.png",
            label="benign",
            group=f"{i}",
            fold=fold,
            source=source,
            divisions=divisions[i] if divisions else {},
        )
        for i, fold in enumerate(folds)
    ]


@pytest.fixture
def busi_cases(tmp_path):
    folds = [0, 1, 2, 0]
    return make_cases(tmp_path, "busi", folds, [{"busi-groups": i} for i in folds])


def test_a_model_that_saw_nothing_is_evaluated_on_all(busi_cases):
    chosen = select_cases(info(data="elsewhere"), busi_cases)
    assert (chosen.protocol, chosen.fold, chosen.leak) == ("busi-group5", None, "")
    assert len(chosen.cases) == 4


def test_a_mask_among_the_images_is_said(busi_cases):
    mask = Image.new("L", (80, 60))
    mask.paste(255, (20, 20, 40, 40))
    mask.save(busi_cases[1].image)
    notes = select_cases(info(data="elsewhere"), busi_cases).notes
    assert "1 image of two grey values, as masks have: busi: busi 1" in notes


def test_the_fold_is_the_one_that_training_held_out(busi_cases):
    model = info(protocol="busi-group5", fold=0)
    chosen = select_cases(model, busi_cases)
    assert (chosen.protocol, chosen.fold) == ("busi-group5", 0)
    assert [case.name for case in chosen.cases] == ["busi 0", "busi 3"]
    with pytest.raises(LeakError):
        select_cases(model, busi_cases, fold=1)
    allowed = select_cases(model, busi_cases, fold=1, allow_leak=True)
    assert "without fold 0" in allowed.leak
    assert [case.name for case in allowed.cases] == ["busi 1"]


def test_the_division_is_the_one_that_training_used(tmp_path):
    divisions = [{FIVE_FOLDS: i % 5, TEN_FOLDS: i} for i in range(10)]
    cases = make_cases(tmp_path, "busbra", [i % 5 for i in range(10)], divisions)
    model = info(
        protocol="release", sources={"busbra": {"folds": TEN_FOLDS, "fold": 0}}
    )
    chosen = select_cases(model, cases)
    assert (chosen.protocol, chosen.fold) == ("busbra-patient10", 0)
    assert [case.name for case in chosen.cases] == ["busbra 0"]


def test_the_source_that_no_training_saw_is_left_out(tmp_path, busi_cases):
    clinic = make_cases(tmp_path, "clinic", [-1, -1])
    model = info(protocol="hospitals", sources={"busi": {"folds": None, "fold": None}})
    chosen = select_cases(model, [*busi_cases, *clinic])
    assert (chosen.protocol, chosen.fold) == ("hospitals", "clinic")
    assert {case.source for case in chosen.cases} == {"clinic"}
    # The sources that were trained on need not be at hand.
    alone = select_cases(model, clinic, protocol="hospitals", fold="clinic")
    assert alone.cases == chosen.cases
    with pytest.raises(LeakError, match="all of busi"):
        select_cases(model, busi_cases, protocol="hospitals", fold="busi")


def test_a_table_that_names_a_published_source_is_not_in_its_folds(
    tmp_path, busi_cases
):
    """Fold 0 of a table is not fold 0 of BUSI, whatever the model held out."""
    model = info(
        protocol="busi-group5", sources={"busi": {"folds": "busi-groups", "fold": 0}}
    )
    table = make_cases(tmp_path, "busi", [0, 1])
    with pytest.raises(LeakError, match="fold 0 of custom holds images of it"):
        select_cases(model, table, fold=0)
    chosen = select_cases(model, table, allow_leak=True)
    assert (chosen.protocol, chosen.fold, len(chosen.cases)) == ("custom", None, 2)
    with pytest.raises(DataError, match="busi 0: the image is in no fold of busi-gr"):
        select_cases(model, table, protocol="busi-group5", fold=0)
    # Folds that were made anew are no published ones, either.
    anew = [dataclasses.replace(case, fold=1 - case.fold % 2) for case in busi_cases]
    assert select_cases(info(), anew).protocol == "custom"


def test_own_data_needs_no_protocol(tmp_path):
    cases = make_cases(tmp_path, "custom", [0, 1, 1])
    chosen = select_cases(info(data="elsewhere"), cases)
    assert (chosen.protocol, chosen.fold) == ("custom", None)
    assert len(chosen.cases) == 3
    assert len(select_cases(info(), cases, fold=1).cases) == 2


def test_folds_that_do_not_exist_are_refused_with_those_that_do(tmp_path, busi_cases):
    with pytest.raises(DataError, match="the folds 0, 1, 2, not 7"):
        select_cases(info(), busi_cases, fold=7)
    with pytest.raises(DataError, match="in no folds"):
        select_cases(info(), make_cases(tmp_path, "custom", [-1]), fold=1)
    clinic = make_cases(tmp_path, "clinic", [-1])
    with pytest.raises(DataError, match="the sources busi, clinic, not elsewhere"):
        select_cases(
            info(), [*busi_cases, *clinic], protocol="hospitals", fold="elsewhere"
        )


def test_protocols_that_do_not_fit_are_refused(tmp_path, busi_cases):
    custom = make_cases(tmp_path, "custom", [0])
    with pytest.raises(DataError, match="a protocol for busi, not for custom"):
        select_cases(info(), custom, protocol="busi-group5")
    with pytest.raises(DataError, match="a protocol for busbra, not for busi"):
        select_cases(info(), busi_cases, protocol="busbra-patient5")
    with pytest.raises(DataError, match="no protocol is called 'odd'"):
        select_cases(info(), busi_cases, protocol="odd")
    with pytest.raises(DataError, match="no cases"):
        select_cases(info(), [])


def test_labels_that_contradict_each_other_are_refused(tmp_path, busi_cases):
    same = dataclasses.replace(busi_cases[1], name="again", group="9")
    with pytest.raises(DataError, match=r"a file that is another's.*again"):
        select_cases(info(), [*busi_cases, same])
    divided = make_cases(tmp_path, "custom", [0, 1, 1])
    divided = [dataclasses.replace(case, group="patient") for case in divided]
    with pytest.raises(DataError, match=r"1 group in several folds: custom/patient"):
        select_cases(info(), divided, fold=1)
    # All folds together divide no group.
    assert len(select_cases(info(), divided).cases) == 3


def test_acceptance_on_the_published_data(busi, busbra):
    """A released model has one fold of each, and is refused the others."""
    model = info(
        protocol="release",
        fold=0,
        sources={
            "busi": {"folds": "busi-groups", "fold": 0},
            "busbra": {"folds": "busbra-patients10", "fold": 0},
            "busuclm": {"folds": None, "fold": None},
        },
    )
    on_busi = select_cases(model, read_data(busi).cases)
    assert (on_busi.protocol, on_busi.fold, len(on_busi.cases)) == (
        "busi-group5",
        0,
        154,
    )
    on_busbra = select_cases(model, read_data(busbra).cases)
    assert (on_busbra.protocol, on_busbra.fold) == ("busbra-patient10", 0)
    assert 150 < len(on_busbra.cases) < 230
    for data, protocol in ((busi, "busi-group5"), (busbra, "busbra-patient10")):
        with pytest.raises(LeakError):
            select_cases(model, read_data(data).cases, protocol=protocol, fold=1)
    with pytest.raises(LeakError):
        select_cases(model, read_data(busbra).cases, protocol="busbra-patient5", fold=0)
