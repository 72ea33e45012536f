"""Which mask is whose: never another patient's, class's or rater's."""

import pytest
from folders import ignored, listed, make

from busnet import errors
from busnet.data import list_sources, read_custom

ORPHANS = "1 file not used (masks without an image)"


def masks(root):
    return {name: names for name, (_, _, names) in listed(root).items()}


def test_a_mask_of_another_patient_is_nobodys(tmp_path):
    make(tmp_path, "benign/p1/1.png", "benign/p1/1_mask.png", "benign/p2/1_mask_2.png")
    assert masks(tmp_path) == {"benign/p1/1.png": ["1_mask.png"]}
    assert ignored(tmp_path) == {ORPHANS: ("benign/p2/1_mask_2.png",)}


def test_a_mask_of_another_patient_is_not_that_of_an_image_without_one(tmp_path):
    make(tmp_path, "benign/p1/1.png", "benign/p2/2.png", "benign/p2/1_mask.png")
    assert masks(tmp_path) == {"benign/p1/1.png": [], "benign/p2/2.png": []}
    assert ignored(tmp_path) == {ORPHANS: ("benign/p2/1_mask.png",)}


def test_a_mask_of_another_class_is_nobodys(tmp_path):
    make(tmp_path, "benign/images/1.png", "benign/masks/1.png", "malignant/masks/1.png")
    assert masks(tmp_path) == {"benign/images/1.png": ["1.png"]}
    assert ignored(tmp_path) == {ORPHANS: ("malignant/masks/1.png",)}
    (tmp_path / "benign" / "masks" / "1.png").unlink()
    assert masks(tmp_path) == {"benign/images/1.png": []}


def test_an_image_with_a_mask_of_its_own_gets_no_other(tmp_path):
    make(tmp_path, "benign/p1/1.png", "benign/p1/1_mask.png", "masks/1.png")
    assert masks(tmp_path) == {"benign/p1/1.png": ["1_mask.png"]}
    assert ignored(tmp_path) == {ORPHANS: ("masks/1.png",)}


@pytest.mark.parametrize(
    "mask",
    [
        "masks/1.png",
        "masks/p1/1.png",
        "masks/benign/1.png",
        "masks/benign/p1/1_seg.png",
        "truth/benign/p1/1_mask.png",
        "benign/p1/outlines/1_mask.png",
    ],
)
def test_folders_that_say_less_or_more_do_not_contradict(tmp_path, mask):
    make(tmp_path, "benign/p1/1.png", "malignant/p2/2.png", mask)
    assert masks(tmp_path)["benign/p1/1.png"] == [mask.rpartition("/")[2]]
    assert ignored(tmp_path) == {}


def test_folders_tell_images_of_one_name_apart(tmp_path):
    make(tmp_path, "benign/p1/1.png", "benign/p2/1.png", "masks/p2/1.png")
    assert masks(tmp_path) == {"benign/p1/1.png": [], "benign/p2/1.png": ["1.png"]}
    make(tmp_path, "masks/1.png")
    assert ignored(tmp_path) == {ORPHANS: ("masks/1.png",)}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("masks/7.png", "masks/7_1.png"),
        ("masks/benign/p1/7.png", "masks/benign/p1/7 (2).png"),
        ("benign/p1/7_1_mask.png", "benign/p1/7_2_mask.png"),
    ],
)
def test_masks_with_a_number_behind_the_images_name(tmp_path, first, second):
    make(tmp_path, "benign/p1/7.png", "malignant/p2/8.png", first, second)
    names = sorted(name.rpartition("/")[2] for name in (first, second))
    assert sorted(masks(tmp_path)["benign/p1/7.png"]) == names
    assert masks(tmp_path)["malignant/p2/8.png"] == []
    finding, _ = list_sources({"x": tmp_path}).findings
    assert (finding.kind, finding.severity) == ("numbered-mask", "warning")
    assert second in finding.subjects


