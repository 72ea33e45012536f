"""Which files of a folder are data, and which folders are patients."""

import numpy as np
import pytest
from folders import SHAPE, ignored, listed, make
from helpers import write_dicom

from busnet import errors
from busnet.data import list_sources, read_custom
from busnet.images.names import JOURNAL, RECORD


@pytest.mark.parametrize("mark", [RECORD, JOURNAL])
def test_what_a_model_predicted_is_no_truth(tmp_path, mark):
    """Its masks would give it a Dice of 1."""
    make(tmp_path, "benign/a.png", "malignant/b.png", "malignant/b_mask.png")
    make(
        tmp_path / "results",
        *("masks/benign/a_mask.png", "masks/malignant/b_mask.png"),
        "overlays/benign/a_overlay.png",
    )
    for name in (mark, "predictions.csv", "gallery.html"):
        (tmp_path / "results" / name).touch()
    assert listed(tmp_path) == {
        "benign/a.png": ("benign", "benign/a.png", []),
        "malignant/b.png": ("malignant", "malignant/b.png", ["b_mask.png"]),
    }
    (finding,) = list_sources({"x": tmp_path}).findings
    assert finding.severity == "warning"
    assert finding.message == "5 files not used (outputs of busnet predict)"
    assert finding.subjects == tuple(
        f"results/{name}"
        for name in sorted(
            (mark, "gallery.html", "masks", "overlays", "predictions.csv")
        )
    )
    for folder in ("results/masks", "results/overlays/benign"):
        with pytest.raises(errors.DataError, match="a run of busnet predict wrote it"):
            read_custom(tmp_path / folder)


def test_outputs_among_the_data_and_behind_links(tmp_path):
    root = make(tmp_path / "my", "benign/a.png", "masks/benign/a_mask.png")
    (root / RECORD).touch()
    assert listed(root) == {"benign/a.png": ("benign", "benign/a.png", [])}
    other = make(tmp_path / "other", "benign/a.png")
    (other / "truth").symlink_to(root / "masks")
    (other / "masks").symlink_to(root / "masks" / "benign")
    assert listed(other) == {"benign/a.png": ("benign", "benign/a.png", [])}
    assert ignored(other) == {
        "2 files not used (outputs of busnet predict)": ("masks", "truth")
    }


@pytest.mark.parametrize(
    "beside", ["README.txt", "inner/clinic.xlsx", "results/busnet-run.json", "x.png"]
)
def test_a_folder_that_holds_all_images_is_no_patient(tmp_path, beside):
    make(tmp_path, "inner/set/benign/a.png", "inner/set/malignant/p1/b.png")
    make(tmp_path, "inner/set/malignant/p1/c.png", "inner/set/malignant/c_mask.png")
    (tmp_path / beside).parent.mkdir(exist_ok=True)
    make(tmp_path, beside) if beside == "x.png" else (tmp_path / beside).touch()
    assert listed(tmp_path) == {
        "benign/a.png": ("benign", "benign/a.png", []),
        "malignant/p1/b.png": ("malignant", "p1", []),
        "malignant/p1/c.png": ("malignant", "p1", ["c_mask.png"]),
    }
    assert beside in next(iter(ignored(tmp_path).values()))


def test_a_folder_around_one_part_keeps_the_parts_name(tmp_path):
    make(tmp_path, "data/train/benign/a.png", "data/train/normal/p1/b.png")
    assert {n: g for n, (_, g, _) in listed(tmp_path).items()} == {
        "train/benign/a.png": "train/benign/a.png",
        "train/normal/p1/b.png": "p1",
    }


def test_patients_below_a_class_stay_patients(tmp_path):
    """One patient's images are one group, even if there is no other patient."""
    make(tmp_path, "malignant/p1/a.png", "malignant/p1/b.png")
    assert {group for _, group, _ in listed(tmp_path).values()} == {"p1"}
    make(tmp_path, "p2/benign/c.png")
    assert {group for _, group, _ in listed(tmp_path).values()} == {"p1", "p2"}


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(errors.DataError, match="no such file"):
        read_custom(tmp_path / "none")


def test_dicom_without_an_ending_is_an_image(tmp_path):
    """A UID ends in a number, which is no ending."""
    make(tmp_path, "benign/1.2.840.7_mask.png", "benign/1.2.840.8_mask.png")
    for name in ("1.2.840.7", "1.2.840.8", "IM_9", "DICOMDIR"):
        pixels = np.zeros(SHAPE, np.uint8)
        write_dicom(tmp_path / "benign" / name, pixels, "MONOCHROME2")
    (tmp_path / "benign" / "README").write_text("no image")
    assert {name: masks for name, (_, _, masks) in listed(tmp_path).items()} == {
        "benign/1.2.840.7": ["1.2.840.7_mask.png"],
        "benign/1.2.840.8": ["1.2.840.8_mask.png"],
        "benign/IM_9": [],
    }
    assert ignored(tmp_path) == {
        "2 files not used (no image by the name's ending (none))": (
            "benign/DICOMDIR",
            "benign/README",
        )
    }
