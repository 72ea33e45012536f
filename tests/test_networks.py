import pytest

from busnet.errors import BusnetError, UnknownNetworkError
from busnet.networks import HEADS, NETWORKS, Counter, build, get_network

#: Parameters and multiply-accumulates (G, at 224) of torchvision's networks with 1,000
#: classes and three channels.
TORCHVISION = {
    "resnet18": (11_689_512, 1.814),
    "resnet34": (21_797_672, 3.664),
    "resnet50": (25_557_032, 4.089),
    "resnet101": (44_549_160, 7.801),
    "resnet152": (60_192_808, 11.514),
}


def count(row, size=224, classes=1000):
    counter = Counter(size, size)
    build(row, counter, classes=classes)
    return counter


@pytest.mark.parametrize("name", TORCHVISION)
def test_counts_are_torchvisions(name):
    parameters, gmacs = TORCHVISION[name]
    counter = count(get_network(name, heads=("class",)))
    assert counter.parameters == parameters
    assert counter.macs / 1e9 == pytest.approx(gmacs, abs=6e-4)


def test_names_are_torchvisions():
    arrays = count(get_network("resnet50", heads=("class",))).arrays
    assert arrays["conv1.weight"] == (64, 3, 7, 7)
    assert arrays["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert arrays["layer1.0.downsample.1.running_var"] == (256,)
    assert arrays["layer4.2.conv3.weight"] == (2048, 512, 1, 1)
    assert arrays["fc.weight"] == (1000, 2048)


def test_mod_resnet101_is_resnet101_with_three_changes():
    row = NETWORKS["mod_resnet101"]
    plain = get_network("mod_resnet101", channels=3, stage_shortcuts=False)
    assert (plain.block, plain.depths) == (
        NETWORKS["resnet101"].block,
        NETWORKS["resnet101"].depths,
    )
    assert count(plain).arrays == count(get_network("resnet101")).arrays
    added = set(count(row).arrays) - set(count(plain).arrays)
    assert {name.split(".")[1] for name in added} == {"shortcut"}
    assert len(added) == 4 * 5
    assert count(row).arrays["conv1.weight"] == (64, 1, 7, 7)
    for head in HEADS:
        single = count(get_network("mod_resnet101", heads=(head,))).arrays
        assert ("fc.weight" in single) == (head == "class")
        assert ("decoder.logit.weight" in single) == (head == "mask")


def test_strides_differ_between_variants():
    old, new = (
        count(get_network("resnet50", variant="v1")),
        count(get_network("resnet50")),
    )
    assert old.arrays == new.arrays
    shapes = {layer.name: layer.shape for layer in old.layers}
    assert shapes["layer2.0.conv1"][1:] == (28, 28)
    shapes = {layer.name: layer.shape for layer in new.layers}
    assert shapes["layer2.0.conv1"][1:] == (56, 56)
    assert shapes["layer2.0.conv2"][1:] == (28, 28)


def test_pooling_over_the_lesion_adds_one_layer():
    row = get_network("resnet18", pooling="lesion")
    plain, lesion = count(get_network("resnet18")), count(row)
    added = {n: s for n, s in lesion.arrays.items() if n not in plain.arrays}
    assert added == {"lesion_fc.weight": (1000, 514), "lesion_fc.bias": (1000,)}
    assert lesion.parameters == plain.parameters + 1000 * 515
    assert lesion.macs == plain.macs + 1000 * 514
    shapes = {layer.name: layer.shape for layer in lesion.layers}
    assert shapes["lesion_pool"] == (514, 1, 1)


@pytest.mark.parametrize("heads", [("class",), ("mask",)])
def test_pooling_over_the_lesion_needs_both_heads(heads):
    with pytest.raises(UnknownNetworkError, match=f"has {heads[0]} alone"):
        get_network("resnet18", pooling="lesion", heads=heads)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"pooling": "max"}, "mean or lesion, not 'max'"),
        ({"heads": ("odd",)}, "heads are class and mask"),
        ({"heads": ()}, "heads are class and mask"),
    ],
)
def test_rows_that_no_network_can_be_are_refused(changes, fact):
    with pytest.raises(UnknownNetworkError, match=fact):
        get_network("resnet18", **changes)


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNetworkError, match=r"resnet19.*resnet18"):
        get_network("resnet19")
    with pytest.raises(UnknownNetworkError, match="colour"):
        get_network("resnet18", colour=True)
    assert issubclass(UnknownNetworkError, (BusnetError, ValueError))