def test_a_numbered_mask_among_numbered_images_is_nobodys(tmp_path):
    make(tmp_path, "images/7.png", "images/7_2.png", "masks/7.png", "masks/7_1.png")
    assert masks(tmp_path) == {"images/7.png": ["7.png"]}
    assert ignored(tmp_path)[ORPHANS] == ("masks/7_1.png",)


def test_a_numbered_mask_of_another_folder_is_nobodys(tmp_path):
    make(tmp_path, "images/7.png", "masks/7.png", "gt/7_1.png")
    assert masks(tmp_path) == {"images/7.png": ["7.png"]}
    assert ignored(tmp_path) == {ORPHANS: ("gt/7_1.png",)}


def test_folders_of_images_in_several_words_are_no_patients(tmp_path):
    make(tmp_path, "benign/Original Images/1.png", "benign/Binary Masks/1.png")
    make(tmp_path, "malignant/Original Images/2.png", "malignant/Binary Masks/2.png")
    assert listed(tmp_path) == {
        f"{label}/Original Images/{i}.png": (
            label,
            f"{label}/Original Images/{i}.png",
            [f"{i}.png"],
        )
        for i, label in ((1, "benign"), (2, "malignant"))
    }


def test_masks_of_two_raters_are_not_united(tmp_path):
    make(tmp_path, "images/1.png", "masks/rater 1/1.png", "masks/rater 2/1.png")
    with pytest.raises(errors.DataError, match=r"1\.png: it can have one of.*rater 2"):
        read_custom(tmp_path)


def test_masks_of_one_name_in_two_folders_are_said(tmp_path):
    make(tmp_path, "images/1.png", "masks/1.png", "gt/1.png", "images/2.png")
    make(tmp_path, "masks/2.png", "masks/2_mask_1.png")
    (finding,) = list_sources({"x": tmp_path}).findings
    assert (finding.severity, finding.subjects) == ("warning", ("images/1.png",))


def test_a_numbered_mask_of_an_image_that_is_not_there(tmp_path):
    names = ("images/image_3.png", *(f"masks/mask_{i}.png" for i in (1, 2, 3)))
    assert masks(make(tmp_path, *names)) == {"images/image_3.png": ["mask_3.png"]}
    (orphans,) = ignored(tmp_path).values()
    assert orphans == ("masks/mask_1.png", "masks/mask_2.png")


@pytest.mark.parametrize(
    "name",
    [
        *("mask", "mask_1", "seg", "gt", "label", "segmentation", "Mask (1)"),
        "annotation",
    ],
)
def test_a_mask_without_a_name_is_of_the_one_image_beside_it(tmp_path, name):
    make(tmp_path, "benign/c1/scan.png", f"benign/c1/{name}.png", "benign/c2/image.png")
    make(tmp_path, f"benign/c2/masks/{name}.png")
    assert masks(tmp_path) == {
        "benign/c1/scan.png": [f"{name}.png"],
        "benign/c2/image.png": [f"{name}.png"],
    }
    make(tmp_path, "benign/c1/second scan.png")
    assert masks(tmp_path)["benign/c1/scan.png"] == []
    assert ignored(tmp_path) == {ORPHANS: (f"benign/c1/{name}.png",)}


def test_masks_and_images_with_words_and_numbers(tmp_path):
    make(
        tmp_path,
        *("benign/a.png", "benign/a_mask (1).png"),
        *("benign/b.png", "benign/b_mask_left.png", "benign/b_mask_v2.png"),
        *("malignant/image_1.png", "malignant/mask_1.png"),
        *("malignant/image_2.png", "malignant/mask_2.png"),
        *("malignant/x_img.png", "malignant/x_seg.png"),
    )
    assert masks(tmp_path) == {
        "benign/a.png": ["a_mask (1).png"],
        "benign/b.png": ["b_mask_left.png", "b_mask_v2.png"],
        "malignant/image_1.png": ["mask_1.png"],
        "malignant/image_2.png": ["mask_2.png"],
        "malignant/x_img.png": ["x_seg.png"],
    }
    assert ignored(tmp_path) == {}
