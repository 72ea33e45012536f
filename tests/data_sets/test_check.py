"""The check of a data set finds what is wrong with it."""

import json
import shutil
import struct

import encode
import numpy as np
import pytest
from helpers import call, run, write_dicom
from PIL import Image

from busnet import errors
from busnet.data import Case, check, read_custom, screen
from busnet.data.masks import mask_fault
from busnet.data.phantom import phantom

HEIGHT, WIDTH = 120, 150


def scene(seed):
    """Shuffle a phantom in blocks, so that scenes share no layout."""
    image = phantom(HEIGHT, WIDTH, seed=seed)[0]
    blocks = [
        image[i : i + 30, j : j + 30]
        for i in range(0, HEIGHT, 30)
        for j in range(0, WIDTH, 30)
    ]
    np.random.RandomState(seed).shuffle(blocks)
    return np.vstack([np.hstack(blocks[i : i + 5]) for i in range(0, 20, 5)])


def lesion():
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[40:60, 50:90] = 255
    return mask


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def make_sound(root):
    """Write nine sound images, three of each class."""
    for i in range(9):
        label = ("normal", "benign", "malignant")[i % 3]
        save(root / label / f"{i}.png", scene(i))
        if label != "normal":
            save(root / label / f"{i}_mask.png", lesion())
    return root


def kinds(report):
    return {f.kind: f for f in report.findings if f.severity != "note"}


def test_nothing_is_found_in_sound_data(tmp_path):
    report = check(make_sound(tmp_path))
    assert report.findings == ()
    assert report.ok
    counts = report.counts["custom"]
    assert (counts.images, counts.groups, counts.masks) == (9, 9, 6)
    assert counts.classes == {"normal": 3, "benign": 3, "malignant": 3}
    assert counts.spacing == 0


