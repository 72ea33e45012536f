"""Export to ONNX (the extra ``busnet[onnx]``): one more reader of the description.

The exported model takes ``image``, float32 (N, C, H, W) in 0..1, of the size that it
was exported for and any N, and gives the network's outputs by name: ``class``, logits
(N, classes), and ``mask``, lesion logits (N, 1, H, W).
"""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from busnet import weights
from busnet._io import atomic_write
from busnet.errors import ModelError, requires_extra
from busnet.models import find_model
from busnet.networks import LESION_EPSILON, Counter, Network, build

with requires_extra("onnx"):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

__all__ = ["export", "to_onnx"]

OPSET = 18
IR_VERSION = 8

#: A value's name, and its shape without the batch.
Value = tuple[str, tuple[int, int, int]]
Arrays = Mapping[str, npt.NDArray[np.float32]]


class OnnxGraph:
    """A :class:`busnet.networks.Graph` whose values are names of ONNX tensors."""

    def __init__(self, arrays: Arrays, height: int, width: int) -> None:
        self._arrays = arrays
        self._shapes = Counter(height, width)
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def _constant(self, name: str, array: npt.NDArray[Any]) -> str:
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(
                np.ascontiguousarray(array), name
            )
        return name

    def _parameter(self, name: str) -> str:
        return self._constant(name, self._arrays[name])

    def _node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def input(
        self, channels: int, mean: Sequence[float], std: Sequence[float]
    ) -> Value:
        """See :class:`busnet.networks.Graph`."""
        shape = self._shapes.input(channels, mean, std)
        self.inputs.append(_tensor("image", shape))
        column = (1, channels, 1, 1)
        means = np.reshape(np.asarray(mean, np.float32), column)
        stds = np.reshape(np.asarray(std, np.float32), column)
        centred = self._node("Sub", ["image", self._constant("mean", means)])
        return self._node("Div", [centred, self._constant("std", stds)]), shape

    def conv(
        self,
        src: Value,
        name: str,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        norm: str = "",
        bias: bool = False,
        add: Value | None = None,
        relu: bool = False,
    ) -> Value:
        """See :class:`busnet.networks.Graph`."""
        shape = self._shapes.conv(
            src[1], name, channels, kernel, stride=stride, padding=padding
        )
        parameters = [f"{name}.weight", *([f"{name}.bias"] if bias else [])]
        y = self._node(
            "Conv",
            [src[0], *map(self._parameter, parameters)],
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[padding] * 4,
        )
        if norm:
            parts = ("weight", "bias", "running_mean", "running_var")
            y = self._node(
                "BatchNormalization",
                [y, *(self._parameter(f"{norm}.{part}") for part in parts)],
                epsilon=1e-5,
            )
        if add is not None:
            y = self._node("Add", [y, add[0]])
        return self._node("Relu", [y]) if relu else y, shape

    def max_pool(
        self,
        src: Value,
        kernel: int,
        stride: int,
        *,
        padding: int = 0,
        ceil: bool = False,
    ) -> Value:
        """See :class:`busnet.networks.Graph`."""
        shape = self._shapes.max_pool(
            src[1], kernel, stride, padding=padding, ceil=ceil
        )
        y = self._node(
            "MaxPool",
            [src[0]],
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[padding] * 4,
            ceil_mode=int(ceil),
        )
        return y, shape

    def mean_pool(self, src: Value) -> Value:
        """See :class:`busnet.networks.Graph`."""
        return self._node("GlobalAveragePool", [src[0]]), self._shapes.mean_pool(src[1])

    def lesion_pool(self, src: Value, logits: Value) -> Value:
        """See :class:`busnet.networks.Graph`."""
        w = self._node("Sigmoid", [logits[0]])
        # Adaptive average pooling of a known size is a product with a matrix a side.
        (_, rows, columns), (_, old_rows, old_columns) = src[1], logits[1]
        down = self._averages(old_rows, rows)
        across = self._averages(old_columns, columns, transposed=True)
        w = self._node("MatMul", [self._node("MatMul", [down, w]), across])
        places = self._constant("places", np.array([2, 3], np.int64))
        total = self._node("ReduceSum", [w, places])
        epsilon = self._constant("epsilon", np.array(LESION_EPSILON, np.float32))
        total = self._node("Add", [total, epsilon])
        weighted = self._node("ReduceSum", [self._node("Mul", [w, src[0]]), places])
        mean = self._node("Div", [weighted, total])
        peak = self._node("ReduceMax", [w, places])
        area = self._node("Sqrt", [self._node("ReduceMean", [w, places])])
        y = self._node("Concat", [mean, peak, area], axis=1)
        return y, self._shapes.lesion_pool(src[1], logits[1])

    def _averages(self, old: int, new: int, *, transposed: bool = False) -> str:
        """Return the matrix (new, old) that averages each bin, or its transpose."""
        matrix = np.zeros((new, old), np.float32)
        for i in range(new):
            first, end = i * old // new, -(-(i + 1) * old // new)
            matrix[i, first:end] = 1 / (end - first)
        name = f"average{old}to{new}"
        if transposed:
            return self._constant(f"{name}T", matrix.T)
        return self._constant(name, matrix)

    def linear(
        self, src: Value, name: str, features: int, *, add: Value | None = None
    ) -> Value:
        """See :class:`busnet.networks.Graph`."""
        flat = self._node("Flatten", [src[0]])
        parameters = [self._parameter(f"{name}.{part}") for part in ("weight", "bias")]
        y = self._node("Gemm", [flat, *parameters], transB=1)
        if add is not None:
            y = self._node("Add", [y, add[0]])
        return y, self._shapes.linear(src[1], name, features)

    def resize(self, src: Value, like: Value, *, mode: str = "bilinear") -> Value:
        """See :class:`busnet.networks.Graph`."""
        shape = self._shapes.resize(src[1], like[1], mode=mode)
        size = self._constant(f"{shape[1]}x{shape[2]}", np.array(shape[1:], np.int64))
        y = self._node(
            "Resize",
            [src[0], "", "", size],
            axes=[2, 3],
            mode="linear" if mode == "bilinear" else "nearest",
            coordinate_transformation_mode="half_pixel",
            nearest_mode="round_prefer_ceil",
        )
        return y, shape

    def output(self, src: Value, name: str) -> None:
        """See :class:`busnet.networks.Graph`."""
        self.nodes.append(helper.make_node("Identity", [src[0]], [name], name))
        flat = src[1][1:] == (1, 1) and name == "class"
        self.outputs.append(_tensor(name, src[1][:1] if flat else src[1]))


