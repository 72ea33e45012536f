"""Runs into a folder, one after the other."""

import json
import os

import pytest

import busnet
from busnet.batch import collect, predict_files, record_all
from busnet.batch.journal import Journal
from busnet.batch.outputs import Outputs
from busnet.batch.run import predict_into, settings_of
from busnet.images.names import RECORD


def predict(
    model,
    paths,
    out,
    messages=None,
    *,
    fail_at=None,
    on_record=lambda source: None,
    form="csv",
    **kinds,
):
    """Run into a folder; a run may be made to fail at a file."""
    outputs = Outputs(out, model.info, **kinds)

    def work(sources):
        outcomes = predict_files(model, sources)
        for source, documents in record_all(outcomes, outputs.record, outputs.finish):
            if source.name == fail_at:
                raise OSError(28, "No space left on device")
            on_record(source)
            yield source, documents

    return predict_into(
        out,
        collect(paths, output=out).sources,
        work,
        outputs,
        settings_of(model, outputs=outputs.kinds()),
        form=form,
        gallery=kinds.get("overlay", False),
        say=(messages if messages is not None else []).append,
    )


def contents(folder):
    """Return every file below a folder with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_twice_in_a_row_gives_the_same_bytes(folder, model, tmp_path):
    out = tmp_path / "out"
    messages = []
    predict(model, [folder], out, overlay=True)
    first = contents(out)
    predict(model, [folder], out, messages, overlay=True)
    assert contents(out) == first
    assert len(first) == 3 + 2 * 3
    assert "an earlier run is replaced: gallery.html, predictions.csv" in messages[0]
    assert len(messages) == 1


def test_the_folder_may_lie_in_the_input(folder, model):
    out = folder / "res"
    predict(model, [folder], out, overlay=True)
    first = contents(out)
    table = predict(model, [folder], out, overlay=True)
    assert len(table.documents) == 3
    assert contents(out) == first


def test_nothing_old_stays_beside_a_new_table(folder, model, tmp_path):
    out = tmp_path / "out"
    predict(model, [folder], out, overlay=True)
    (folder / "sub" / "c.png").unlink()
    messages = []
    predict(model, [folder], out, messages, form="json")
    assert set(contents(out)) == {
        *("predictions.json", RECORD, "masks/a_mask.png", "masks/b_mask.png")
    }
    assert not (out / "overlays").exists()
    assert 'outputs ["mask", "overlay"]' in messages[0]
    assert "predictions.csv" in messages[0]
    assert "removed" in messages[1]


def test_another_model_is_named_and_its_table_goes_first(
    folder, model, tmp_path, weights_file
):
    out = tmp_path / "out"
    predict(model, [folder], out)
    shipped = busnet.load("resnet18")
    messages = []
    with pytest.raises(OSError, match="No space"):
        predict(shipped, [folder], out, messages, fail_at="b")
    assert "with model random" in messages[0]
    assert not (out / "predictions.csv").exists()  # its masks are another model's
    (folder / "b.png").unlink()
    predict(model, [folder], out)
    assert {"masks/a_mask.png", "masks/sub/c_mask.png"} == {
        name for name in contents(out) if name.startswith("masks")
    }


def test_what_a_stopped_run_wrote_is_known(folder, model, tmp_path):
    """Also by a run with other settings and other files."""
    out = tmp_path / "out"
    with pytest.raises(OSError, match="No space"):
        predict(model, [folder], out, fail_at="sub/c", overlay=True)
    assert (out / Journal.NAME).exists()
    predict(model, [folder / "sub"], out)
    assert set(contents(out)) == {"predictions.csv", RECORD, "masks/c_mask.png"}


def test_a_stopped_run_goes_on(folder, model, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(OSError, match="No space"):
        predict(model, [folder], out, fail_at="sub/c")
    before = (out / "masks" / "a_mask.png").stat().st_mtime_ns
    messages = []
    predict(model, [folder], out, messages)
    assert "2 files were done before" in messages
    assert (out / "masks" / "a_mask.png").stat().st_mtime_ns == before
    assert not (out / Journal.NAME).exists()


@pytest.mark.parametrize(
    "name", ["masks/a_mask.png", "masks/a_frame0003_mask.png", "predictions.csv"]
)
def test_files_of_the_user_are_never_replaced(folder, model, tmp_path, name):
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_bytes(b"by hand")
    with pytest.raises(busnet.OutputError, match=name):
        predict(model, [folder], out)
    assert contents(out) == {name: b"by hand"}
    (out / name).rename(out / "elsewhere")
    (out / "masks").mkdir(exist_ok=True)
    (out / "masks" / "other_mask.png").write_bytes(b"by hand")
    predict(model, [folder], out)
    predict(model, [folder / "a.png"], out)
    assert (out / "masks" / "other_mask.png").read_bytes() == b"by hand"


@pytest.mark.parametrize("files", [["../victim"], ["masks/../../victim"], ["x\0y", 3]])
def test_a_record_cannot_name_files_elsewhere(folder, model, tmp_path, files):
    out, victim = tmp_path / "out", tmp_path / "victim"
    out.mkdir()
    victim.touch()
    (out / RECORD).write_text(json.dumps({"settings": {}, "files": files}))
    predict(model, [folder], out)
    assert victim.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3, "settings": {}}', "{}"])
def test_a_damaged_record_is_an_error(folder, model, tmp_path, text):
    out = tmp_path / "out"
    out.mkdir()
    (out / RECORD).write_text(text)
    with pytest.raises(busnet.OutputError, match="damaged"):
        predict(model, [folder], out)


def test_two_runs_into_one_folder_are_refused(folder, model, tmp_path):
    out = tmp_path / "out"
    refused = []

    def run_again(source):
        with pytest.raises(busnet.OutputError, match="another run"):
            predict(model, [folder], out)
        refused.append(source)

    predict(model, [folder], out, on_record=run_again)
    assert len(refused) == 3
    predict(model, [folder], out)


def test_the_record_says_what_the_run_was(folder, model, tmp_path):
    out = tmp_path / "out"
    predict(model, [folder], out)
    record = json.loads((out / RECORD).read_text())
    assert record["settings"]["precision"] == "f32"
    assert len(record["settings"]["weights_sha256"]) == 64
    assert "For research use only" in record["notice"]
    assert "masks/sub/c_mask.png" in record["files"]
    assert os.fspath(tmp_path) not in json.dumps(record)
