"""The option ``--model``: one model, or several as an ensemble."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from busnet.cli.common import USAGE, fail
from busnet.inference.predictor import Predictor
from busnet.model import load

__all__ = [
    "ModelOption",
    "OneModelOption",
    "load_models",
    "one_model",
    "split_models",
]

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        help="Model: a shipped name, a plug-in's, or a path to a .safetensors file. "
        "Several, with commas between them, predict together as an ensemble.",
    ),
]
OneModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        help="Model: a shipped name, a plug-in's, or a path to a .safetensors file.",
    ),
]


def split_models(text: str) -> list[str]:
    """Return the models that an option names, with commas between them.

    A file whose name has a comma in it is one model.
    """
    if "," not in text or os.path.exists(text):
        return [text]
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise typer.BadParameter(
            f"{text!r} has a comma without a model before or behind it",
            param_hint="--model",
        )
    return names


def load_models(text: str, *, precision: str = "f32") -> Predictor:
    """Load the model that an option names, or the ensemble."""
    names = split_models(text)
    if len(names) == 1:
        return load(names[0], precision=precision)
    return load(names, precision=precision)


def one_model(text: str, command: str) -> str:
    """Return the one model that an option names; leave where it names several."""
    names = split_models(text)
    if len(names) > 1:
        fail(
            f"busnet {command} takes one model, not an ensemble of {len(names)}; "
            f"give its members one after the other",
            USAGE,
        )
    return names[0]
