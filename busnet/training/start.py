"""Where a training's weights start: at random, or from weights that fit in part.

Stages must fit; the stem, stage shortcuts and heads that do not start at random, and a
line says so.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.error import URLError

import numpy as np
import numpy.typing as npt

from busnet import weights
from busnet._io import file_sha256
from busnet.data import CLASSES
from busnet.errors import MissingExtraError, MissingWeightsError, WeightsError
from busnet.model_info import CONVERTED, ModelInfo
from busnet.models import find_model
from busnet.networks import IMAGENET_MEAN, IMAGENET_STD, Counter, Network, build
from busnet.state_dicts import (
    StateDict,
    normalise,
    read_state_dict,
    recognise_blocks,
    to_numpy,
)
from busnet.training.fitting import Fit, adapt_stem, fit_arrays
from busnet.training.graph import TorchGraph, load_arrays
from busnet.training.pretrained import (
    FILES,
    initialise,
    is_fresh_in_part,
    zero_last_norms,
)

__all__ = ["Start", "open_start"]

Arrays = Mapping[str, npt.NDArray[np.float32]]

#: The start that takes ImageNet weights of an installed torchvision.
TORCHVISION = "torchvision"

#: torchvision's ImageNet weights by the start of their file's SHA-256, which the files
#: have in their names.
_IMAGENET = {
    "f37072fd": "ResNet18_Weights.IMAGENET1K_V1",
    "b627a593": "ResNet34_Weights.IMAGENET1K_V1",
    "0676ba61": "ResNet50_Weights.IMAGENET1K_V1",
    "11ad3fa6": "ResNet50_Weights.IMAGENET1K_V2",
    "63fe2227": "ResNet101_Weights.IMAGENET1K_V1",
    "cd907fc2": "ResNet101_Weights.IMAGENET1K_V2",
    "394f9c45": "ResNet152_Weights.IMAGENET1K_V1",
    "f82ba261": "ResNet152_Weights.IMAGENET1K_V2",
}


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a training's weights start.

    Attributes
    ----------
    identity
        What a checkpoint says of it: the hash of its file, its name, or None for random
        weights.
    provenance
        What a weights file says of it.
    initialise
        Fills a module of the network.
    fresh
        Names of the arrays that start at random.
    summary
        What is taken and what is not, a line; "" for random weights.
    norms
        Norms whose statistics are to be measured on training images; None for all.
    is_folded
        Whether norms came folded into convolutions, so that measuring must not change
        what the network computes.
    hashes
        Content hashes of the images that earlier trainings saw; see
        :class:`busnet.model_info.ModelInfo`.
    """

    identity: str | None
    provenance: str | dict[str, object]
    initialise: Callable[[TorchGraph], object]
    fresh: frozenset[str]
    summary: str = ""
    norms: frozenset[str] | None = None
    is_folded: bool = False
    hashes: Mapping[str, str] = dataclasses.field(default_factory=dict)


def open_start(start: str | os.PathLike[str] | None, network: Network) -> Start:
    """Return where a network's weights start.

    Parameters
    ----------
    start
        None: at random. ``"torchvision"``: ImageNet weights of an installed
        torchvision. Else the name of a shipped model or of a plug-in's, a file of
        busnet's, of torchvision's or of timm's arrays, or a folder of partial ImageNet
        weights.
    network
        The network that is trained.

    Raises
    ------
    MissingWeightsError
        If there is no such model or file.
    WeightsError, UnknownNetworkError
        If it cannot be read, is of another network, or cannot be downloaded.
    MissingExtraError
        If torchvision is asked for and not installed.
    """
    if start is None:
        return Start(
            None,
            "random",
            functools.partial(zero_last_norms, network=network, stages="1234"),
            frozenset(_expected(network)),
        )
    name = os.fspath(start)
    if name == TORCHVISION:
        return _from_torchvision(network)
    path = Path(name)
    if path.is_dir():
        return _from_folder(path, network)
    if not path.suffix and not path.exists():
        return _from_busnet(find_model(name), network)
    if not path.is_file():
        raise MissingWeightsError(f"{name}: no such file to start from")
    if path.suffix == ".safetensors" and weights.is_weights_file(path):
        return _from_busnet(path, network)
    return _from_file(path, network)


def _expected(network: Network) -> dict[str, tuple[int, ...]]:
    counter = Counter()
    build(network, counter, classes=len(CLASSES))
    return counter.arrays


def _from_folder(folder: Path, network: Network) -> Start:
    file = folder / FILES[network.block]
    if not file.is_file():
        raise MissingWeightsError(
            f"{folder}: the folder has no partial ImageNet weights, {file.name}"
        )
    return Start(
        f"SHA-256 {file_sha256(file)}",
        "ImageNet, partial",
        functools.partial(initialise, network=network, folder=folder),
        frozenset(filter(is_fresh_in_part, _expected(network))),
        f"start: {folder}: partial ImageNet weights; fresh: layer4 and the heads",
        is_folded=network.block == "basic",
    )


