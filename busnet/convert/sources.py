"""What is converted: a file, a state dict in memory, or a module."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from busnet._io import file_sha256
from busnet.convert.loaded import Loaded
from busnet.errors import WeightsError, requires_extra
from busnet.state_dicts import normalise, read_state_dict, to_numpy, unwrap
from busnet.weights import is_weights_file

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Source", "load_source"]

#: A file, a state dict, or a module.
Source: TypeAlias = (
    "str | os.PathLike[str] | Mapping[str, Tensor | npt.NDArray[np.float32]] | "
    "nn.Module"
)


def load_source(source: Source) -> Loaded:
    """Read a file, a state dict or a module.

    Raises
    ------
    WeightsError
        If it is of another kind, or cannot be read.
    MissingExtraError
        If PyTorch is needed and not installed.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.suffix == ".safetensors" and path.is_file() and is_weights_file(path):
            raise WeightsError(f"{path}: it is a file of busnet's already")
        arrays = read_state_dict(path)
        digest = file_sha256(path)
        origin = {"file": path.name, "sha256": digest}
        return Loaded(normalise(arrays, str(path)), origin, ceil_pool=False)
    if isinstance(source, Mapping):
        name = "the state dict"
        arrays = to_numpy(unwrap(source, name), name)
        origin = {"file": "a state dict in memory"}
        return Loaded(normalise(arrays, name), origin, ceil_pool=False)
    with requires_extra("train"):
        from busnet.convert.module import load_module
    return load_module(source)
