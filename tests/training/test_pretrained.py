"""Where training starts, and the module that it trains."""

import copy

import pytest
import torch

from busnet import errors
from busnet.networks import get_network
from busnet.training.graph import module
from busnet.training.pretrained import (
    initialise,
    re_estimate_norms,
    zero_last_norms,
)

ROW = get_network("resnet18", channels=1)


def test_stage_shortcuts_change_nothing_at_the_start():
    torch.manual_seed(0)
    plain_row = get_network("resnet18")
    row = get_network("resnet18", stage_shortcuts=True)
    plain, modified = module(plain_row).eval(), module(row).eval()
    zero_last_norms(modified, row, stages="0")
    modified.load_state_dict(plain.state_dict(), strict=False)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        a, b = plain(images), modified(images)
    for head in row.heads:
        assert torch.equal(a[head], b[head])


def test_a_copy_computes_with_its_own_weights():
    torch.manual_seed(0)
    graph = module(ROW)
    twin = copy.deepcopy(graph).eval()
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        before = twin(images)["class"].clone()
        for parameter in graph.parameters():
            parameter.add_(1)
        assert torch.equal(twin(images)["class"], before)
    assert graph.bn1.num_batches_tracked == 0


def test_norm_statistics_are_measured_and_the_function_kept():
    torch.manual_seed(0)
    graph = module(ROW).eval()
    batches = [torch.rand(8, 1, 64, 64) for _ in range(3)]
    with torch.no_grad():
        before = graph(batches[0])["class"].clone()
        re_estimate_norms(graph, batches, keep_function=True)
        graph.eval()
        after = graph(batches[0])["class"]
    torch.testing.assert_close(before, after, rtol=1e-3, atol=1e-4)
    assert not torch.equal(graph.bn1.running_mean, torch.zeros(64))
    assert graph.bn1.momentum == 0.1


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "mod_resnet101"])
def test_imagenet_weights_are_loaded(data_folder, name):
    row = get_network(name, channels=1)
    graph = module(row)
    fresh = {k: v.clone() for k, v in graph.state_dict().items()}
    loaded = initialise(graph, row, data_folder / "weights")
    arrays = graph.state_dict()
    assert "conv1.weight" in loaded
    assert "layer3.0.conv1.weight" in loaded
    assert "fc.weight" not in loaded
    for key in loaded:
        if key.endswith("conv1.weight"):
            assert not torch.equal(arrays[key], fresh[key])
    # Blocks that are missing in the file start as identities.
    last = "bn3" if row.block == "bottleneck" else "bn2"
    assert not arrays[f"layer4.1.{last}.weight"].any()
    if row.stage_shortcuts:
        assert not arrays["layer1.shortcut.1.weight"].any()


def test_a_missing_imagenet_file_is_named(tmp_path):
    with pytest.raises(errors.WeightsError, match="resnet18_imagenet"):
        initialise(module(ROW), ROW, tmp_path)
