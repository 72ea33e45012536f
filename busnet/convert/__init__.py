"""Networks that were trained in PyTorch as models of busnet's."""

from busnet.convert.convert import convert, from_torch

__all__ = ["convert", "from_torch"]
