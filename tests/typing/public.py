"""What type checkers see of the public functions; `make types` checks this file.

It is never run. One image gives one result, a list or a tuple gives a list, and an
array is one image or several by its shape alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from typing_extensions import assert_type

import busnet
from busnet.data import Case
from busnet.engine.description import EngineDescription, describe_engine
from busnet.engine.session import Session
from busnet.evaluation.comparison import Comparison
from busnet.evaluation.evaluation import Evaluation
from busnet.experiments.result import Baselines
from busnet.images import Picture, Placement
from busnet.inference import Computed, pipeline
from busnet.model_info import ModelInfo
from busnet.training.graph import TorchGraph

Floats = npt.NDArray[np.float32]


def one_image_gives_one_result(
    model: busnet.Model, image: Image.Image, picture: Picture
) -> None:
    assert_type(model.predict("a.png"), busnet.Prediction)
    assert_type(model.predict(Path("a.png"), crop=False), busnet.Prediction)
    assert_type(model.predict(io.BytesIO(b"")), busnet.Prediction)
    assert_type(model.predict(image, spacing=(0.1, 0.1)), busnet.Prediction)
    assert_type(model.predict(picture, prior={"benign": 1.0}), busnet.Prediction)
    assert_type(model.classify("a.png", value_range=(0, 4095)), busnet.Classification)
    assert_type(model.segment("a.png"), busnet.Segmentation)
    assert_type(busnet.predict("a.png"), busnet.Prediction)
    assert_type(busnet.classify(image), busnet.Classification)
    assert_type(busnet.segment(picture), busnet.Segmentation)


def several_give_a_list(
    model: busnet.Model, array: npt.NDArray[np.uint8], image: Image.Image
) -> None:
    names = ["a.png", "b.png"]
    assert_type(model.predict(names), list[busnet.Prediction])
    assert_type(model.predict([array, image, "a.png"]), list[busnet.Prediction])
    assert_type(model.classify((array, array)), list[busnet.Classification])
    assert_type(model.segment([Path("a.png")]), list[busnet.Segmentation])
    assert_type(busnet.predict(names), list[busnet.Prediction])
    assert_type(busnet.classify([array]), list[busnet.Classification])
    assert_type(busnet.segment(("a.png", image)), list[busnet.Segmentation])


def an_array_gives_either(model: busnet.Model, array: npt.NDArray[np.uint8]) -> None:
    assert_type(model.predict(array), busnet.Prediction | list[busnet.Prediction])
    assert_type(
        model.classify(array), busnet.Classification | list[busnet.Classification]
    )
    assert_type(busnet.segment(array), busnet.Segmentation | list[busnet.Segmentation])


def wrong_calls_are_errors(model: busnet.Model) -> None:
    # Each ignored error must be one: mypy warns of a comment that is not needed.
    model.predict(7)  # type: ignore[call-overload]
    model.predict("a.png", scale=2)  # type: ignore[call-overload]
    model.segment("a.png", prior={"benign": 1.0})  # type: ignore[call-overload]
    model.predict(object())  # type: ignore[call-overload]


def results_have_types(
    prediction: busnet.Prediction, model: busnet.Model, pictures: list[Picture]
) -> None:
    assert_type(prediction.label, str)
    assert_type(prediction.malignancy, float | None)
    assert_type(prediction.malignancy_given_lesion, float | None)
    assert_type(prediction.mask, npt.NDArray[np.bool_])
    assert_type(prediction.lesion_probability, Floats)
    assert_type(prediction.lesions, tuple[busnet.Lesion, ...])
    assert_type(prediction.render(), Image.Image)
    assert_type(prediction.as_dict(), dict[str, Any])
    assert_type(
        model.stream(pictures, busnet.Segmentation), Iterator[busnet.Segmentation]
    )


def models_have_types(model: busnet.Model, batch: Floats) -> None:
    assert_type(busnet.load("resnet18", precision="int8"), busnet.Model)
    assert_type(busnet.load(["resnet18", Path("a.safetensors")]), busnet.Ensemble)
    assert_type(busnet.load(("resnet18", "mine"), precision="int8"), busnet.Ensemble)
    assert_type(model.session, Session)
    assert_type(model.run(batch), dict[str, Floats])
    assert_type(model.features(["a.png"]), Floats)
    assert_type(model.activation_map("a.png"), Floats)
    assert_type(model.to_torch(), TorchGraph)


def ensembles_have_types(ensemble: busnet.Ensemble) -> None:
    assert_type(ensemble.predict("a.png"), busnet.Prediction)
    assert_type(ensemble.classify(["a.png"]), list[busnet.Classification])
    assert_type(ensemble.predict("a.png").uncertainty, float | None)
    assert_type(ensemble.info.members, Mapping[str, ModelInfo])
    assert_type(ensemble.members[0].predict("a.png"), busnet.Prediction)
    assert_type(
        busnet.predict_many("scans", model=["a", "b"]), Iterator[busnet.Outcome]
    )


def the_engine_and_the_pipeline_have_types(
    session: Session, pictures: list[Picture]
) -> None:
    assert_type(describe_engine(), EngineDescription)
    assert_type(describe_engine().bf16, bool)
    assert_type(pipeline(session, pictures, ("class",)), Iterator[Computed])
    for picture, placement, outputs in pipeline(session, pictures, ("class",)):
        assert_type(picture, Picture)
        assert_type(placement, Placement)
        assert_type(outputs, dict[str, Floats])


def experiments_have_types(path: Path, cases: list[Case]) -> None:
    model = busnet.train(path, network="resnet18", fold=0, epochs=1)
    assert_type(model, busnet.Model)
    first = busnet.evaluate(model, cases)
    assert_type(first, Evaluation)
    assert_type(first.figures["accuracy"].value, float)
    assert_type(busnet.evaluate("resnet18", {"a": path}, fold="a"), Evaluation)
    assert_type(busnet.compare(first, "other.json"), Comparison)
    assert_type(busnet.baselines(cases, "out", networks=["resnet18"]), Baselines)
    busnet.evaluate(model, 7)  # type: ignore[arg-type]


def networks_of_pytorch_become_models(
    graph: TorchGraph, outcome: busnet.Outcome
) -> None:
    names = ["benign", "malignant"]
    assert_type(busnet.from_torch(graph, classes=names, resize=256), busnet.Model)
    assert_type(
        busnet.from_torch("a.pth", classes=names, resize=(224, 224)), busnet.Model
    )
    state: dict[str, Floats] = {}
    assert_type(busnet.from_torch(state, classes=names), busnet.Model)
    assert_type(outcome.prediction, busnet.Prediction | None)
    assert_type(outcome.result, busnet.Classification | None)
