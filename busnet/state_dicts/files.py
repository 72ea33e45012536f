"""Reading the files in which state dicts are saved.

A ``.safetensors`` file needs no PyTorch. Anything else is read by ``torch.load`` with
``weights_only=True``, which executes no code of the file.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pickle
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, deserialize

from busnet.errors import MissingWeightsError, WeightsError, requires_extra

if TYPE_CHECKING:
    import torch

__all__ = ["Arrays", "read_state_dict", "to_numpy", "unwrap"]

FloatArray = npt.NDArray[np.float32]
Arrays = dict[str, FloatArray]

#: Keys under which training scripts put a state dict beside other things.
WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "weights",
    "state_dict_ema",
    "model_ema",
    "ema",
)

#: What ends a key that says nothing of the network's function: counters of batches, and
#: of the models that PyTorch's ``AveragedModel`` averaged.
IGNORED = ("num_batches_tracked", "n_averaged")

#: A key that every ResNet with busnet's names has, whatever its depth.
ANCHOR = "layer1.0.conv1.weight"

#: The same where layers have the numbers of torchvision's children.
NUMBERED_ANCHOR = "4.0.conv1.weight"

#: Types of safetensors whose numbers NumPy has.
_FLOATS = {"F16": np.float16, "F32": np.float32, "F64": np.float64}


class _Ignored:
    """Stands in for what a file holds beside its arrays, of which nothing is read.

    Reading a NumPy scalar so runs none of NumPy's code on what the file says.
    """

    def __init__(self, *arguments: object) -> None:
        """Take what the file would make it of."""

    def __setstate__(self, state: object) -> None:
        """Take what the file would set."""


def _stand_in(module: str, name: str) -> type:
    """Return a class that PyTorch takes for the one of that module and name."""
    return type(name, (_Ignored,), {"__module__": module, "__qualname__": name})


#: What checkpoints hold beside state dicts that PyTorch would not read: arguments of a
#: script, and NumPy's scalars, such as a best accuracy, as NumPy 1 and 2 write them.
_HARMLESS = [
    argparse.Namespace,
    _stand_in("numpy", "dtype"),
    _stand_in("numpy.core.multiarray", "scalar"),
    _stand_in("numpy._core.multiarray", "scalar"),
]

_GLOBAL = re.compile(r"GLOBAL (\S+)")

#: Held while PyTorch reads a file, since what it may read is one list of the process.
_lock = threading.Lock()


@contextlib.contextmanager
def _harmless_allowed() -> Iterator[None]:
    """Let PyTorch read what is harmless, and what the caller of busnet allows.

    NumPy's own names would clash with the stand-ins, so they are left out meanwhile.
    Threads take turns: one that began while another had changed the list would restore
    the changed one.
    """
    from torch import serialization

    with _lock:
        allowed = serialization.get_safe_globals()
        names = {_name(kind) for kind in _HARMLESS}
        others = [entry for entry in allowed if _name(entry) not in names]
        serialization.clear_safe_globals()
        serialization.add_safe_globals([*others, *_HARMLESS])
        try:
            yield
        finally:
            serialization.clear_safe_globals()
            serialization.add_safe_globals(allowed)


def _name(entry: Any) -> str:
    """Return the name in files of a class or function, or of a pair that has both."""
    if isinstance(entry, tuple):
        return str(entry[1])
    return f"{entry.__module__}.{entry.__qualname__}"


def read_state_dict(path: str | os.PathLike[str]) -> Arrays:
    """Read a state dict from a file.

    Parameters
    ----------
    path
        A ``.safetensors`` file, or one that ``torch.save`` wrote: a state dict, or a
        checkpoint that holds one under a key, such as ``"state_dict"`` (Lightning) or
        ``"model"``.

    Returns
    -------
    dict
        float32 arrays by key; 16-bit ones are expanded. Counters of batches are left
        out.

    Raises
    ------
    MissingWeightsError
        If there is no such file.
    WeightsError
        If it cannot be read without executing its code, holds no state dict or
        several, or an array in it is not of floating point.
    MissingExtraError
        If the file needs PyTorch and that is not installed.
    """
    name = os.fspath(path)
    if not Path(path).is_file():
        reason = "it is a folder" if Path(path).is_dir() else "no such file"
        raise MissingWeightsError(f"{name}: {reason}")
    if name.lower().endswith(".safetensors") or _has_header(name):
        return dict(_read_safetensors(name))
    return to_numpy(unwrap(_load(name), name), name)


def _has_header(name: str) -> bool:
    """Tell whether a file of any name starts as safetensors do: a length, then JSON."""
    try:
        with Path(name).open("rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError as error:
        raise WeightsError(f"{name}: cannot be read: {error}") from None


def _read_safetensors(name: str) -> Iterator[tuple[str, FloatArray]]:
    try:
        tensors = deserialize(Path(name).read_bytes())  # type: ignore[no-untyped-call]
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{name}: not a whole safetensors file: {error}") from None
    for key, tensor in sorted(tensors, key=lambda item: item[0]):
        if key.endswith(IGNORED):
            continue
        kind, data = tensor["dtype"], tensor["data"]
        if kind == "BF16":
            # bfloat16 is the upper half of float32.
            array = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(
                np.float32
            )
        elif kind in _FLOATS:
            array = np.frombuffer(data, _FLOATS[kind]).astype(np.float32)
        else:
            raise WeightsError(f"{name}: {key}: it is {kind}, not floating point")
        yield key, array.reshape(tensor["shape"])


def _load(name: str) -> object:
    """Read what ``torch.save`` wrote."""
    with requires_extra("train"):
        import torch
    try:
        with (
            _harmless_allowed(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # what cannot be read is an error below
            return torch.load(name, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        match = _GLOBAL.search(str(error))
        if match is None:
            raise WeightsError(
                f"{name}: it is not a whole file of torch.save"
            ) from None
        raise WeightsError(
            f"{name}: loading it would execute code, {match[1]}: save the state dict "
            f"alone, by torch.save(model.state_dict(), path)"
        ) from None
    except Exception as error:
        # A damaged file may raise anything.
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise WeightsError(
            f"{name}: it is not a whole file of torch.save: "
            f"{reason or type(error).__name__}"
        ) from None


def unwrap(loaded: object, name: str) -> Mapping[str, Any]:
    """Return the state dict in what a file holds.

    That is the whole where its keys are a ResNet's, or a mapping in it, beside which
    there may be tensors such as a loss.

    Raises
    ------
    WeightsError
        If there is none, or there are several.
    """
    if not isinstance(loaded, Mapping):
        raise WeightsError(
            f"{name}: it holds a {type(loaded).__name__}, not a state dict"
        )
    if _has_tensors(loaded) and _is_resnet(loaded):
        return loaded
    mappings = {
        key: value
        for key, value in loaded.items()
        if isinstance(value, Mapping) and _has_tensors(value)
    }
    if not mappings and _has_tensors(loaded):
        return loaded  # of another network, which is an error where names are read
    inner = {
        key: value
        for key, value in mappings.items()
        if key in WRAPPERS or _is_resnet(value)
    }
    if not inner:
        listed = ", ".join(map(str, list(loaded)[:5])) or "nothing"
        raise WeightsError(f"{name}: it holds no state dict, but {listed}")
    if len(inner) > 1:
        raise WeightsError(
            f"{name}: it holds several state dicts, "
            f"{' and '.join(map(str, inner))}; save the "
            f"one that is meant alone"
        )
    return next(iter(inner.values()))


def _has_tensors(mapping: Mapping[str, Any]) -> bool:
    return any(
        isinstance(value, np.ndarray) or hasattr(value, "numpy")
        for value in mapping.values()
    )


def _is_resnet(mapping: Mapping[str, Any]) -> bool:
    return any(str(key).endswith((ANCHOR, NUMBERED_ANCHOR)) for key in mapping)


def to_numpy(state: Mapping[str, torch.Tensor | FloatArray], name: str) -> Arrays:
    """Return tensors or arrays by key as float32 arrays, without counters of batches.

    Raises
    ------
    WeightsError
        If one is no tensor or array, or not of floating point.
    """
    arrays: Arrays = {}
    for key, value in state.items():
        if str(key).endswith(IGNORED):
            continue
        if isinstance(value, np.ndarray):
            is_float = np.issubdtype(value.dtype, np.floating)
        else:
            is_float = bool(getattr(value, "is_floating_point", lambda: None)())
        if not is_float:
            kind = getattr(value, "dtype", type(value).__name__)
            raise WeightsError(f"{name}: {key}: it is {kind}, not floating point")
        try:
            array = (
                value
                if isinstance(value, np.ndarray)
                else value.detach().cpu().float().numpy()
            )
        except (NotImplementedError, RuntimeError, TypeError) as error:
            reason = str(error).partition("\n")[0]
            raise WeightsError(f"{name}: {key}: it is no array: {reason}") from None
        with np.errstate(over="ignore"):  # what is not finite is refused by its name
            arrays[str(key)] = np.asarray(array, np.float32, order="C")
    return arrays
