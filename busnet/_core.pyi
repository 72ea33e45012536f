import os
from collections.abc import Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

@final
class Graph:
    def __new__(cls) -> Graph: ...
    def input(
        self, channels: int, mean: Sequence[float], std: Sequence[float]
    ) -> int: ...
    def conv(
        self,
        src: int,
        name: str,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        norm: str = "",
        bias: bool = False,
        add: int | None = None,
        relu: bool = False,
    ) -> int: ...
    def max_pool(
        self,
        src: int,
        kernel: int,
        stride: int,
        *,
        padding: int = 0,
        ceil: bool = False,
    ) -> int: ...
    def mean_pool(self, src: int) -> int: ...
    def lesion_pool(self, src: int, logits: int) -> int: ...
    def linear(
        self, src: int, name: str, features: int, *, add: int | None = None
    ) -> int: ...
    def resize(self, src: int, like: int, *, mode: str = "bilinear") -> int: ...
    def output(self, src: int, name: str) -> None: ...

@final
class Weights:
    def __new__(
        cls,
        graph: Graph,
        *,
        threads: int = 1,
        precision: str = "f32",
        cache: str | bytes | os.PathLike[str] | None = None,
        use_cache: bool = True,
    ) -> Weights: ...
    @property
    def finished(self) -> bool: ...
    def set(
        self,
        name: str,
        array: npt.NDArray[np.float32] | npt.NDArray[np.int8],
        scales: npt.NDArray[np.float32] | None = None,
    ) -> None: ...
    def finish(self) -> None: ...

@final
class Plan:
    def __new__(
        cls,
        weights: Weights,
        batch: int,
        height: int,
        width: int,
        *,
        threads: int = 1,
        outputs: Sequence[str] | None = None,
    ) -> Plan: ...
    @property
    def arena_size(self) -> int: ...
    @property
    def steps(self) -> list[tuple[str, str]]: ...
    def observe(
        self, images: npt.NDArray[np.float32], /
    ) -> list[tuple[str, bool, npt.NDArray[np.float64], npt.NDArray[np.int64]]]: ...
    def time(self, images: npt.NDArray[np.float32], /) -> list[float]: ...
    def run(
        self, images: npt.NDArray[np.float32], /
    ) -> dict[str, npt.NDArray[np.float32]]: ...

def engine() -> dict[str, Any]: ...
def label(mask: npt.NDArray[np.uint8], /) -> tuple[npt.NDArray[np.int32], int]: ...
