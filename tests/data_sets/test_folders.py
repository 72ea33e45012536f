"""Folders as researchers have them."""

import os
import unicodedata

import pytest
from folders import ignored, listed, make

from busnet import errors
from busnet.data import list_sources, read_custom, read_sources


def test_classes_in_any_case_and_patients_below_or_above(tmp_path):
    make(
        tmp_path,
        "benign/a.png",
        "benign/a_mask.png",
        "Malignant/p1/b.png",
        "Malignant/p1/b_mask.png",
        "Malignant/p1/b_mask_1.png",
        "p1/NORMAL/c.png",
        "p2/visit 1/normal/d.png",
    )
    assert listed(tmp_path) == {
        "p1/NORMAL/c.png": ("normal", "p1", []),
        "p2/visit 1/normal/d.png": ("normal", "p2", []),
        "benign/a.png": ("benign", "benign/a.png", ["a_mask.png"]),
        "Malignant/p1/b.png": ("malignant", "p1", ["b_mask.png", "b_mask_1.png"]),
    }
    assert ignored(tmp_path) == {}


def test_a_folder_around_the_data_set_is_no_patient(tmp_path):
    make(tmp_path, "data/set/benign/a.png", "data/set/normal/b.png")
    assert {group for _, group, _ in listed(tmp_path).values()} == {
        "benign/a.png",
        "normal/b.png",
    }


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/a.png", "masks/a.png"),
        ("imgs/a.jpg", "masks/a_mask.png"),
        ("images/benign/a.png", "masks/benign/a.png"),
        ("benign/images/a.png", "benign/masks/a_seg.bmp"),
        ("images/benign/a.png", "masks/a.png"),
        ("Images/a.PNG", "Masks/A.png"),
        ("images/p1/a.png", "labels/p1/a_label.png"),
        ("train/images/a.png", "train/masks/a.png"),
        ("imagesTr/a_0000.png", "labelsTr/a.png"),
        ("original/a.png", "GT/mask_a.png"),
    ],
)
def test_masks_in_a_folder_of_their_own(tmp_path, image, mask):
    make(tmp_path, image, mask)
    ((label, _, masks),) = listed(tmp_path).values()
    assert masks == [mask.rpartition("/")[2]]
    assert label == ("benign" if "benign" in image else None)


def test_the_same_name_in_two_classes(tmp_path):
    names = [
        f"{f}/{c}/1.png" for f in ("images", "masks") for c in ("benign", "normal")
    ]
    make(tmp_path, *names)
    for case in read_custom(tmp_path):
        assert [m.parent.name for m in case.masks] == [case.label]


def test_names_that_look_like_masks(tmp_path):
    make(
        tmp_path,
        "benign/x_masked_2.png",
        "benign/unmask.png",
        "benign/lost_mask.png",
        "benign/b[1].png",
        "benign/b[1]_mask.png",
    )
    assert listed(tmp_path) == {
        "benign/x_masked_2.png": ("benign", "benign/x_masked_2.png", []),
        "benign/unmask.png": ("benign", "benign/unmask.png", []),
        "benign/b[1].png": ("benign", "benign/b[1].png", ["b[1]_mask.png"]),
    }
    assert ignored(tmp_path) == {
        "1 file not used (masks without an image)": ("benign/lost_mask.png",)
    }


def test_masks_named_after_the_image_beside_them(tmp_path):
    """As images they would be trained on, and counted."""
    names = ("a_label", "b_tumor", "mask_c", "dMask", "e_lesion_1", "f_ROI", "GT-g")
    images = [f"benign/{letter}.png" for letter in "abcdefg"]
    make(tmp_path, *images, *(f"benign/{name}.png" for name in names))
    make(tmp_path, "malignant/x_label.png", "malignant/mask_y.png")
    assert listed(tmp_path) == {
        **{
            image: ("benign", image, [f"{name}.png"])
            for image, name in zip(images, names, strict=True)
        },
        # Nothing here says that these are masks.
        "malignant/x_label.png": ("malignant", "malignant/x_label.png", []),
        "malignant/mask_y.png": ("malignant", "malignant/mask_y.png", []),
    }


def test_what_is_not_used_is_said(tmp_path):
    make(tmp_path, "benign/a.png", "cyst/b.png", "c.png", "benign/._a.png")
    (tmp_path / "benign" / "notes.txt").write_text("x")
    (tmp_path / "benign" / "gone.png").symlink_to("nowhere.png")
    assert ignored(tmp_path) == {
        "2 files not used (images in no folder of a class (normal, benign, malignant) "
        "or mask)": ("c.png", "cyst/b.png"),
        "1 file not used (no image by the name's ending .txt)": ("benign/notes.txt",),
        "1 file not used (hidden and system files)": ("benign/._a.png",),
        "1 file not used (no regular file, or a link to nothing)": ("benign/gone.png",),
    }
    with pytest.raises(
        errors.DataError, match=r"no images of.*2 files not used.*c\.png"
    ):
        read_custom(make(tmp_path / "cyst", "c.png"))


