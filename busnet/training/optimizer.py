"""The optimizer: AdamW with a learning rate and a decay for each kind of array."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn

from busnet.training.graph import TorchGraph
from busnet.training.recipe import Recipe

__all__ = ["make_optimizer", "set_rate"]


def make_optimizer(
    graph: TorchGraph, recipe: Recipe, fresh: Collection[str], device: torch.device
) -> torch.optim.Optimizer:
    """Return an optimizer of a module's arrays, frozen ones left out.

    Parameters
    ----------
    graph
        The module.
    recipe
        Has the learning rate, its factor for fresh arrays, and the weight decay, which
        only matrices and kernels get.
    fresh
        Names of the arrays that start at random.
    device
        Where the module is.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in graph.named_parameters():
        if not parameter.requires_grad:
            continue
        groups.setdefault((name in fresh, parameter.ndim > 1), []).append(parameter)
    # On a GPU the rate is a tensor, which a recorded step reads anew each time.
    gpu = device.type == "cuda"
    rate = recipe.learning_rate
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": torch.tensor(rate, device=device) if gpu else rate,
                "factor": recipe.fresh_factor if new else 1.0,
                "weight_decay": recipe.weight_decay if matrix else 0.0,
            }
            for (new, matrix), parameters in groups.items()
        ],
        lr=rate,
        fused=gpu or None,
        capturable=gpu,
    )


def set_rate(
    optimizer: torch.optim.Optimizer, learning_rate: float, share: float
) -> None:
    """Set the learning rate to a share of a recipe's, times each array's factor."""
    for group in optimizer.param_groups:
        value = learning_rate * group["factor"] * share
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value