def test_a_folder_spoiled_in_many_ways(tmp_path):
    root = make_sound(tmp_path / "data")
    (root / "benign" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    save(root / "benign" / "1_mask.png", lesion()[:90])
    save(root / "benign" / "4_mask.png", np.zeros_like(lesion()))
    save(root / "normal" / "0_mask.png", lesion())
    (root / "malignant" / "2_mask.png").write_bytes(b"")
    save(root / "malignant" / "5_mask.png", 255 - lesion())
    save(root / "malignant" / "8_mask.png", np.full_like(lesion(), 255))
    save(root / "benign" / "7_mask.png", scene(7))
    shutil.copy(root / "malignant" / "8.png", root / "benign" / "other name.png")
    small = Image.fromarray(scene(3)).resize((WIDTH // 2, HEIGHT // 2))
    small.save(root / "normal" / "small.bmp")
    save(root / "benign" / "flat.png", np.full((HEIGHT, WIDTH), 7, np.uint8))
    save(root / "malignant" / "mask_of_what.png", lesion())
    save(root / "malignant" / "lost_mask.png", lesion())
    save(root / "Cysts" / "unclassified.png", scene(20))
    (root / "malignant" / "linked.png").symlink_to("8.png")
    report = check(root)
    named = kinds(report)
    for kind, severity, name in (
        ("unreadable", "error", "broken.png"),
        (
            "mask-size",
            "error",
            "benign/1.png (the image is (120, 150), its mask (90, 150))",
        ),
        ("empty-mask", "warning", "benign/4.png"),
        ("normal-mask", "error", "normal/0.png"),
        ("unreadable-mask", "error", "2_mask.png"),
        ("unreadable-mask", "error", "7_mask.png: not a mask: its values are"),
        ("mask-shape", "error", "malignant/5.png (it is inverted"),
        ("full-mask", "warning", "malignant/8.png"),
        ("two-classes", "error", "benign/other name.png"),
        ("copies-in-groups", "warning", "normal/small.bmp"),
        ("flat", "warning", "benign/flat.png"),
        ("two-values", "warning", "malignant/mask_of_what.png"),
        ("small", "warning", "normal/small.bmp"),
        ("same-file", "error", "malignant/linked.png"),
    ):
        assert named[kind].severity == severity
        assert any(name in subject for subject in named[kind].subjects), kind
    ignored = [f for f in report.findings if f.kind == "ignored"]
    names = [subject for finding in ignored for subject in finding.subjects]
    assert sorted(names) == ["Cysts/unclassified.png", "malignant/lost_mask.png"]
    assert [f.severity for f in report.findings] == sorted(
        (f.severity for f in report.findings), key=["error", "warning", "note"].index
    )
    assert not report.ok


def disc(radius, size=60):
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(y, x) <= radius


def test_shapes_that_no_lesion_has():
    ring = disc(20) & ~disc(18)
    corner = np.zeros((60, 60), bool)
    corner[40:, 40:] = True
    line = np.eye(60, dtype=bool) & disc(25)
    for mask in (disc(20), disc(2), disc(20) & ~disc(12), corner, line):
        assert mask_fault(mask) == ""
    for mask in (0 * ring, ring | True):  # empty and full are told by others
        assert mask_fault(mask > 0) == ""
    for mask in (~disc(20), ~disc(2), ~corner, ~ring):
        assert "inverted" in mask_fault(mask)
    one_pixel = disc(20) & ~disc(19.3)
    at_the_edge = np.roll(ring, -10, 1)
    for mask in (ring, one_pixel, ring | disc(3), at_the_edge):
        assert "outline" in mask_fault(mask)


def test_a_table_spoiled_in_many_ways(tmp_path):
    make_sound(tmp_path)
    shutil.copy(tmp_path / "benign" / "1.png", tmp_path / "benign" / "copy.png")
    table = tmp_path / "table.csv"
    table.write_text(
        "Image;Label;Mask;Patient;Fold;Spacing;Age\n"
        "normal/0.png;normal;;p0;0;0.1;40\n"
        "benign/1.png;benign;benign/1_mask.png;p1;0;0.1;40\n"
        "benign/copy.png;benign;benign/4_mask.png;p2;1;0.1x0.2;40\n"
        "malignant/2.png;malignant;malignant/2_mask.png;p1;1;0,1;40\n"
        "malignant/5.png;malignant;;p3;1;9;40\n"
        "malignant/8.png;;malignant/5_mask.png;p4;1;;40\n"
        "benign/none.png;benign;;p5;0;;40\n"
        "benign/4.png;cyst;;p6;0;;40\n"
        "benign/7.png;benign;benign/7_mask.png;p7;one;;40\n"
    )
    report = check(table)
    named = {f.kind: f for f in report.findings}
    rows = named["table"]
    assert rows.severity == "error"
    assert [r.partition("line ")[2][0] for r in rows.subjects] == ["8", "9", "0"] or [
        s.split(", line ")[1].split(":")[0] for s in rows.subjects
    ] == ["8", "9", "10"]
    assert named["group-folds"].subjects == ("custom/p1 (folds 0, 1)",)
    assert "benign/copy.png" in named["copies-in-folds"].subjects[0]
    assert named["spacing"].subjects == ("custom: malignant/5.png (9 x 9 mm)",)
    assert named["class-only"].subjects == ("custom: malignant/5.png",)
    assert named["mask-only"].subjects == ("custom: malignant/8.png",)
    assert named["ignored"].subjects == ("age",)
    assert named["ignored"].severity == "note"
    assert report.counts["custom"].spacing == 5
    assert report.counts["custom"].folds == {0: 2, 1: 4}


@pytest.mark.parametrize("form", ["png", "bmp", "tif"])
def test_masks_among_the_images_are_named_without_reading_all(tmp_path, form):
    make_sound(tmp_path)
    save(tmp_path / "malignant" / f"outline of it.{form}", lesion())
    findings = [f for f in screen(read_custom(tmp_path)) if f.severity == "warning"]
    assert [(f.kind, f.subjects) for f in findings] == [
        ("two-values", (f"custom: malignant/outline of it.{form}",))
    ]
    for thorough in (False, True):
        finding = kinds(check(tmp_path, thorough=thorough))["two-values"]
        assert finding.subjects == findings[0].subjects


def test_images_that_are_torn_are_no_masks(tmp_path):
    """Nor does Pillow warn of them, which would be an error here."""
    make_sound(tmp_path)
    height, too_many = (struct.pack("<HHI", 257, 4, count) for count in (1, 1 << 20))
    torn = encode.tiff(lesion()).replace(height, too_many)
    (tmp_path / "benign" / "torn.tif").write_bytes(torn)
    assert "two-values" not in {f.kind for f in screen(read_custom(tmp_path))}


@pytest.mark.parametrize(
    "name", ["2 outline.png", "2 (outline).png", "outline-2.png", "contours/2.png"]
)
@pytest.mark.parametrize("thorough", [False, True])
def test_an_image_that_is_the_mask_of_another_is_an_error(tmp_path, name, thorough):
    make_sound(tmp_path)
    save(tmp_path / "malignant" / name, lesion())
    finding = kinds(check(tmp_path, thorough=thorough))["mask-as-image"]
    assert finding.severity == "error"
    assert finding.subjects == (f"custom: malignant/{name}",)
    with pytest.raises(
        errors.DataError, match="1 image of two grey values that have another"
    ):
        screen(read_custom(tmp_path))


def test_an_empty_mask_without_a_class_is_no_lesions(tmp_path):
    save(tmp_path / "images" / "1.png", scene(1))
    save(tmp_path / "masks" / "1.png", 0 * lesion())
    findings = check(tmp_path).findings
    (finding,) = (f for f in findings if "empty mask" in f.message)
    assert (finding.severity, finding.kind) == ("note", "no-lesion")


def test_the_command(tmp_path):
    sound, out = make_sound(tmp_path / "sound"), tmp_path / "report.json"
    done = call("check", sound, "--json", out)
    assert "nothing is wrong" in done.stdout
    document = json.loads(out.read_text())
    assert document["ok"]
    assert document["counts"]["custom"]["classes"]["benign"] == 3
    (sound / "normal" / "0.png").write_bytes(b"")
    done = call("check", f"mine={sound}", "--json", out, check=1)
    assert "mine: normal/0.png" in done.stdout
    (finding,) = json.loads(out.read_text())["findings"]
    assert finding["kind"] == "unreadable"
    call("check", sound, "--quick")
    assert "no such file" in call("check", tmp_path / "none", check=1).stderr
    bad = call("check", sound, "--protocol", "busi-group5", check=1)
    assert "for busi, not for custom" in " ".join(bad.stderr.split())


def test_names_that_are_not_utf8(tmp_path):
    make_sound(tmp_path)
    name = tmp_path / "benign" / b"caf\xe9.png".decode("utf-8", "surrogateescape")
    name.write_bytes(b"")
    done = run("check", tmp_path, "--json", tmp_path / "r.json", check=1)
    assert "caf\\xe9.png" in done.stdout
    assert r"caf\\xe9.png" in (tmp_path / "r.json").read_text()


def test_a_published_set_without_its_table_is_still_checked(tmp_path):
    for label in ("normal", "benign", "malignant"):
        save(tmp_path / label / f"{label} (1).png", scene(1))
        save(tmp_path / label / f"{label} (1)_mask.png", 0 * lesion())
    named = kinds(check(tmp_path))
    assert "duplicate groups" in named["source"].message
    assert len(named["two-classes"].subjects) == 3
    assert len(named["empty-mask"].subjects) == 2


def test_groups_that_may_be_one_patient(tmp_path):
    make_sound(tmp_path)
    groups = ("P1", "p1", "007", "7", "7.0", "a b", "a_b", "12", "1-2")
    names = ("normal/0", "benign/1", "malignant/2", "normal/3", "benign/4")
    names += ("malignant/5", "normal/6", "benign/7", "malignant/8")
    table = tmp_path / "t.csv"
    table.write_text(
        "image,label,group\n"
        + "".join(
            f"{name}.png,{name.split('/')[0]},{group}\n"
            for name, group in zip(names, groups, strict=True)
        )
    )
    report = check(table, thorough=False)
    assert kinds(report)["similar-groups"].subjects == (
        "custom/P1 and custom/p1",
        "custom/007 and custom/7",
        "custom/a b and custom/a_b",
    )
    assert report.counts["custom"].groups == 8  # 7.0 is 7


def test_two_sources_of_one_name(tmp_path):
    make_sound(tmp_path / "a")
    (tmp_path / "a" / "t.csv").write_text("image,label,source\nnormal/0.png,normal,x\n")
    with pytest.raises(errors.DataError, match="both hold the source 'x'"):
        check({"custom": tmp_path / "a" / "t.csv", "x": tmp_path / "a"})


def test_train_and_evaluate_refuse_what_would_be_wrong(tmp_path):
    save(tmp_path / "a.png", scene(1))
    save(tmp_path / "m.png", lesion())
    save(tmp_path / "empty.png", 0 * lesion())
    image, mask, empty = (tmp_path / f"{n}.png" for n in ("a", "m", "empty"))
    with pytest.raises(errors.DataError, match=r"1 image that is normal.*custom: a"):
        screen([Case("a", image, (mask,), "normal")])
    (finding,) = [
        f
        for f in screen([Case("a", image, (empty,), "benign")])
        if f.severity == "warning"
    ]
    assert str(finding) == "1 image of lesions with an empty mask: custom: a"
    save(tmp_path / "inverted.png", 255 - lesion())
    with pytest.raises(errors.DataError, match=r"1 image with a mask.*is inverted"):
        screen([Case("a", image, (tmp_path / "inverted.png",), "benign")])
    with pytest.raises(errors.DataError, match="its own mask"):
        screen([Case("a", image, (image,), "benign")])


def test_busi(busi, busi_report):
    named = {f.kind: f for f in busi_report.findings}
    assert len(named["contradictory-group"].subjects) == 8
    assert "busi/211 (normal and benign)" in named["contradictory-group"].subjects
    contradictions = named["two-classes"].subjects
    assert any("benign (433) and busi: malignant (145)" in s for s in contradictions)
    pairs = [f for f in busi_report.findings if "pair" in f.message]
    assert sum(len(f.subjects) for f in pairs) == pytest.approx(251, abs=3)
    assert "empty-mask" not in named
    assert check(busi, protocol="busi-group5", thorough=False).findings == ()


def test_commands_say_what_they_do_not_use(tmp_path, capsys):
    from busnet.cli.cases import read_cases

    make_sound(tmp_path)
    save(tmp_path / "cyst" / "a[1].png", scene(20))
    assert len(read_cases([f"mine={tmp_path}"])) == 9
    message = " ".join(capsys.readouterr().err.split())
    assert "warning: 1 file not used" in message
    assert "cyst/a[1].png" in message
    table = tmp_path / "t.csv"
    table.write_text("image,mask\nbenign/1.png,benign/1.png\n")
    with pytest.raises(errors.DataError, match="its own mask"):
        read_cases([f"{table}"])
    table.write_text(
        "image,mask\nbenign/1.png,benign/1_mask.png\nbenign/4.png,benign/1_mask.png\n"
    )
    with pytest.raises(
        errors.DataError, match="2 images with a mask that is another's"
    ):
        read_cases([f"{table}"])


def test_a_folder_that_is_no_patient_is_noticed(tmp_path):
    for label in ("benign", "normal"):
        save(tmp_path / label / "scans" / "a.png", scene(len(label)))
    named = kinds(check(tmp_path, thorough=False))
    assert named["one-group"].subjects == ("custom/scans",)


def test_sizes_of_dicom_are_compared(tmp_path):
    pytest.importorskip("pydicom")
    write_dicom(tmp_path / "a.dcm", scene(1), "MONOCHROME2")
    save(tmp_path / "m.png", lesion()[:90])
    (tmp_path / "t.csv").write_text("image,label,mask\na.dcm,benign,m.png\n")
    named = kinds(check(tmp_path / "t.csv", thorough=False))
    assert "mask (90, 150)" in named["mask-size"].subjects[0]