def test_links_are_followed_once(tmp_path):
    make(tmp_path / "elsewhere", "a.png", "b.png")
    (tmp_path / "set" / "benign").mkdir(parents=True)
    (tmp_path / "set" / "benign" / "p1").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "set")
    assert [(c.name, c.group) for c in read_custom(tmp_path / "set")] == [
        ("benign/p1/a.png", "p1"),
        ("benign/p1/b.png", "p1"),
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_folders_that_cannot_be_read_are_said(tmp_path):
    make(tmp_path, "benign/a.png", "normal/b.png")
    (tmp_path / "normal").chmod(0)
    assert ignored(tmp_path) == {
        "1 file not used (folders that cannot be read)": ("normal",)
    }
    (tmp_path / "normal").chmod(0o755)


@pytest.mark.parametrize(
    ("names", "fact"),
    [
        (["train/benign/a.png", "test/benign/b.png"], "folders test, train"),
        (["benign/normal/a.png"], "classes benign and normal"),
        (["imagesTr/a_0000.png", "imagesTr/a_0001.png"], "a_0001.*_0000"),
        (["benign/a.png", "benign/a.jpg", "benign/a_mask.png"], "can be the mask of"),
        (["notes.png"], "no images of"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, names, fact):
    with pytest.raises(errors.DataError, match=fact):
        read_custom(make(tmp_path, *names))


def test_nnunets_test_images_are_not_used(tmp_path):
    make(tmp_path, "imagesTr/a_0000.png", "labelsTr/a.png", "imagesTs/b_0000.png")
    assert list(listed(tmp_path)) == ["imagesTr/a_0000.png"]
    assert list(ignored(tmp_path).values()) == [("imagesTs/b_0000.png",)]


def test_a_table_of_groups_joins_patients_and_copies(tmp_path):
    make(
        tmp_path,
        "benign/p1/a.png",
        "benign/p1/b.png",
        "benign/p2/c.png",
        "benign/d.png",
        "normal/e.png",
    )
    (tmp_path / "groups.csv").write_text(
        "Image;Group\nbenign\\p1\\b.png;0\nbenign/p2/c.png;0\nbenign/d.png;1\n"
        "benign/p1/a.png;2\nelsewhere.png;0\n"
    )
    groups = {case.name: case.group for case in read_custom(tmp_path)}
    assert groups == {
        "normal/e.png": "normal/e.png",
        "benign/d.png": "benign/d.png",
        "benign/p1/a.png": "p1",
        "benign/p1/b.png": "p1",
        "benign/p2/c.png": "p1",
    }
    finding, _ = list_sources({"x": tmp_path}).findings
    assert (finding.kind, finding.subjects) == ("no-group", ("normal/e.png",))
    (tmp_path / "groups.csv").write_text("image\nbenign/d.png\n")
    with pytest.raises(errors.DataError, match="column 'group' is missing"):
        read_custom(tmp_path)


def test_busi_without_its_own_table(tmp_path):
    make(tmp_path, *(f"{c}/{c} (1).png" for c in ("benign", "normal", "malignant")))
    with pytest.raises(errors.DataError, match="busnet audit"):
        read_sources({"busi": tmp_path})
    with pytest.raises(errors.DataError, match="name it busi"):
        read_sources({"mine": tmp_path})
    rows = [
        f"{c}/{c} (1).png,{c == 'normal'}" for c in ("benign", "normal", "malignant")
    ]
    (tmp_path / "groups.csv").write_text("\n".join(["image,group", *rows]))
    assert len({c.key for c in read_sources({"mine": tmp_path})}) == 2


def test_folders_that_name_a_class_among_other_words(tmp_path):
    make(tmp_path, "0_benign/1.png", "0_benign/1_mask.png", "Malignants/2.png")
    make(
        tmp_path, "abnormal/3.png", "Malignants/2_mask.png", "normal/normal scan/4.png"
    )
    findings = {f.kind: f for f in list_sources({"x": tmp_path}).findings}
    assert findings["class-word"].severity == "warning"
    assert findings["class-word"].subjects == ("0_benign", "Malignants")


@pytest.mark.parametrize(
    "parts",
    [
        ("Train_set", "Test_set"),
        ("training set", "testing-set"),
        ("train data", "val_data"),
        ("fold1", "fold2"),
        ("Fold_0", "Fold_1"),
        ("cv1", "cv2"),
    ],
)
def test_parts_of_other_names_are_no_patients(tmp_path, parts):
    root = make(tmp_path, *(f"{part}/benign/{i}.png" for i, part in enumerate(parts)))
    listed = ", ".join(sorted(parts))
    with pytest.raises(errors.DataError, match=f"divided into the folders {listed};"):
        read_custom(root)
    (case,) = read_custom(root / parts[0])
    assert case.group == case.name


def test_folders_that_are_taken_for_patients_are_named(tmp_path):
    """Such as years, which would be two patients of all images."""
    root = make(tmp_path, "2020/benign/a.png", "2021/benign/a.png", "2021/normal/b.png")
    (finding,) = list_sources({"x": root}).findings
    assert (finding.kind, finding.severity) == ("patients", "note")
    assert str(finding) == (
        "2 folders taken for a patient each: 2021 (2 images), 2020 (1 image)"
    )


def test_letters_and_accents_may_be_apart(tmp_path):
    """As macOS writes names of files; Linux takes both forms for different names."""
    composed, apart = (unicodedata.normalize(f, "für") for f in ("NFC", "NFD"))
    make(tmp_path / "x", f"benign/{composed}.png", f"benign/{apart}_mask.png")
    (case,) = read_custom(tmp_path / "x")
    assert [mask.name for mask in case.masks] == [f"{apart}_mask.png"]
    for name, other in ((composed, apart), (apart, composed)):
        root = make(tmp_path / name, f"{name}.png")
        (root / "t.csv").write_text(f"image,label\n{other}.png,benign\n")
        (case,) = read_custom(root / "t.csv")
        assert case.image == root / f"{name}.png"
