"""The same model in the form that each engine of peers.py reads."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common import random_model

#: Number of random images on which models are calibrated for int8.
CALIBRATION_IMAGES = 16


def case(
    folder: Path, name: str, size: int, batch: int, threads: int, precision: str
) -> dict[str, Any]:
    """Write the weights of a network in all forms, and images; return the request."""
    import numpy as np
    from random_weights import random_images

    import busnet
    from busnet.export.onnx import export

    heads = ("class", "mask") if name == "mod_resnet101" else ("class",)
    weights = random_model(name, folder, size, heads=heads)
    exported = weights.with_suffix(".onnx")
    if not exported.exists():
        export(weights, exported)
    model = busnet.load(weights)
    channels = model.info.network.channels
    traced = weights.with_suffix(".pt")
    if not traced.exists():
        trace(model, heads, size).save(str(traced))
    images = folder / f"{size}-{batch}-{channels}.npy"
    if not images.exists():
        np.save(images, random_images((batch, size, size, channels)))
    samples = folder / f"samples-{size}-{channels}"
    graph = exported
    if precision == "int8":
        if not samples.exists():
            write_samples(samples, size, channels)
        weights, graph = calibrated(weights, exported, samples)
    return {
        "weights": str(weights),
        "onnx": str(graph),
        "onnx_f32": str(exported),
        "samples": str(samples),
        "torchscript": str(traced),
        "images": str(images),
        "shape": [batch, channels, size, size],
        "threads": threads,
        "precision": precision,
        "outputs": list(heads),
        "compiled": True,
    }


def write_samples(folder: Path, size: int, channels: int) -> None:
    """Write calibration images as 8-bit files."""
    import numpy as np
    from PIL import Image
    from random_weights import random_images

    folder.mkdir()
    shape = (size, size) if channels == 1 else (size, size, channels)
    for i in range(CALIBRATION_IMAGES):
        pixels = np.uint8(255 * random_images(shape, seed=100 + i))
        Image.fromarray(pixels).save(folder / f"{i}.png")


def calibrated(weights: Path, exported: Path, samples: Path) -> tuple[Path, Path]:
    """Return busnet's file and the ONNX graph in 8 bits, on the same images.

    ONNX Runtime's own quantizer writes the graph: unsigned 8-bit activations and signed
    8-bit weights with a scale for each channel, as its documentation advises for x86.
    OpenVINO reads the same file.
    """
    from busnet.quantization import quantize

    ours, theirs = (
        path.with_suffix(f".int8{path.suffix}") for path in (weights, exported)
    )
    if not ours.exists():
        quantize(weights, sorted(samples.iterdir()), ours)
    if not theirs.exists():
        quantize_onnx(exported, theirs, samples)
    return ours, theirs


def quantize_onnx(source: Path, target: Path, samples: Path) -> None:
    """Write an ONNX graph with its convolutions in 8 bits."""
    import numpy as np
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from busnet.images import read_image

    def planes() -> Iterator[dict[str, Any]]:
        for path in sorted(samples.iterdir()):
            pixels = np.atleast_3d(read_image(path).pixels)
            yield {"image": pixels.transpose(2, 0, 1)[None]}

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.images = planes()

        def get_next(self) -> dict[str, Any] | None:
            return next(self.images, None)

    folded = target.with_suffix(".folded.onnx")
    quant_pre_process(source, folded)
    logging.getLogger().setLevel(logging.ERROR)
    quantization.quantize_static(
        folded,
        target,
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
    )


def trace(model: Any, heads: Sequence[str], size: int) -> Any:
    """Return a model in TorchScript, its outputs in the order of the heads."""
    import torch

    class Outputs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = model.to_torch()

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            outputs = self.module(images)
            return tuple(outputs[head] for head in heads)

    image = torch.zeros(1, model.info.network.channels, size, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, pnnx reads it
        return torch.jit.trace(Outputs().eval(), image, check_trace=False)
