"""Compare converted networks with those of an installed torchvision and timm.

    python tools/check_torchvision.py

``make check-torchvision`` runs it in an environment of its own. All weights are random.
It prints three tables: relative L2 differences of the logits, largest differences of
preprocessed images, and what becomes of relatives of the ResNets. The status is 1 if
anything is not as it must be.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision.transforms import v2

import busnet
from busnet.data.phantom import phantom
from busnet.images import Preprocessing

NETWORKS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
CLASSES = [f"class {number}" for number in range(1000)]

#: Largest relative L2 differences of logits by precision.
LIMITS = {"exact": 1e-5, "f32": 1e-4}

#: Largest differences of preprocessed intensities in 0..1: of tensors, and of PIL
#: images, which are rounded to 8 bits.
TENSOR_LIMIT, PIL_LIMIT = 1e-3, 1.01 / 255

#: timm's relatives of the ResNets, and a word of the message that refuses them.
RELATIVES = {
    "resnext50_32x4d": "ResNeXt",
    "wide_resnet50_2": "Wide ResNet",
    "resnet50d": "ResNet-C, -D or -S",
    "resnet50c": "ResNet-C, -D or -S",
    "seresnet50": "SE network",
    "ecaresnet50t": "",
    "resnet26": "no network has",
    "resnet50_gn": "no running statistics",
    "resnetblur50": "computes something else",
    "resnetaa50": "computes something else",
    "resnetv2_50": "pre-activation",
    "resnetv2_50x1_bit": "pre-activation",
    "res2net50_26w_4s": "Res2Net",
    "resnest50d": "",
    "convnext_tiny": "no ResNet",
    "vit_tiny_patch16_224": "no ResNet",
    "densenet121": "no ResNet",
}


def randomise(module: nn.Module) -> nn.Module:
    """Give the batch norms statistics of their own, so that each of them counts."""
    generator = torch.Generator().manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_var is not None:
            with torch.no_grad():
                layer.weight.uniform_(0.3, 0.7, generator=generator)
                layer.bias.uniform_(-0.1, 0.1, generator=generator)
                layer.running_mean.uniform_(-0.1, 0.1, generator=generator)
                layer.running_var.uniform_(0.5, 1.5, generator=generator)
    return module.eval()


def modules() -> Iterator[tuple[str, str, nn.Module]]:
    """Yield library, name and module of each network."""
    for name in NETWORKS:
        torch.manual_seed(0)
        yield "torchvision", name, torchvision.models.get_model(name, weights=None)
        yield "timm", name, timm.create_model(name, pretrained=False)


def check_logits() -> bool:
    """Compare logits of converted files and modules; print a table."""
    print("\nRelative L2 difference of the logits, two images of 224 x 224\n")
    print("| library | network | source | exact | f32 |\n|---|---|---|---|---|")
    images = np.random.default_rng(0).random((2, 224, 224, 3), np.float32)
    good = True
    for library, name, fresh in modules():
        module = randomise(fresh)
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder, f"{name}.pth")
            torch.save(module.state_dict(), checkpoint)
            for source in (checkpoint, module):
                out = Path(folder, "converted.safetensors")
                model = busnet.from_torch(
                    source, classes=CLASSES, out=out, precision="exact"
                )
                assert model.info.network.name == name
                mean, std = (np.float32(x) for x in (model.info.mean, model.info.std))
                planes = ((images - mean) / std).transpose(0, 3, 1, 2).copy()
                with torch.no_grad():
                    expected = module(torch.from_numpy(planes)).numpy()
                differences = []
                for precision, limit in LIMITS.items():
                    got = busnet.load(out, precision=precision).run(images)["class"]
                    difference = np.linalg.norm(got - expected)
                    differences.append(difference / np.linalg.norm(expected))
                    good &= bool(differences[-1] < limit)
                kind = "file" if source is checkpoint else "module"
                numbers = " | ".join(f"{number:.1e}" for number in differences)
                print(f"| {library} | {name} | {kind} | {numbers} |", flush=True)
    return good


def draw(shape: tuple[int, int]) -> np.ndarray:
    """Return a speckled RGB image of 8 bits."""
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3))
    return np.where(noise < 40, noise, phantom(*shape)[0][..., None]).astype(np.uint8)


def check_preprocessing() -> bool:
    """Compare preprocessed images; print a table."""
    print("\nLargest difference of preprocessed intensities in 0..1\n")
    print("| resize | interpolation | image | float tensor | PIL image |")
    print("|---|---|---|---|---|")
    good = True
    for resize in (256, (224, 224), (256, 300)):
        for mode in ("bilinear", "bicubic"):
            interpolation = v2.InterpolationMode(mode)
            side = resize if isinstance(resize, int) else list(resize)
            cut = v2.Compose(
                [
                    v2.Resize(side, interpolation=interpolation, antialias=True),
                    v2.CenterCrop(224),
                ]
            )
            to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
            for shape in ((480, 640), (641, 480), (100, 130), (1200, 1601)):
                pixels = draw(shape)
                place = Preprocessing(224, resize, mode).place(*shape)
                got = place.apply(np.float32(pixels / 255)).transpose(2, 0, 1)
                image = Image.fromarray(pixels)
                differences = [
                    float(np.abs(got - expected.numpy()).max())
                    for expected in (cut(to_float(image)), to_float(cut(image)))
                ]
                good &= differences[0] < TENSOR_LIMIT
                if mode == "bilinear":  # bicubic of 8 bits is clipped, too
                    good &= differences[1] <= PIL_LIMIT
                numbers = " | ".join(f"{number:.1e}" for number in differences)
                size = f"{shape[0]} x {shape[1]}"
                print(f"| {resize} | {mode} | {size} | {numbers} |", flush=True)
    return good


def check_relatives() -> bool:
    """Convert what must be refused; print a table of the messages."""
    print("\nRelatives\n\n| network | message |\n|---|---|")
    good = True
    for name, word in RELATIVES.items():
        module = randomise(timm.create_model(name, pretrained=False))
        try:
            busnet.from_torch(module, classes=CLASSES)
        except busnet.BusnetError as error:
            good &= word in str(error)
            print(f"| {name} | {error} |", flush=True)
        else:
            good = False
            print(f"| {name} | CONVERTED |", flush=True)
    return good


def main() -> int:
    """Check everything, and return the exit status."""
    print(
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, "
        f"timm {timm.__version__}, busnet {busnet.__version__}"
    )
    results = [check_logits(), check_preprocessing(), check_relatives()]
    print("\nall as it must be" if all(results) else "\nNOT AS IT MUST BE")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
