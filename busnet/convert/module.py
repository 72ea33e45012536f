"""What a PyTorch module says besides its state dict, and whether a file equals it."""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from busnet.convert.loaded import Loaded
from busnet.engine.session import Session
from busnet.errors import WeightsError
from busnet.model_info import ModelInfo
from busnet.networks import Variant
from busnet.state_dicts import Layout, StateDict, normalise, to_numpy
from busnet.training.graph import TorchGraph

__all__ = ["check_equal", "load_module"]

FloatArray = npt.NDArray[np.float32]

#: Largest difference of the outputs, relative to their size, that rounding explains.
TOLERANCE = 1e-4

#: What batch norms in busnet add to the variance.
EPSILON = 1e-5


def load_module(module: object) -> Loaded:
    """Read a module.

    Raises
    ------
    WeightsError
        If it is no module, or one of its arrays is not of floating point.
    """
    if not isinstance(module, nn.Module):
        raise WeightsError(
            f"a module, a state dict or a file can be converted, not "
            f"{type(module).__name__}"
        )
    state = _named_state(module)
    variant, ceil_pool = _read_strides(module, state.layout)
    statistics = None
    if isinstance(module, TorchGraph):
        mean, std = (
            tuple(buffer.flatten().tolist()) for buffer in (module.mean, module.std)
        )
        statistics = mean, std
    return Loaded(
        state,
        {"file": f"a module {type(module).__name__} in memory"},
        variant,
        ceil_pool,
        statistics,
        functools.partial(check_equal, module),
    )


def _named_state(module: nn.Module) -> StateDict:
    """Return a module's arrays by busnet's names, as evaluation uses them.

    Batch norms that add another number than 1e-5 to the variance are scaled so that
    they compute the same.
    """
    name = type(module).__name__
    arrays = to_numpy(module.state_dict(), name)
    for key, layer in module.named_modules():
        if not isinstance(layer, nn.BatchNorm2d) or layer.eps == EPSILON:
            continue
        weight, variance = arrays.get(f"{key}.weight"), arrays.get(f"{key}.running_var")
        if weight is not None and variance is not None:
            wide = variance.astype(np.float64)
            scale = np.sqrt((wide + EPSILON) / (wide + layer.eps))
            arrays[f"{key}.weight"] = (weight * scale).astype(np.float32)
    return normalise(arrays, name)


def _read_strides(
    module: nn.Module, layout: Layout
) -> tuple[Variant | None, bool | None]:
    """Return where bottlenecks stride, and whether the stem pools in ceil mode.

    None where no layer says so.
    """
    layers = dict(module.named_modules())
    variant: Variant | None = None
    first = layers.get(layout.key("layer2.0.conv1"))
    if layout.key("layer2.0.conv3") in layers and isinstance(first, nn.Conv2d):
        variant = "v1" if first.stride != (1, 1) else "v1.5"
    pool = layers.get(layout.key("maxpool"))
    ceil_pool = pool.ceil_mode if isinstance(pool, nn.MaxPool2d) else None
    return variant, ceil_pool


def check_equal(module: nn.Module, path: Path) -> None:
    """Check that a model's file computes what a module does, on a random image.

    Strides, dilations, activations and poolings are in no array. A copy of the module
    computes, in float32 and in evaluation mode.

    Raises
    ------
    WeightsError
        If it does not.
    """
    session = Session(path, precision="exact", use_cache=False)
    info, name = session.info, type(module).__name__
    shape = (1, info.image_size, info.image_size, info.network.channels)
    image = np.random.default_rng(0).random(shape, np.float32)
    outputs = _compute(module, image, info)
    for head, computed in session.run(image, info.network.heads).items():
        expected = outputs[head]
        if expected.size != computed.size:
            raise WeightsError(
                f"{name}: its output is {expected.shape}, of {info.network.name} it "
                f"would be {computed.shape}"
            )
        size = np.linalg.norm(expected)
        difference = np.linalg.norm(computed.ravel() - expected.ravel())
        if not difference <= TOLERANCE * size + EPSILON:
            raise WeightsError(
                f"{name}: it has the arrays of {info.network.name}, but computes "
                f"something else, a stride, dilation, activation, pooling or softmax: "
                f"its outputs have the norm {size:.3g} and differ by {difference:.3g}"
            )


def _compute(
    module: nn.Module, image: FloatArray, info: ModelInfo
) -> dict[str, FloatArray]:
    """Return a module's outputs of an image (1, H, W, C) by the name of the head."""
    planes = torch.from_numpy(image.transpose(0, 3, 1, 2).copy())
    if not isinstance(module, TorchGraph):  # which normalises by itself
        mean, std = (torch.tensor(x)[:, None, None] for x in (info.mean, info.std))
        planes = (planes - mean) / std
    name = type(module).__name__
    try:
        with torch.no_grad():
            outputs = copy.deepcopy(module).cpu().float().eval()(planes)
    except Exception as error:
        raise WeightsError(
            f"{name}: it cannot compute a batch {tuple(planes.shape)}: {error}"
        ) from error
    if isinstance(outputs, Tensor):
        outputs = {"class": outputs}
    if not isinstance(outputs, dict) or set(info.network.heads) - set(outputs):
        raise WeightsError(
            f"{name}: it returns a {type(outputs).__name__}, not a tensor of logits"
        )
    return {head: outputs[head].numpy() for head in info.network.heads}
