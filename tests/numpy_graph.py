"""The oracle: a graph that computes each node at once with NumPy in float64."""

import numpy as np

EPSILON = 1e-5
LESION_EPSILON = 1e-3


class NumpyGraph:
    """A :class:`busnet.networks.Graph` whose values are arrays (N, C, H, W)."""

    def __init__(self, arrays, images):
        self.arrays = {name: a.astype(np.float64) for name, a in arrays.items()}
        self.images = images.astype(np.float64)
        self.outputs = {}

    def input(self, channels, mean, std):
        assert self.images.shape[1] == channels
        column = (1, -1, 1, 1)
        return (self.images - np.reshape(mean, column)) / np.reshape(std, column)

    def conv(
        self,
        src,
        name,
        channels,
        kernel,
        *,
        stride=1,
        padding=0,
        norm="",
        bias=False,
        add=None,
        relu=False,
    ):
        weight = self.arrays[f"{name}.weight"]
        assert weight.shape == (channels, src.shape[1], kernel, kernel)
        windows = _windows(src, kernel, stride, padding, 0.0)
        y = np.einsum("nchwij,ocij->nohw", windows, weight, optimize=True)
        if bias:
            y = y + self.arrays[f"{name}.bias"][:, None, None]
        if norm:
            gamma, beta, mean, var = (
                self.arrays[f"{norm}.{part}"][:, None, None]
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            y = (y - mean) / np.sqrt(var + EPSILON) * gamma + beta
        if add is not None:
            y = y + add
        return np.maximum(y, 0) if relu else y

    def max_pool(self, src, kernel, stride, *, padding=0, ceil=False):
        far = padding
        if ceil:
            far += max(-(s + 2 * padding - kernel) % stride for s in src.shape[2:])
        windows = _windows(src, kernel, stride, (padding, far), -np.inf)
        count = [
            (s + 2 * padding - kernel + (stride - 1 if ceil else 0)) // stride + 1
            for s in src.shape[2:]
        ]
        return windows[:, :, : count[0], : count[1]].max((4, 5))

    def mean_pool(self, src):
        return src.mean((2, 3), keepdims=True)

    def lesion_pool(self, src, logits):
        assert logits.shape[1] == 1
        w = 1 / (1 + np.exp(-logits))
        for axis in (2, 3):
            w = _adaptive_mean(w, axis, src.shape[axis])
        mean = (w * src).sum((2, 3)) / (w.sum((2, 3)) + LESION_EPSILON)
        peak, area = w.max((2, 3)), np.sqrt(w.mean((2, 3)))
        return np.concatenate([mean, peak, area], axis=1)[:, :, None, None]

    def linear(self, src, name, features, *, add=None):
        weight = self.arrays[f"{name}.weight"]
        assert weight.shape[0] == features
        y = src[:, :, 0, 0] @ weight.T + self.arrays[f"{name}.bias"]
        y = y[:, :, None, None]
        return y if add is None else y + add

    def resize(self, src, like, *, mode="bilinear"):
        for axis in (2, 3):
            src = _resize_axis(src, axis, like.shape[axis], mode)
        return src

    def output(self, src, name):
        self.outputs[name] = src


def _windows(src, kernel, stride, padding, fill):
    near, far = padding if isinstance(padding, tuple) else (padding, padding)
    padded = np.pad(
        src, ((0, 0), (0, 0), (near, far), (near, far)), constant_values=fill
    )
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, (kernel, kernel), axis=(2, 3)
    )
    return windows[:, :, ::stride, ::stride]


def _adaptive_mean(src, axis, size):
    old = src.shape[axis]
    parts = [
        np.take(src, range(i * old // size, -(-(i + 1) * old // size)), axis).mean(axis)
        for i in range(size)
    ]
    return np.stack(parts, axis)


def _resize_axis(src, axis, size, mode):
    old = src.shape[axis]
    # In float32, as in the engine: halfway between two pixels rounding decides.
    centre = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(old)
    centre = centre / np.float32(size) - np.float32(0.5)
    if mode == "nearest":
        index = np.clip(np.floor(centre + 0.5), 0, old - 1).astype(int)
        return np.take(src, index, axis)
    centre = np.clip(centre, 0, old - 1)
    low = np.floor(centre).astype(int)
    high = np.minimum(low + 1, old - 1)
    share = (centre - low).reshape([-1 if a == axis else 1 for a in range(src.ndim)])
    return np.take(src, low, axis) * (1 - share) + np.take(src, high, axis) * share
