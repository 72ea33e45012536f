"""Converting: from a state dict, whatever holds it, to a weights file of busnet's."""

from __future__ import annotations

import collections
import math
import numbers
import operator
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from busnet import weights
from busnet._io import atomic_write, check_target
from busnet.convert.sources import Source, load_source
from busnet.errors import WeightsError
from busnet.images import Interpolation, Resize
from busnet.model import Model, load, load_temporary
from busnet.model_info import CONVERTED, ModelInfo
from busnet.networks import Network, Variant
from busnet.results import BENIGN, MALIGNANT, NORMAL
from busnet.state_dicts import HEAD, StateDict, check_arrays, recognise
from busnet.version import __version__

__all__ = ["UNKNOWN_DATA", "convert", "from_torch"]

#: What the provenance of a converted model says of its training data.
UNKNOWN_DATA = "unknown (converted)"

#: Names of classes that have a meaning; others are names alone.
_KNOWN = (NORMAL, BENIGN, MALIGNANT)

#: Share of the resized image's shorter side that the crop has by default: 224 of 256.
CROP_SHARE = 0.875


def from_torch(
    source: Source,
    *,
    classes: Sequence[str],
    network: str | None = None,
    image_size: int = 224,
    resize: Resize | None = None,
    interpolation: Interpolation = "bilinear",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    variant: Variant | None = None,
    class_shares: Mapping[str, float] | None = None,
    out: str | os.PathLike[str] | None = None,
    precision: str = "f32",
) -> Model:
    """Return a ResNet that was trained in PyTorch as a model.

    torchvision's and timm's ResNet-18, -34, -50, -101 and -152 are taken, with any
    number of classes and 1 or 3 channels, and modules and checkpoints that wrap one. A
    module's outputs are compared with the model's on a random image; of a state dict
    the arrays say nothing of strides, activations and poolings, which must be
    torchvision's.

    Parameters
    ----------
    source
        A module, its state dict, or a file: ``.safetensors``, or what ``torch.save``
        wrote, which is read without executing code.
    classes
        Names of the classes in the order of the network's outputs. torchvision's
        ``ImageFolder`` sorts them. ``"normal"``, ``"benign"`` and ``"malignant"`` are
        known by these spellings, and others of them are refused.
    network
        Name of the network that it must be; by default the arrays say.
    image_size
        Side of the square that the network sees, pixels.
    resize
        What images are resized to before the middle is cut out: their shorter side, or
        (height, width); or ``"letterbox"``. By default the shorter side, to
        ``image_size / 0.875`` (256 for 224), as torchvision and timm evaluate; to
        letterbox a network that draws masks.
    interpolation
        ``"bilinear"`` or ``"bicubic"``, antialiased.
    mean, std
        What intensities in 0..1 were normalised by in training, one number a channel;
        by default ImageNet's, for grey their mean.
    variant
        ``"v1"`` if bottlenecks stride in their first 1x1 convolution, ``"v1.5"`` if in
        their 3x3. By default as the module does; of a state dict ``"v1.5"``, as
        torchvision and timm have it.
    class_shares
        Share of each class, by name, that the probabilities assume, which ``prior`` of
        :meth:`Model.predict` starts from: those of the training data, where its loss
        counted each image alike. By default all the same, as where the loss was
        weighted by class.
    out
        The ``.safetensors`` file to write. By default the file lives in a temporary
        folder for as long as the model, and pickles of the model hold all of it.
    precision
        See :func:`busnet.load`.

    Raises
    ------
    UnknownNetworkError
        If it is another architecture; the message names it and the array that shows it.
    WeightsError
        If the file cannot be read without executing its code, an array is missing,
        extra, mis-shaped or not finite, the classes are not as many as the outputs, the
        class shares are not of the classes, positive and 1 in sum, or the module
        computes something else than its arrays say.
    OutputError
        If ``out`` cannot be written.
    MissingExtraError
        If PyTorch is needed and not installed.
    """

    def write(path: Path) -> None:
        convert(
            source,
            path,
            classes=classes,
            network=network,
            image_size=image_size,
            resize=resize,
            interpolation=interpolation,
            mean=mean,
            std=std,
            variant=variant,
            class_shares=class_shares,
        )

    if out is not None:
        write(Path(out))
        return load(out, precision=precision)
    return load_temporary(write, precision=precision)