def _from_busnet(path: Path, network: Network) -> Start:
    """Start from a file of busnet's, its classes in busnet's order."""
    info = weights.read_info(path)
    _check_blocks(str(path), info.network.block, info.network.depths, network)
    for field in ("variant", "pools_in_ceil_mode"):
        theirs, ours = getattr(info.network, field), getattr(network, field)
        if theirs != ours:
            raise WeightsError(
                f"{path}: the {field} of the weights is {theirs}, not {ours}"
            )
    arrays = _order_classes(weights.read_arrays(path), info)
    reason = (
        ""
        if set(info.classes) == set(CLASSES)
        else (f"its classes are {', '.join(info.classes)}")
    )
    fit = _fit(str(path), arrays, network, (info.mean, info.std), reason)
    norms = {key.rpartition(".")[0] for key in fit.fresh if key.endswith("running_var")}
    return Start(
        f"SHA-256 {file_sha256(path)}",
        dict(info.provenance),
        functools.partial(_load, fit=fit, network=network),
        fit.fresh,
        f"start: {path}: {fit}",
        frozenset(norms),
        hashes=info.content_hashes,
    )


def _from_file(path: Path, network: Network) -> Start:
    """Start from a checkpoint of torchvision's or timm's arrays."""
    state = normalise(read_state_dict(path), str(path))
    digest = file_sha256(path)
    origin: str | dict[str, object]
    if digest[:8] in _IMAGENET:
        origin = f"ImageNet ({_IMAGENET[digest[:8]]})"
    else:
        facts = {"file": path.name, "sha256": digest, "keys": str(state.layout)}
        origin = {"data": "unknown (converted)", CONVERTED: facts}
    return _from_state(state, f"SHA-256 {digest}", origin, network)


def _from_torchvision(network: Network) -> Start:
    """Start from the ImageNet weights that torchvision downloads or has in its cache.

    These are the first version, which all five networks have.
    """
    try:
        from torchvision.models import get_weight
    except ImportError:
        raise MissingExtraError(
            "the start torchvision needs torchvision: pip install torchvision"
        ) from None
    name = f"ResNet{network.name.rpartition('resnet')[2]}_Weights.IMAGENET1K_V1"
    try:
        arrays = get_weight(name).get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"{name}: it is not in torchvision's cache and cannot be downloaded "
            f"({error}); download the file elsewhere and start from it"
        ) from None
    state = normalise(to_numpy(arrays, name), name)
    return _from_state(state, name, f"ImageNet ({name})", network)


def _from_state(
    state: StateDict,
    identity: str,
    origin: str | dict[str, object],
    network: Network,
) -> Start:
    _check_blocks(state.name, *recognise_blocks(state), network)
    fit = _fit(
        state.name,
        state.arrays,
        network,
        (IMAGENET_MEAN, IMAGENET_STD),
        "it does not name its classes",
    )
    return Start(
        identity,
        origin,
        functools.partial(_load, fit=fit, network=network),
        fit.fresh,
        f"start: {state.name}: {fit}",
    )


def _check_blocks(
    name: str, block: str, depths: tuple[int, ...], network: Network
) -> None:
    if (block, depths) != (network.block, network.depths):
        raise WeightsError(
            f"{name}: the weights are of {block} blocks {depths}, {network.name} has "
            f"{network.block} blocks {network.depths}"
        )


def _fit(
    name: str,
    arrays: Arrays,
    network: Network,
    statistics: tuple[tuple[float, ...], tuple[float, ...]],
    reason: str,
) -> Fit:
    """Fit arrays to a network; a reason why the class heads do not fit may be known."""
    adapted = adapt_stem(arrays, statistics, network.statistics)
    refused = {"class head": reason, "lesion head": reason} if reason else {}
    return fit_arrays(name, adapted, _expected(network), refused)


def _order_classes(arrays: Arrays, info: ModelInfo) -> Arrays:
    """Return arrays whose class heads have busnet's order of the classes."""
    if info.classes == CLASSES or set(info.classes) != set(CLASSES):
        return arrays
    order = [info.classes.index(name) for name in CLASSES]
    heads = ("fc.", "lesion_fc.")
    return {k: a[order] if k.startswith(heads) else a for k, a in arrays.items()}


def _load(graph: TorchGraph, *, fit: Fit, network: Network) -> None:
    """Copy the arrays that fit; fresh shortcuts add nothing at first."""
    if any(".shortcut." in name for name in fit.fresh):
        zero_last_norms(graph, network, stages="0")
    load_arrays(graph, fit.arrays)
