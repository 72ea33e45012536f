"""What names say: masks, images of masks, and outputs of runs."""

import pytest

from busnet.images.names import (
    JOURNAL,
    RECORD,
    image_stems,
    is_mask_folder,
    is_mask_name,
    lies_in_outputs,
)


@pytest.mark.parametrize(
    "stem",
    [
        *("a_mask", "a_mask_1", "a-seg", "a mask", "a_Masks", "a.gt", "a_mask12"),
        *("a_mask (1)", "a_mask(2)", "a_mask_left", "a_mask_v2", "a_mask - Copy"),
        *("mask", "mask_1", "Mask (2)", "seg", "gt", "label", "segmentation", "gt1"),
        *("ground_truth", "a_groundtruth_2", "benign (1)_mask_1"),
        *("Bild 1_Maske", "a_masque_2", "a_máscara", "Maske (1)"),
    ],
)
def test_names_of_masks(stem):
    assert is_mask_name(stem)


def test_names_of_folders_of_masks():
    names = ("masks", "Ground Truth", "ground-truth", "lesion_masks", "Masken", "seg")
    names += ("mask images", "labelsTr", " GT ", "annotation", "segmentation masks")
    assert [name for name in names if not is_mask_folder(name)] == []
    names = ("images", "BUSI with masks", "images and masks", "masked", "segmented")
    names += ("Dataset_BUSI_with_GT", "unmasked", "maskless", "left", "")
    assert [name for name in names if is_mask_folder(name)] == []


@pytest.mark.parametrize(
    "stem",
    [
        *("a", "x_masked_2", "unmask", "mask_y", "x_label", "lesion_1", "roi", "a_roi"),
        *("masked", "segment_1", "image", "1", "a_seg_left_view", "b[1]", "a (1)"),
    ],
)
def test_names_of_images(stem):
    assert not is_mask_name(stem)


@pytest.mark.parametrize(
    ("mask", "image"),
    [
        *(("a_mask", "a"), ("a_mask_1", "a"), ("a_mask (1)", "a"), ("a_label", "a")),
        *(("b_mask_left", "b"), ("b_mask_v2", "b"), ("b_seg_of_lesion_2", "b")),
        *(("mask_c", "c"), ("dMask", "d"), ("dMask (1)", "d"), ("a_b_roi", "a_b")),
        *(("mask_1", "image_1"), ("a_mask_2", "a_img_2"), ("seg", "image")),
        *(("benign (1)_mask_1", "benign (1)"), ("a_gt", "a_orig"), ("a_seg", "a_us")),
        ("mask_0001-l", "bus_0001-l"),
    ],
)
def test_the_image_of_a_mask(mask, image):
    assert image in image_stems(mask)
    assert image_stems(mask)[0] == mask
    assert "" not in image_stems(mask)


@pytest.mark.parametrize("mark", [RECORD, JOURNAL])
def test_outputs_are_known_by_the_run_that_wrote_them(tmp_path, mark):
    (tmp_path / "out" / "masks" / "benign").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "out" / "masks" / "benign")
    assert not lies_in_outputs(tmp_path / "link")
    (tmp_path / "out" / mark).touch()
    assert lies_in_outputs(tmp_path / "out" / "masks" / "benign" / "a_mask.png")
    assert lies_in_outputs(tmp_path / "link")
    assert not lies_in_outputs(tmp_path / "out")
    assert not lies_in_outputs(tmp_path / "out" / "a.png")
    assert not lies_in_outputs("a\0")