def _tensor(name: str, shape: Sequence[int]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])


def to_onnx(
    network: Network,
    arrays: Arrays,
    height: int,
    width: int,
    *,
    classes: int = 3,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Any:
    """Return the ONNX model of a network with these arrays, for images of one size."""
    graph = OnnxGraph(arrays, height, width)
    build(network, graph, classes=classes, mean=mean, std=std)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            network.name,
            graph.inputs,
            graph.outputs,
            list(graph.initializers.values()),
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="busnet",
    )
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model


def export(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
) -> None:
    """Write a weights file as an ONNX file, whole or not at all.

    Parameters
    ----------
    source
        Name or path of a model.
    target
        The ONNX file.
    size
        Height and width of the images; the model's own square by default.

    Raises
    ------
    MissingWeightsError, WeightsError
        If there is no such model, or the file is not a weights file of busnet's.
    ModelError
        If the size is not two numbers of pixels.
    OutputError
        If the target cannot be written.
    """
    path = find_model(source)
    info = weights.read_info(path)
    height, width = _checked_size((info.image_size,) * 2 if size is None else size)
    model = to_onnx(
        info.network,
        weights.read_arrays(path),
        height,
        width,
        classes=len(info.classes),
        mean=info.mean,
        std=info.std,
    )
    with atomic_write(target) as part:
        onnx.save(model, str(part))


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of images.

    Raises
    ------
    ModelError
        If they are not two numbers from 1 upwards.
    """
    try:
        height, width = (operator.index(side) for side in size)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise ModelError(
            f"size is the height and the width of images, two whole numbers above 0, "
            f"not {size!r}"
        )
    return height, width
