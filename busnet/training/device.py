"""The device that training computes on."""

from __future__ import annotations

import torch

from busnet import _core
from busnet.errors import DataError

__all__ = ["device_named", "device_title", "has_bfloat16"]


def device_named(name: str) -> torch.device:
    """Return a PyTorch device; ``"auto"`` is a CUDA GPU if there is one, else the CPU.

    Raises
    ------
    DataError
        If PyTorch has no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"no device {name!r} to train on: {reason}") from None
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether a device multiplies in bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    isa = _core.engine()["isa"]
    return any(name in isa for name in ("bf16", "fp16", "amx"))


def device_title(device: torch.device) -> str:
    """Return what a device is called: a GPU's product name, else its kind."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return device.type