def convert(
    source: Source,
    out: str | os.PathLike[str],
    *,
    classes: Sequence[str],
    network: str | None = None,
    image_size: int = 224,
    resize: Resize | None = None,
    interpolation: Interpolation = "bilinear",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    variant: Variant | None = None,
    class_shares: Mapping[str, float] | None = None,
) -> ModelInfo:
    """Write a weights file of a ResNet that was trained in PyTorch.

    See :func:`from_torch` for the parameters and errors. Nothing is written if
    something is wrong.

    Returns
    -------
    ModelInfo
        What the file says of the model; its provenance says what was assumed.
    """
    _check_out(Path(out), source)
    _check_numbers(mean, std)
    _check_shares(class_shares)
    try:
        image_size = operator.index(image_size)
    except TypeError:
        raise WeightsError(f"image size {image_size!r} is no whole number") from None
    loaded = load_source(source)
    row = recognise(
        loaded.state,
        network=network,
        variant=variant if variant is not None else loaded.variant,
        ceil_pool=loaded.ceil_pool,
    )
    _check_classes(loaded.state, classes)
    check_arrays(loaded.state, row, len(classes))
    default_mean, default_std = loaded.statistics or row.statistics
    given = "given" if variant is not None else "as the module"
    assumed = variant is None and loaded.variant is None
    info = ModelInfo(
        network=row,
        classes=tuple(classes),
        image_size=image_size,
        mean=tuple(map(float, default_mean if mean is None else mean)),
        std=tuple(map(float, default_std if std is None else std)),
        resize=_default_resize(row, image_size) if resize is None else resize,
        interpolation=interpolation,
        class_shares={n: float(share) for n, share in (class_shares or {}).items()},
        provenance={
            "data": UNKNOWN_DATA,
            CONVERTED: {
                **loaded.origin,
                "keys": str(loaded.state.layout),
                "strides": f"{row.variant}, {'assumed' if assumed else given}",
                "class_shares": "assumed" if class_shares is None else "given",
            },
            "busnet": __version__,
        },
    )
    with atomic_write(out) as part:
        weights.save(part, loaded.state.arrays, info)
        loaded.check(part)
    return info


def _check_out(out: Path, source: Source) -> None:
    """Refuse to write a file that would not be found, or the source itself.

    Raises
    ------
    WeightsError
        If the name does not end in ``.safetensors``, or is the source's.
    OutputError
        If no file can be written there.
    """
    if out.suffix != ".safetensors":
        raise WeightsError(f"{out}: a model's file ends in .safetensors")
    check_target(out)
    if (
        isinstance(source, str | os.PathLike)
        and out.exists()
        and Path(source).exists()
        and out.samefile(source)
    ):
        raise WeightsError(f"{out}: it would take the place of what it is made of")


def _check_numbers(mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
    """Refuse statistics that are not of intensities in 0..1.

    Raises
    ------
    WeightsError
        If they are no lists of numbers, or those of intensities in 0..255.
    """
    for name, values in (("mean", mean), ("std", std)):
        if values is None:
            continue
        try:
            largest = max(abs(float(value)) for value in values)
        except (TypeError, ValueError):
            raise WeightsError(
                f"{name} is a list of numbers, one a channel, not {values!r}"
            ) from None
        if largest > 1 and math.isfinite(largest):
            raise WeightsError(
                f"{name} {tuple(map(float, values))} is not of intensities in 0..1; "
                f"divide what is of 0..255 by 255"
            )


def _check_shares(shares: Mapping[str, float] | None) -> None:
    """Refuse class shares that are no numbers by name; the sum is checked later.

    Raises
    ------
    WeightsError
        If they are none, or of another type.
    """
    if shares is None:
        return
    if (
        not isinstance(shares, Mapping)
        or not shares
        or not all(isinstance(name, str) for name in shares)
        or not all(isinstance(share, numbers.Real) for share in shares.values())
    ):
        raise WeightsError(f"class shares are a number by class, not {shares!r}")


def _default_resize(network: Network, image_size: int) -> Resize:
    if "mask" in network.heads:
        return "letterbox"
    return math.floor(image_size / CROP_SHARE)


def _check_classes(state: StateDict, classes: Sequence[str]) -> None:
    """Refuse names of classes that are not those of the outputs.

    Raises
    ------
    WeightsError
        If there are none, one is empty, there twice or an odd spelling of a class that
        busnet knows, or their number is another.
    """
    weight = state.arrays.get(f"{HEAD}.weight")
    outputs = (
        "" if weight is None else f"; {state.key(f'{HEAD}.weight')} is {weight.shape}"
    )
    if (
        isinstance(classes, str)
        or not isinstance(classes, Sequence)
        or not all(isinstance(name, str) for name in classes)
    ):
        raise WeightsError(f"classes are a list of names, not {classes!r}")
    if not classes:
        raise WeightsError(f"{state.name}: no class is named{outputs}")
    for name, count in collections.Counter(classes).items():
        if not name.strip():
            raise WeightsError(f"{state.name}: a class has no name: {classes!r}")
        if name != name.strip() or not name.isprintable():
            raise WeightsError(
                f"{state.name}: the class {name!r} has spaces around its name, or "
                f"signs that cannot be printed"
            )
        if count > 1:
            raise WeightsError(
                f"{state.name}: the class {name!r} is named {count} times"
            )
        if (known := name.casefold()) in _KNOWN and name != known:
            raise WeightsError(
                f"{state.name}: the class {name!r} is called {known!r} here; by any "
                f"other spelling its results would not be known for what they are"
            )
    if weight is not None and weight.ndim == 2 and len(weight) != len(classes):
        raise WeightsError(
            f"{state.name}: {state.key(f'{HEAD}.weight')} is {weight.shape}, for "
            f"{len(classes)} classes ({', '.join(classes)}) it would be "
            f"{(len(classes), *weight.shape[1:])}"
        )
    if len(classes) == 1:
        raise WeightsError(
            f"{state.name}: it has one output{outputs}, whose probability would always "
            f"be 1; an output of a sigmoid is that of two classes whose first row of "
            f"{state.key(f'{HEAD}.weight')} and of its bias is 0"
        )
