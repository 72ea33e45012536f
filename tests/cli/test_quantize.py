"""``busnet quantize``: the command; what it computes is tested elsewhere."""

import pytest
from helpers import call
from PIL import Image
from random_weights import save_random

from busnet import weights
from busnet.data.phantom import phantom
from busnet.networks import get_network


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    for i in range(4):
        Image.fromarray(phantom(70, 90, seed=i)[0]).save(root / f"{i}.png")
    return root


def images_used(path):
    return weights.read_info(path).provenance["calibration"]["images"]


def test_bad_files_are_listed_and_others_drawn(folder, tmp_path, weights_file):
    for name in ("x.png", "y.png"):
        (folder / name).write_bytes(b"broken")
    (folder / "notes.txt").touch()
    out = tmp_path / "out.safetensors"
    arguments = ["quantize", folder, "--model", weights_file, "--out", out]
    done = call(*arguments, check=1)
    assert "calibrated on 4 images" in done.stderr
    assert "x.png" in done.stderr
    assert "y.png" in done.stderr
    assert "1 file skipped: 1 not images by their ending" in done.stderr
    assert images_used(out) == 4
    for seed in range(4):
        call(*arguments, "--count", "3", "--seed", seed, check=None)
        assert images_used(out) == 3


def test_clips_count_once(folder, tmp_path, weights_file):
    frames = [Image.fromarray(phantom(50, 60, seed=i)[0]) for i in range(3)]
    frames[0].save(folder / "clip.tif", save_all=True, append_images=frames[1:])
    out = tmp_path / "out.safetensors"
    call("quantize", folder, "--model", weights_file, "--out", out)
    assert images_used(out) == 5


def test_no_image_at_all_is_an_error(folder, tmp_path, weights_file):
    for path in folder.iterdir():
        path.write_bytes(b"broken")
    out = tmp_path / "out.safetensors"
    done = call("quantize", folder, "--model", weights_file, "--out", out, check=1)
    assert "no image to calibrate with" in done.stderr
    assert not out.exists()


def test_what_training_held_out_is_left_out(busi, tmp_path, weights_file):
    out = tmp_path / "out.safetensors"
    done = call(
        "quantize", busi, "--protocol", "busi-group5", "--count", "3",
        "--model", "resnet18", "--out", out,
    )  # fmt: skip
    assert "busi-group5 without fold 0" in done.stderr
    assert images_used(out) == 3


def test_own_data_in_folds(tmp_path, phantom_data):
    """The fold that training held out is left out; what is not used is said."""
    model = save_random(
        tmp_path / "w.safetensors",
        get_network("resnet18", channels=1),
        provenance={
            "protocol": "custom",
            "fold": 1,
            "sources": {"custom": {"folds": "custom", "fold": 1}},
        },
    )
    lines = ["image,label,fold,age"]
    for i, path in enumerate(sorted(phantom_data.glob("*/case ?.png"))):
        lines.append(f"{path},{path.parent.name},{i % 3},50")
    table = tmp_path / "t.csv"
    table.write_text("\n".join(lines) + "\n")
    out = tmp_path / "out.safetensors"
    done = call(
        "quantize", table, "--protocol", "custom", "--model", model, "--out", out
    )
    assert "1 column not used: age" in done.stderr
    assert "6 images of custom without fold 1" in done.stderr
    assert images_used(out) == 6
    done = call(
        "quantize", f"clinic={table}", "--protocol", "custom", "--model", model,
        "--out", tmp_path / "other.safetensors", check=1,
    )  # fmt: skip
    assert "held out fold 1 of 'custom', but the images are of 'clinic'" in done.stderr
    assert not (tmp_path / "other.safetensors").exists()
    done = call(
        "quantize", f"clinic={table}", "--protocol", "custom", "--model", "resnet18",
        "--count", "3", "--out", out,
    )  # fmt: skip
    assert "3 images of custom\n" in done.stderr
