"""Predictions and errors of many files, in order."""

import threading

import pytest
from PIL import Image

import busnet
from busnet.batch import Outcome, Source, collect, describe, predict_files, summarise
from busnet.batch.documents import record_all
from busnet.data.phantom import phantom
from busnet.errors import ImageFileError, MissingImageError, NotAnUltrasoundImageError


def test_reading_ahead_keeps_the_order(folder, model):
    paths = [folder / f"{i:02}.png" for i in range(25)]
    for i, path in enumerate(paths):
        Image.fromarray(phantom(40 + i, 50, seed=i)[0]).save(path)
    paths[7].write_bytes(b"broken")
    sources = [Source(path, path.stem) for path in paths]
    expected = [None if i == 7 else model.predict(p) for i, p in enumerate(paths)]
    for jobs in (1, 4):
        outcomes = list(predict_files(model, sources, jobs=jobs))
        assert [o.source for o in outcomes] == sources
        for outcome, result in zip(outcomes, expected, strict=True):
            if result is None:
                assert isinstance(outcome.error, ImageFileError)
                continue
            assert outcome.prediction.image.shape == result.image.shape
            for name, p in result.probabilities.items():
                assert outcome.prediction.probabilities[name] == pytest.approx(
                    p, abs=1e-6
                )


def test_an_abandoned_run_ends_its_threads(folder, model):
    before = threading.active_count()
    sources = collect([folder]).sources * 10
    outcomes = predict_files(model, sources, jobs=3)
    assert next(outcomes).prediction is not None
    outcomes.close()
    for thread in threading.enumerate():
        if thread.name.startswith("busnet-"):
            thread.join(10)
    assert threading.active_count() <= before


def test_a_file_that_vanishes_is_one_of_the_failures(many, model):
    sources = collect([many(40)]).sources
    outcomes = predict_files(model, sources)
    first = next(outcomes)
    sources[-1].path.unlink()
    rest = list(outcomes)
    assert first.error is None
    assert [o.source for o in rest] == list(sources[1:])
    assert [o.source for o in rest if o.error] == [sources[-1]]
    assert isinstance(rest[-1].error, MissingImageError)


@pytest.mark.parametrize("error", [ZeroDivisionError, MemoryError, KeyError])
def test_whatever_reading_raises_is_the_files_error(many, model, monkeypatch, error):
    from busnet.batch import outcomes as module

    read_frames = module.read_frames

    def fails_on_some(path, **options):
        if path.stem in ("000", "003", "009"):
            raise error("odd")
        return read_frames(path, **options)

    monkeypatch.setattr(module, "read_frames", fails_on_some)
    outcomes = list(predict_files(model, collect([many(10)]).sources))
    failed = [o for o in outcomes if o.error is not None]
    assert [o.name for o in failed] == ["000", "003", "009"]
    for outcome in failed:
        assert isinstance(outcome.error, ImageFileError)
        assert str(outcome.source.path) in str(outcome.error)
        assert error.__name__ in str(outcome.error)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_picture_that_cannot_be_computed_is_one_of_the_failures(
    many, model, monkeypatch, threads
):
    """The pictures that were on their way with it are computed again."""
    bad = {"000", "007", "008", "029"}
    stream = type(model).stream

    def fails_on_some(self, pictures, *arguments):
        def checked():
            for picture in pictures:
                if any(picture.name.endswith(f"{name}.png") for name in bad):
                    raise ZeroDivisionError("no such region")
                yield picture

        return stream(self, checked(), *arguments)

    monkeypatch.setattr(type(model), "stream", fails_on_some)
    before = busnet.get_threads()
    busnet.set_threads(threads)
    try:
        sources = collect([many(30, side=60)]).sources
        outcomes = list(predict_files(model, sources))
    finally:
        busnet.set_threads(before)
    assert [o.name for o in outcomes] == [f"{i:03}" for i in range(30)]
    assert {o.name for o in outcomes if o.error} == bad
    for outcome in outcomes:
        if outcome.error:
            assert "ZeroDivisionError: no such region" in str(outcome.error)
        else:
            assert outcome.prediction.name == str(outcome.source.path)


