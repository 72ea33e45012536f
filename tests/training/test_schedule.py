"""A recipe's epochs, and what each step has of learning rate and averaging."""

import math

import pytest
import torch

from busnet.networks import get_network
from busnet.training.graph import module
from busnet.training.optimizer import make_optimizer, set_rate
from busnet.training.recipe import Phase, Recipe
from busnet.training.schedule import Schedule

RECIPE = Recipe((Phase(32, 2, batch=4), Phase(48, 3, batch=8)), warmup=0.2, ema=0.99)


def test_epochs_follow_each_other_without_gaps():
    schedule = Schedule(RECIPE, 18)
    epochs = list(schedule.epochs())
    assert [(e.index, e.epoch, e.number) for e in epochs] == [
        (0, 0, 0),
        (0, 1, 1),
        (1, 0, 2),
        (1, 1, 3),
        (1, 2, 4),
    ]
    assert [e.steps for e in epochs] == [5, 5, 3, 3, 3]
    assert [e.first for e in epochs] == [0, 5, 10, 13, 16]
    assert schedule.steps == 19


def test_the_rate_rises_and_falls_to_a_hundredth():
    schedule = Schedule(RECIPE, 80)  # 70 steps, of which 14 warm up
    rates = [schedule.rate(position) for position in range(1, 71)]
    assert schedule.steps == 70
    assert rates[0] == pytest.approx(1 / 14, rel=1e-2)
    assert rates.index(max(rates)) + 1 == 14
    assert rates[34] == pytest.approx(0.505 + 0.495 * math.cos(math.pi / 2))
    assert rates[-1] == pytest.approx(0.01)


def test_the_average_follows_fast_at_first():
    schedule = Schedule(RECIPE, 80)
    assert schedule.decay(1) == pytest.approx(2 / 11)
    assert schedule.decay(100_000) == 0.99


def test_each_kind_of_array_has_its_rate_and_decay():
    graph = module(get_network("resnet18", channels=1))
    graph.conv1.requires_grad_(requires_grad=False)
    recipe = Recipe(RECIPE.phases, learning_rate=0.1, fresh_factor=3.0)
    optimizer = make_optimizer(
        graph, recipe, ("fc.weight", "fc.bias"), torch.device("cpu")
    )
    set_rate(optimizer, recipe.learning_rate, 0.5)
    of_array = {id(p): g for g in optimizer.param_groups for p in g["params"]}
    assert id(graph.conv1.weight) not in of_array
    rates = {
        name: (of_array[id(p)]["lr"], of_array[id(p)]["weight_decay"])
        for name, p in graph.named_parameters()
        if id(p) in of_array
    }
    assert rates["fc.weight"] == (pytest.approx(0.15), recipe.weight_decay)
    assert rates["fc.bias"] == (pytest.approx(0.15), 0)
    assert rates["bn1.weight"] == (pytest.approx(0.05), 0)
    assert rates["layer4.1.conv2.weight"] == (pytest.approx(0.05), recipe.weight_decay)
