"""ResNets in plain PyTorch, whose state dicts have the keys of torchvision or of timm.

Both name the arrays alike; modules without arrays differ, and timm's shortcuts are
built by a function of their own. Options make the relatives that busnet refuses.
"""

import torch
from torch import nn

DEPTHS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}
WIDTHS = (64, 128, 256, 512)


def norm(channels):
    return nn.BatchNorm2d(channels)


class Basic(nn.Module):
    expansion = 1

    def __init__(self, inputs, width, stride, downsample, options):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = norm(width)
        self.downsample = downsample
        self.act = options.get("act", nn.ReLU)()

    def forward(self, x):
        y = self.act(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.act(y + (x if self.downsample is None else self.downsample(x)))


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, 1)
        self.fc2 = nn.Conv2d(channels // 16, channels, 1)

    def forward(self, x):
        weights = self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu())
        return x * weights.sigmoid()


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs, width, stride, downsample, options):
        super().__init__()
        groups, base = options.get("groups", 1), options.get("base", 64)
        inner = width * base // 64 * groups
        first, second = (stride, 1) if options.get("v1") else (1, stride)
        self.conv1 = nn.Conv2d(inputs, inner, 1, first, bias=False)
        self.bn1 = norm(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, second, 1, groups=groups, bias=False)
        self.bn2 = norm(inner)
        self.conv3 = nn.Conv2d(inner, 4 * width, 1, bias=False)
        self.bn3 = norm(4 * width)
        self.se = SqueezeExcite(4 * width) if options.get("se") else None
        self.downsample = downsample
        self.act = options.get("act", nn.ReLU)()

    def forward(self, x):
        y = self.act(self.bn1(self.conv1(x)))
        y = self.act(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        if self.se is not None:
            y = self.se(y)
        return self.act(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """A ResNet with torchvision's names.

    Parameters
    ----------
    name
        One of :data:`DEPTHS`.
    classes, channels
        Numbers of outputs and of the image's channels.
    depths
        Other depths than the name's.
    options
        ``v1``, ``groups``, ``base``, ``se``, ``act``; ``deep_stem`` and ``avg_down`` of
        the D variant; ``pool``, the stem's.
    """

    def __init__(self, name, classes=3, channels=3, depths=None, **options):
        super().__init__()
        block = Basic if name in ("resnet18", "resnet34") else Bottleneck
        stem = [(channels, 64, 7, 2, 3)]
        if options.get("deep_stem"):
            stem = [(channels, 32, 3, 2, 1), (32, 32, 3, 1, 1), (32, 64, 3, 1, 1)]
        layers = [nn.Conv2d(*numbers, bias=False) for numbers in stem]
        self.conv1 = layers[0] if len(layers) == 1 else nn.Sequential(*layers)
        self.bn1 = norm(64)
        self.relu = options.get("act", nn.ReLU)()
        self.maxpool = options.get("pool", nn.MaxPool2d(3, 2, 1))
        inputs = 64
        for i, (width, depth) in enumerate(
            zip(WIDTHS, depths or DEPTHS[name], strict=True)
        ):
            blocks = []
            for j in range(depth):
                stride = 2 if i > 0 and j == 0 else 1
                outputs = width * block.expansion
                downsample = None
                if j == 0 and (stride > 1 or inputs != outputs):
                    downsample = self.downsample(inputs, outputs, stride, options)
                blocks.append(block(inputs, width, stride, downsample, options))
                inputs = outputs
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, classes)

    @staticmethod
    def downsample(inputs, outputs, stride, options):
        if options.get("avg_down"):
            return nn.Sequential(
                nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                norm(outputs),
            )
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs)
        )

    def features(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))

    def forward(self, x):
        return self.fc(self.avgpool(self.features(x)).flatten(1))


class TimmPool(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten(1)

    def forward(self, x):
        return self.flatten(self.pool(x))


class TimmResNet(ResNet):
    """The same with timm's modules: ``act1``, ``global_pool``, a list of stages."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.act1 = self.relu
        del self.relu, self.avgpool
        self.global_pool = TimmPool()

    def forward(self, x):
        x = self.maxpool(self.act1(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.global_pool(x))


LAYOUTS = {"torchvision": ResNet, "timm": TimmResNet}


def randomise(module, seed=0):
    """Fill a module with random numbers that keep activations near 1; evaluate it."""
    generator = torch.Generator().manual_seed(seed)

    def draw(tensor, low, high):
        tensor.uniform_(low, high, generator=generator)

    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                scale = (2 / layer.weight[0].numel()) ** 0.5
                layer.weight.normal_(0, scale, generator=generator)
                if layer.bias is not None:
                    draw(layer.bias, -0.1, 0.1)
            elif isinstance(layer, nn.BatchNorm2d):
                draw(layer.weight, 0.3, 0.7)
                draw(layer.bias, -0.1, 0.1)
                draw(layer.running_mean, -0.1, 0.1)
                draw(layer.running_var, 0.5, 1.5)
    return module.eval()


def random_resnet(name, *args, layout="torchvision", seed=0, **options):
    return randomise(LAYOUTS[layout](name, *args, **options), seed)