def test_a_model_without_a_head_is_no_files_error(folder, model, monkeypatch):
    def refuse(self, *arguments):
        raise busnet.ModelError("the model has no mask head")

    monkeypatch.setattr(type(model), "stream", refuse)
    with pytest.raises(busnet.ModelError, match="mask head"):
        list(predict_files(model, collect([folder]).sources))


def test_files_of_folders_that_are_no_ultrasound_are_skipped(tmp_path):
    error = NotAnUltrasoundImageError("x.dcm: a report")
    in_folder = Outcome(Source(tmp_path / "x.dcm", "x", named=False), error=error)
    named = Outcome(Source(tmp_path / "x.dcm", "x"), error=error)
    assert "skipped" in describe(in_folder)
    assert "error" not in describe(in_folder)
    assert "error" in describe(named)


def test_frames_of_pages_are_documents_with_a_summary(tmp_path, model):
    frames = [Image.fromarray(phantom(50, 60, seed=i)[0]) for i in range(3)]
    path = tmp_path / "loop.tif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    outcomes = predict_files(model, [Source(path, "loop")])
    ((_, documents),) = record_all(outcomes, describe)
    assert [d["frame"] for d in documents] == [1, 2, 3, "clip"]
    assert documents[-1]["frames"] == 3


def test_a_summary_says_that_frames_failed():
    frame = {"file": "x", "frame": 1, "probabilities": {"normal": 0.9, "benign": 0.1}}
    assert "notes" not in summarise([frame])
    failed = {"file": "x", "error": "x: truncated after frame 1"}
    assert summarise([frame, failed])["notes"]
    assert summarise([failed]) is None


def test_names_that_are_not_utf8_are_escaped(tmp_path):
    source = Source(tmp_path / "caf\udce9.png", "caf%E9")
    error = ImageFileError(f"{source.path}: broken")
    document = describe(Outcome(source, error=error))
    assert document["file"].endswith("caf\\xe9.png")
    assert document["error"].encode().endswith(b"caf\\xe9.png: broken")


def test_predict_many(folder):
    (folder / "c.png").write_bytes(b"broken")
    outcomes = list(busnet.predict_many([folder], model="resnet18", spacing=(1, 1)))
    assert [o.name for o in outcomes] == ["a", "b", "c", "sub/c"]
    assert isinstance(outcomes[2].error, busnet.ImageFileError)
    for outcome in outcomes[:2]:
        assert outcome.prediction.spacing == (1, 1)
    for bad in ((0, 1), (1e-300, 1e-300), (0.1, 1e200), "12", {0.1, 0.2}, 0.1):
        with pytest.raises(busnet.ImageValueError, match="spacing is two numbers"):
            busnet.predict_many([folder], model="resnet18", spacing=bad)
    with pytest.raises(busnet.MissingImageError):
        busnet.predict_many([folder / "none"], model="resnet18")
    for other, kind in (([b"a"], "bytes"), (b"a", "bytes"), (None, "NoneType")):
        with pytest.raises(busnet.ImageTypeError, match=f"not {kind}"):
            busnet.predict_many(other, model="resnet18")
    for jobs in (0, -1, 65, "2"):
        with pytest.raises(ValueError, match=f"jobs .* not {jobs!r}"):
            busnet.predict_many([folder], model="resnet18", jobs=jobs)


def test_one_path_is_a_list_of_one(folder, model):
    for path in (folder, str(folder)):
        assert len(list(busnet.predict_many(path, model=model))) == 3
    (outcome,) = busnet.predict_many(folder / "a.png", model=model)
    assert outcome.name == "a"


def test_the_value_range_holds_for_files(folder, model):
    path = folder / "a.png"
    (plain,) = busnet.predict_many(path, model=model)
    (darker,) = busnet.predict_many(path, model=model, value_range=(0, 510))
    assert darker.prediction.image.max() == pytest.approx(
        plain.prediction.image.max() / 2, abs=1e-6
    )
    for wrong in ((255,), (1, 0), "ab"):
        with pytest.raises(busnet.ImageValueError, match="value_range"):
            busnet.predict_many(path, model=model, value_range=wrong)
